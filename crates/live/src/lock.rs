//! `ambit.lock`: the accepted tool definitions, one line per tool, reviewable in git.
//!
//! A tool is shown only while the digest seen and the effect judged are the ones that stand here. The file is written by
//! `ambit tools accept` and read at start and reload; the gateway itself never writes it.

use std::{collections::BTreeMap, fmt::Write as _};

use ambit_model::{Digest, Effect, ids::ToolId, tool::Acceptance};
use serde::Deserialize;

/// The accepted definitions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lock {
    tools: BTreeMap<ToolId, Pin>,
}

/// What was accepted of one tool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The effect its owner saw when accepting.
    pub effect: Effect,
    /// The definition's digest.
    pub digest: Digest,
}

/// A lock file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidLock(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    tools: BTreeMap<ToolId, Pin>,
}

impl Lock {
    /// Reads the file's text.
    ///
    /// # Errors
    /// [`InvalidLock`] with line and column, or naming a version this program does not know.
    pub fn parse(text: &str) -> Result<Self, InvalidLock> {
        let file: File = toml::from_str(text).map_err(|error| InvalidLock(error.to_string()))?;
        if file.version != 1 {
            return Err(InvalidLock(format!(
                "version `{}` of the lock file is unknown: this program reads version 1",
                file.version
            )));
        }
        Ok(Self { tools: file.tools })
    }

    /// The file's text: sorted, one line per tool.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Accepted tool definitions. Written by `ambit tools accept`; review changes like code.\nversion = 1\n\n[tools]\n",
        );
        for (id, pin) in &self.tools {
            let _ = writeln!(text, "\"{id}\" = {{ effect = \"{}\", digest = \"{}\" }}", pin.effect, pin.digest);
        }
        text
    }

    /// What was accepted of a tool.
    pub fn pin(&self, id: &ToolId) -> Option<Pin> {
        self.tools.get(id).copied()
    }

    /// Accepts a definition.
    pub fn accept(&mut self, id: ToolId, pin: Pin) {
        self.tools.insert(id, pin);
    }

    /// Forgets what was accepted of tools that `keep` does not want.
    pub fn retain(&mut self, mut keep: impl FnMut(&ToolId) -> bool) {
        self.tools.retain(|id, _| keep(id));
    }

    /// Every pin.
    pub fn iter(&self) -> impl Iterator<Item = (&ToolId, Pin)> {
        self.tools.iter().map(|(id, pin)| (id, *pin))
    }

    /// Compares a tool as seen with its pin. An effect that moved without the definition moving counts as changed,
    /// unless the owner's override in configuration is what moved it.
    pub fn acceptance(&self, id: &ToolId, seen: Pin, overridden: bool) -> Acceptance {
        match self.pin(id) {
            Some(pin) if pin.effect != seen.effect && !overridden => Acceptance::Changed,
            pin => Acceptance::of(pin.map(|pin| pin.digest), seen.digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(effect: Effect) -> Pin {
        Pin { effect, digest: Digest::of(b"definition") }
    }

    #[test]
    fn text_round_trips_in_order() {
        let mut lock = Lock::default();
        for name in ["mux/b.c", "mux/a", "github/x\\y\""] {
            lock.accept(ToolId::parse(name.replace(['\\', '"'], "_").as_str()).unwrap(), pin(Effect::Read));
        }
        let text = lock.to_text();
        assert_eq!(Lock::parse(&text).unwrap(), lock);
        assert!(text.find("github/").unwrap() < text.find("mux/a").unwrap());
    }

    #[test]
    fn other_versions_unknown_members_and_bad_digests_are_refused() {
        for bad in [
            "version = 2",
            "",
            "version = 1\nx = 1",
            "version = 1\n[tools]\n\"mux/a\" = { effect = \"read\", digest = \"md5:1\" }",
            "version = 1\n[tools]\n\"mux\" = { effect = \"read\", digest = \"\" }",
        ] {
            assert!(Lock::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_effect_that_moved_is_a_change_unless_the_owner_moved_it() {
        let id = ToolId::parse("mux/a").unwrap();
        let mut lock = Lock::default();
        assert_eq!(lock.acceptance(&id, pin(Effect::Read), false), Acceptance::New);
        lock.accept(id.clone(), pin(Effect::Read));
        assert_eq!(lock.acceptance(&id, pin(Effect::Read), false), Acceptance::Accepted);
        assert_eq!(lock.acceptance(&id, pin(Effect::Write), false), Acceptance::Changed);
        assert_eq!(lock.acceptance(&id, pin(Effect::Write), true), Acceptance::Accepted);
        let other = Pin { digest: Digest::of(b"other"), ..pin(Effect::Read) };
        assert_eq!(lock.acceptance(&id, other, true), Acceptance::Changed);
    }
}
