//! A policy file, cut into its statements, so that each is read, named and complained about by itself.

use std::ops::Range;

/// One statement and where it starts in its file, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) start: usize,
    pub(crate) text: &'a str,
}

/// The statements of a text: each ends with the `;` outside of strings and comments. What stands after the last one is a
/// statement as well, unless it is only space and comments.
pub(crate) fn split(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut place = Place::Code;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match place {
            Place::Comment => {
                if character == '\n' {
                    place = Place::Code;
                }
            }
            Place::Text => match character {
                '\\' => drop(characters.next()),
                '"' => place = Place::Code,
                _ => {}
            },
            Place::Code => match character {
                '/' if characters.peek().is_some_and(|(_, next)| *next == '/') => place = Place::Comment,
                ';' => {
                    let from = start.take().unwrap_or(at);
                    statements.push(Statement { start: from, text: text.get(from..=at).unwrap_or_default() });
                }
                space if space.is_whitespace() => {}
                other => {
                    start.get_or_insert(at);
                    if other == '"' {
                        place = Place::Text;
                    }
                }
            },
        }
    }
    if let Some(from) = start {
        statements.push(Statement { start: from, text: text.get(from..).unwrap_or_default().trim_end() });
    }
    statements
}

/// The words of a statement, outside of strings and comments.
pub(crate) fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut found = Vec::new();
    let mut place = Place::Code;
    let mut start = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match place {
            Place::Comment if character == '\n' => place = Place::Code,
            Place::Comment => {}
            Place::Text => match character {
                '\\' => drop(characters.next()),
                '"' => place = Place::Code,
                _ => {}
            },
            Place::Code if character.is_alphanumeric() || character == '_' => {
                start.get_or_insert(at);
            }
            Place::Code => {
                found.extend(start.take().map(|from| from..at));
                let comment = character == '/' && characters.peek().is_some_and(|(_, next)| *next == '/');
                if comment {
                    place = Place::Comment;
                } else if character == '"' {
                    place = Place::Text;
                }
            }
        }
    }
    found.extend(start.map(|from| from..text.len()));
    found.into_iter()
}

enum Place {
    Code,
    Text,
    Comment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_they_say() {
        let text = "// a; comment\n@id(\"a;b\\\";\")\nforbid(x); // more; of it\n\n  permit(y)\n;forbid(z)";
        let found: Vec<_> = split(text).iter().map(|statement| statement.text).collect();
        assert_eq!(found, ["@id(\"a;b\\\";\")\nforbid(x);", "permit(y)\n;", "forbid(z)"]);
        for statement in split(text) {
            assert_eq!(&text[statement.start..statement.start + statement.text.len()], statement.text);
        }
        let of: Vec<_> = words(split(text)[0].text).map(|word| &split(text)[0].text[word]).collect();
        assert_eq!(of, ["id", "forbid", "x"]);
        assert_eq!(split("// nothing;\n  \n"), []);
        assert_eq!(split("\"open; text"), [Statement { start: 0, text: "\"open; text" }]);
    }
}
