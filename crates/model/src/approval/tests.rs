use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{caller::UserFacts, ids::GroupName};

fn user(name: &str) -> UserKey {
    UserKey::parse(name).unwrap()
}

fn facts(name: &str, groups: &[&str]) -> UserFacts {
    UserFacts {
        key: user(name),
        groups: groups.iter().map(|group| GroupName::parse(group).unwrap()).collect(),
        claims: BTreeMap::new(),
    }
}

fn party(name: &str, email: Option<&str>) -> Party {
    Party { user: user(name), email: email.map(ToOwned::to_owned) }
}

fn vote(name: &str, email: Option<&str>, says: Says) -> Vote {
    Vote { by: party(name, email), says, at: 1, via: Via::Page, reason: None }
}

#[derive(Clone)]
struct Parts {
    user: Option<UserKey>,
    agent: Option<AgentId>,
    client: ClientId,
    endpoint: EndpointSlug,
    tool: ToolId,
    digests: [Digest; 3],
}

impl Parts {
    fn digest(&self) -> Digest {
        let [definition, rules, arguments] = self.digests;
        ExactCall {
            user: self.user.as_ref(),
            agent: self.agent.as_ref(),
            client: &self.client,
            endpoint: &self.endpoint,
            tool: &self.tool,
            definition,
            rules,
            arguments,
        }
        .digest()
    }
}

#[test]
fn every_part_of_a_call_is_in_its_digest() {
    let same = Parts {
        user: Some(user("alice")),
        agent: Some(AgentId::parse("bot").unwrap()),
        client: ClientId::parse("c").unwrap(),
        endpoint: EndpointSlug::parse("default").unwrap(),
        tool: ToolId::parse("mux/delete-asset").unwrap(),
        digests: [b"d".as_slice(), b"r", b"{}"].map(Digest::of),
    };
    assert_eq!(same.digest(), same.clone().digest());
    let changes: [fn(&mut Parts); 10] = [
        |parts| parts.user = Some(user("bob")),
        |parts| parts.user = None,
        |parts| parts.agent = Some(AgentId::parse("alice").unwrap()),
        |parts| parts.agent = None,
        |parts| parts.client = ClientId::parse("d").unwrap(),
        |parts| parts.endpoint = EndpointSlug::parse("other").unwrap(),
        |parts| parts.tool = ToolId::parse("mux/delete-assets").unwrap(),
        |parts| parts.digests[0] = Digest::of(b"e"),
        |parts| parts.digests[1] = Digest::of(b"s"),
        |parts| parts.digests[2] = Digest::of(b"{ }"),
    ];
    for change in changes {
        let mut other = same.clone();
        change(&mut other);
        assert_ne!(other.digest(), same.digest());
    }
}

#[test]
fn an_approval_is_spent_once_and_only_after_a_yes() {
    let pending = Stage::Pending { until: 100 };
    assert_eq!(pending.clone().consume("r", 1), Err(NotNow::Stage("pending")));
    let approved = pending.approve(10).unwrap();
    assert_eq!(approved, Stage::Approved { at: 10, until: 10 + UNUSED_LIFE_MS });
    let consumed = approved.consume("r", 11).unwrap();
    assert_eq!(consumed.clone().consume("r", 12), Err(NotNow::Stage("consumed")));
    assert_eq!(consumed.clone().deny(12), Err(NotNow::Stage("consumed")));
    let executed = consumed.executed(Executed::Yes).unwrap();
    assert_eq!(executed.clone().executed(Executed::Yes), Err(NotNow::Stage("executed")));
    assert!(executed.answers_for(11 + SETTLED_MS - 1) && !executed.answers_for(11 + SETTLED_MS));
}

#[test]
fn nothing_approves_by_waiting() {
    for stage in [Stage::Pending { until: 100 }, Stage::Approved { at: 1, until: 100 }] {
        assert_eq!(stage.clone().at(99), stage);
        assert_eq!(stage.clone().at(100), Stage::Lapsed { at: 100, why: Lapse::Expired });
        assert_eq!(stage.clone().approve(100), Err(NotNow::Expired));
        assert_eq!(stage.clone().consume("r", 100), Err(NotNow::Expired));
        assert_eq!(stage.deny(100), Err(NotNow::Expired));
    }
}

