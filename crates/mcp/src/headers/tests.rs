//! Header tables: each row is one request, and what it is told.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::mirror::{MirrorFault, compile};
use super::*;
use crate::era::{LegacyVersion, decide};
use crate::strict::{Limits, parse};

const LEGACY: Era = Era::Legacy(LegacyVersion::V2025_11_25);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    map
}

fn told(era: Era, pairs: &[(&'static str, &str)], body: &Value) -> Result<(), HeaderError> {
    let body = body.to_string();
    let message = parse(body.as_bytes(), &Limits::default()).unwrap();
    agree(era, &headers(pairs), &message)
}

fn call(name: &str) -> Value {
    json!({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":name}})
}

#[test]
fn modern_headers_must_mirror_the_body() {
    let ok: &[(&[(&str, &str)], &str)] = &[
        (&[("mcp-method", "tools/call"), ("mcp-name", "a")], "a"),
        (&[("mcp-method", " tools/call "), ("mcp-name", "=?base64?YQ==?=")], "a"),
        (&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?w6k=?=")], "é"),
        (&[("mcp-method", "tools/call"), ("mcp-name", "=?BASE64?w6k=?=")], "=?BASE64?w6k=?="),
    ];
    for (pairs, name) in ok {
        assert_eq!(told(Era::Modern, pairs, &call(name)), Ok(()), "{pairs:?}");
    }
    let bad: &[(&[(&str, &str)], &str)] = &[
        (&[], "header `Mcp-Method` is missing; send `tools/call` as in the body"),
        (&[("mcp-method", "tools/call")], "header `Mcp-Name` is missing; send `a` as in the body"),
        (&[("mcp-name", "a")], "header `Mcp-Method` is missing"),
        (
            &[("mcp-method", "tools/list"), ("mcp-name", "a")],
            "header `Mcp-Method` is `tools/list` but the body says `tools/call`",
        ),
        (&[("mcp-method", "TOOLS/CALL"), ("mcp-name", "a")], "header `Mcp-Method` is `TOOLS/CALL`"),
        (&[("mcp-method", "tools/call"), ("mcp-name", "A")], "header `Mcp-Name` is `A` but the body says `a`"),
        (
            &[("mcp-method", "tools/call"), ("mcp-name", "a"), ("mcp-name", "a")],
            "header `Mcp-Name` is sent more than once",
        ),
        (
            &[("mcp-method", "tools/call"), ("mcp-method", "tools/call"), ("mcp-name", "a")],
            "`Mcp-Method` is sent more than once",
        ),
        (&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?YQ?=")], "`Mcp-Name` cannot be read"),
        (&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?YQ=?=")], "`Mcp-Name` cannot be read"),
        (&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?/w==?=")], "`Mcp-Name` cannot be read"),
        (&[("mcp-method", "tools/call"), ("mcp-name", "\u{e9}")], "`Mcp-Name` cannot be read"),
        (&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?YQ==")], "`Mcp-Name` is `=?base64?YQ==`"),
    ];
    for (pairs, piece) in bad {
        let error = told(Era::Modern, pairs, &call("a")).expect_err(piece);
        assert!(error.to_string().contains(piece), "{pairs:?}: {error}");
        assert_eq!((error.to_rpc().code(), error.to_rpc().http_status()), (-32020, 400));
    }
}

#[test]
fn each_method_mirrors_its_own_member() {
    let rows = [
        ("prompts/get", json!({"name":"p"}), "p"),
        ("resources/read", json!({"uri":"file:///x"}), "file:///x"),
        ("tasks/get", json!({"taskId":"t"}), "t"),
    ];
    for (method, params, name) in rows {
        let body = json!({"jsonrpc":"2.0","id":1,"method":method,"params":params});
        assert_eq!(told(Era::Modern, &[("mcp-method", method), ("mcp-name", name)], &body), Ok(()));
        assert!(told(Era::Modern, &[("mcp-method", method)], &body).is_err());
    }
    let list = json!({"jsonrpc":"2.0","id":1,"method":"tools/list"});
    assert_eq!(told(Era::Modern, &[("mcp-method", "tools/list")], &list), Ok(()));
    let spurious = told(Era::Modern, &[("mcp-method", "tools/list"), ("mcp-name", "x")], &list);
    assert_eq!(spurious, Err(HeaderError::Unexpected("Mcp-Name".into())));
}

#[test]
fn legacy_needs_no_mirror_but_may_not_contradict() {
    assert_eq!(told(LEGACY, &[], &call("a")), Ok(()));
    assert!(told(LEGACY, &[("mcp-name", "b")], &call("a")).is_err());
    assert!(told(LEGACY, &[("mcp-method", "tools/list")], &call("a")).is_err());
}

/// Header, `_meta` version, has capabilities, method; era or code.
#[test]
fn eras_are_decided_by_what_both_places_say() {
    type Row = (Option<&'static str>, Option<&'static str>, bool, &'static str, Result<Era, i32>);
    let modern = "2026-07-28";
    let rows: &[Row] = &[
        (Some(modern), Some(modern), true, "tools/list", Ok(Era::Modern)),
        (Some(modern), Some(modern), true, "initialize", Ok(Era::Modern)),
        (Some(modern), Some(modern), false, "tools/list", Err(-32602)),
        (Some(modern), None, true, "tools/list", Err(-32602)),
        (Some(modern), None, false, "tools/list", Err(-32602)),
        (None, Some(modern), true, "tools/list", Err(-32020)),
        (Some("2025-11-25"), Some(modern), true, "tools/list", Err(-32020)),
        (Some(modern), Some("2025-11-25"), true, "tools/list", Err(-32020)),
        (Some("2027-01-01"), Some("2027-01-01"), true, "tools/list", Err(-32022)),
        (Some("2027-01-01"), Some(modern), true, "tools/list", Err(-32020)),
        (Some("1999-01-01"), Some("1999-01-01"), true, "tools/list", Err(-32022)),
        (Some("latest"), None, false, "tools/list", Err(-32022)),
        (Some("2025-03-26"), None, false, "tools/list", Err(-32022)),
        (Some("2025-11-25"), None, false, "tools/list", Ok(LEGACY)),
        (Some("2025-06-18"), None, false, "tools/list", Ok(Era::Legacy(LegacyVersion::V2025_06_18))),
        (None, None, false, "tools/list", Err(-32020)),
        (None, Some("2025-11-25"), false, "tools/list", Err(-32020)),
        (None, None, false, "initialize", Ok(LEGACY)),
        (Some("2025-03-26"), None, false, "initialize", Ok(LEGACY)),
    ];
    for (header, in_meta, capabilities, method, expected) in rows {
        let mut meta = serde_json::Map::new();
        if let Some(version) = in_meta {
            meta.insert("io.modelcontextprotocol/protocolVersion".into(), json!(version));
        }
        if *capabilities {
            meta.insert("io.modelcontextprotocol/clientCapabilities".into(), json!({}));
        }
        let params = json!({"protocolVersion":"2025-11-25","_meta":meta});
        let body = json!({"jsonrpc":"2.0","id":1,"method":method,"params":params}).to_string();
        let message = parse(body.as_bytes(), &Limits::default()).unwrap();
        let decided = decide(*header, &message).map_err(|e| e.to_rpc());
        if let Err(rpc) = &decided {
            assert_eq!(rpc.http_status(), 400);
        }
        assert_eq!(decided.map_err(|rpc| rpc.code()), *expected, "{header:?} {in_meta:?} {method}");
    }
}

#[test]
fn an_unsupported_version_names_what_is_supported() {
    let rpc = EraError::Unsupported("2027-01-01".into()).to_rpc();
    assert_eq!(rpc.data(), Some(r#"{"supported":["2026-07-28","2025-11-25","2025-06-18"],"requested":"2027-01-01"}"#));
}

#[test]
fn initialize_is_answered_with_a_version_we_speak() {
    let rows = [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-06-18"),
        ("2024-11-05", "2025-06-18"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("", "2025-06-18"),
        ("zzz", "2025-06-18"),
    ];
    for (asked, answered) in rows {
        assert_eq!(LegacyVersion::negotiate(asked).as_str(), answered, "{asked}");
    }
}

#[test]
fn a_doubled_version_header_is_refused() {
    let map = headers(&[("mcp-protocol-version", "2026-07-28"), ("mcp-protocol-version", "2026-07-28")]);
    assert_eq!(protocol_version(&map).unwrap_err().to_rpc().code(), -32020);
    assert_eq!(protocol_version(&HeaderMap::new()), Ok(None));
}

#[test]
fn accept_and_content_type() {
    for good in [
        &[][..],
        &[("accept", "*/*")],
        &[("accept", "application/json, text/event-stream")],
        &[("accept", "application/json;q=0.5"), ("accept", "TEXT/*")],
    ] {
        assert!(accepts_both(&headers(good)).is_ok(), "{good:?}");
    }
    for bad in ["application/json", "text/event-stream", "text/html", "", "application/json;q=0, text/event-stream"] {
        let rpc = accepts_both(&headers(&[("accept", bad)])).expect_err(bad);
        assert_eq!(rpc.http_status(), 406);
    }
    assert!(sends_json(&headers(&[("content-type", "Application/JSON; charset=utf-8")])).is_ok());
    for bad in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/jsonx")]] {
        assert_eq!(sends_json(&headers(bad)).unwrap_err().http_status(), 415);
    }
}

fn mirrored_schema() -> Value {
    json!({"type":"object","properties":{
        "region":{"type":"string","x-mcp-header":"Region"},
        "deep":{"type":"object","properties":{"count":{"type":"integer","x-mcp-header":"Count"}}},
        "dry":{"type":"boolean","x-mcp-header":"Dry-Run"},
        "properties":{"type":"object","properties":{"x":{"type":"string","x-mcp-header":"P"}}}
    }})
}

#[test]
fn annotated_parameters_are_compared() {
    let (mirrors, invalid) = compile(&mirrored_schema());
    assert_eq!(invalid, []);
    assert_eq!(mirrors.iter().count(), 4);
    let arguments = json!({"region":"eu é","deep":{"count":7},"dry":null});
    let good = [("mcp-param-region", "=?base64?ZXUgw6k=?="), ("mcp-param-count", "007"), ("mcp-param-other", "x")];
    assert_eq!(mirrors.agree(&headers(&good), &arguments), Ok(()));
    assert_eq!(mirrors.agree(&HeaderMap::new(), &json!({})), Ok(()));
    let bad: &[(&[(&'static str, &str)], &str)] = &[
        (&[("mcp-param-count", "7")], "header `Mcp-Param-Region` is missing; send `eu é`"),
        (&[good[0], ("mcp-param-count", "8")], "header `Mcp-Param-Count` is `8` but the body says `7`"),
        (&[good[0], ("mcp-param-count", "7.0")], "header `Mcp-Param-Count` is `7.0`"),
        (&[good[0], good[1], ("mcp-param-dry-run", "true")], "`Mcp-Param-Dry-Run` is sent but"),
        (&[good[0], good[1], good[1]], "`Mcp-Param-Count` is sent more than once"),
        (&[("mcp-param-region", "=?base64?!?="), good[1]], "`Mcp-Param-Region` cannot be read"),
    ];
    for (pairs, piece) in bad {
        let error = mirrors.agree(&headers(pairs), &arguments).expect_err(piece);
        assert!(error.to_string().contains(piece), "{error}");
    }
}

#[test]
fn bad_annotations_are_named() {
    let rows = [
        (json!({"properties":{"a":{"type":"number","x-mcp-header":"A"}}}), "/properties/a", MirrorFault::NotPrimitive),
        (
            json!({"properties":{"a":{"type":["string","null"],"x-mcp-header":"A"}}}),
            "/properties/a",
            MirrorFault::NotPrimitive,
        ),
        (json!({"properties":{"a":{"type":"string","x-mcp-header":"A B"}}}), "/properties/a", MirrorFault::NotToken),
        (json!({"properties":{"a":{"type":"string","x-mcp-header":"é"}}}), "/properties/a", MirrorFault::NotToken),
        (json!({"properties":{"a":{"type":"string","x-mcp-header":""}}}), "/properties/a", MirrorFault::NotToken),
        (json!({"properties":{"a":{"type":"string","x-mcp-header":1}}}), "/properties/a", MirrorFault::NotToken),
        (
            json!({"properties":{"a":{"items":{"type":"string","x-mcp-header":"A"}}}}),
            "/properties/a/items",
            MirrorFault::Unreachable,
        ),
        (json!({"anyOf":[{"type":"string","x-mcp-header":"A"}]}), "/anyOf/0", MirrorFault::Unreachable),
        (json!({"$defs":{"a/b":{"type":"string","x-mcp-header":"A"}}}), "/$defs/a~1b", MirrorFault::Unreachable),
        (
            json!({"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}),
            "/properties/b",
            MirrorFault::Duplicate,
        ),
    ];
    for (schema, pointer, reason) in rows {
        let (_, invalid) = compile(&schema);
        assert_eq!(invalid.len(), 1, "{schema}");
        assert_eq!((invalid[0].pointer.as_str(), invalid[0].reason), (pointer, reason));
    }
    let (mirrors, invalid) = compile(&json!({"default":{"x-mcp-header":"A"},"enum":[{"x-mcp-header":1}]}));
    assert!(mirrors.is_empty() && invalid.is_empty());
}

#[test]
fn upstream_headers_are_built_from_nothing() {
    let (mirrors, _) = compile(&mirrored_schema());
    let arguments = json!({"region":" eu","deep":{"count":7},"dry":false});
    let session = HeaderValue::from_static("s-1");
    let target = Target {
        method: "tools/call",
        name: Some("größe"),
        mirrored: Some((&mirrors, &arguments)),
        session: Some(&session),
    };
    let modern = build(Era::Modern, &target);
    let mut pairs: Vec<String> = modern.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
    pairs.sort();
    assert_eq!(
        pairs,
        [
            "accept: application/json, text/event-stream",
            "content-type: application/json",
            "mcp-method: tools/call",
            "mcp-name: =?base64?Z3LDtsOfZQ==?=",
            "mcp-param-count: 7",
            "mcp-param-dry-run: false",
            "mcp-param-region: =?base64?IGV1?=",
            "mcp-protocol-version: 2026-07-28",
        ]
    );
    // What we write, we would accept.
    assert_eq!(mirrors.agree(&modern, &arguments), Ok(()));
    let legacy = build(LEGACY, &target);
    assert_eq!(legacy.len(), 4);
    assert_eq!(legacy[SESSION_ID], "s-1");
    assert_eq!(legacy[PROTOCOL_VERSION], "2025-11-25");
    let first = build(LEGACY, &Target { method: "initialize", name: None, mirrored: None, session: None });
    assert!(!first.contains_key(PROTOCOL_VERSION));
}

proptest! {
    #[test]
    fn every_text_survives_a_header(text in any::<String>()) {
        let encoded = encode_value(&text);
        prop_assert!(encoded.bytes().all(|b| (0x20..=0x7E).contains(&b)));
        let mut map = HeaderMap::new();
        map.insert(NAME, HeaderValue::from_str(&encoded).unwrap());
        let header = single(&map, &NAME, "Mcp-Name").unwrap().unwrap();
        prop_assert_eq!(decode_value(header).unwrap(), text);
    }

    #[test]
    fn texts_that_look_encoded_survive_too(inner in "[A-Za-z0-9+/=]{0,12}") {
        let text = format!("=?base64?{inner}?=");
        let encoded = encode_value(&text);
        let decoded = decode_value(&encoded).unwrap().into_owned();
        prop_assert_eq!(decoded, text);
    }

    #[test]
    fn any_header_bytes_are_judged_without_panic(bytes in prop::collection::vec(0x20u8..=0xFF, 0..40)) {
        prop_assume!(!bytes.contains(&0x7F));
        let mut map = HeaderMap::new();
        map.insert(NAME, HeaderValue::from_bytes(&bytes).unwrap());
        let _ = single(&map, &NAME, "Mcp-Name").map(|header| header.map(decode_value));
    }
}
