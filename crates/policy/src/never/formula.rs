//! The conditions of a rule as a formula of statements that hold or do not, negations pushed down to them. It says whether
//! some combination of them can hold at once, as far as that is seen.

use serde_json::{Value, json};

use super::{
    Never,
    conflict::{self, Statement, What},
    facts,
    literal::Literal,
    pattern::Pattern,
};

/// Combinations that are looked at; a rule with more is left alone.
const MOST: usize = 512;

/// The deepest nesting that is followed.
const DEEPEST: usize = 64;

#[derive(Clone, Debug)]
enum Formula {
    All(Vec<Formula>),
    Any(Vec<Formula>),
    One(Statement),
}

/// A rule whose conditions exclude each other, or a part of one that excludes itself.
pub(super) fn contradiction(conditions: &Value) -> Option<Never> {
    let bodies = |kind: &'static str| {
        let all = conditions.as_array().into_iter().flatten();
        all.filter(move |condition| condition.get("kind").and_then(Value::as_str) == Some(kind))
            .filter_map(|condition| condition.get("body"))
    };
    let whens = bodies("when").map(|body| read(body, true, 0));
    let unlesses = bodies("unless").map(|body| read(body, false, 0));
    let whole = Formula::All(whens.chain(unlesses).collect());
    let exceptions: Vec<_> = bodies("unless").map(|body| read(body, true, 0)).collect();
    let excluded = whole.combinations().and_then(|combinations| {
        let mut conflicts = combinations.iter().map(|statements| conflict::among(statements));
        // With no combination at all the rule says `false`, which is somebody's way to switch it off.
        let first = conflicts.next()??;
        conflicts.all(|conflict| conflict.is_some()).then_some(first)
    });
    excluded.or_else(|| {
        let dead = whole.dead().or_else(|| exceptions.iter().find_map(Formula::dead));
        dead.map(|never| Never { part: true, ..never })
    })
}

impl Formula {
    /// Every combination of statements that makes it hold; `None` if they are too many.
    fn combinations(&self) -> Option<Vec<Vec<&Statement>>> {
        match self {
            Self::One(statement) => Some(vec![vec![statement]]),
            Self::Any(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(part.combinations()?);
                }
                (all.len() <= MOST).then_some(all)
            }
            Self::All(parts) => {
                let mut all = vec![Vec::new()];
                for part in parts {
                    let more = part.combinations()?;
                    if all.len().saturating_mul(more.len()) > MOST {
                        return None;
                    }
                    let joined =
                        |one: &Vec<_>| more.iter().map(|other| [one.as_slice(), other].concat()).collect::<Vec<_>>();
                    all = all.iter().flat_map(joined).collect();
                }
                Some(all)
            }
        }
    }

    /// A conjunction somewhere in it that excludes itself by what stands in it directly.
    fn dead(&self) -> Option<Never> {
        match self {
            Self::One(_) => None,
            Self::Any(parts) => parts.iter().find_map(Self::dead),
            Self::All(parts) => {
                let mut own = Vec::new();
                self.joined(&mut own);
                conflict::among(&own).or_else(|| parts.iter().find_map(Self::dead))
            }
        }
    }

    /// The statements joined by nothing but `&&`.
    fn joined<'a>(&'a self, own: &mut Vec<&'a Statement>) {
        match self {
            Self::One(statement) => own.push(statement),
            Self::All(parts) => parts.iter().for_each(|part| part.joined(own)),
            Self::Any(_) => {}
        }
    }
}

