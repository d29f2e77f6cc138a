//! Statements that cannot hold at once: one and its opposite, or several about one fact that leave it no value.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Policy;
use serde_json::{Value, json};

use super::{
    Never,
    facts::{Fact, Kind, NOTHING_BEFORE},
    literal::Literal,
    pattern::Pattern,
};

/// A range of no more numbers than this is looked at one by one.
const SMALL: i64 = 1_000;

/// Something that holds, or does not.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Statement {
    pub(super) what: What,
    pub(super) holds: bool,
}

/// What is said.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum What {
    /// A fact is a value.
    Is(Fact, Literal),
    /// A fact is smaller than a number, which this literal is.
    Below(Fact, i64, Literal),
    /// A fact is larger.
    Above(Fact, i64, Literal),
    /// A fact has a form.
    Like(Fact, Pattern),
    /// Anything else, in Cedar's JSON form.
    Other(Value),
}

/// Why these cannot hold together.
pub(super) fn among(statements: &[&Statement]) -> Option<Never> {
    opposite(statements).or_else(|| no_value(statements))
}

/// A statement and its opposite.
fn opposite(statements: &[&Statement]) -> Option<Never> {
    let mut said: Vec<&Statement> = Vec::new();
    for statement in statements {
        // A range says better what is wrong with it.
        if matches!(statement.what, What::Below(..) | What::Above(..)) {
            continue;
        }
        if let Some(before) =
            said.iter().find(|before| before.what == statement.what && before.holds != statement.holds)
        {
            return Some(Never {
                part: false,
                message: format!("the rule asks that {}, and leaves exactly that out", before.what.in_words()),
                remedy: "take one of the two away".to_owned(),
                at: before.what.shows(),
            });
        }
        said.push(statement);
    }
    None
}

/// Statements about one fact that leave it no value.
fn no_value(statements: &[&Statement]) -> Option<Never> {
    let mut by_fact: BTreeMap<&[String], Vec<&Statement>> = BTreeMap::new();
    for statement in statements {
        if let Some(fact) = statement.what.fact().filter(|fact| !fact.is_set) {
            by_fact.entry(&fact.path).or_default().push(statement);
        }
    }
    by_fact.into_values().find_map(|about| {
        if !Values::left_by(&about)?.is_empty() {
            return None;
        }
        // Two are easier to read than all.
        let pairs =
            about.iter().enumerate().flat_map(|(at, one)| about.iter().skip(at + 1).map(move |other| [*one, *other]));
        let pair = pairs.into_iter().find(|pair| Values::left_by(pair).is_some_and(|left| left.is_empty()));
        let shown = pair.as_ref().map_or(about.as_slice(), <[_; 2]>::as_slice);
        let fact = shown.first()?.what.fact()?;
        let said = shown.iter().map(|statement| statement.said()).collect::<Vec<_>>().join(" and ");
        Some(Never {
            part: false,
            message: format!("`{}` cannot be {said} at once", fact.name()),
            remedy: "join them with `||`, or write two rules".to_owned(),
            at: shown.last()?.what.shows(),
        })
    })
}

/// The values a fact has left.
struct Values {
    /// These, if they can be counted.
    among: Option<BTreeSet<Literal>>,
    low: i64,
    high: i64,
    not: BTreeSet<Literal>,
}

impl Values {
    fn left_by(statements: &[&Statement]) -> Option<Self> {
        let fact = statements.first()?.what.fact()?;
        let (low, high) = match fact.kind {
            Kind::Number { most } => (0, most),
            Kind::Instant => (NOTHING_BEFORE, i64::MAX),
            _ => (i64::MIN, i64::MAX),
        };
        let among = match fact.kind {
            Kind::Words(words) => Some(words.iter().map(|word| Literal::Text((*word).to_owned())).collect()),
            _ => None,
        };
        let mut values = Self { among, low, high, not: BTreeSet::new() };
        for statement in statements {
            values.take(statement);
        }
        values.patterns(statements);
        Some(values)
    }

