//! What is asked: the body, read once and strictly as an object, then taken apart into questions.
//!
//! The members are those of the specification; of `properties` and `context` only what this page names is read, and what else
//! is in the body is skipped, as the specification wants it. One question that cannot be read does not spoil those beside it.

use std::net::IpAddr;

use ambit_mcp::{
    Raw,
    strict::{self, Limits},
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Most questions in one request.
pub(super) const MOST: usize = 100;

/// The most that the evaluations of one request are together, in bytes, each counted with the members it inherits: each is read
/// and decided for itself, so what stands above them once is worked through once for every one of them.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// The longest piece of an error that is told, in characters: it may hold what the body did.
const LONGEST_ERROR: usize = 300;

/// What one request asks.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// In their order; in place of one that cannot be read, why not.
    pub(super) questions: Vec<Result<Question<'a>, String>>,
    pub(super) semantic: Semantic,
    /// Whether the answers come in a list.
    pub(super) are_several: bool,
}

/// When the answers end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Semantic {
    /// With the last question.
    #[default]
    ExecuteAll,
    /// With the first no.
    DenyOnFirstDeny,
    /// With the first yes.
    PermitOnFirstPermit,
}

/// One question: may this subject do this with that?
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) subject: Named,
    pub(super) action: String,
    pub(super) resource: Thing,
    /// Of the call; absent if the question is about whatever arguments.
    pub(super) arguments: Option<Raw<'a>>,
    /// Where the call would come from.
    pub(super) source: Option<IpAddr>,
}

/// A subject, as it was named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) client: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) toolsets: Option<Vec<String>>,
}

/// A resource, as it was named.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Thing {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: String,
}

/// The members of a body. Each is read apart, so that the reason it cannot be names it.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    evaluations: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    options: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(default)]
    evaluations_semantic: Semantic,
}

#[derive(Deserialize)]
struct Subject<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct SubjectProperties {
    client: Option<String>,
    agent: Option<String>,
    toolsets: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Action<'a> {
    name: String,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct ActionProperties<'a> {
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Context {
    source: Option<IpAddr>,
}

impl<'a> Asked<'a> {
    /// Reads a body. `may_be_several` if it may hold a list of questions, which an empty list is none of.
    ///
    /// # Errors
    /// What is wrong with it as a whole, and what to send.
    pub(super) fn read(body: &'a [u8], may_be_several: bool, limits: &Limits) -> Result<Self, String> {
        let whole = strict::object(body, limits).map_err(|error| error.to_string())?;
        let body: Body<'a> = object(whole.as_str(), "the body")?;
        let several = body.evaluations.as_deref().filter(|list| may_be_several && !list.is_empty());
        let Some(several) = several else {
            let question = body.question(&body)?;
            return Ok(Self { questions: vec![Ok(question)], semantic: Semantic::ExecuteAll, are_several: false });
        };
        if several.len() > MOST {
            return Err(format!("{} evaluations are more than {MOST}: ask them in several requests", several.len()));
        }
        let options = body.options.map(|options| object::<Options>(options.get(), "`options`")).transpose()?;
        let own = several.iter().map(|part| object::<Body<'a>>(part.get(), "the evaluation"));
        let own: Vec<_> = own.collect();
        let bytes: usize = own.iter().flatten().map(|own| own.bytes(&body)).sum();
        // One alone is bounded by the body.
        if own.len() > 1 && bytes > MOST_BYTES {
            return Err(format!(
                "{} evaluations, each with the members it inherits, are {bytes} bytes, more than {MOST_BYTES}: ask fewer in one request",
                own.len()
            ));
        }
        let questions = own.into_iter().map(|own| own?.question(&body)).collect();
        let semantic = options.map_or(Semantic::ExecuteAll, |options| options.evaluations_semantic);
        Ok(Self { questions, semantic, are_several: true })
    }
}

impl<'a> Body<'a> {
    /// How much there is to read of the question these members ask.
    fn bytes(&self, defaults: &Self) -> usize {
        let members = [
            self.subject.or(defaults.subject),
            self.action.or(defaults.action),
            self.resource.or(defaults.resource),
            self.context.or(defaults.context),
        ];
        members.into_iter().flatten().map(|member| member.get().len()).sum()
    }

    /// The question these members ask, each that is not here taken from the defaults. A member is taken whole: what a default
    /// says beside it does not count.
    fn question(&self, defaults: &Self) -> Result<Question<'a>, String> {
        let subject = required(self.subject.or(defaults.subject), "subject")?;
        let action = required(self.action.or(defaults.action), "action")?;
        let resource = required(self.resource.or(defaults.resource), "resource")?;
        let action: Action<'a> = object(action.get(), "`action`")?;
        let of_action: ActionProperties<'a> = optional(action.properties, "`action.properties`")?;
        let context: Context = optional(self.context.or(defaults.context), "`context`")?;
        Ok(Question {
            subject: Named::read(subject)?,
            action: action.name,
            resource: object(resource.get(), "`resource`")?,
            arguments: of_action.arguments.map(Raw::from),
            source: context.source,
        })
    }
}

impl Named {
    fn read(subject: &RawValue) -> Result<Self, String> {
        let Subject { kind, id, properties } = object(subject.get(), "`subject`")?;
        let SubjectProperties { client, agent, toolsets } = optional(properties, "`subject.properties`")?;
        Ok(Self { kind, id, client, agent, toolsets })
    }
}

fn required<'a>(part: Option<&'a RawValue>, name: &str) -> Result<&'a RawValue, String> {
    part.ok_or_else(|| format!("`{name}` is missing: every evaluation needs `subject`, `action` and `resource`"))
}

fn optional<'a, T: Deserialize<'a> + Default>(part: Option<&'a RawValue>, name: &str) -> Result<T, String> {
    part.map_or_else(|| Ok(T::default()), |part| object(part.get(), name))
}

/// Reads an object. A list is none, although its items could be taken for members in their order.
fn object<'a, T: Deserialize<'a>>(text: &'a str, name: &str) -> Result<T, String> {
    if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
        return Err(format!("{name} is not an object"));
    }
    serde_json::from_str(text).map_err(|error| {
        let error: String = error.to_string().chars().take(LONGEST_ERROR).collect();
        format!("{name}: {error}")
    })
}

#[cfg(test)]
mod tests;
