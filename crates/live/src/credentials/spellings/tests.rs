//! Every spelling, every alignment, every cut; and what is none stays as it is.

use super::*;

const SECRET: &str = "sk/live+9f8E7d~6c";

fn of(secrets: &[&str]) -> Spellings {
    Spellings::new(&secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect::<Vec<_>>()).unwrap()
}

fn redact(spellings: &Spellings, text: &str) -> String {
    let clean = spellings.redacted(text.as_bytes()).unwrap_or_else(|| text.as_bytes().to_vec());
    String::from_utf8(clean).unwrap()
}

#[test]
fn escapes_nobody_needs_hide_no_secret() {
    let spellings = of(&["ab/c+d\"e\\f"]);
    for spelling in [
        r#"ab/c+d\"e\\f"#,
        r#"ab\/c+d\"e\\f"#,
        r#"ab/c\u002bd\"e\\f"#,
        r"ab\u002Fc\u002Bd\u0022e\u005cf",
        r#"ab\\/c+d\\\"e\\\\f"#,
        r#"ab/c\\u002bd\\\"e\\\\f"#,
        r#"\u0061b/c+d\"e\\f"#,
        "ab%2Fc%2Bd%22e%5Cf",
        "ab%2fc%2bd%22e%5cf",
        "%61b/c+d%22e%5cf",
    ] {
        let clean = redact(&spellings, &format!(r#"{{"a":"x{spelling}y","b":"\/"}}"#));
        assert_eq!(clean, r#"{"a":"x[redacted]y","b":"\/"}"#, "{spelling}");
    }
    for other in [r"ab\/c+e", r"\u", r"ab\/", "ü\\/ab", r"\u00", r"ab\/c\u00ü", "ab%2", "%", "100%25 ab%2Fc"] {
        assert!(!spellings.are_in(other.as_bytes()), "{other}");
    }
}

#[test]
fn every_single_letter_may_be_escaped() {
    let spellings = of(&[SECRET]);
    for at in 0..SECRET.len() {
        let (before, rest) = SECRET.split_at(at);
        let (letter, after) = rest.split_at(1);
        let code = letter.as_bytes()[0];
        for letter in
            [format!("\\u{code:04x}"), format!("\\\\u{code:04X}"), format!("%{code:02x}"), format!("%{code:02X}")]
        {
            let text = format!("[\"{before}{letter}{after}\"]");
            assert_eq!(redact(&spellings, &text), "[\"[redacted]\"]", "{text}");
        }
    }
    let all: String = SECRET.bytes().flat_map(|byte| format!("\\u{byte:04x}").into_bytes()).map(char::from).collect();
    assert_eq!(redact(&spellings, &all), "[redacted]");
}

#[test]
fn base64_is_found_at_each_alignment_and_in_both_alphabets() {
    let spellings = of(&["??>>~~hunter22", SECRET]);
    for before in ["", "a", "ab", "user:", "me:", "bot:"] {
        for after in ["", "x", "xy"] {
            for secret in ["??>>~~hunter22", SECRET] {
                let text = format!("{before}{secret}{after}");
                for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    for spelled in
                        [encoded.clone(), encoded.replace('/', "\\/"), encoded.replace('+', "%2B").replace('/', "%2f")]
                    {
                        let body = format!(r#"{{"sent":"Basic {spelled}=="}}"#);
                        let clean = redact(&spellings, &body);
                        assert!(clean.contains("[redacted]"), "{text}: {clean}");
                        // What stays has too little of it to tell more than a letter at each side.
                        assert!(clean.len() <= body.len() - SECRET.len() + 14, "{text}: {clean}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_cut_tail_is_taken_out_at_every_length_that_tells() {
    let spellings = of(&[SECRET]);
    let escaped = SECRET.replace('/', "\\/");
    let percent = SECRET.replace('/', "%2F").replace('+', "%2b");
    let base64 = STANDARD_NO_PAD.encode(SECRET);
    for spelling in [SECRET, &escaped, &percent, &base64] {
        for length in 1..=spelling.len() {
            let part = &spelling[..length];
            for close in ["", "…", "...", "\"}]}", "\\\"}\"}\n"] {
                let clean = redact(&spellings, &format!("bad token {part}{close}"));
                // An escape counts for one letter.
                let tells = length >= SHORTEST_PART + 7;
                assert!(!tells || !clean.contains(&spelling[..SHORTEST_PART]), "{part}{close}: {clean}");
                assert!(length >= SHORTEST_PART || clean.contains(part), "{part}{close}: {clean}");
            }
        }
    }
    let inside = format!("{} and more", &SECRET[..12]);
    assert_eq!(redact(&spellings, &inside), inside, "a beginning that others may share");
}

#[test]
fn what_is_left_is_still_json() {
    // The letters of escapes belong to them.
    for (secret, text) in [
        ("nhunter22", r#"{"a":"x\nhunter22"}"#),
        ("0061bcdefg", r#"{"a":"\u0061bcdefg"}"#),
        ("61bcdefgh", r#"{"a":"\u0061bcdefgh"}"#),
        ("u0061bcdefg", r#"{"a":"\u0061bcdefg"}"#),
        ("hunter22", r#"{"a":"\\hunter22"}"#),
        ("123456", r#"{"a":123456,"b":[-123456.5]}"#),
        ("-1.5e7", r#"{"a":-1.5e7}"#),
    ] {
        let clean = redact(&of(&[secret]), text);
        assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok(), "{secret}: {clean}");
        assert!(!clean.contains(secret), "{secret}: {clean}");
    }
}

#[test]
fn a_beginning_that_repeats_itself_hides_no_secret() {
    let spellings = of(&["aaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaac"]);
    for secret in ["aaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaac"] {
        for more in 0..20 {
            let clean = redact(&spellings, &format!("{}{secret}!", "a".repeat(more)));
            assert!(clean.ends_with("[redacted]!"), "{clean}");
        }
    }
}

#[test]
fn short_secrets_are_left_alone_and_bytes_are_no_hindrance() {
    assert_eq!(redact(&of(&["abc"]), "abc abc"), "abc abc");
    let clean = of(&[SECRET]).redacted(&[&[0xff, 0], SECRET.as_bytes(), &[0xfe]].concat()).unwrap();
    assert_eq!(clean, [&[0xff, 0][..], REDACTED, &[0xfe]].concat());
}
