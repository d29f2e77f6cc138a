//! Which toolsets a person holds at this moment: what consent may offer and a refresh may keep. Entitlement only; what a
//! call may do is decided by the judge, tool by tool, whatever stands here.

use ambit_model::ids::{Millis, ToolsetSlug};

use crate::{class::CallerClass, judge::Judge, validity::Horizon};

/// A toolset that a person holds, and until when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The toolset.
    pub toolset: ToolsetSlug,
    /// The last end of a grant of it that counts now; none if no grant does.
    pub granted_until: Option<Millis>,
    /// The same of a reveal for exactly this client and agent.
    pub revealed_until: Option<Millis>,
}

impl Judge {
    /// What the person of a class holds by live grants and reveals, with its ends; by toolset, ascending. Neither ceiling nor
    /// refusal of the client nor the scopes of the token are looked at.
    pub fn holdings(&self, class: &CallerClass, now_ms: Millis) -> Vec<Held> {
        let own = self.own(class);
        let Some(user) = &own.0.user else { return Vec::new() };
        let index = self.index();
        let mut toolsets: Vec<_> = user.grants.toolsets().chain(user.reveals.toolsets()).collect();
        toolsets.sort_unstable();
        toolsets.dedup();
        let mut horizon = Horizon::new(now_ms);
        let held = toolsets.into_iter().filter_map(|toolset| {
            let grants = user.grants.of(toolset).filter(|number| index.grant_lives(*number, &mut horizon));
            let granted_until = grants.filter_map(|number| index.grant(number)).map(|grant| grant.expires_at).max();
            let reveals = user.reveals.of(toolset).filter(|number| index.reveal_lives(*number, &mut horizon));
            let revealed_until = reveals.filter_map(|number| index.reveal(number)).map(|one| one.expires_at).max();
            let slug = index.toolset(toolset)?.slug.clone();
            let holds = granted_until.is_some() || revealed_until.is_some();
            holds.then_some(Held { toolset: slug, granted_until, revealed_until })
        });
        let mut held: Vec<_> = held.collect();
        held.sort_unstable_by(|one, other| one.toolset.cmp(&other.toolset));
        held
    }

