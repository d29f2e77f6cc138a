//! Revocations and blocks as a request meets them: a look-up per scope of the caller, in memory.
//!
//! A remembered token stores the generation it was last compared at; a moved generation repeats the comparison, not only
//! the signature check.

use std::collections::HashMap;

use ambit_model::{
    ids::{Millis, ServerSlug, ToolId},
    revocation::{Dead, Mark, Scope},
};

/// Since when a thing counts as issued. What comes of an authorization is as old as that, however often it was renewed since:
/// otherwise a renewal that was under way, or that a node made which had not heard of a revocation, would outlive it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Issued {
    /// When it was authorized.
    pub at: Millis,
    /// When the person behind it logged in. A revocation that ends logins, of a user or of all, ends what rests on one.
    pub login_at: Millis,
}

impl From<Millis> for Issued {
    fn from(at: Millis) -> Self {
        Self { at, login_at: at }
    }
}

impl Issued {
    /// The instant that a mark of this scope is compared with.
    fn since(self, scope: &Scope) -> Millis {
        match scope {
            Scope::Deployment | Scope::User(_) => self.at.min(self.login_at),
            scope if scope.is_one_of_a_kind() => Millis::MIN,
            _ => self.at,
        }
    }
}

/// All marks of one snapshot.
#[derive(Debug, Default)]
pub struct Revocations {
    marks: HashMap<Scope, Mark>,
    generation: u64,
    reaches_tools: bool,
}

impl Revocations {
    /// Collects marks. `generation` is the snapshot's revision: it moves whenever a mark may have.
    pub fn new(marks: impl IntoIterator<Item = (Scope, Mark)>, generation: u64) -> Self {
        let marks: HashMap<_, _> = marks.into_iter().filter(|(_, mark)| *mark != Mark::default()).collect();
        let reaches_tools = marks.keys().any(|scope| matches!(scope, Scope::Tool(_) | Scope::Server(_)));
        Self { marks, generation, reaches_tools }
    }

    /// Moves whenever a mark may have.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Judges a thing against every scope it belongs to; the first dead one is the answer.
    pub fn judge<'a>(
        &self,
        scopes: impl IntoIterator<Item = &'a Scope>,
        issued: impl Into<Issued>,
    ) -> Option<(&'a Scope, Dead)> {
        if self.marks.is_empty() {
            return None;
        }
        let issued = issued.into();
        scopes.into_iter().find_map(|scope| {
            self.marks.get(scope).and_then(|mark| mark.judge(issued.since(scope))).map(|dead| (scope, dead))
        })
    }

    /// Whether a tool, or its server, is dead for a token that was authorized at an instant. Dead means hidden.
    pub fn hides_tool(&self, id: &ToolId, issued_at: Millis) -> bool {
        self.reaches_tools
            && [Scope::Tool(id.clone()), Scope::Server(id.server.clone())]
                .iter()
                .any(|scope| self.marks.get(scope).is_some_and(|mark| mark.judge(issued_at).is_some()))
    }

    /// Whether any tool or server carries a mark, so that lists have to be compared one by one.
    pub fn reach_tools(&self) -> bool {
        self.reaches_tools
    }

    /// Whether a server is blocked outright: nothing is sent to it, not even a listing.
    pub fn blocks_server(&self, server: &ServerSlug) -> bool {
        self.marks.get(&Scope::Server(server.clone())).is_some_and(|mark| mark.blocked)
            || self.marks.get(&Scope::Deployment).is_some_and(|mark| mark.blocked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ambit_model::ids::{ClientId, UserKey};

    #[test]
    fn the_dead_scope_is_named() {
        let alice = Scope::User(UserKey::local("alice").unwrap());
        let marks = Revocations::new([(alice.clone(), Mark { revoked_at: Some(10), blocked: false })], 1);
        assert_eq!(marks.judge([&Scope::Deployment, &alice], Issued::from(10)), Some((&alice, Dead::Revoked)));
        assert_eq!(marks.judge([&Scope::Deployment, &alice], Issued::from(11)), None);
    }

    #[test]
    fn an_earlier_login_ends_with_its_person_and_not_with_a_client() {
        let alice = Scope::User(UserKey::local("alice").unwrap());
        let client = Scope::Client(ClientId::parse("c").unwrap());
        for (scope, login_at, at, is_dead) in [
            (&alice, 9, 11, true),
            (&alice, 11, 9, true),
            (&alice, 11, 11, false),
            (&Scope::Deployment, 9, 11, true),
            (&client, 9, 11, false),
            (&client, 11, 9, true),
            (&Scope::Family("f".into()), 11, 11, true),
        ] {
            let marks = Revocations::new([(scope.clone(), Mark { revoked_at: Some(10), blocked: false })], 1);
            assert_eq!(marks.judge([scope], Issued { at, login_at }).is_some(), is_dead, "{scope} {login_at} {at}");
        }
    }

    #[test]
    fn a_server_mark_hides_its_tools_and_no_other() {
        let mux = ToolId::parse("mux/get-asset").unwrap();
        let other = ToolId::parse("other/get-asset").unwrap();
        let marks =
            Revocations::new([(Scope::Server(mux.server.clone()), Mark { revoked_at: None, blocked: true })], 1);
        assert!(marks.hides_tool(&mux, i64::MAX) && !marks.hides_tool(&other, i64::MAX));
        assert!(marks.blocks_server(&mux.server) && !marks.blocks_server(&other.server));
        assert!(!Revocations::default().hides_tool(&mux, 0));
    }
}
