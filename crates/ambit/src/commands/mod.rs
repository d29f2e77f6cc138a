//! The commands, one file each, and what they share: where they write, how they fail, how they find the configuration.

use std::{fmt::Display, io::Write, path::Path};

use ambit_live::clock::Clock;
use serde::Serialize;

use crate::{
    cli::Common,
    config::{self, ConfigErrors, Overrides, Problem, Resolved},
};

pub mod access;
pub mod account;
pub mod approve;
pub mod audit;
pub mod break_glass;
pub mod check;
pub mod explain;
pub mod grant;
pub mod grants;
pub mod login;
mod operate;
pub mod policy;
mod render;
pub mod revoke;
pub mod schema;
pub mod serve;
pub mod simulate;
pub mod token;
pub mod tools;
mod view;

/// Done.
pub const DONE: u8 = 0;
/// There is a finding, or it was refused.
pub const FINDING: u8 = 1;
/// Usage or configuration.
pub const USAGE: u8 = 2;

/// The configuration file that is looked for.
pub(crate) const DEFAULT_FILE: &str = "ambit.toml";

/// What a command works with.
pub struct Context<'a> {
    /// The options every command understands.
    pub common: Common,
    /// The time.
    pub clock: Clock,
    /// Results.
    pub out: &'a mut (dyn Write + Send),
    /// Everything else.
    pub err: &'a mut (dyn Write + Send),
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("common", &self.common).finish_non_exhaustive()
    }
}

/// Why a command ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The command was not called rightly.
    #[error("{0}")]
    Usage(String),
    /// It was refused, or something outside failed.
    #[error("{0}")]
    Refused(String),
    /// The output stream is gone.
    #[error("cannot write the result: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// The exit code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => USAGE,
            Self::Refused(_) | Self::Output(_) => FINDING,
        }
    }

    /// The problems of the configuration, if it is one.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Config(errors) => &errors.0,
            Self::Usage(_) | Self::Refused(_) | Self::Output(_) => &[],
        }
    }

    /// A refusal with every cause that the words before it do not hold already.
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
    pub(crate) fn with_causes(error: anyhow::Error) -> Self {
        let said = error
            .chain()
            .map(ToString::to_string)
            .reduce(|said, cause| if said.contains(&cause) { said } else { format!("{said}: {cause}") });
        Self::Refused(said.unwrap_or_default())
    }

    /// Whether whoever read the result has closed the pipe, which is no failure to speak of.
    pub(crate) fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// A refusal in the words of an error and its causes.
    pub(crate) fn because(error: impl Display) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What a command comes to.
pub(crate) type Ended = Result<u8, Failure>;

impl Context<'_> {
    /// The configuration: the file that was named, or `ambit.toml` here.
    pub(crate) fn resolved(&self) -> Result<Resolved, Failure> {
        match self.resolved_if_any()? {
            Some(resolved) => Ok(resolved),
            None => Err(Failure::Usage(format!(
                "there is no `{DEFAULT_FILE}` in this directory: name one with `--config FILE`"
            ))),
        }
    }

    /// The same; `None` if none was named and there is none here.
    pub(crate) fn resolved_if_any(&self) -> Result<Option<Resolved>, Failure> {
        let path = match &self.common.config {
            Some(path) => path.as_path(),
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => return Ok(None),
        };
        Ok(Some(config::load(path, self.clock.now())?.overridden(self.overrides())))
    }

    /// The configuration without the organisation's rules, for commands that read those themselves.
    pub(crate) fn resolved_without_rules(&self) -> Result<Resolved, Failure> {
        let path = self.common.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let loaded = config::load_with(path, self.clock.now(), config::Rules::Leave)?;
        Ok(loaded.overridden(self.overrides()))
    }

    /// What the common options say in place of the file.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { data_dir: self.common.data_dir.clone(), ..Overrides::default() }
    }

    /// Writes a result: JSON if asked for, the text otherwise.
    pub(crate) fn print(&mut self, value: &impl Serialize, text: &str) -> Result<(), Failure> {
        if self.common.json {
            let json = serde_json::to_string_pretty(value).map_err(Failure::because)?;
            // The same values, and nothing in them steers a terminal.
            writeln!(self.out, "{}", ambit_model::shown::escaped(&json))?;
        } else {
            writeln!(self.out, "{}", text.trim_end_matches('\n'))?;
        }
        Ok(())
    }

    /// Says something beside the result. Silent with `--json`.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Failure> {
        if !self.common.json && !text.is_empty() {
            writeln!(self.err, "{}", text.trim_end_matches('\n'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