    /// The toolsets the person of a class holds by a live grant or reveal, did not decline, and the client's ceiling
    /// admits; ascending. The scopes of the token are not looked at. Nobody behind the class: none.
    pub fn held_toolsets(&self, class: &CallerClass, now_ms: Millis) -> Vec<ToolsetSlug> {
        let own = self.own(class);
        let Some(user) = &own.0.user else { return Vec::new() };
        let index = self.index();
        let mut horizon = Horizon::new(now_ms);
        let mut by_grant = |toolset| user.grants.of(toolset).any(|number| index.grant_lives(number, &mut horizon));
        let mut held: Vec<_> = user.grants.toolsets().filter(|toolset| by_grant(*toolset)).collect();
        let mut by_reveal = |toolset| user.reveals.of(toolset).any(|number| index.reveal_lives(number, &mut horizon));
        held.extend(user.reveals.toolsets().filter(|toolset| by_reveal(*toolset)));
        held.sort_unstable();
        held.dedup();
        held.retain(|toolset| {
            own.0.ceiling.admits(*toolset, index, &mut horizon) && user.declined.binary_search(toolset).is_err()
        });
        held.into_iter().filter_map(|toolset| index.toolset(toolset)).map(|entry| entry.slug.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ambit_model::{
        caller::{Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
        ceiling::{Ceiling, ClientCeilings},
        constraints::Constraints,
        grant::{Grant, GrantOrigin, GrantSubject, Reveal},
        ids::{ClientId, GrantId, GroupName, UserKey},
        toolset::Toolset,
    };

    use super::*;
    use crate::JudgeInput;

    fn slug(text: &str) -> ToolsetSlug {
        ToolsetSlug::parse(text).unwrap()
    }

    fn grant(subject: GrantSubject, toolset: &str, (starts_at, expires_at): (Millis, Millis)) -> Grant {
        Grant {
            id: GrantId::parse("g").unwrap(),
            subject,
            toolset: slug(toolset),
            reason: String::new(),
            ticket: None,
            approved_by: None,
            starts_at,
            expires_at,
            origin: GrantOrigin::Config,
            constraints: Constraints::default(),
        }
    }

    fn alice(groups: &[&str]) -> CallerFacts {
        let user = UserFacts {
            key: UserKey::local("alice").unwrap(),
            groups: groups.iter().map(|name| GroupName::parse(name).unwrap()).collect(),
            claims: std::collections::BTreeMap::new(),
        };
        CallerFacts {
            principal: Principal::Person { user },
            client: ClientFacts { id: ClientId::parse("c").unwrap(), assurance: Assurance::Cimd },
            scopes: TokenScopes::Toolsets(BTreeSet::new()),
            declined: BTreeSet::new(),
            operator: None,
        }
    }

    fn judge(ceiling: Ceiling) -> Judge {
        let toolset = |name| Toolset { slug: slug(name), title: String::new(), tools: Vec::new(), effects: Vec::new() };
        let user = GrantSubject::User(UserKey::local("alice").unwrap());
        let staff = GrantSubject::Group(GroupName::parse("staff").unwrap());
        let reveal = Reveal {
            id: GrantId::parse("r").unwrap(),
            user: UserKey::local("alice").unwrap(),
            client: ClientId::parse("c").unwrap(),
            agent: None,
            toolset: slug("revealed"),
            reason: String::new(),
            approved_by: None,
            starts_at: 0,
            expires_at: 15,
        };
        Judge::build(JudgeInput {
            toolsets: ["own", "late", "group", "revealed", "nobodys"].map(toolset).to_vec(),
            grants: vec![
                grant(user.clone(), "own", (0, 20)),
                grant(user, "late", (15, 30)),
                grant(staff, "group", (0, 20)),
            ],
            reveals: vec![reveal],
            ceilings: ClientCeilings { default: ceiling, ..ClientCeilings::default() },
            ..JudgeInput::default()
        })
        .unwrap()
    }

    fn held(judge: &Judge, facts: &CallerFacts, now: Millis) -> Vec<String> {
        judge.held_toolsets(&judge.class(facts), now).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn grants_and_reveals_count_while_they_live() {
        let judge = judge(Ceiling::Everything);
        assert_eq!(held(&judge, &alice(&["staff"]), 10), ["group", "own", "revealed"]);
        assert_eq!(held(&judge, &alice(&[]), 15), ["late", "own"]);
        assert!(held(&judge, &alice(&["staff"]), 30).is_empty());
    }

    #[test]
    fn holdings_say_until_when_whatever_the_client_may() {
        let judge = judge(Ceiling::Only([slug("own")].into()));
        let held = |facts: &CallerFacts, now| {
            let held = judge.holdings(&judge.class(facts), now);
            held.iter().map(|one| (one.toolset.to_string(), one.granted_until, one.revealed_until)).collect::<Vec<_>>()
        };
        let (group, own) = (("group".to_owned(), Some(20), None), ("own".to_owned(), Some(20), None));
        assert_eq!(held(&alice(&["staff"]), 10), [group, own.clone(), ("revealed".to_owned(), None, Some(15))]);
        assert_eq!(held(&alice(&[]), 15), [("late".to_owned(), Some(30), None), own]);
        assert!(held(&alice(&["staff"]), 30).is_empty());
    }

    #[test]
    fn ceiling_and_refusal_take_away_and_an_agent_holds_nothing_here() {
        let only = judge(Ceiling::Only([slug("own"), slug("nobodys")].into()));
        assert_eq!(held(&only, &alice(&["staff"]), 10), ["own"]);
        let all = judge(Ceiling::Everything);
        let mut facts = alice(&["staff"]);
        facts.declined = [slug("own")].into();
        assert_eq!(held(&all, &facts, 10), ["group", "revealed"]);
        let user = UserKey::local("alice").unwrap();
        let agent = ambit_model::caller::AgentFacts {
            id: ambit_model::ids::AgentId::parse("bot").unwrap(),
            owner: user,
            expires_at: 100,
        };
        facts.principal = Principal::Agent { agent };
        assert!(held(&all, &facts, 10).is_empty());
    }
}
