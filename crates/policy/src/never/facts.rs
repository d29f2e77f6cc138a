//! The facts that rules can read and what each can be: few words, a range, a day, the name of something.

use ambit_model::{
    ids::{AgentId, ClientId, GroupName, ServerSlug, ToolId, UserKey},
    label::Label,
};
use serde_json::Value;

use crate::reads::path_of;

/// No decision was ever made before this instant: 2026-01-01T00:00:00Z. Nor will one be.
pub(crate) const NOTHING_BEFORE: i64 = 1_767_225_600_000;

/// How a day is written.
pub(crate) const DATE: &str = "a day is written like `2026-12-24`";

const VARIABLES: [&str; 3] = ["principal", "resource", "context"];

const LABELS: [&str; 3] = [Label::UntrustedContent.as_str(), Label::PrivateData.as_str(), Label::PublicSink.as_str()];

/// A caller carries on what it read; a sink only takes.
const CARRIED: [&str; 2] = [Label::UntrustedContent.as_str(), Label::PrivateData.as_str()];

/// What values a fact has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// These words.
    Words(&'static [&'static str]),
    /// 0 up to this number.
    Number {
        /// The largest.
        most: i64,
    },
    /// A moment.
    Instant,
    /// A day of the calendar.
    Date,
    /// A user, `issuer:subject`.
    User,
    /// An agent.
    Agent,
    /// An Ambit group.
    Group,
    /// A client.
    Client,
    /// A server.
    Server,
    /// A tool, `server/tool`.
    Tool,
    /// The environment of a server.
    Environment,
    /// The data class of a server.
    DataClass,
    /// The owner of a server.
    Owner,
    /// Nothing is known of it.
    Anything,
}

/// One fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fact {
    /// Where it is read, the variable first.
    pub(crate) path: Vec<String>,
    /// What it can be, or what its members can be.
    pub(crate) kind: Kind,
    /// Whether it is a set.
    pub(crate) is_set: bool,
}

/// Where a fact is read, what it can be, and whether it is a set.
type Known = (&'static [&'static str], Kind, bool);

const KNOWN: &[Known] = &[
    (&["principal", "user", "key"], Kind::User, false),
    (&["principal", "user", "groups"], Kind::Group, true),
    (&["principal", "agent", "id"], Kind::Agent, false),
    (&["principal", "agent", "owner"], Kind::User, false),
    (&["principal", "client", "id"], Kind::Client, false),
    (&["principal", "client", "assurance"], Kind::Words(&["dynamic", "cimd-loopback", "cimd", "confidential"]), false),
    (&["resource", "name"], Kind::Tool, false),
    (&["resource", "effect"], Kind::Words(&["read", "write", "destructive"]), false),
    (&["resource", "labels"], Kind::Words(&LABELS), true),
    (&["resource", "server", "slug"], Kind::Server, false),
    (&["resource", "server", "environment"], Kind::Environment, false),
    (&["resource", "server", "data_class"], Kind::DataClass, false),
    (&["resource", "server", "owner"], Kind::Owner, false),
    (&["context", "now"], Kind::Instant, false),
    (&["context", "time", "hour"], Kind::Number { most: 23 }, false),
    (&["context", "time", "minute"], Kind::Number { most: 59 }, false),
    (
        &["context", "time", "weekday"],
        Kind::Words(&["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]),
        false,
    ),
    (&["context", "time", "date"], Kind::Date, false),
    (&["context", "touched"], Kind::Words(&CARRIED), true),
    (&["context", "login", "age_seconds"], Kind::Number { most: i64::MAX }, false),
];

/// The fact an expression is, if that is all it is.
pub(crate) fn of(expression: &Value) -> Option<Fact> {
    if expression.get("has").is_some() {
        return None;
    }
    let read = |variable: &&str| Some((**variable).to_owned()).zip(path_of(expression, variable));
    let (variable, path) = VARIABLES.iter().find_map(read)?;
    let path: Vec<String> = std::iter::once(variable).chain(path).collect();
    let known = KNOWN.iter().find(|(known, ..)| path.iter().eq(known.iter()));
    let (kind, is_set) = known.map_or((Kind::Anything, false), |(_, kind, is_set)| (*kind, *is_set));
    Some(Fact { path, kind, is_set })
}

impl Fact {
    /// As rules write it.
    pub(crate) fn name(&self) -> String {
        self.path.join(".")
    }
}

/// The remedy of a word that is none.
pub(crate) fn one_of(words: &[&str]) -> String {
    format!("it is one of {}", words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
}

impl Kind {
    /// Whether a text can be a value of this kind in any deployment.
    ///
    /// # Errors
    /// The remedy, if not.
    pub(crate) fn takes(&self, text: &str) -> Result<(), String> {
        let named = |what: &str, rule: Result<(), &'static str>| rule.map_err(|rule| format!("{what}: {rule}"));
        match self {
            Self::Words(words) if words.contains(&text) => Ok(()),
            Self::Words(words) => Err(one_of(words)),
            Self::Date => match text.parse::<jiff::civil::Date>() {
                Ok(day) if day.to_string() != text => Err(DATE.to_owned()),
                Ok(day) if day.year() < 2026 => Err("that day is over: take it out".to_owned()),
                Ok(_) => Ok(()),
                Err(_) => Err(DATE.to_owned()),
            },
            Self::User => match UserKey::parse(text) {
                Ok(key) if key.to_string() == text => Ok(()),
                Ok(key) => Err(format!("write the issuer as well: `{key}` is a local account")),
                Err(error) => {
                    Err(format!("write `ISSUER:SUBJECT`, or `local:NAME` of a local account: {}", error.rule))
                }
            },
            Self::Agent => named("the id of an agent", AgentId::parse(text).map(drop).map_err(|error| error.rule)),
            Self::Group => named("the name of a group", GroupName::parse(text).map(drop).map_err(|error| error.rule)),
            Self::Client => named("the id of a client", ClientId::parse(text).map(drop).map_err(|error| error.rule)),
            Self::Server => {
                named("the slug of a server", ServerSlug::parse(text).map(drop).map_err(|error| error.rule))
            }
            Self::Tool => named("a tool", ToolId::parse(text).map(drop).map_err(|error| error.rule)),
            Self::Number { .. }
            | Self::Instant
            | Self::Environment
            | Self::DataClass
            | Self::Owner
            | Self::Anything => Ok(()),
        }
    }
}
