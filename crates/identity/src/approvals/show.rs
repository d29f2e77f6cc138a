//! What people are shown of a request before they decide: the complete arguments as they will be sent, and how they differ
//! from the last call of the same tool that was let out.
//!
//! Only for those who may decide it. Whatever the agent or its client said stands here as it came and is theirs.

use ambit_live::Live;
use ambit_model::approval::{Approval, Vote};
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
    /// How they differ from the last similar call; `None` if there is none to compare with.
    pub differences: Option<Vec<Difference>>,
    /// Who said what so far.
    pub votes: Vec<Vote>,
}

/// One place where two calls differ.
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

/// Where two values differ, in the order of their pointers.
pub fn differences(before: &Value, now: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(Some(before), Some(now), &mut String::new(), &mut found);
    found
}

/// As deep as the parser let arguments be.
fn compare(before: Option<&Value>, now: Option<&Value>, pointer: &mut String, found: &mut Vec<Difference>) {
    if before == now || found.len() >= MOST {
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
        (before, now) => {
            let text = |value: Option<&Value>| value.map(ToString::to_string);
            found.push(Difference { pointer: pointer.clone(), before: text(before), now: text(now) });
        }
    }
}
