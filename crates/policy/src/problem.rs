//! What is wrong with an organisation's rule: file, line, column, the words, and what to do.

use std::{fmt, ops::Range};

use miette::Diagnostic;

/// One problem of a policy file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub struct RuleProblem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from one.
    pub line: usize,
    /// The column, from one, in characters.
    pub column: usize,
    /// The `@id` of the rule, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The line itself.
    #[serde(skip)]
    excerpt: String,
    /// How many characters of it are meant.
    #[serde(skip)]
    width: usize,
}

/// A text with its name, to point into.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// A problem at a range of bytes.
    pub(crate) fn problem(&self, at: Range<usize>, message: impl Into<String>, remedy: Option<&str>) -> RuleProblem {
        let start = floor(self.text, at.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let excerpt = self.text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let column = self.text.get(line_start..start).unwrap_or_default().chars().count();
        let meant = self.text.get(start..floor(self.text, at.end).max(start)).unwrap_or_default();
        let width = meant.lines().next().unwrap_or_default().chars().count().max(1);
        RuleProblem {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: column + 1,
            rule: None,
            message: message.into(),
            remedy: remedy.map(ToOwned::to_owned),
            excerpt: excerpt.to_owned(),
            width,
        }
    }

    /// What the engine complains about, whose places start `offset` bytes into the text.
    pub(crate) fn complaint(&self, offset: usize, whole: usize, complaint: &dyn Diagnostic) -> RuleProblem {
        let label = complaint.labels().and_then(|mut labels| labels.next());
        let at = label.map_or(offset..offset + whole, |label| {
            let start = offset + label.offset();
            start..start + label.len()
        });
        let remedy = complaint.help().map(|help| help.to_string());
        self.problem(at, complaint.to_string(), remedy.as_deref())
    }
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

impl RuleProblem {
    pub(crate) fn of(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The problem with its line, a caret under what is meant, and the remedy.
    pub fn in_full(&self) -> String {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // A tab stays a tab, so that the caret stands where it should whatever its width.
        let lead: String =
            self.excerpt.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let carets = "^".repeat(self.width);
        let remedy = self.remedy.as_ref().map_or(String::new(), |remedy| format!("\n{margin} = {remedy}"));
        format!(
            "{}:{}:{}: {}\n{margin} |\n{number} | {}\n{margin} | {lead}{carets}{remedy}",
            self.file, self.line, self.column, self.message, self.excerpt
        )
    }
}

impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_points_at_its_place() {
        let text = "// über\n\tforbid (who, action, resource);\n";
        let at = text.find("who").unwrap();
        let problem = Source { file: "a.cedar", text }.problem(at..at + 3, "not a variable", Some("write `principal`"));
        assert_eq!((problem.line, problem.column), (2, 10));
        assert_eq!(problem.to_string(), "a.cedar:2:10: not a variable; write `principal`");
        assert_eq!(
            problem.in_full(),
            "a.cedar:2:10: not a variable\n  |\n2 | \tforbid (who, action, resource);\n  | \t        ^^^\n  = write `principal`"
        );
        // Places that are none are the nearest there is.
        let end = Source { file: "a.cedar", text: "ü" }.problem(1..900, "x", None);
        assert_eq!((end.line, end.column), (1, 1));
        assert_eq!(Source { file: "a", text: "" }.problem(5..9, "x", None).line, 1);
    }
}