#[test]
fn a_no_may_still_come_after_the_yes_of_others() {
    let denied = Stage::Approved { at: 1, until: 100 }.deny(50).unwrap();
    assert_eq!(denied.clone().consume("r", 51), Err(NotNow::Stage("denied")));
    assert_eq!(denied.clone().approve(51), Err(NotNow::Stage("denied")));
    assert!(denied.answers_for(50 + REFUSED_MS - 1) && !denied.answers_for(50 + REFUSED_MS));
}

#[test]
fn what_was_not_sent_may_be_asked_for_again_at_once() {
    let unsent = Stage::Consumed { at: 1, record: "r".into() }.executed(Executed::No).unwrap();
    assert_eq!(unsent.as_str(), "unsent");
    assert!(!unsent.answers_for(2));
    let unknown = Stage::Consumed { at: 1, record: "r".into() }.executed(Executed::Unknown).unwrap();
    assert!(unknown.answers_for(2));
    assert!(Stage::Consumed { at: 1, record: "r".into() }.answers_for(2));
}

#[test]
fn only_named_people_who_are_not_excluded_are_admitted() {
    let rule = ApproverRule {
        approvers: ["user alice", "group owners"].map(|text| Approver::parse(text).unwrap()).into(),
        needed: 1,
    };
    assert!(rule.admits(&facts("alice", &[]), None, &[]));
    assert!(rule.admits(&facts("bob", &["owners"]), None, &[]));
    assert!(!rule.admits(&facts("bob", &["others"]), None, &[]));
    // The name of a group is not the name of a person.
    assert!(!rule.admits(&facts("owners", &["alice"]), None, &[]));
    assert!(!rule.admits(&facts("okta:alice", &[]), None, &[]));
    assert!(!rule.admits(&facts("alice", &[]), None, &[party("alice", None)]));
    assert!(!rule.admits(&facts("alice", &[]), Some("A@x.example "), &[party("okta:a", Some("a@X.example"))]));
    assert!(rule.admits(&facts("alice", &[]), None, &[party("okta:a", None)]), "unknown addresses are not equal");
    assert!(!ApproverRule::default().admits(&facts("alice", &[]), None, &[]), "nobody is named");
}

#[test]
fn an_equal_address_excludes_and_never_includes() {
    let votes = [vote("alice", Some("a@x.example"), Says::Yes), vote("okta:alice", Some("A@X.example"), Says::Yes)];
    assert_eq!(tally(2, &votes, |_| true), Tally::Open { yes: 1 });
    let votes = [vote("alice", None, Says::Yes), vote("bob", None, Says::Yes)];
    assert_eq!(tally(2, &votes, |_| true), Tally::Approved(vec![user("alice"), user("bob")]));
}

#[test]
fn a_no_vetoes_unless_it_does_not_count() {
    let votes = [vote("alice", None, Says::Yes), vote("carol", None, Says::No), vote("bob", None, Says::Yes)];
    assert_eq!(tally(2, &votes, |_| true), Tally::Denied(user("carol")));
    assert_eq!(
        tally(2, &votes, |vote| vote.by.user != user("carol")),
        Tally::Approved(vec![user("alice"), user("bob")])
    );
    assert_eq!(tally(0, &[], |_| true), Tally::Open { yes: 0 }, "no rule asks for nobody");
}

#[test]
fn approvers_are_read_with_their_kind() {
    assert_eq!(Approver::parse("user okta:a b").unwrap().to_string(), "user okta:a b");
    for bad in ["", "alice", "users alice", "group Owners", "user ", "group  x"] {
        assert!(Approver::parse(bad).is_err(), "{bad}");
    }
}

fn operation() -> impl Strategy<Value = (u8, Millis)> {
    (0_u8..4, -50_i64..400_000)
}

proptest! {
    /// Whatever is tried in whatever order, and however the clock steps: at most one consumption, never after a no, never
    /// without a yes.
    #[test]
    fn an_approval_is_spent_at_most_once(operations in proptest::collection::vec(operation(), 1..40)) {
        let (mut stage, mut spent, mut yes, mut no) = (Stage::Pending { until: REQUEST_LIFE_MS }, 0, false, false);
        for (what, at) in operations {
            let next = match what {
                0 => stage.clone().approve(at).inspect(|_| yes = true),
                1 => stage.clone().deny(at).inspect(|_| no = true),
                2 => stage.clone().consume("r", at).inspect(|_| spent += 1),
                _ => stage.clone().executed(Executed::Yes),
            };
            if what == 2 && next.is_ok() {
                prop_assert!(yes && !no);
            }
            stage = next.unwrap_or(stage);
        }
        prop_assert!(spent <= 1);
    }
}
