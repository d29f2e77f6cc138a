use super::*;

fn rules() -> EgressRules {
    EgressRules::new(vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.0/8".parse().unwrap()])
}

fn error(url: &str) -> String {
    match Target::parse(url, &EgressRules::public_only()) {
        Ok(target) => panic!("{url} was accepted as {target}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn accepts_what_may_be_requested() {
    for (url, origin, path) in [
        ("https://api.example.com", "https://api.example.com", "/"),
        ("https://API.Example.com:443/v1?x=1", "https://api.example.com", "/v1?x=1"),
        ("https://api.example.com:8443/a/../b", "https://api.example.com:8443", "/b"),
        ("https://8.8.8.8/", "https://8.8.8.8", "/"),
        ("https://[2606:4700:0::1111]:8443/", "https://[2606:4700::1111]:8443", "/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example", "/"),
        ("http://10.1.2.3:8080/mcp", "http://10.1.2.3:8080", "/mcp"),
        ("http://[::ffff:10.1.2.3]/", "http://[::ffff:a01:203]", "/"),
        ("http://internal.example/", "http://internal.example", "/"),
    ] {
        let target = Target::parse(url, &rules()).unwrap_or_else(|e| panic!("{url}: {e}"));
        assert_eq!((target.origin().as_str(), target.path_and_query().as_str()), (origin, path), "{url}");
    }
}

#[test]
fn says_why_a_url_is_refused() {
    let long = format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES));
    for (url, expected) in [
        (long.as_str(), "the URL has 8212 bytes: at most 8192 are accepted"),
        ("ftp://example.com/", "`ftp:` is not fetched: use an `https` URL"),
        ("file:///etc/passwd", "`file:` is not fetched: use an `https` URL"),
        ("gopher://example.com/", "`gopher:` is not fetched: use an `https` URL"),
        ("data:text/plain,x", "`data:` is not fetched: use an `https` URL"),
        ("example.com", "not a URL (relative URL without a base): write it as `https://host/path`"),
        ("https:example.com", "not a URL (`//` is missing after the scheme): write it as `https://host/path`"),
        ("https:///example.com", "not a URL (there is no host after `://`): write it as `https://host/path`"),
        (
            "https://user:hunter2@example.com/",
            "the URL of `example.com` carries credentials: remove everything up to the `@`",
        ),
        ("https://@example.com/", "the URL of `example.com` carries credentials: remove everything up to the `@`"),
        ("https://example.com/#top", "the URL of `example.com` ends in a fragment: remove `#` and what follows"),
        (
            "https://example.com/a b",
            "the URL contains ' ': percent-encode it, and write host names in their `xn--` form",
        ),
        (
            "https://exa\nmple.com/",
            "the URL contains '\\n': percent-encode it, and write host names in their `xn--` form",
        ),
        (
            "https://example.com\\@evil.example/",
            "the URL contains '\\\\': percent-encode it, and write host names in their `xn--` form",
        ),
        (
            "https://bücher.example/",
            "the URL contains 'ü': percent-encode it, and write host names in their `xn--` form",
        ),
        (
            "https://example.com:25/",
            "port 25 of `example.com` belongs to another protocol: use the port of the HTTP service",
        ),
        (
            "https://example.com:0/",
            "port 0 of `example.com` belongs to another protocol: use the port of the HTTP service",
        ),
        (
            "http://example.com/",
            "`example.com` would be reached without encryption: use `https`, or add its range to `[egress] allow`",
        ),
        (
            "http://8.8.8.8/",
            "`8.8.8.8` would be reached without encryption: use `https`, or add its range to `[egress] allow`",
        ),
        ("https://10.0.0.1/", "`10.0.0.1` is a private address: if it is meant, add its range to `[egress] allow`"),
        ("https://[::1]/", "`[::1]` is a loopback address: if it is meant, add its range to `[egress] allow`"),
        (
            "https://169.254.169.254/latest",
            "`169.254.169.254` is a cloud metadata address, which is never allowed: use another host",
        ),
        (
            "https://[::ffff:a9fe:a9fe]/",
            "`[::ffff:a9fe:a9fe]` is a cloud metadata address, which is never allowed: use another host",
        ),
    ] {
        assert_eq!(error(url), expected, "{url}");
    }
}

/// Every way inet_aton reads the loopback and the metadata address.
#[test]
fn odd_spellings_of_addresses_are_refused_whatever_is_allowed() {
    let mut spellings = Vec::new();
    for octets in [[127, 0, 0, 1], [169, 254, 169, 254], [10, 1, 2, 3], [8, 8, 8, 8]] {
        let whole = u32::from_be_bytes(octets);
        let [a, b, c, d] = octets.map(u32::from);
        let last3 = whole & 0xff_ffff;
        let last2 = whole & 0xffff;
        for part in [whole].map(|n| [format!("{n}"), format!("0{n:o}"), format!("0x{n:x}"), format!("0X{n:08X}")]) {
            spellings.extend(part);
        }
        spellings.extend([
            format!("{a}.{last3}"),
            format!("0x{a:x}.0x{last3:x}"),
            format!("{a}.{b}.{last2}"),
            format!("0{a:o}.{b}.{last2}"),
            format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            format!("00{a:o}.0{b:o}.{c}.{d}"),
            format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
            format!("0x{a:x}.{b}.{c}.{d}"),
            format!("{a}.{b}.{c}.0x{d:x}"),
            format!("%3{}.{b}.{c}.{d}", a % 10),
            format!("{a}.{b}.{c}.{d}."),
            format!("{a}%2e{b}.{c}.{d}"),
        ]);
    }
    assert_eq!(spellings.len(), 64);
    for host in spellings {
        for url in [format!("https://{host}/"), format!("http://{host}:8080/x")] {
            let refused = Target::parse(&url, &rules()).unwrap_err();
            assert!(matches!(refused, TargetError::Spelling { .. } | TargetError::Syntax(_)), "{url}: {refused}");
        }
    }
    assert_eq!(error("https://2130706433/"), "`2130706433` is an unusual way to write `127.0.0.1`: write that");
    assert_eq!(error("https://example.com./"), "`example.com.` is an unusual way to write `example.com`: write that");
}

#[test]
fn join_stays_strict() {
    let base = Target::parse("https://example.com/a/b?secret=1", &rules()).unwrap();
    assert_eq!(base.join("c?d=1", &rules()).unwrap().path_and_query(), "/a/c?d=1");
    assert_eq!(base.join("/c", &rules()).unwrap().origin(), "https://example.com");
    assert_eq!(base.join("//other.example/", &rules()).unwrap().origin(), "https://other.example");
    for bad in ["//169.254.169.254/", "https://2130706433/", "http://8.8.8.8/", "javascript:1", "\\\\evil", "#x"] {
        assert!(base.join(bad, &rules()).is_err(), "{bad}");
    }
}

#[test]
fn bad_ports_are_sorted_for_the_search() {
    assert!(BAD_PORTS.is_sorted());
}

#[test]
fn neither_display_nor_debug_shows_a_query() {
    let target = Target::parse("https://example.com/hook?token=hunter2", &rules()).unwrap();
    assert_eq!(format!("{target} {target:?}"), "https://example.com Target(https://example.com)");
}

proptest::proptest! {
    /// Whatever is accepted leads where its host says, and parses to itself.
    #[test]
    fn accepted_urls_are_stable(url in "https?://[a-z0-9.:@%\\[\\]-]{1,24}(/[a-z?#./%-]{0,12})?") {
        if let Ok(target) = Target::parse(&url, &rules()) {
            let again = format!("{}{}", target.origin(), target.path_and_query());
            let same = Target::parse(&again, &rules()).unwrap();
            proptest::prop_assert_eq!(same.origin(), target.origin());
            proptest::prop_assert!(!url.contains('@') || url.find('@') > url[8..].find('/').map(|i| i + 8));
        }
    }
}
