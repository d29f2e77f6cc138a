//! The two events every call leaves, written as `serde_json` would write them and several times faster: most of an event is
//! strings without anything to escape, which are copied whole. The tests hold every byte of it to the derived form.

use std::fmt::Write as _;

use super::{Decided, Intent, OutcomeEvent, Target, Who};
use crate::Digest;

/// An object that is being written.
pub(super) struct Object {
    out: String,
}

impl Object {
    /// An event of a kind.
    fn event(kind: &str, size: usize) -> Self {
        let mut object = Self { out: String::with_capacity(size) };
        object.out.push_str("{\"event\":\"");
        object.out.push_str(kind);
        object.out.push('"');
        object
    }

    fn close(mut self) -> Vec<u8> {
        self.out.push('}');
        self.out.into_bytes()
    }

    /// `"name":`, with a comma unless the object has just been opened. Names are ours: nothing to escape.
    fn name(&mut self, name: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
    }

    fn text_if(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &str, number: impl std::fmt::Display) {
        self.name(name);
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{number}");
    }

    fn number_if(&mut self, name: &str, number: Option<impl std::fmt::Display>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    fn digest(&mut self, name: &str, digest: Digest) {
        self.name(name);
        self.out.push('"');
        let _ = write!(self.out, "{digest}");
        self.out.push('"');
    }

    fn texts(&mut self, name: &str, texts: &[String]) {
        self.name(name);
        self.out.push('[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.string(text);
        }
        self.out.push(']');
    }

    fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.name(name);
        self.out.push('{');
        write(self);
        self.out.push('}');
    }

    fn string(&mut self, text: &str) {
        // Counting has no early way out, so the compiler looks at many bytes at once.
        let plain = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).count() == 0;
        if plain {
            self.out.push('"');
            self.out.push_str(text);
            self.out.push('"');
        } else {
            self.out.push_str(&serde_json::Value::from(text).to_string());
        }
    }

    fn who(&mut self, who: &Who<'_>) {
        self.object("who", |object| {
            object.text_if("user", who.user.as_deref());
            object.text_if("agent", who.agent.as_deref());
            object.text("client", &who.client);
            object.text("assurance", who.assurance);
            if !who.actors.is_empty() {
                object.texts("actors", &who.actors);
            }
            object.digest("token", who.token);
        });
    }

    fn target(&mut self, target: &Target<'_>) {
        self.object("target", |object| {
            object.text("server", target.server);
            object.text("tool", target.tool);
            object.digest("definition", target.definition);
            object.text("effect", target.effect.as_str());
        });
    }

    fn decision(&mut self, decision: &Decided<'_>) {
        self.object("decision", |object| {
            object.text("outcome", decision.outcome.as_str());
            object.texts("policies", &decision.policies);
            object.digest("rules", decision.rules);
            object.number("revision", decision.revision);
            if decision.failed {
                object.name("failed");
                object.out.push_str("true");
            }
            if !decision.reported.is_empty() {
                object.texts("reported", &decision.reported);
            }
            object.text_if("caller", decision.caller.as_deref());
            object.text_if("call", decision.call.as_deref());
        });
    }
}

impl Intent<'_> {
    /// The stored bytes.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut object = Object::event("intent", 1024);
        object.number("v", self.v);
        object.text("request", &self.request.to_text());
        object.number("at", self.at);
        object.text("endpoint", self.endpoint);
        object.text("protocol", self.protocol);
        object.text("method", self.method);
        object.who(&self.who);
        object.target(&self.target);
        object.digest("arguments", self.arguments);
        object.decision(&self.decision);
        object.text_if("credential", self.credential);
        object.text_if("trace", self.trace);
        if let Some(approval) = &self.approval {
            object.object("approval", |object| {
                object.text("id", approval.id);
                object.texts("by", &approval.by);
            });
        }
        object.text_if("break_glass", self.break_glass);
        object.close()
    }
}

