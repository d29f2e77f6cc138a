//! What people are shown of a request before they decide: the complete arguments as they will be sent, and how they differ
//! from the last call of the same tool that was let out.
//!
//! Only for those who may decide it. Whatever the agent or its client said stands here as it came and is theirs; its texts
//! are spelt out, so that nobody says yes to what they could not see.

use ambit_live::Live;
use ambit_model::{
    approval::{Approval, Vote},
    shown,
};
use ambit_store::approvals;
use serde_json::Value;

use super::{Unable, unseal};

/// Most differences that are listed.
const MOST: usize = 100;

/// A request with what was kept of it.
#[derive(Debug)]
pub struct Shown {
    /// The request.
    pub approval: Approval,
    /// The arguments as they will be sent; `None` once they were erased.
    pub arguments: Option<Value>,
    /// How they differ from the last similar call; `None` if there is none whose arguments are still kept.
    pub differences: Option<Differences>,
    /// Who said what so far.
    pub votes: Vec<Vote>,
}

impl Shown {
    /// The complete arguments as a person reads them: the JSON that will be sent, but for white space and escapes.
    pub fn arguments_text(&self) -> Option<String> {
        self.arguments.as_ref().map(shown::json_lines)
    }
}

/// Where two calls differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The first places, in the order of their pointers.
    pub listed: Vec<Difference>,
    /// How many more there are.
    pub more: usize,
}

impl Differences {
    /// Whether the calls are the same.
    pub fn are_none(&self) -> bool {
        self.listed.is_empty()
    }
}

/// One place where two calls differ, with its texts spelt out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The JSON pointer inside the arguments.
    pub pointer: String,
    /// What the last similar call had there.
    pub before: Option<String>,
    /// What this one has.
    pub now: Option<String>,
}

/// Opens what was kept of a request.
///
/// # Errors
/// [`Unable`].
pub async fn show(live: &Live, approval: Approval) -> Result<Shown, Unable> {
    let store = live.store();
    let sealed = approvals::arguments(store, &approval.id).await?;
    let arguments = sealed.and_then(|sealed| open(live, &approval, &sealed));
    let similar = match approvals::last_similar(store, &approval.tool, &approval.id).await? {
        Some((id, sealed)) => {
            let other = approvals::find(store, &id).await?;
            other.and_then(|other| open(live, &other, &sealed))
        }
        None => None,
    };
    let differences = arguments.as_ref().zip(similar).map(|(now, before)| differences(&before, now));
    let votes = approvals::votes(store, &approval.id).await?;
    Ok(Shown { approval, arguments, differences, votes })
}

fn open(live: &Live, approval: &Approval, sealed: &[u8]) -> Option<Value> {
    let bytes = unseal(live.keys(), &approval.id, &approval.digest, sealed)?;
    serde_json::from_slice(&bytes).ok()
}

/// Where two values differ.
pub fn differences(before: &Value, now: &Value) -> Differences {
    let mut found = Differences::default();
    compare(Some(before), Some(now), &mut String::new(), &mut found);
    found
}

/// As deep as the parser let arguments be.
fn compare(before: Option<&Value>, now: Option<&Value>, pointer: &mut String, found: &mut Differences) {
    if before == now {
        return;
    }
    let length = pointer.len();
    match (before, now) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let mut keys: Vec<_> = one.keys().chain(other.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                compare(one.get(key), other.get(key), pointer, found);
                pointer.truncate(length);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for index in 0..one.len().max(other.len()) {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                compare(one.get(index), other.get(index), pointer, found);
                pointer.truncate(length);
            }
        }
        _ if found.listed.len() >= MOST => found.more = found.more.saturating_add(1),
        (before, now) => {
            let text = |value: Option<&Value>| value.map(shown::json_line);
            found.listed.push(Difference { pointer: shown::escaped(pointer), before: text(before), now: text(now) });
        }
    }
}
