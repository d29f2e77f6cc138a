//! What is wrong with a configuration: every problem at once, each with file, line, TOML path and remedy.
//!
//! A message never repeats the content of a credential field, and never a line of the file: whoever wrote it may have pasted
//! a secret there.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::place::Place;

/// How much a problem matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// It starts, and somebody should look.
    Warning,
}

/// One problem.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The TOML path; empty for the file as a whole.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match self.severity {
            Severity::Error => f.write_str(": error: ")?,
            Severity::Warning => f.write_str(": warning: ")?,
        }
        if !self.path.is_empty() {
            write!(f, "`{}` ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Why a configuration is not used: at least one error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigErrors(pub Vec<Problem>);

impl ConfigErrors {
    /// One problem with a file as a whole.
    pub fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self(vec![Problem {
            severity: Severity::Error,
            file: file.to_owned(),
            line: None,
            path: String::new(),
            message: message.into(),
        }])
    }
}

/// The problems found so far, by place.
#[derive(Debug, Default)]
pub struct Findings {
    found: BTreeSet<(Place, Severity, String)>,
}

impl Findings {
    /// Something that keeps the configuration from being used.
    pub fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.found.insert((place.clone(), Severity::Error, message.into()));
    }

    /// The same, unless an error is known at this place or around it: one mistake is told once.
    pub fn error_once(&mut self, place: &Place, message: impl Into<String>) {
        let covers = |known: &Place| place.steps().starts_with(known.steps());
        if !self.found.iter().any(|(known, severity, _)| *severity == Severity::Error && covers(known)) {
            self.error(place, message);
        }
    }

    /// Something to look at.
    pub fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.found.insert((place.clone(), Severity::Warning, message.into()));
    }

    /// The problems in the order of the file, and whether any is an error.
    pub fn into_problems(self, file: &Path, line: impl Fn(&Place) -> Option<usize>) -> (Vec<Problem>, bool) {
        let failed = self.found.iter().any(|(_, severity, _)| *severity == Severity::Error);
        let mut problems: Vec<Problem> = self
            .found
            .into_iter()
            .map(|(place, severity, message)| Problem {
                severity,
                file: file.to_owned(),
                line: line(&place),
                path: place.to_string(),
                message,
            })
            .collect();
        problems.sort_by_key(|problem| problem.line);
        (problems, failed)
    }
}

/// A value as a message shows it: shortened, on one line, without what may be a password in a URL.
pub fn shown(value: &str) -> String {
    let without_password =
        match value.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?.1))) {
            Some((scheme, rest)) => format!("{scheme}://…@{rest}"),
            None => value.to_owned(),
        };
    let mut short: String = without_password.chars().map(|c| if c.is_control() { '·' } else { c }).take(80).collect();
    if without_password.chars().count() > 80 {
        short.push('…');
    }
    format!("`{short}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_value_is_short_single_lined_and_without_password() {
        assert_eq!(shown("a\nb"), "`a·b`");
        assert_eq!(shown("https://me:hunter2@h/x"), "`https://…@h/x`");
        assert_eq!(shown(&"x".repeat(100)).chars().count(), 83);
    }

    #[test]
    fn a_problem_is_told_once_per_place() {
        let mut findings = Findings::default();
        let place = Place::root().key("listen");
        findings.error(&place, "first");
        findings.error_once(&place, "second");
        findings.warn(&place, "third");
        let (problems, failed) = findings.into_problems(Path::new("a.toml"), |_| Some(3));
        assert!(failed);
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["a.toml:3: error: `listen` first", "a.toml:3: warning: `listen` third"]);
    }
}
