//! Ambit's own tools, beside those of servers: `ambit_status` says what somebody holds here and may ask for,
//! `ambit_request_access` asks for it. Both are answered here; no upstream hears of them.
//!
//! They are shown and found only where requests for access are on and a person stands behind the caller; anywhere else their
//! names mean what any absent name means. Neither changes what anybody may do: a wish is a row that a person has to confirm
//! and another to approve, on pages that no token opens.

mod request;
mod status;
mod wish;

use std::sync::{Arc, LazyLock};

use ambit_identity::{
    access::{Unable, catalogue},
    caller::Caller,
};
use ambit_live::mode::Down;
use ambit_mcp::{
    OwnedRaw, Raw,
    era::Era,
    reply,
    strict::{self, Request},
};
use ambit_model::{
    Digest, Effect,
    event::{Executed, Target},
    names::{OWN_SERVER, RESERVED_PREFIX},
};
use serde_json::{Value, json};

use crate::{
    answer::{Note, Reply},
    authenticate::Entered,
    finish::Finish,
    gateway::Gateway,
    http::Place,
    refuse,
    trail::{Closed, Opened},
};

/// One of Ambit's own tools.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum OwnTool {
    /// Asks for a toolset.
    RequestAccess,
    /// Says what there is.
    Status,
}

/// Everything that is written once about one.
struct Written {
    listing: String,
    definition: Digest,
    /// What records of the trail are found by.
    found_by: Arc<str>,
}

impl OwnTool {
    /// In the order of their names.
    const ALL: [Self; 2] = [Self::RequestAccess, Self::Status];

    /// The name that clients call.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RequestAccess => "ambit_request_access",
            Self::Status => "ambit_status",
        }
    }

    /// The name in the trail, beside the server's.
    const fn short(self) -> &'static str {
        match self {
            Self::RequestAccess => "request_access",
            Self::Status => "status",
        }
    }

    pub(crate) const fn effect(self) -> Effect {
        match self {
            Self::RequestAccess => Effect::Write,
            Self::Status => Effect::Read,
        }
    }

    /// The tool as an element of a list.
    pub(crate) fn listing(self) -> &'static str {
        &self.written().listing
    }

    /// What records of the trail are found by, shared.
    pub(crate) fn found_by(self) -> &'static Arc<str> {
        &self.written().found_by
    }

    /// What the trail says it is.
    pub(crate) fn target(self) -> Target<'static> {
        Target { server: OWN_SERVER, tool: self.short(), definition: self.written().definition, effect: self.effect() }
    }

    fn written(self) -> &'static Written {
        static WRITTEN: LazyLock<[Written; 2]> = LazyLock::new(|| OwnTool::ALL.map(Written::of));
        let [request, status] = &*WRITTEN;
        match self {
            Self::RequestAccess => request,
            Self::Status => status,
        }
    }
}

impl Written {
    fn of(tool: OwnTool) -> Self {
        let definition = match tool {
            OwnTool::RequestAccess => request::definition(),
            OwnTool::Status => status::definition(),
        };
        let listing = definition.to_string();
        let found_by = format!("{OWN_SERVER}/{}", tool.short()).into();
        Self { definition: Digest::of(listing.as_bytes()), listing, found_by }
    }
}

/// Which of them a caller sees at an endpoint, in the order of names. The same for every request of a caller class on one
/// snapshot.
pub(crate) fn seen(place: &Place, caller: &Caller) -> &'static [OwnTool] {
    let Some(view) = place.view() else { return &[] };
    match catalogue::standing(place.snapshot(), &view.endpoint.slug, caller.facts()) {
        catalogue::Standing::Nothing => &[],
        catalogue::Standing::Look => &[OwnTool::Status],
        catalogue::Standing::Ask => &OwnTool::ALL,
    }
}

/// The one that a caller means by a name, if they see it here.
pub(crate) fn find(place: &Place, caller: &Caller, name: &str) -> Option<OwnTool> {
    if !name.starts_with(RESERVED_PREFIX) {
        return None;
    }
    seen(place, caller).iter().copied().find(|tool| tool.name() == name)
}

/// What a call of one comes to: a sentence for people and models, and the same as members.
struct Told {
    sentence: String,
    structured: Value,
    outcome: reply::Outcome,
    /// The trail's word.
    result: &'static str,
}

