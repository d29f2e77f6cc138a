//! Revocations and blocks as a request meets them: a look-up per scope of the caller, in memory.
//!
//! A remembered token stores the generation it was last compared at; a moved generation repeats the comparison, not only
//! the signature check.

use std::collections::HashMap;

use ambit_model::{
    ids::{Millis, ServerSlug, ToolId},
    revocation::{Dead, Mark, Scope},
};

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

    /// Judges a thing issued at an instant against every scope it belongs to; the first dead one is the answer.
    pub fn judge<'a>(
        &self,
        scopes: impl IntoIterator<Item = &'a Scope>,
        issued_at: Millis,
    ) -> Option<(&'a Scope, Dead)> {
        if self.marks.is_empty() {
            return None;
        }
        let since = |scope: &Scope| if scope.is_one_of_a_kind() { Millis::MIN } else { issued_at };
        scopes
            .into_iter()
            .find_map(|scope| self.marks.get(scope).and_then(|mark| mark.judge(since(scope))).map(|dead| (scope, dead)))
    }

    /// Whether a tool, or its server, is dead for a token issued at an instant. Dead means hidden.
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
    use ambit_model::ids::UserKey;

    #[test]
    fn the_dead_scope_is_named() {
        let alice = Scope::User(UserKey::local("alice").unwrap());
        let marks = Revocations::new([(alice.clone(), Mark { revoked_at: Some(10), blocked: false })], 1);
        assert_eq!(marks.judge([&Scope::Deployment, &alice], 10), Some((&alice, Dead::Revoked)));
        assert_eq!(marks.judge([&Scope::Deployment, &alice], 11), None);
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
