//! What a replay found: newly denied, newly allowed, undecided, with counts, examples, and whom and what it concerns.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use ambit_model::{Outcome, ids::Millis};
use ambit_policy::Missing;
use serde::Serialize;
use serde_json::{Value, json};

use super::{again::Again, record::Decision};
use crate::config::quantity::instant_text;

/// Examples kept of each kind of change.
const EXAMPLES: usize = 3;

/// Kinds of change that are told one by one; more are counted.
const KINDS: usize = 10_000;

/// Kinds of change that are printed for people.
const SHOWN: usize = 50;

/// What was found.
#[derive(Default)]
pub(super) struct Findings {
    /// Decisions over calls.
    pub(super) decisions: u64,
    denied: BTreeMap<Kind, Group>,
    allowed: BTreeMap<Kind, Group>,
    /// By what was missing.
    undecided: BTreeMap<&'static str, Undecided>,
    /// The same, by the tool and what exactly of it.
    missing: BTreeMap<(String, Missing), Undecided>,
    /// The present rules and grants decide differently from how it was decided then.
    already: u64,
    unlisted: u64,
    identities: BTreeSet<String>,
    tools: BTreeSet<String>,
}

/// Changes that are alike.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Kind {
    who: String,
    tool: String,
    from: &'static str,
    to: &'static str,
    policies: Vec<String>,
}

#[derive(Default, Serialize)]
struct Group {
    count: u64,
    examples: Vec<Example>,
}

#[derive(Serialize)]
struct Example {
    leaf: u64,
    at: Millis,
}

#[derive(Serialize, Clone)]
struct Undecided {
    count: u64,
    first: Millis,
    last: Millis,
    example: u64,
}

impl Findings {
    pub(super) fn add(&mut self, leaf: u64, decision: &Decision<'_>, again: Again) {
        self.decisions += 1;
        let (present, proposed) = match again {
            Again::Decided(present, proposed) => (present, proposed),
            Again::Undecided(missing) => {
                let one = Undecided { count: 1, first: decision.at, last: decision.at, example: leaf };
                let tool = format!("{}/{}", decision.server, decision.tool);
                self.identities.insert(who(decision));
                self.tools.insert(tool.clone());
                put(&mut self.undecided, missing.what, one.clone());
                let kind = (tool, missing);
                if self.missing.len() < KINDS || self.missing.contains_key(&kind) {
                    put(&mut self.missing, kind, one);
                }
                return;
            }
        };
        if present.outcome != decision.outcome {
            self.already += 1;
        }
        let (was, is) = (present.outcome == Outcome::Allow, proposed.outcome == Outcome::Allow);
        if was == is {
            return;
        }
        let who = who(decision);
        let tool = format!("{}/{}", decision.server, decision.tool);
        self.identities.insert(who.clone());
        self.tools.insert(tool.clone());
        let policies = if is { present.policies } else { proposed.policies };
        let kind = Kind { who, tool, from: present.outcome.as_str(), to: proposed.outcome.as_str(), policies };
        let changes = if is { &mut self.allowed } else { &mut self.denied };
        if changes.len() >= KINDS && !changes.contains_key(&kind) {
            self.unlisted += 1;
            return;
        }
        let group = changes.entry(kind).or_default();
        group.count += 1;
        if group.examples.len() < EXAMPLES {
            group.examples.push(Example { leaf, at: decision.at });
        }
    }

    /// Adds what was found elsewhere, in other records.
    pub(super) fn merge(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.already += other.already;
        self.unlisted += other.unlisted;
        self.identities.extend(other.identities);
        self.tools.extend(other.tools);
        for (into, from) in [(&mut self.denied, other.denied), (&mut self.allowed, other.allowed)] {
            for (kind, group) in from {
                if into.len() >= KINDS && !into.contains_key(&kind) {
                    self.unlisted += group.count;
                    continue;
                }
                let known = into.entry(kind).or_default();
                known.count += group.count;
                known.examples.extend(group.examples);
                known.examples.sort_by_key(|example| example.leaf);
                known.examples.truncate(EXAMPLES);
            }
        }
        for (what, more) in other.undecided {
            put(&mut self.undecided, what, more);
        }
        for (kind, more) in other.missing {
            if self.missing.len() < KINDS || self.missing.contains_key(&kind) {
                put(&mut self.missing, kind, more);
            }
        }
    }

