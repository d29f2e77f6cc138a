//! The result of a tool call, and its way into the other era.
//!
//! Only the outermost members are looked at: whether the result is final (`resultType`), whether
//! the tool failed (`isError`), and the two members whose form differs between the eras. Everything
//! else is passed on byte for byte. A result whose outermost members could be read in two ways is
//! refused, because the record and the client could then see different outcomes.

use super::{quoted, scanner};
use crate::era::Era;
use crate::raw::{Kind, OwnedRaw, Raw};
use crate::scan::Fault;

/// Why a result is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultFault {
    /// The server wants something of the client, and the gateway declared that it relays nothing.
    #[error("it asks for input, which is not relayed")]
    InputRequired,
    /// The server answers with a task, and the gateway declared no tasks.
    #[error("it answers with a task, which was not asked for")]
    Task,
    /// The specification has such a result read as invalid.
    #[error("its `resultType` `{0}` is unknown")]
    UnknownType(String),
    /// A member stands there twice.
    #[error("it holds `{0}` twice")]
    Twice(String),
    /// Not what a tool answers with.
    #[error("{0}")]
    Shape(&'static str),
}

/// A complete tool result.
#[derive(Debug)]
pub struct CallResult<'a> {
    raw: Raw<'a>,
    members: Vec<Member<'a>>,
    is_error: bool,
    typed: bool,
}

#[derive(Debug)]
struct Member<'a> {
    name: std::borrow::Cow<'a, str>,
    /// Name, colon and value as they stand on the wire.
    span: &'a str,
    value: Raw<'a>,
}

impl<'a> CallResult<'a> {
    /// Reads a result.
    ///
    /// # Errors
    /// See [`ResultFault`].
    pub fn read(raw: Raw<'a>) -> Result<Self, ResultFault> {
        if !raw.is_object() {
            return Err(ResultFault::Shape("its `result` is not an object"));
        }
        let members = members_of(raw).map_err(|_| ResultFault::Shape("its `result` cannot be read"))?;
        if let Some(name) = twice(&members) {
            return Err(ResultFault::Twice(quoted(name, 64)));
        }
        let find = |name: &str| members.iter().find(|member| member.name == name).map(|member| member.value);
        let typed = find("resultType");
        final_type(typed)?;
        let is_error = match find("isError").map(Raw::as_str) {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(_) => return Err(ResultFault::Shape("its `isError` is not a boolean")),
        };
        match find("content").map(Raw::kind) {
            Some(Kind::Array) => {}
            Some(_) => return Err(ResultFault::Shape("its `content` is not an array")),
            None if find("structuredContent").is_some() => {}
            None => return Err(ResultFault::Shape("it has neither `content` nor `structuredContent`")),
        }
        Ok(Self { raw, is_error, typed: typed.is_some(), members })
    }

    /// Whether the tool says that it failed.
    pub const fn is_error(&self) -> bool {
        self.is_error
    }

    /// The result as a client of this era may get it. Nothing but what the era demands is changed:
    /// a modern result names its type; a legacy one does not, and its structured content is an object.
    pub fn for_client(&self, era: Era) -> OwnedRaw {
        OwnedRaw::from_written(match era {
            Era::Modern if self.typed => self.raw.as_str().to_owned(),
            Era::Modern => self.rebuilt(Some("\"resultType\":\"complete\""), |_| true),
            Era::Legacy(_) if self.members.iter().all(legacy_knows) => self.raw.as_str().to_owned(),
            Era::Legacy(_) => self.rebuilt(None, legacy_knows),
        })
    }

    fn rebuilt(&self, first: Option<&str>, keep: impl Fn(&Member<'_>) -> bool) -> String {
        let mut out = String::with_capacity(self.raw.as_str().len() + 32);
        out.push('{');
        let kept = self.members.iter().filter(|member| keep(member)).map(|member| member.span);
        for (index, span) in first.into_iter().chain(kept).enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(span);
        }
        out.push('}');
        out
    }
}

fn legacy_knows(member: &Member<'_>) -> bool {
    match member.name.as_ref() {
        "resultType" => false,
        "structuredContent" => member.value.is_object(),
        _ => true,
    }
}

/// Whether a `resultType`, if there is one, says that this is the whole result.
///
/// # Errors
/// [`ResultFault`] for every other type; an absent one is a legacy server's complete result.
pub fn final_type(value: Option<Raw<'_>>) -> Result<(), ResultFault> {
    match value.map(Raw::as_str) {
        None | Some("\"complete\"") => Ok(()),
        Some("\"input_required\"") => Err(ResultFault::InputRequired),
        Some("\"task\"") => Err(ResultFault::Task),
        Some(other) => Err(ResultFault::UnknownType(quoted(other.trim_matches('"'), 40))),
    }
}

fn members_of(raw: Raw<'_>) -> Result<Vec<Member<'_>>, Fault> {
    let mut scanner = scanner(raw.as_str());
    let mut object = scanner.open_object()?;
    let mut members = Vec::with_capacity(6);
    while let Some(key) = scanner.next_key(&mut object)? {
        let value = Raw::from_scanned(scanner.value()?);
        let span = scanner.slice(key.start, scanner.at());
        members.push(Member { name: key.name, span, value });
    }
    Ok(members)
}

fn twice<'m>(members: &'m [Member<'_>]) -> Option<&'m str> {
    let mut names: Vec<&str> = members.iter().map(|member| member.name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}
