//! What no source file may hold, by room: read line by line, tests apart.

use super::{Finding, rooms::PURE};

/// Past this many lines a file is reported (not refused).
pub const LONG_FILE_LINES: usize = 500;

/// A text that only some rooms may hold.
struct Rule {
    /// Any of these on a line of code breaks it.
    texts: &'static [&'static str],
    /// Whether it holds in a room.
    holds_in: fn(room: &str) -> bool,
    /// What to do.
    remedy: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        texts: &["\"select ", "\"insert into ", "\"delete from ", "\"create table ", "\"alter table ", "sqlx::"],
        holds_in: |room| room != "store" && room != "xtask",
        remedy: "SQL stands in `store` only: add a function there",
    },
    Rule {
        texts: &["TcpStream::connect", "UdpSocket::", "client::conn::", "client::legacy", "reqwest::"],
        holds_in: |room| !matches!(room, "egress" | "testkit" | "xtask"),
        remedy: "outgoing sockets belong to `egress`: send through its client",
    },
    Rule {
        texts: &[
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "std::process",
            "SystemTime",
            "Instant::now",
            "tokio::",
            "rand::",
        ],
        holds_in: |room| PURE.contains(&room),
        remedy: "this room is pure: no IO, clock, environment or randomness; take the value as an argument",
    },
    Rule {
        texts: &["#[instrument", "tracing::instrument"],
        holds_in: |room| matches!(room, "gateway" | "identity" | "live" | "policy" | "mcp"),
        remedy: "no spans in the corridor: they come from the closed trail",
    },
    Rule {
        texts: &["static mut ", "lazy_static!", "thread_local!"],
        holds_in: |room| room != "xtask",
        remedy: "no process-wide mutable state: put it where its owner is",
    },
    Rule {
        texts: &["#[ignore", "#[should_panic"],
        holds_in: |room| room != "xtask",
        remedy: "no test is skipped, and none passes by panicking: make it run and assert",
    },
];

/// Rules that hold in tests too.
fn holds_in_tests(rule: &Rule) -> bool {
    rule.texts.contains(&"#[ignore")
}

/// Checks one file.
pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let room = room_of(path);
    let mut findings = Vec::new();
    // `x/tests.rs` is the test module of `x.rs`, written apart.
    if !text.starts_with("//!") && !path.ends_with("/tests.rs") {
        findings.push(Finding {
            place: path.to_owned(),
            rule: "open it with `//!`: what it is, what it must never do".into(),
        });
    }
    let mut tests = is_test_file(path);
    for (number, line) in text.lines().enumerate() {
        // Tests stand last in a file.
        tests |= line.trim() == "#[cfg(test)]"
            && text.lines().nth(number + 1).is_some_and(|next| next.trim().ends_with('{'));
        let code = line.trim_start();
        if code.starts_with("//") || (code.starts_with("use ") && tests) {
            continue;
        }
        for rule in RULES.iter().filter(|rule| (rule.holds_in)(room) && (!tests || holds_in_tests(rule))) {
            let lower = code.to_ascii_lowercase();
            if rule.texts.iter().any(|text| code.contains(text) || (text.starts_with('"') && lower.contains(text))) {
                findings.push(Finding { place: format!("{path}:{}", number + 1), rule: rule.remedy.to_owned() });
            }
        }
    }
    findings
}

/// `crates/NAME/…` → `NAME`.
fn room_of(path: &str) -> &str {
    let mut parts = path.split('/');
    match (parts.next(), parts.next()) {
        (Some("crates"), Some(room)) => room,
        (Some(first), _) => first,
        (None, _) => "",
    }
}

/// Whether the whole file is compiled for tests or development only.
fn is_test_file(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let folders = ["tests", "testing", "conformance", "examples", "benches"];
    let files = ["tests.rs", "testing.rs", "conformance.rs", "build.rs"];
    parts.iter().any(|part| folders.contains(part)) || parts.last().is_some_and(|last| files.contains(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, code: &str) -> usize {
        check(path, &format!("//! A file.\n{code}\n")).len()
    }

    #[test]
    fn each_rule_holds_in_its_rooms_and_not_elsewhere() {
        let sql = "let q = \"SELECT id from grants\";";
        assert_eq!(findings("crates/live/src/x.rs", sql), 1);
        assert_eq!(findings("crates/store/src/x.rs", sql), 0);
        let connect = "let s = TcpStream::connect(a);";
        assert_eq!(findings("crates/identity/src/x.rs", connect), 1);
        assert_eq!(findings("crates/egress/src/x.rs", connect), 0);
        let clock = "let now = std::time::SystemTime::now();";
        assert_eq!(findings("crates/policy/src/a/x.rs", clock), 1);
        assert_eq!(findings("crates/policy/tests/judge/x.rs", clock), 0);
        assert_eq!(findings("crates/trail/src/x.rs", clock), 0);
    }

    #[test]
    fn comments_and_tests_may_say_what_code_may_not() {
        assert_eq!(findings("crates/model/src/x.rs", "// std::fs is not for us"), 0);
        assert_eq!(findings("crates/model/src/x.rs", "#[cfg(test)]\nmod tests {\n    std::fs::read(p);\n}"), 0);
        assert_eq!(findings("crates/model/src/x.rs", "#[cfg(test)]\nmod tests;\nfn f() { std::fs::read(p); }"), 1);
    }

    #[test]
    fn no_test_is_skipped_and_no_file_is_without_a_header() {
        assert_eq!(findings("crates/model/src/x/tests.rs", "#[ignore = \"slow\"]"), 1);
        assert_eq!(check("crates/model/src/x.rs", "fn f() {}\n").len(), 1);
        assert_eq!(check("crates/model/src/x/tests.rs", "use super::*;\n").len(), 0);
    }
}
