//! The two events every call leaves, written as `serde_json` would write them and several times faster: most of an event is
//! strings without anything to escape, which are copied whole. The tests hold every byte of it to the derived form.

use super::{Decided, Intent, OutcomeEvent, RequestId, Target, Who};
use crate::{Digest, ids::Millis};

/// What stands before the value of a member that is not the first: a comma, the name, a colon. Names are ours: nothing to escape.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// An object that is being written.
pub(super) struct Object {
    out: String,
}

impl Object {
    /// An event of a kind, with what every event of a request begins with.
    fn event(kind: &str, size: usize, (v, request): (u8, RequestId), at: Millis, endpoint: &str) -> Self {
        let mut object = Self { out: String::with_capacity(size) };
        object.out.push_str("{\"event\":\"");
        object.out.push_str(kind);
        object.out.push('"');
        object.number(key!("v"), v);
        object.plain(key!("request"), &request.text());
        object.number(key!("at"), at);
        object.text(key!("endpoint"), endpoint);
        object
    }

    fn close(mut self) -> Vec<u8> {
        self.out.push('}');
        self.out.into_bytes()
    }

    /// A [`key!`], without its comma where the object has just been opened.
    fn name(&mut self, key: &'static str) {
        let bare = key.strip_prefix(',').filter(|_| self.out.ends_with('{'));
        self.out.push_str(bare.unwrap_or(key));
    }

    fn text(&mut self, key: &'static str, text: &str) {
        self.name(key);
        self.string(text);
    }

    fn text_if(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn number(&mut self, key: &'static str, number: impl itoa::Integer) {
        self.name(key);
        self.out.push_str(itoa::Buffer::new().format(number));
    }

    fn number_if(&mut self, key: &'static str, number: Option<impl itoa::Integer>) {
        if let Some(number) = number {
            self.number(key, number);
        }
    }

    /// Text of our own making, in ASCII: nothing to escape.
    fn plain(&mut self, key: &'static str, text: &[u8]) {
        self.name(key);
        self.out.push('"');
        self.out.push_str(std::str::from_utf8(text).unwrap_or_default());
        self.out.push('"');
    }

    fn digest(&mut self, key: &'static str, digest: Digest) {
        self.plain(key, &digest.text());
    }

    fn texts(&mut self, key: &'static str, texts: &[String]) {
        self.name(key);
        self.out.push('[');
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.string(text);
        }
        self.out.push(']');
    }

    fn object(&mut self, key: &'static str, write: impl FnOnce(&mut Self)) {
        self.name(key);
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
        self.object(key!("who"), |object| {
            object.text_if(key!("user"), who.user.as_deref());
            object.text_if(key!("agent"), who.agent.as_deref());
            object.text(key!("client"), &who.client);
            object.text(key!("assurance"), who.assurance);
            if !who.actors.is_empty() {
                object.texts(key!("actors"), &who.actors);
            }
            object.digest(key!("token"), who.token);
        });
    }

    fn target(&mut self, target: &Target<'_>) {
        self.object(key!("target"), |object| {
            object.text(key!("server"), target.server);
            object.text(key!("tool"), target.tool);
            object.digest(key!("definition"), target.definition);
            object.text(key!("effect"), target.effect.as_str());
        });
    }

    fn decision(&mut self, decision: &Decided<'_>) {
        self.object(key!("decision"), |object| {
            object.text(key!("outcome"), decision.outcome.as_str());
            object.texts(key!("policies"), &decision.policies);
            object.digest(key!("rules"), decision.rules);
            object.number(key!("revision"), decision.revision);
            if decision.failed {
                object.name(key!("failed"));
                object.out.push_str("true");
            }
            if !decision.reported.is_empty() {
                object.texts(key!("reported"), &decision.reported);
            }
            object.text_if(key!("caller"), decision.caller.as_deref());
            object.text_if(key!("call"), decision.call.as_deref());
        });
    }
}

impl Intent<'_> {
    /// The stored bytes.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut object = Object::event("intent", 1024, (self.v, self.request), self.at, self.endpoint);
        object.text(key!("protocol"), self.protocol);
        object.text(key!("method"), self.method);
        object.who(&self.who);
        object.target(&self.target);
        object.digest(key!("arguments"), self.arguments);
        object.decision(&self.decision);
        object.text_if(key!("credential"), self.credential);
        object.text_if(key!("trace"), self.trace);
        if let Some(approval) = &self.approval {
            object.object(key!("approval"), |object| {
                object.text(key!("id"), approval.id);
                object.texts(key!("by"), &approval.by);
            });
        }
        object.text_if(key!("break_glass"), self.break_glass);
        object.close()
    }
}

impl OutcomeEvent<'_> {
    /// The stored bytes.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut object = Object::event("outcome", 512, (self.v, self.request), self.at, self.endpoint);
        object.text_if(key!("protocol"), self.protocol);
        object.text_if(key!("method"), self.method);
        if let Some(who) = &self.who {
            object.who(who);
        }
        if let Some(target) = &self.target {
            object.target(target);
        }
        if let Some(asked) = self.asked {
            object.digest(key!("asked"), asked);
        }
        object.text_if(key!("filler"), self.filler);
        if let Some(decision) = &self.decision {
            object.decision(decision);
        }
        object.text(key!("executed"), self.executed.as_str());
        object.text(key!("result"), self.result);
        object.number_if(key!("code"), self.code);
        object.number_if(key!("upstream_status"), self.upstream_status);
        object.number(key!("bytes_in"), self.bytes_in);
        object.number(key!("bytes_out"), self.bytes_out);
        object.number(key!("micros"), self.micros);
        object.number_if(key!("upstream_micros"), self.upstream_micros);
        object.text_if(key!("approval"), self.approval);
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
