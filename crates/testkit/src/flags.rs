//! The command lines of the programs in `src/bin`: `--name value` pairs, each named in advance, nothing else.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::{Context as _, Result, bail};

/// The parsed `--name value` pairs.
#[derive(Debug, Default)]
pub struct Flags(BTreeMap<String, String>);

impl Flags {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// A name that is not `known`, one given twice, or one without a value.
    pub fn parse(arguments: impl Iterator<Item = String>, known: &[&str]) -> Result<Self> {
        let mut arguments = arguments;
        let mut flags = BTreeMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").filter(|name| known.contains(name));
            let Some(name) = name else {
                bail!("`{argument}` is not one of {}", spell(known));
            };
            let value = arguments.next().with_context(|| format!("`--{name}` needs a value"))?;
            if flags.insert(name.to_owned(), value).is_some() {
                bail!("`--{name}` is given twice");
            }
        }
        Ok(Self(flags))
    }

    /// The value of a flag, if given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of a flag that must be given.
    ///
    /// # Errors
    /// It is absent.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.text(name).with_context(|| format!("`--{name}` is missing"))
    }

    /// A flag read as a number or another parsed value.
    ///
    /// # Errors
    /// It is there and does not parse.
    pub fn parsed<T: FromStr>(&self, name: &str, default: T) -> Result<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text.parse().ok().with_context(|| format!("`--{name} {text}` does not parse")),
        }
    }
}

fn spell(known: &[&str]) -> String {
    known.iter().map(|name| format!("`--{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags> {
        Flags::parse(line.split_whitespace().map(str::to_owned), &["port", "tools"])
    }

    #[test]
    fn only_known_names_with_one_value_each_are_taken() {
        let flags = parse("--port 80 --tools 5").unwrap();
        assert_eq!(flags.parsed("port", 0_u16).unwrap(), 80);
        assert_eq!(flags.text("tools"), Some("5"));
        for bad in ["--prot 80", "--port", "port 80", "--port 1 --port 2"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("--port x").unwrap().parsed("port", 0_u16).is_err());
        assert!(parse("").unwrap().required("port").is_err());
    }
}
