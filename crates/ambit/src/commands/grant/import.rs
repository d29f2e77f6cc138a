//! Reads the file of `ambit grant --import`: one JSON object a line, with the members of a grant as `ambit grants --json` prints
//! them. Whatever cannot be read is named by its line, and then nothing is asked for.

use std::{fs, path::Path};

use ambit_model::{
    constraints::Constraints,
    grant::GrantSubject,
    ids::{Millis, ToolsetSlug},
};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    commands::Failure,
    operator::{
        Act,
        act::{ImportedGrant, MAX_IMPORTED},
        import::nothing,
    },
};

/// The largest file that is read, in bytes: what one act may carry.
const MAX_FILE: u64 = 192 * 1024;

/// A line. What another deployment said of a record, and not of the grant, is read and left there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    holder: String,
    toolset: ToolsetSlug,
    reason: String,
    ticket: Option<String>,
    approved_by: Option<String>,
    starts: Option<String>,
    expires: Option<String>,
    #[serde(default)]
    constraints: Constraints,
    kind: Option<String>,
    state: Option<String>,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "origin")]
    _origin: Option<IgnoredAny>,
    #[serde(rename = "created_by")]
    _created_by: Option<IgnoredAny>,
    #[serde(rename = "ended_by")]
    _ended_by: Option<IgnoredAny>,
}

/// The act that a file asks for.
pub(super) fn act(file: &Path) -> Result<Act, Failure> {
    let unreadable =
        |why: &dyn std::fmt::Display| Failure::Usage(format!("`{}` cannot be used: {why}", file.display()));
    let length = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    if length > MAX_FILE {
        return Err(unreadable(&format!("it has {length} bytes, and at most {MAX_FILE} are read: split it")));
    }
    let text = fs::read_to_string(file).map_err(|error| unreadable(&error))?;
    let (mut grants, mut problems) = (Vec::new(), Vec::new());
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        match grant(line, text) {
            Ok(grant) => grants.push(grant),
            Err(why) => problems.push(format!("line {line}: {why}")),
        }
    }
    if !problems.is_empty() {
        return Err(Failure::Usage(nothing(&problems)));
    }
    if grants.is_empty() || grants.len() > MAX_IMPORTED {
        return Err(unreadable(&format!(
            "it has {} grants: import between 1 and {MAX_IMPORTED} at once",
            grants.len()
        )));
    }
    Ok(Act::Import { grants })
}

fn grant(line: u64, text: &str) -> Result<ImportedGrant, String> {
    let no_record = |error| {
        format!("it is no grant ({error}): write one JSON object a line, such as `ambit grants --json | jq -c '.[]'`")
    };
    let record: Record = serde_json::from_str(text).map_err(no_record)?;
    if let Some(kind) = record.kind.as_deref().filter(|kind| *kind != "grant") {
        return Err(format!("it is a {kind}: only grants are imported"));
    }
    if let Some(state) = record.state.as_deref().filter(|state| ["ended", "expired"].contains(state)) {
        return Err(format!("it is {state}: leave it out"));
    }
    let holder = record.holder.split_once(' ').and_then(|(kind, name)| GrantSubject::parse(kind, name));
    let subject = match holder {
        Some(Ok(subject)) => subject,
        Some(Err(error)) => return Err(format!("`{}` is no holder: {error}", record.holder)),
        None => {
            return Err(format!(
                "`{}` is no holder: write `user NAME`, `group NAME`, `agent NAME`, `client ID` or `claim ISSUER:CLAIM=VALUE`",
                record.holder
            ));
        }
    };
    let instant = |text: Option<&str>| text.map(super::instant).transpose();
    let starts_at: Option<Millis> = instant(record.starts.as_deref())?;
    let expires_at = instant(record.expires.as_deref())?;
    let Record { toolset, reason, ticket, approved_by, constraints, .. } = record;
    Ok(ImportedGrant { line, subject, toolset, reason, ticket, approved_by, starts_at, expires_at, constraints })
}