    pub(super) fn value(&self, since: Millis) -> Value {
        let changes = |changes: &BTreeMap<Kind, Group>| {
            let rows = changes.iter().map(|(kind, group)| {
                json!({
                    "who": kind.who, "tool": kind.tool, "from": kind.from, "to": kind.to, "policies": kind.policies,
                    "count": group.count, "examples": group.examples,
                })
            });
            json!({ "count": total(changes), "changes": rows.collect::<Vec<_>>() })
        };
        json!({
            "since": instant_text(since),
            "decisions": self.decisions,
            "newly_denied": changes(&self.denied),
            "newly_allowed": changes(&self.allowed),
            "undecided": self.undecided,
            "missing": self.missing.iter().map(|((tool, missing), undecided)| json!({
                "tool": tool, "what": missing.what, "argument": missing.argument, "rule": missing.rule,
                "count": undecided.count, "first": undecided.first, "last": undecided.last, "example": undecided.example,
            })).collect::<Vec<_>>(),
            "differs_already": self.already,
            "not_listed": self.unlisted,
            "identities": self.identities,
            "tools": self.tools,
        })
    }

    pub(super) fn in_words(&self, since: Millis) -> String {
        let mut lines = vec![format!("{} calls decided since {}", self.decisions, instant_text(since))];
        for (title, changes) in [("newly denied", &self.denied), ("newly allowed", &self.allowed)] {
            lines.push(format!("{title}: {}", total(changes)));
            let mut rows: Vec<_> = changes.iter().collect();
            rows.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
            lines.extend(rows.iter().take(SHOWN).map(|(kind, group)| row(kind, group)));
            if rows.len() > SHOWN {
                lines.push(format!("  and {} more kinds: see `--json`", rows.len() - SHOWN));
            }
        }
        let undecided: u64 = self.undecided.values().map(|undecided| undecided.count).sum();
        lines.push(format!("undecided: {undecided}"));
        let mut rows: Vec<_> = self.missing.iter().collect();
        rows.sort_by_key(|(_, undecided)| std::cmp::Reverse(undecided.count));
        lines.extend(rows.iter().take(SHOWN).map(|((tool, missing), undecided)| {
            let (first, last) = (instant_text(undecided.first), instant_text(undecided.last));
            format!(
                "  {}× {tool} between {first} and {last}: {} (such as record #{})",
                undecided.count,
                in_words(missing),
                undecided.example
            )
        }));
        if rows.len() > SHOWN {
            lines.push(format!("  and {} more kinds: see `--json`", rows.len() - SHOWN));
        }
        if self.already > 0 {
            let so = "are decided differently today already, whatever is proposed: grants, rules or tools have changed";
            lines.push(format!("{} {so}", self.already));
        }
        lines.push(format!("affected: {} identities, {} tools", self.identities.len(), self.tools.len()));
        lines.join("\n")
    }
}

/// Adds what is undecided of one kind.
fn put<K: Ord>(all: &mut BTreeMap<K, Undecided>, kind: K, more: Undecided) {
    match all.entry(kind) {
        Entry::Vacant(vacant) => drop(vacant.insert(more)),
        Entry::Occupied(mut known) => {
            let known = known.get_mut();
            known.count += more.count;
            known.first = known.first.min(more.first);
            known.last = known.last.max(more.last);
            known.example = known.example.min(more.example);
        }
    }
}

/// What is missing, which part of it, and who reads it.
fn in_words(missing: &Missing) -> String {
    let part = missing.argument.as_ref().map_or(String::new(), |argument| format!(" (`{argument}`)"));
    let rule = missing.rule.as_ref().map_or(String::new(), |rule| format!(", which rule `{rule}` reads"));
    format!("{}{part}{rule}", missing.what)
}

fn row(kind: &Kind, group: &Group) -> String {
    let by = kind.policies.iter().map(|policy| format!("`{policy}`")).collect::<Vec<_>>().join(", ");
    let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
    let example = group
        .examples
        .first()
        .map_or(String::new(), |example| format!(", such as record #{} of {}", example.leaf, instant_text(example.at)));
    let who = super::super::tools::clean(&kind.who);
    format!("  {}× {who}  {}  {} → {}{by}{example}", group.count, kind.tool, kind.from, kind.to)
}

fn total(changes: &BTreeMap<Kind, Group>) -> u64 {
    changes.values().map(|group| group.count).sum()
}

fn who(decision: &Decision<'_>) -> String {
    let parts = [&decision.who.user, &decision.who.agent].into_iter().flatten();
    parts.chain([&decision.who.client]).map(|part| &**part).collect::<Vec<_>>().join(" + ")
}
