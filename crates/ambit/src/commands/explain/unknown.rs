//! The facts that a rule about the tool reads and nobody named: the outcome is that of a call of which they are not known.

use std::fmt;

use ambit_live::Snapshot;
use ambit_model::{ids::ToolId, replay::KeptFact};
use serde::Serialize;

use super::{Decided, call::Call};
use crate::commands::view::Eyes;

/// A fact that was not named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Unknown {
    /// What.
    fact: &'static str,
    /// The option that names it.
    option: &'static str,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: name it with `{}`", self.fact, self.option)
    }
}

/// What was not named and would have been looked at.
pub(super) fn of(snapshot: &Snapshot, tool: &ToolId, eyes: &Eyes, call: &Call<'_>, decided: Decided) -> Vec<Unknown> {
    let judge = &snapshot.judge;
    let Some(number) = judge.tool_index(tool) else { return Vec::new() };
    let mut unknown = Vec::new();
    let (groups, claims) = eyes.unsaid();
    if groups {
        unknown.push(Unknown { fact: "the groups of the user", option: "--group GROUP" });
    }
    if claims && judge.reads_claims(number) {
        unknown.push(Unknown { fact: "the claims of the user", option: "--claim NAME=VALUE" });
    }
    match decided {
        Decided::Standing | Decided::Arguments => return unknown,
        Decided::WithoutArguments => {
            unknown.push(Unknown { fact: "the arguments of the call", option: "--args JSON" });
        }
        Decided::Call => {}
    }
    let read = judge.facts_read(number);
    for (fact, is_named, said) in [
        (KeptFact::Source, call.source.is_some(), ("the source address", "--source ADDRESS")),
        (KeptFact::Login, call.login.is_some(), ("the login", "--login-age DURATION")),
        (KeptFact::Touched, !call.touched.is_empty(), ("the labels the caller touched", "--touched LABEL")),
    ] {
        if read.contains(&fact) && !is_named {
            unknown.push(Unknown { fact: said.0, option: said.1 });
        }
    }
    unknown
}