/// Reads an expression that has to hold, or not to.
fn read(expression: &Value, holds: bool, depth: usize) -> Formula {
    let both = |parts: Vec<Formula>, joined: bool| if joined { Formula::All(parts) } else { Formula::Any(parts) };
    let one = |what: What| Formula::One(Statement { what, holds });
    let inner = |part: &Value, holds: bool| read(part, holds, depth + 1);
    if depth > DEEPEST {
        return one(What::Other(expression.clone()));
    }
    if let Some(truth) = expression.get("Value").and_then(Value::as_bool) {
        return both(Vec::new(), truth == holds);
    }
    if let Some(arg) = expression.get("!").and_then(|not| not.get("arg")) {
        return inner(arg, !holds);
    }
    if let Some(branch) = expression.get("if-then-else")
        && let (Some(asked), Some(then), Some(other)) = (branch.get("if"), branch.get("then"), branch.get("else"))
    {
        let yes = Formula::All(vec![inner(asked, true), inner(then, holds)]);
        let no = Formula::All(vec![inner(asked, false), inner(other, holds)]);
        return Formula::Any(vec![yes, no]);
    }
    let Some((operator, left, right)) = sides(expression) else { return one(What::Other(expression.clone())) };
    match operator {
        "&&" => both(vec![inner(left, holds), inner(right, holds)], holds),
        "||" => both(vec![inner(left, holds), inner(right, holds)], !holds),
        "==" => equal(left, right, holds, depth),
        "!=" => equal(left, right, !holds, depth),
        "<" => below(left, right, holds),
        ">" => below(right, left, holds),
        "<=" => below(right, left, !holds),
        ">=" => below(left, right, !holds),
        "in" | "contains" | "containsAny" | "containsAll" => {
            among(operator, (left, right), holds, depth).unwrap_or_else(|| one(What::Other(expression.clone())))
        }
        _ => like(left, right, holds).unwrap_or_else(|| one(What::Other(expression.clone()))),
    }
}

fn sides(expression: &Value) -> Option<(&str, &Value, &Value)> {
    let (operator, sides) = expression.as_object()?.iter().next()?;
    Some((operator, sides.get("left")?, sides.get("right").or_else(|| sides.get("pattern"))?))
}

/// Whether two sides are equal.
fn equal(left: &Value, right: &Value, holds: bool, depth: usize) -> Formula {
    for (fact, value) in [(left, right), (right, left)] {
        match (facts::of(fact), Literal::of(value)) {
            (_, Some(Literal::Truth(truth))) => return read(fact, holds == truth, depth + 1),
            (Some(fact), Some(literal)) => return Formula::One(Statement { what: What::Is(fact, literal), holds }),
            (Some(_) | None, Some(_) | None) => {}
        }
    }
    let mut both = [left, right];
    both.sort_by_cached_key(ToString::to_string);
    let [one, other] = both;
    Formula::One(Statement { what: What::Other(json!({ "==": { "left": one, "right": other } })), holds })
}

/// Whether the left side is smaller than the right one.
fn below(left: &Value, right: &Value, holds: bool) -> Formula {
    let number = |value: &Value| Literal::of(value).and_then(|literal| Some((literal.number()?, literal)));
    if let (Some(fact), Some((most, literal))) = (facts::of(left), number(right)) {
        return Formula::One(Statement { what: What::Below(fact, most, literal), holds });
    }
    if let (Some((least, literal)), Some(fact)) = (number(left), facts::of(right)) {
        return Formula::One(Statement { what: What::Above(fact, least, literal), holds });
    }
    Formula::One(Statement { what: What::Other(json!({ "<": { "left": left, "right": right } })), holds })
}

/// What is asked of the members of a set, one by one.
fn among(operator: &str, (left, right): (&Value, &Value), holds: bool, depth: usize) -> Option<Formula> {
    let members = |set: &Value| set.get("Set").and_then(Value::as_array).cloned();
    let join = |parts: Vec<Formula>, joined: bool| if joined { Formula::All(parts) } else { Formula::Any(parts) };
    let held = |member: &Value| {
        let what = What::Other(json!({ "contains": { "left": left, "right": member } }));
        Formula::One(Statement { what, holds })
    };
    match operator {
        "contains" => {
            Some(join(members(left)?.iter().map(|member| equal(member, right, holds, depth)).collect(), !holds))
        }
        // There are no hierarchies: an entity is in itself alone.
        "in" => match members(right) {
            Some(members) => {
                Some(join(members.iter().map(|member| equal(left, member, holds, depth)).collect(), !holds))
            }
            None => Some(equal(left, right, holds, depth)),
        },
        "containsAny" => Some(join(members(right)?.iter().map(held).collect(), !holds)),
        "containsAll" => Some(join(members(right)?.iter().map(held).collect(), holds)),
        _ => None,
    }
}

fn like(left: &Value, pattern: &Value, holds: bool) -> Option<Formula> {
    let what = What::Like(facts::of(left)?, Pattern::of(pattern)?);
    Some(Formula::One(Statement { what, holds }))
}
