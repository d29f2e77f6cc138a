//! The schema a caller is shown: the tool's own `inputSchema`, narrowed to what the grants allow.
//!
//! Every call that the grants and the tool's own schema allow is valid under it, and it is never wider than the tool's own.
//! What grants allow is a set of combinations; where one is left and every part of it can be written into the schema, the
//! schema is exact. Otherwise it shows what each argument may be by itself, and the combinations are told in words. The root
//! stays an object without composition keywords, which some clients drop a tool for; local references are followed,
//! nothing is fetched, and what cannot be followed is left as it is and told in words.

mod base;
mod members;
mod own;
mod property;
mod refs;

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value};

use super::{
    allowed::{Allowed, Contradiction},
    alternatives::{Alternative, Slot, hull},
    node::Node,
    words::{self, Length},
};
use members::Misfit;

/// The longest text that tells combinations, in bytes.
const MAX_NOTE_BYTES: usize = 6_000;
/// How many schemas of the tool one narrowing looks at before it only adds keywords.
const MAX_EFFORT: usize = 10_000;

/// What a caller is shown of a tool.
#[derive(Clone, PartialEq, Debug)]
pub struct Narrowed {
    /// The `inputSchema`.
    pub schema: Value,
    /// Every call that is valid under the schema is allowed by the grants.
    pub exact: bool,
    /// Where it is not exact: the combinations that are allowed, to stand in the tool's description.
    pub note: Option<String>,
}

/// Narrows a tool's schema to what the grants allow.
///
/// # Errors
/// [`Contradiction`] where the grants leave nothing of the tool to call: it must be hidden.
pub fn narrow(tool_schema: &Value, allowed: &Allowed) -> Result<Narrowed, Contradiction> {
    let empty = Map::new();
    let root = tool_schema.as_object().unwrap_or(&empty);
    if !allowed.is_anything() && refs::names_its_parts(root) {
        let why = "its schema names parts by `$anchor` or `$id`, which cannot be narrowed";
        return Err(Contradiction::Tool(why.to_owned()));
    }
    let mut shown = base::shown(root).ok_or_else(|| Contradiction::Tool("its schema admits no object".to_owned()))?;
    let mut narrowing = Narrowing { root, effort: MAX_EFFORT, told: true };
    let left = narrowing.fitting(&shown, allowed.alternatives())?;
    let joined;
    let slots = match &*left {
        [only] => &only.slots,
        several => {
            joined = hull(several)?;
            &joined
        }
    };
    narrowing.told = true;
    let edits = narrowing.plan(&shown, rules(slots)).map_err(|misfit| match &*left {
        [only] => blamed(only, &misfit),
        _ => Contradiction::Tool(misfit.to_string()),
    })?;
    members::apply(edits, &mut shown);
    let schema = refs::settle(shown, root);
    let exact = left.len() == 1 && narrowing.told;
    Ok(Narrowed { schema, exact, note: if exact { None } else { Some(note(&left)?) } })
}

/// One narrowing: where references lead, what it may still spend, and whether everything could be written into the schema.
struct Narrowing<'s> {
    root: &'s Map<String, Value>,
    effort: usize,
    told: bool,
}

impl Narrowing<'_> {
    /// The combinations of which the tool takes some call. A single one is left to be found out.
    fn fitting<'a>(
        &mut self,
        shown: &Map<String, Value>,
        all: &'a [Alternative],
    ) -> Result<Cow<'a, [Alternative]>, Contradiction> {
        if all.len() == 1 {
            return Ok(Cow::Borrowed(all));
        }
        let mut first = None;
        let mut left = Vec::new();
        for one in all {
            match self.plan(shown, rules(&one.slots)) {
                Ok(_) => left.push(one.clone()),
                Err(misfit) => first = first.or_else(|| Some(blamed(one, &misfit))),
            }
        }
        match first {
            Some(reason) if left.is_empty() => Err(reason),
            _ => Ok(Cow::Owned(left)),
        }
    }

    /// Takes from the effort that is left.
    fn spend(&mut self, effort: usize) -> bool {
        match self.effort.checked_sub(effort) {
            Some(left) => {
                self.effort = left;
                true
            }
            None => false,
        }
    }
}

/// The slots as the rules of an object's members.
fn rules(slots: &BTreeMap<Box<str>, Slot>) -> impl Iterator<Item = (&str, bool, &[Node])> {
    slots.iter().map(|(name, slot)| (&**name, slot.may_be_absent, slot.values.as_slice()))
}

/// The grants that do not fit the tool, and over which argument.
fn blamed(one: &Alternative, misfit: &Misfit) -> Contradiction {
    let says = one.slots.get(&*misfit.argument).map(|slot| {
        let clause = words::clause(&misfit.argument, slot, Length::Short);
        format!("by {} {clause}, but ", words::origins(&one.origins))
    });
    Contradiction::Tool(format!("{}{misfit}", says.unwrap_or_default()))
}

/// The combinations, completely.
fn note(left: &[Alternative]) -> Result<String, Contradiction> {
    let text = match left {
        [only] => format!("Allowed arguments: {}. Any other call is refused.", words::combination(only, Length::Full)),
        several => {
            let numbered: Vec<_> = several
                .iter()
                .enumerate()
                .map(|(index, one)| format!("({}) {}", index + 1, words::combination(one, Length::Full)))
                .collect();
            format!("Allowed combinations of arguments: {}. Any other is refused.", numbered.join("; "))
        }
    };
    if text.len() > MAX_NOTE_BYTES {
        return Err(Contradiction::TooMany {
            what: "bytes of text that tells the combinations",
            limit: MAX_NOTE_BYTES,
        });
    }
    Ok(text)
}