impl OutcomeEvent<'_> {
    /// The stored bytes.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut object = Object::event("outcome", 512);
        object.number("v", self.v);
        object.text("request", &self.request.to_text());
        object.number("at", self.at);
        object.text("endpoint", self.endpoint);
        object.text_if("protocol", self.protocol);
        object.text_if("method", self.method);
        if let Some(who) = &self.who {
            object.who(who);
        }
        if let Some(target) = &self.target {
            object.target(target);
        }
        if let Some(asked) = self.asked {
            object.digest("asked", asked);
        }
        object.text_if("filler", self.filler);
        if let Some(decision) = &self.decision {
            object.decision(decision);
        }
        object.text("executed", self.executed.as_str());
        object.text("result", self.result);
        object.number_if("code", self.code);
        object.number_if("upstream_status", self.upstream_status);
        object.number("bytes_in", self.bytes_in);
        object.number("bytes_out", self.bytes_out);
        object.number("micros", self.micros);
        object.number_if("upstream_micros", self.upstream_micros);
        object.text_if("approval", self.approval);
        object.close()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*};

    use super::super::{Event, Executed, RequestId, SpentApproval};
    use super::*;
    use crate::{Effect, Outcome};

    fn derived(event: &Event<'_>) -> String {
        serde_json::to_string(event).unwrap()
    }

    fn written(event: &Event<'_>) -> String {
        String::from_utf8(event.to_bytes()).unwrap()
    }

    fn digest() -> impl Strategy<Value = Digest> {
        any::<[u8; 32]>().prop_map(Digest)
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z/-]{0,40}", any::<String>(), Just("\u{7f}\u{2028}\"\\\n\u{1}é🦀".to_owned())]
    }

    prop_compose! {
        fn who()(user in option::of(text()), agent in option::of(text()), client in text(),
                 actors in proptest::collection::vec(text(), 0..3), token in digest()) -> Who<'static> {
            Who { user: user.map(Into::into), agent: agent.map(Into::into), client: client.into(), assurance: "cimd",
                  actors: actors.into(), token }
        }
    }

    proptest! {
        #[test]
        fn an_intent_is_written_as_it_derives(
            (who, texts, digests) in (who(), proptest::array::uniform7(text()), proptest::array::uniform3(digest())),
            (credential, trace) in (option::of(text()), option::of(text())),
            (request, at, revision) in (any::<u128>(), any::<i64>(), any::<u64>()),
            (policies, reported) in (proptest::collection::vec(text(), 0..3), proptest::collection::vec(text(), 0..2)),
            (kept, failed) in (option::of(text()), any::<bool>()),
            effect in proptest::sample::select(&Effect::ALL),
        ) {
            let [endpoint, protocol, method, server, tool, ..] = &texts;
            let [definition, arguments, rules] = digests;
            let event = Event::Intent(Intent {
                v: 1, request: RequestId(request), at, endpoint, protocol, method, who,
                target: Target { server, tool, definition, effect },
                arguments,
                decision: Decided {
                    outcome: Outcome::Allow, policies: policies.clone().into(), rules, revision, failed, reported: reported.into(),
                    caller: kept.as_deref().map(Into::into), call: kept.as_deref().map(Into::into),
                },
                credential: credential.as_deref(), trace: trace.as_deref(),
                approval: trace.as_deref().map(|id| SpentApproval { id, by: policies.clone() }),
                break_glass: credential.as_deref(),
            });
            prop_assert_eq!(written(&event), derived(&event));
        }

        #[test]
        fn an_outcome_is_written_as_it_derives(
            (who, asked, texts) in (option::of(who()), option::of(digest()), proptest::array::uniform4(text())),
            (with_target, with_decision, digests) in (any::<bool>(), any::<bool>(), proptest::array::uniform2(digest())),
            (request, at, code, upstream_status) in (any::<u128>(), any::<i64>(), any::<Option<i64>>(), any::<Option<u16>>()),
            (bytes_in, bytes_out, micros, upstream_micros) in any::<(u64, u64, u64, Option<u64>)>(),
            executed in proptest::sample::select(vec![Executed::Yes, Executed::No, Executed::Unknown]),
            outcome in proptest::sample::select(vec![
                Outcome::Hidden, Outcome::Allow, Outcome::NeedsScope, Outcome::NeedsApproval, Outcome::Refused,
            ]),
        ) {
            let [endpoint, protocol, method, result] = &texts;
            let [definition, rules] = digests;
            let target = Target { server: "s", tool: "t", definition, effect: Effect::Write };
            let decision = Decided {
                outcome, policies: Vec::new().into(), rules, revision: 7, failed: false, reported: Vec::new().into(),
                caller: None, call: None,
            };
            let event = Event::Outcome(OutcomeEvent {
                v: 1, request: RequestId(request), at, endpoint, protocol: Some(protocol), method: Some(method), who,
                target: with_target.then_some(target), asked, filler: asked.map(|_| "---"),
                decision: with_decision.then_some(decision), executed, result, code, upstream_status,
                bytes_in, bytes_out, micros, upstream_micros,
                approval: (bytes_in % 2 == 0).then_some(result.as_str()),
            });
            prop_assert_eq!(written(&event), derived(&event));
        }
    }
}
