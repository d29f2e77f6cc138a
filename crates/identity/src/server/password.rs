//! Passwords: argon2id, verified away from the async threads, few at a time. An unknown account costs what a known one
//! does. Nothing here logs or returns a password or a hash it was not asked for.

use std::{sync::Arc, time::Duration};

use ambit_model::secret::Secret;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::failure::Down;

/// Shortest password, in characters. Long ones need no rules about their characters (NIST SP 800-63B).
pub const MIN_CHARS: usize = 12;

/// Longest password, in bytes: what hashing is bounded by.
pub const MAX_BYTES: usize = 1024;

/// Hashes computed at once; each takes 19 MiB and one core.
const AT_ONCE: usize = 2;

/// How long a login waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// Verified when there is no account: same parameters, no known password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWlzLWhlcmU$5H2l7mZ1TnlQv3g0m0rQm1v8sJxY0b9cKf4dLw6aE7o";

/// Why a password is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Too short.
    #[error("use at least {MIN_CHARS} characters")]
    Short,
    /// Too long.
    #[error("use at most {MAX_BYTES} bytes")]
    Long,
    /// Guessed first.
    #[error("it must not be the account's name, nor one character again and again")]
    Obvious,
}

/// Why a password could not be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is not accepted.
    #[error("the password is too weak: {0}")]
    Weak(#[from] Weak),
    /// The hash function failed.
    #[error("the password could not be hashed")]
    Hash,
}

/// Hashes the password of an account, if it is accepted. Takes tens of milliseconds.
///
/// # Errors
/// [`PasswordError`]; it never holds the password.
pub fn hash(account: &str, password: &str) -> Result<String, PasswordError> {
    accept(account, password)?;
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|_| PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// Whether a password is accepted for an account.
///
/// # Errors
/// The rule it breaks.
pub fn accept(account: &str, password: &str) -> Result<(), Weak> {
    if password.len() > MAX_BYTES {
        return Err(Weak::Long);
    }
    if password.chars().count() < MIN_CHARS {
        return Err(Weak::Short);
    }
    let mut chars = password.chars();
    let first = chars.next();
    let same = chars.all(|other| Some(other) == first);
    let named = password.to_lowercase().trim_matches(|c: char| !c.is_alphanumeric()) == account.to_lowercase();
    if same || named { Err(Weak::Obvious) } else { Ok(()) }
}

/// Hashes and verifies, a bounded number at a time.
pub(crate) struct Hashing {
    turns: Arc<Semaphore>,
}

impl Hashing {
    pub(crate) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Whether a password is that of a stored hash. Without a hash it takes as long and is never true.
    pub(crate) async fn verify(&self, password: Secret, stored: Option<String>) -> Result<bool, Down> {
        self.run(move || {
            if password.expose().len() > MAX_BYTES {
                return false;
            }
            let known = stored.is_some();
            let against = stored.as_deref().unwrap_or(NOBODY);
            let same = Argon2::default().verify_password(password.expose().as_bytes(), against).is_ok();
            same && known
        })
        .await
    }

    pub(crate) async fn hash(&self, account: String, password: Secret) -> Result<Result<String, PasswordError>, Down> {
        self.run(move || hash(&account, password.expose())).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Down> {
        let turn = timeout(WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Down::Busy)?;
        // The turn goes along: a caller that leaves does not make room for another while the work still runs.
        let done = spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| Down::Defect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_long_and_obvious_passwords_are_refused() {
        assert_eq!(accept("alice", "elevenchars"), Err(Weak::Short));
        assert_eq!(accept("alice", "aaaaaaaaaaaaaaaa"), Err(Weak::Obvious));
        assert_eq!(accept("alice-example", "Alice-Example"), Err(Weak::Obvious));
        assert_eq!(accept("alice", &"ab".repeat(600)), Err(Weak::Long));
        assert_eq!(accept("alice", "correct horse battery"), Ok(()));
    }

    #[tokio::test]
    async fn only_the_password_of_the_hash_verifies() {
        let hashing = Hashing::new();
        let stored = hash("alice", "correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let secret = |text: &str| Secret::new(text.to_owned());
        assert!(hashing.verify(secret("correct horse battery"), Some(stored.clone())).await.unwrap());
        assert!(!hashing.verify(secret("correct horse batterx"), Some(stored)).await.unwrap());
        assert!(!hashing.verify(secret("correct horse battery"), None).await.unwrap());
        assert!(!hashing.verify(secret("x"), Some("not a hash".into())).await.unwrap());
    }

    #[test]
    fn what_stands_in_for_nobody_is_a_hash_of_the_same_cost() {
        let error = Argon2::default().verify_password(b"x", NOBODY).unwrap_err();
        assert_eq!(error, argon2::password_hash::Error::PasswordInvalid);
    }
}
