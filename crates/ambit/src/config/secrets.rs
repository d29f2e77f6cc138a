//! Reads secrets by their references, at the moment something is about to spend them. The one place that reads environment
//! variables for values; what it gives cannot be printed.

use std::{fs, path::Path};

use ambit_live::credentials::Spendables;
use ambit_model::secret::{Secret, SecretRef};

use super::{ConfigErrors, Resolved};

/// The largest secret file that is read.
const MAX_BYTES: u64 = 64 * 1024;

/// The secret behind a reference.
///
/// # Errors
/// A sentence fragment such as `is not set`, never with a value in it.
pub fn read(reference: &SecretRef) -> Result<Secret, String> {
    match reference {
        SecretRef::Env(name) => of_environment(name),
        SecretRef::File(path) => of_file(path),
        SecretRef::Sealed(_) => Err("names the sealed store, which this version does not have".to_owned()),
    }
}

/// Every downstream credential of a deployment, ready to be presented.
///
/// # Errors
/// One problem for each server whose credential cannot be presented.
pub fn spendables(resolved: &Resolved) -> Result<Spendables, ConfigErrors> {
    let servers = &resolved.deployment.servers;
    let file = resolved.file.as_deref().unwrap_or(Path::new("ambit.toml"));
    let problems = servers.values().filter_map(|server| Spendables::resolve([server], read).err());
    let problems: Vec<_> = problems.flat_map(|error| ConfigErrors::of_file(file, error.to_string()).0).collect();
    if problems.is_empty() {
        Spendables::resolve(servers.values(), read).map_err(|error| ConfigErrors::of_file(file, error.to_string()))
    } else {
        Err(ConfigErrors(problems))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where references to the environment are read")]
fn of_environment(name: &str) -> Result<Secret, String> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
        Ok(_) => Err("is empty: set it before starting ambit".to_owned()),
        Err(std::env::VarError::NotPresent) => Err("is not set: set it before starting ambit".to_owned()),
        Err(std::env::VarError::NotUnicode(_)) => Err("is not UTF-8".to_owned()),
    }
}

/// A word of the environment that is no secret; none if it is not set, or empty.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn of_file(path: &Path) -> Result<Secret, String> {
    let length = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if length > MAX_BYTES {
        return Err(format!("has {length} bytes: a secret has at most {MAX_BYTES}"));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let value = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if value.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret::new(value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_content_without_one_line_break() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "hunter2\r\n").unwrap();
        assert_eq!(read(&SecretRef::File(path.clone())).unwrap().expose(), "hunter2");
        fs::write(&path, "\n").unwrap();
        assert!(read(&SecretRef::File(path)).is_err());
    }

    #[test]
    fn a_reference_that_leads_nowhere_says_so() {
        let missing = read(&SecretRef::Env("AMBIT_TEST_IS_NOT_SET".into())).unwrap_err();
        assert!(missing.starts_with("is not set"), "{missing}");
        assert!(read(&SecretRef::File("/nonexistent/x".into())).is_err());
        assert!(read(&SecretRef::Sealed("x".into())).is_err());
    }
}
