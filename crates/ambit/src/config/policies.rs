//! `[policies]`: where the organisation's rules lie, and the files there. They are text until the policy room has read them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ambit_policy::{MAX_BYTES, Policies, PolicyFile, UnknownTimezone};
use schemars::JsonSchema;
use serde::Deserialize;

/// Where rules are looked for if nothing else is said.
pub const DEFAULT_DIR: &str = "policies";

/// The ending of a file of rules.
const ENDING: &str = "cedar";

/// The organisation's rules.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Policies")]
pub struct Table {
    /// The directory of the rules, `*.cedar`, relative to this file. `policies` if absent, and then it need not be there.
    #[schemars(extend("format" = "ambit-text"))]
    pub dir: Option<String>,
    /// The IANA name of the time zone in which rules read hours, days and dates, such as `Europe/Berlin`. UTC if absent.
    #[schemars(extend("format" = "ambit-timezone"))]
    pub timezone: Option<String>,
}

/// Where the rules of a configuration lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// What its files are called by.
    pub shown: String,
    /// Whether the configuration names it.
    pub is_named: bool,
    /// The zone, if one is named.
    pub timezone: Option<String>,
}

impl Place {
    /// Where a configuration in this directory says they lie.
    pub fn of(table: &Table, base: &Path) -> Self {
        let shown = table.dir.clone().unwrap_or_else(|| DEFAULT_DIR.to_owned());
        let (is_named, timezone) = (table.dir.is_some(), table.timezone.clone());
        Self { directory: base.join(&shown), shown, is_named, timezone }
    }
}

/// Why rules cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A file or directory.
    #[error("`{}` cannot be read ({source}): correct `policies.dir`, or make it readable", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// More than a rule set may have.
    #[error("`{}` has more than {MAX_BYTES} bytes: split or shorten it", .0.display())]
    TooLarge(PathBuf),
    /// The zone.
    #[error(transparent)]
    Timezone(#[from] UnknownTimezone),
}

/// Reads the rules a configuration names. Those it does not name need not be there.
///
/// # Errors
/// [`Unreadable`].
pub fn read(place: &Place) -> Result<Policies, Unreadable> {
    if !place.is_named && matches!(fs::exists(&place.directory), Ok(false)) {
        return Ok(Policies::new(Vec::new(), place.timezone.as_deref())?);
    }
    read_dir(&place.directory, &place.shown, place.timezone.as_deref())
}

/// Reads the rules of a directory, whose files are called by this name of it.
///
/// # Errors
/// [`Unreadable`].
pub fn read_dir(directory: &Path, shown: &str, timezone: Option<&str>) -> Result<Policies, Unreadable> {
    let of = |path: &Path, source| Unreadable::File { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| of(directory, error))? {
        let path = entry.map_err(|error| of(directory, error))?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) || !path.is_file() {
            continue;
        }
        let size = fs::metadata(&path).map_err(|error| of(&path, error))?.len();
        if size > MAX_BYTES as u64 {
            return Err(Unreadable::TooLarge(path));
        }
        let text = fs::read_to_string(&path).map_err(|error| of(&path, error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push(PolicyFile { name: format!("{}/{name}", shown.trim_end_matches('/')), text });
    }
    Ok(Policies::new(files, timezone)?)
}
