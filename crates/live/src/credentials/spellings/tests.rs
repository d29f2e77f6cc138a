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
        "ab%252Fc%252Bd%2522e%255Cf",
        "ab%25252fc%2Bd%22e%5cf",
        "ab&#x2F;c&#43;d&quot;e&#92;f",
        "ab&sol;c&plus;d&#34;e&bsol;f",
        "ab&#X2f;c&#x00002B;d&#034;e&#x5C;f",
        "ab&amp;#x2F;c+d&amp;quot;e&amp;amp;#92;f",
        r"ab\u0026#x2F;c+d\u0026#34;e\\f",
        r"ab\u0026amp;#x2F;c+d\u0026quot;e\\f",
        r"ab\\\u0026#x2F;c+d\u0026#34;e\\f",
        "&#97;b/c+d%22e%5cf",
    ] {
        let clean = redact(&spellings, &format!(r#"{{"a":"x{spelling}y","b":"\/"}}"#));
        assert_eq!(clean, r#"{"a":"x[redacted]y","b":"\/"}"#, "{spelling}");
    }
    for other in [r"ab\/c+e", r"\u", r"ab\/", "ü\\/ab", r"\u00", r"ab\/c\u00ü", "ab%2", "%", "100%25 ab%2Fc"] {
        assert!(!spellings.are_in(other.as_bytes()), "{other}");
    }
    for other in
        ["&", "&;", "&#", "&#;", "&#x;", "&#xD800;", "&#x+2F;", "&amp;amp", "ab&#47", "ab&sol;c&", "ab%25", "%25%25"]
    {
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
        for letter in [
            format!("\\u{code:04x}"),
            format!("\\\\u{code:04X}"),
            format!("%{code:02x}"),
            format!("%{code:02X}"),
            format!("%25{code:02X}"),
            format!("%252525{code:02x}"),
            format!("&#x{code:x};"),
            format!("&#{code};"),
            format!("&amp;amp;#x{code:X};"),
            format!("\\u0026#{code:04};"),
        ] {
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
                    for spelled in [
                        encoded.clone(),
                        encoded.replace('/', "\\/"),
                        encoded.replace('+', "%2B").replace('/', "%2f"),
                        encoded.replace('+', "%252B").replace('/', "&#x2F;"),
                    ] {
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
    let twice = SECRET.replace('/', "%252F").replace('+', "%252b");
    let page = SECRET.replace('/', "&#x2F;").replace('+', "&#43;");
    let in_json = SECRET.replace('/', "\\u0026#x2F;").replace('+', "\\u0026#43;");
    let base64 = STANDARD_NO_PAD.encode(SECRET);
    for spelling in [SECRET, &escaped, &percent, &twice, &page, &in_json, &base64] {
        let grows = spelling.len() - SECRET.len();
        for length in 1..=spelling.len() {
            let part = &spelling[..length];
            for close in ["", "…", "...", "\"}]}", "\\\"}\"}\n"] {
                let clean = redact(&spellings, &format!("bad token {part}{close}"));
                // An escape counts for one letter, and its `;` may be the end of a sentence.
                let tells = length > SHORTEST_PART + grows;
                assert!(!tells || !clean.contains(&spelling[..SHORTEST_PART]), "{part}{close}: {clean}");
                assert!(length >= SHORTEST_PART || clean.contains(part), "{part}{close}: {clean}");
            }
        }
    }
    let inside = format!("{} and more", &SECRET[..12]);
    assert_eq!(redact(&spellings, &inside), inside, "a beginning that others may share");
    for next in ["&x=1", "&x", "&amp", "%zz"] {
        // What goes on as no escape is not cut off.
        let begun = spellings.are_in(format!("{}{next}", &SECRET[..12]).as_bytes());
        assert_eq!(begun, next == "&amp", "{next}");
    }
}

#[test]
fn a_secret_that_looks_like_an_escape_is_found_in_each() {
    let html = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let url = |text: &str| url_encoded(text);
    for secret in ["a%2Fb%25c&amp;d&#47;e", "x&#38;y<z%41%2525", "%25%25&&amp;&lt;q;", "p&&#x26;amp;%26q"] {
        let spellings = of(&[secret]);
        for spelled in [
            secret.to_owned(),
            html(secret),
            html(&html(secret)),
            html(secret).replace('&', "\\u0026"),
            url(secret),
            url(&url(secret)),
            url(&url(&url(secret))),
        ] {
            let clean = redact(&spellings, &format!("[\"{spelled}\"]"));
            assert_eq!(clean, "[\"[redacted]\"]", "{secret}: {spelled}");
        }
    }
}

fn url_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let each = text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    each.collect()
}

const LONG: &str = "sk_live_51HqLyjWDarjtT1zdp7dcHxT4";

#[test]
fn the_first_half_is_taken_out_wherever_it_stands_and_less_is_left() {
    for secret in [LONG, SECRET, "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ0123456789"] {
        let least = secret.len().div_ceil(2).max(16);
        let spellings = of(&[secret]);
        for length in 1..secret.len() {
            let part = &secret[..length];
            for next in
                ["… is no key", "... is no key", "**** is no key", "\" is no key", "(cut) is no key", "&x=1 is no key"]
            {
                let text = format!("bad key {part}{next}");
                let clean = redact(&spellings, &text);
                let expected = if length < least { text } else { format!("bad key [redacted]{next}") };
                assert_eq!(clean, expected);
            }
        }
        // What does not begin as the secret is none of it.
        let tail = format!("{} and {}", &secret[1..], &secret[secret.len() / 2..]);
        assert_eq!(redact(&spellings, &tail), tail);
    }
    let both = of(&["aaaaaaaaaaaaaaaaaaaa-one-secret", "aaaaaaaaaaaaaaaaaaaa-two-secret"]);
    assert_eq!(redact(&both, "aaaaaaaaaaaaaaaaaaaa-two- x aaaaaaaaaaaaaaa end"), "[redacted] x aaaaaaaaaaaaaaa end");
}

#[test]
fn what_is_left_around_a_part_is_still_json() {
    for (secret, text) in [
        (r"abcdefghijklmnop\qrstuv", r#"{"a":"abcdefghijklmnop\\xyz"}"#),
        (r"abcdefghijklmnop\qrstuv", r#"{"a":"abcdefghijklmnop\\n"}"#),
        (r"abcdefghijklmnop\qrstuv", r#"{"a":"abcdefghijklmnop\n","b":1}"#),
        (r"abcdefghijklmnop\qrstuv", r#"{"a":"abcdefghijklmnop\u0041"}"#),
        (r"abcdefghijklmnop\qrstuv", r#"{"a":"abcdefghijklmnop\u005Cx"}"#),
        ("abcdefghijklmnop\"qrstuv", r#"{"a":"abcdefghijklmnop","b":"abcdefghijklmnop\"x"}"#),
        ("nabcdefghijklmnopqrst", r#"{"a":"\nabcdefghijklmnop\n"}"#),
        ("12345678901234567890123456789012", r#"{"a":12345678901234567890,"b":-1234567890123456789.5}"#),
        ("1234567890123456e17890", r#"{"a":1234567890123456.5}"#),
    ] {
        let clean = redact(&of(&[secret]), text);
        assert!(serde_json::from_str::<serde_json::Value>(&clean).is_ok(), "{secret}: {clean}");
        assert!(!clean.contains(&secret[..16]), "{secret}: {clean}");
    }
}

#[test]
fn what_holds_no_secret_is_not_even_copied() {
    let spellings = of(&[LONG, "dXNlcjpzM2NyZXQtb2YtdGhlLXNlcnZlcg=="]);
    for text in [
        "",
        r#"{"url":"https:\/\/api.example\/a%2Fb?c=%C3%A9&d=%25&amp;e","n":1.10}"#,
        r#"{"html":"\u003cp class=\u0022x\u0022\u003ea \u0026amp; b\u003c/p\u003e"}"#,
        "<p>Fish &amp; chips &#x2F; &quot;100&nbsp;%&quot; &copy; &#x1F600; &amp;amp; &#00047; &unknown; &</p>",
        "sk_live_ sk_live_51HqLyjW and sk_test_51HqLyjWDarjtT1zdp7dcHxT4",
        "pk_live_51HqLyjWDarjtT1zdp7dcHxT4",
        "user=1&sk_live_51HqLyjW%20&sk&",
        "Basic dXNlcjpzM2Ny ZXQtb2YtdGhlLXNlcnZlcg",
    ] {
        assert_eq!(spellings.redacted(text.as_bytes()), None, "{text}");
    }
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
