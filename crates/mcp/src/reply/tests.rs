//! What each era's client reads, byte for byte where order matters.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MODERN: Era = Era::Modern;
const LEGACY: Era = Era::Legacy(LegacyVersion::V2025_11_25);

fn id() -> Id<'static> {
    Id::from_scanned("\"q\\u0031\"")
}

fn server() -> Server {
    Server::new("ambit", Some("Ambit \"x\""), "1.2", Some("ask\nfirst"))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

const INFO: &str = r#"{"name":"ambit","title":"Ambit \"x\"","version":"1.2"}"#;

#[test]
fn discovery_and_handshake() {
    assert_eq!(
        text(discover(id(), &server(), 60_000)),
        format!(
            r#"{{"jsonrpc":"2.0","id":"q\u0031","result":{{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25","2025-06-18"],"capabilities":{{"tools":{{"listChanged":true}}}},"instructions":"ask\nfirst","ttlMs":60000,"cacheScope":"private","_meta":{{"io.modelcontextprotocol/serverInfo":{INFO}}}}}}}"#
        )
    );
    assert_eq!(
        text(initialize(id(), LegacyVersion::V2025_06_18, &server())),
        format!(
            r#"{{"jsonrpc":"2.0","id":"q\u0031","result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{"listChanged":true}}}},"serverInfo":{INFO},"instructions":"ask\nfirst"}}}}"#
        )
    );
    assert_eq!(text(empty(id(), LEGACY, &server())), r#"{"jsonrpc":"2.0","id":"q\u0031","result":{}}"#);
}

#[test]
fn members_put_together_elsewhere_stand_where_ours_would() {
    // In the order of the names: whether insertion order is kept depends on what else is built.
    let outcome = serde_json::json!({"content": [{"text": "}", "type": "text"}], "isError": false});
    assert_eq!(
        text(tool_outcome(id(), LEGACY, &server(), &outcome)),
        r#"{"jsonrpc":"2.0","id":"q\u0031","result":{"content":[{"text":"}","type":"text"}],"isError":false}}"#
    );
    let modern = text(tool_outcome(id(), MODERN, &server(), &outcome));
    let expected = tool_result(id(), MODERN, &server(), Outcome::Ok, "}", None);
    assert_eq!(serde_json::from_str::<Value>(&modern).unwrap(), serde_json::from_slice::<Value>(&expected).unwrap());
    // What is no object adds nothing.
    assert_eq!(text(tool_outcome(id(), LEGACY, &server(), &1)), text(empty(id(), LEGACY, &server())));
}

#[test]
fn a_page_of_tools_is_concatenated_and_only_modern_says_how_to_cache_it() {
    let tools = [r#"{"name":"b", "x":1.10}"#, r#"{"name":"a"}"#];
    let next = ToolsCursor::after("a");
    let page = |era, next| text(tools_list(id(), era, &server(), tools.iter().copied(), next, 0));
    let legacy = page(LEGACY, Some(&next));
    let cursor = next.encode();
    assert_eq!(
        legacy,
        format!(
            r#"{{"jsonrpc":"2.0","id":"q\u0031","result":{{"tools":[{},{}],"nextCursor":"{cursor}"}}}}"#,
            tools[0], tools[1]
        )
    );
    let modern: Value = serde_json::from_str(&page(MODERN, None)).unwrap();
    let result = &modern["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["ttlMs"], 0);
    assert_eq!(result["cacheScope"], "private");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "ambit");
    assert!(result.get("nextCursor").is_none());
}

#[test]
fn a_tool_result_says_the_same_in_both_eras_as_far_as_each_can() {
    let read = |era, raw| -> Value {
        let raw = Some(Raw::from_scanned(raw));
        serde_json::from_slice(&tool_result(id(), era, &server(), Outcome::Ok, "[1]\u{1}", raw)).unwrap()
    };
    assert_eq!(read(MODERN, "[1]")["result"]["structuredContent"], json!([1]));
    assert_eq!(read(MODERN, "[1]")["result"]["resultType"], "complete");
    let legacy = read(LEGACY, "[1]");
    assert_eq!(legacy["result"], json!({"content":[{"type":"text","text":"[1]\u{1}"}],"isError":false}));
    assert_eq!(read(LEGACY, "{}")["result"]["structuredContent"], json!({}));
    let error = text(tool_result(id(), LEGACY, &server(), Outcome::Error, "no", None));
    assert!(error.ends_with(r#""isError":true}}"#), "{error}");
}

#[test]
fn bad_cursors_are_refused() {
    let good = ToolsCursor::after("mux_list-assets").encode();
    assert_eq!(ToolsCursor::decode(&good).unwrap().name(), "mux_list-assets");
    let mut damaged = good.clone().into_bytes();
    damaged[8] = if damaged[8] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).unwrap();
    let long = "A".repeat(513);
    let padded = format!("{good}=");
    for bad in ["", "A", "0", "not base64!", "AAAAAAAA", &damaged, &long, &padded] {
        assert_eq!(ToolsCursor::decode(bad), Err(BadCursor), "{bad}");
    }
    assert_eq!(BadCursor.to_rpc().code(), -32602);
}

proptest! {
    #[test]
    fn every_name_comes_back_from_its_cursor(name in ".{0,60}") {
        let cursor = ToolsCursor::after(name);
        prop_assert_eq!(ToolsCursor::decode(&cursor.encode()).unwrap(), cursor);
    }

    #[test]
    fn any_text_may_be_a_cursor_without_panic(text in ".{0,80}") {
        let _ = ToolsCursor::decode(&text);
    }

    #[test]
    fn strings_are_written_as_serde_writes_them(said in any::<String>()) {
        let mut out = Vec::new();
        write::string(&mut out, &said);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&said).unwrap());
    }
}