/// Why one could not be answered.
enum Failed {
    /// The arguments are not what it takes.
    Arguments(String),
    /// Something of ours is down.
    Down(Down),
}

impl From<Unable> for Failed {
    fn from(error: Unable) -> Self {
        tracing::warn!(%error, "a tool of our own could not be answered");
        Self::Down(match error {
            Unable::Record(_) => Down::Trail,
            Unable::Store(_) | Unable::Key(_) => Down::Store,
        })
    }
}

/// Answers a call.
pub(crate) async fn call(
    gateway: &Gateway,
    entered: &Entered,
    mut opened: Opened,
    tool: OwnTool,
    (era, request): (Era, &Request<'_>),
    finish: &Finish,
) -> Closed<Reply> {
    let face = gateway.shared.faces.of(entered.place());
    opened.judged_own(tool);
    let raw = request.params.arguments.unwrap_or(Raw::EMPTY_OBJECT);
    let arguments = match strict::parse_arguments(raw) {
        Ok(arguments) => arguments,
        Err(error) => {
            opened.refused();
            let reply = Reply::refused(request.id, era, &face, &error.to_string(), "bad_arguments");
            return opened.close(reply).await;
        }
    };
    let told = match tool {
        OwnTool::Status => status::answer(gateway, entered, &arguments).await,
        OwnTool::RequestAccess => {
            let wish = match wish::read(&arguments) {
                Ok(wish) => wish,
                Err(sentence) => {
                    opened.refused();
                    let reply = Reply::refused(request.id, era, &face, &sentence, "bad_arguments");
                    return opened.close(reply).await;
                }
            };
            if let Err(down) = gateway.live().mode().permits(tool.effect()) {
                return opened.close(Reply::down(down, Some(request.id))).await;
            }
            // Whoever asked has asked, whatever becomes of the connection.
            if let Err(full) = finish.whatever_happens(&entered.caller().person()) {
                return opened.close(refuse::too_busy(full, Some(request.id))).await;
            }
            let digest = gateway.live().keys().argument_digest(&strict::to_sorted_json(&arguments));
            opened = match opened.before_own(tool, digest).await {
                Ok(opened) => opened,
                Err(closed) => return closed,
            };
            request::answer(gateway, entered, &request.params, &wish).await
        }
    };
    let reply = match told {
        Ok(told) => {
            let structured = OwnedRaw::of(&told.structured);
            let structured = Some(structured.as_raw());
            let body = reply::tool_result(request.id, era, &face, told.outcome, &told.sentence, structured);
            let executed = match told.outcome {
                reply::Outcome::Ok => Executed::Yes,
                reply::Outcome::Error => Executed::No,
            };
            Reply::result(body, Note { executed, ..Note::of(told.result) })
        }
        Err(Failed::Arguments(sentence)) => {
            opened.refused();
            Reply::refused(request.id, era, &face, &sentence, "bad_arguments")
        }
        Err(Failed::Down(down)) => Reply::down(down, Some(request.id)),
    };
    opened.close_request(Some(request.id), reply).await
}

/// What every definition has.
fn definition(tool: OwnTool, title: &str, description: &str, input_schema: &Value) -> Value {
    let effect = tool.effect();
    json!({
        "name": tool.name(),
        "title": title,
        "description": description,
        "inputSchema": input_schema,
        "annotations": {
            "readOnlyHint": effect == Effect::Read,
            "destructiveHint": false,
            "idempotentHint": true,
            "openWorldHint": false,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_reserved_ascending_and_say_what_they_do() {
        let names = OwnTool::ALL.map(OwnTool::name);
        assert!(names.is_sorted() && names.iter().all(|name| name.starts_with(RESERVED_PREFIX)));
        for tool in OwnTool::ALL {
            let listed: Value = serde_json::from_str(tool.listing()).unwrap();
            assert_eq!(listed["name"], tool.name());
            assert_eq!(listed["annotations"]["readOnlyHint"], tool.effect() == Effect::Read);
            assert_eq!(listed["inputSchema"]["additionalProperties"], false);
            assert_eq!(**tool.found_by(), format!("{}/{}", tool.target().server, tool.target().tool));
        }
    }
}
