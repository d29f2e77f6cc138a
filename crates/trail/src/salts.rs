//! Random salts, drawn from the system's generator a page at a time.

use std::io;

use ambit_ledger::{Salt, hash::SALT_BYTES};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};

const PAGE: usize = 256 * SALT_BYTES;

/// A page of salts, each used once.
pub(crate) struct Salts {
    random: SystemRandom,
    page: [u8; PAGE],
    used: usize,
}

impl Salts {
    pub(crate) fn new() -> Self {
        Self { random: SystemRandom::new(), page: [0; PAGE], used: PAGE }
    }

    /// A salt nobody else gets.
    pub(crate) fn draw(&mut self) -> io::Result<Salt> {
        if self.used == PAGE {
            self.random.fill(&mut self.page).map_err(|_| io::Error::other("the system gave no random bytes"))?;
            self.used = 0;
        }
        let salt = self.page.get(self.used..).and_then(|rest| rest.first_chunk::<SALT_BYTES>()).copied();
        self.used += SALT_BYTES;
        salt.ok_or_else(|| io::Error::other("the page of salts is cut short"))
    }
}