    fn take(&mut self, statement: &Statement) {
        match (&statement.what, statement.holds) {
            (What::Is(_, literal), true) => {
                let same = |known: &Literal| alike(known, literal);
                let kept = match &self.among {
                    Some(known) => known.iter().filter(|known| same(known)).cloned().collect(),
                    None => BTreeSet::from([literal.clone()]),
                };
                self.among = Some(kept);
            }
            (What::Is(_, literal), false) => drop(self.not.insert(literal.clone())),
            (What::Below(_, most, _), true) => self.high = self.high.min(most.saturating_sub(1)),
            (What::Below(_, most, _), false) => self.low = self.low.max(*most),
            (What::Above(_, least, _), true) => self.low = self.low.max(least.saturating_add(1)),
            (What::Above(_, least, _), false) => self.high = self.high.min(*least),
            (What::Like(..) | What::Other(_), _) => {}
        }
    }

    /// Where the values are counted, those of another form are out.
    fn patterns(&mut self, statements: &[&Statement]) {
        let Some(among) = &mut self.among else { return };
        for statement in statements {
            if let What::Like(_, pattern) = &statement.what {
                among.retain(|literal| literal.text().is_none_or(|text| pattern.fits(text) == statement.holds));
            }
        }
    }

    fn is_empty(&self) -> bool {
        let left = |literal: &Literal| {
            let in_range = literal.number().is_none_or(|number| (self.low..=self.high).contains(&number));
            in_range && !self.not.iter().any(|not| alike(not, literal))
        };
        match &self.among {
            Some(among) => !among.iter().any(left),
            None if self.low > self.high => true,
            None => {
                self.high.saturating_sub(self.low) < SMALL
                    && !(self.low..=self.high).map(Literal::Number).any(|number| left(&number))
            }
        }
    }
}

/// Whether two literals are one value: an instant can be written in several ways.
fn alike(one: &Literal, other: &Literal) -> bool {
    match (one.number(), other.number()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl What {
    fn fact(&self) -> Option<&Fact> {
        match self {
            Self::Is(fact, _) | Self::Below(fact, ..) | Self::Above(fact, ..) | Self::Like(fact, _) => Some(fact),
            Self::Other(_) => None,
        }
    }

    /// As it would be said: `` `resource.effect` is `read` ``.
    fn in_words(&self) -> String {
        match self {
            Self::Other(expression) => match written(expression) {
                Some(text) => format!("`{text}`"),
                None => "something holds".to_owned(),
            },
            Self::Is(fact, literal) => format!("`{}` is `{literal}`", fact.name()),
            Self::Below(fact, _, literal) => format!("`{} < {literal}`", fact.name()),
            Self::Above(fact, _, literal) => format!("`{} > {literal}`", fact.name()),
            Self::Like(fact, pattern) => format!("`{}` is like `{pattern}`", fact.name()),
        }
    }

    /// A text of the rule where it can be found.
    fn shows(&self) -> Option<String> {
        match self {
            Self::Is(fact, literal) | Self::Below(fact, _, literal) | Self::Above(fact, _, literal) => {
                literal.text().map(|text| format!("\"{text}\"")).or_else(|| fact.path.last().cloned())
            }
            Self::Like(_, pattern) => Some(format!("\"{pattern}\"")),
            Self::Other(expression) => written(expression),
        }
    }
}

impl Statement {
    /// What a fact would have to be.
    fn said(&self) -> String {
        match (&self.what, self.holds) {
            (What::Is(_, literal), true) => format!("`{literal}`"),
            (What::Is(_, literal), false) => format!("not `{literal}`"),
            (What::Below(_, _, literal), true) => format!("`< {literal}`"),
            (What::Below(_, _, literal), false) => format!("`>= {literal}`"),
            (What::Above(_, _, literal), true) => format!("`> {literal}`"),
            (What::Above(_, _, literal), false) => format!("`<= {literal}`"),
            (What::Like(_, pattern), true) => format!("like `{pattern}`"),
            (What::Like(_, pattern), false) => format!("not like `{pattern}`"),
            (What::Other(_), _) => self.what.in_words(),
        }
    }
}

/// An expression as a person would write it.
fn written(expression: &Value) -> Option<String> {
    let anybody = json!({ "op": "All" });
    let policy = json!({
        "effect": "forbid", "principal": anybody, "action": anybody, "resource": anybody,
        "conditions": [{ "kind": "when", "body": expression }],
    });
    let text = Policy::from_json(None, policy).ok()?.to_cedar()?;
    let body = text.split_once("when")?.1.trim().trim_end_matches(';').trim();
    let body = body.strip_prefix('{')?.strip_suffix('}')?;
    Some(body.split_whitespace().collect::<Vec<_>>().join(" "))
}
