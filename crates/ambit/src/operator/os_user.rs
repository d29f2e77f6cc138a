//! The operating system's name of an operator. It stands in the trail; it decides nothing.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
};

use ambit_model::operator::Actor;

/// The most lines of the user database that are read.
const MAX_LINES: usize = 100_000;

/// The user this process runs as.
pub fn own_uid() -> Option<u32> {
    fs::metadata("/proc/self").ok().map(|own| own.uid())
}

/// The user this process runs as, as an operator.
pub fn own_operator() -> Actor {
    Actor::OsUser(own_uid().map_or_else(|| "unknown".to_owned(), name))
}

/// What the system calls a user; the number where it has no name for it.
pub fn name(uid: u32) -> String {
    name_of(uid).unwrap_or_else(|| format!("uid-{uid}"))
}

fn name_of(uid: u32) -> Option<String> {
    let file = fs::File::open("/etc/passwd").ok()?;
    let mut lines = BufReader::new(file).lines().take(MAX_LINES).map_while(Result::ok);
    lines.find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let found = fields.nth(1)?.parse::<u32>().ok()? == uid;
        let sane = !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic());
        (found && sane).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_has_a_name_or_a_number() {
        let operator = |uid| Actor::OsUser(name(uid)).to_string();
        assert_eq!(operator(0), "operator:root");
        assert_eq!(operator(4_294_967_001), "operator:uid-4294967001");
        assert!(own_operator().to_string().starts_with("operator:"));
    }
}
