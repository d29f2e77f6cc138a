//! What is sent is exactly this; what is believed is exactly that.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::era::{Era, LegacyVersion};
use crate::raw::{Id, Raw};
use crate::strict::{Limits, Message, parse};

const LEGACY: Era = Era::Legacy(LegacyVersion::V2025_11_25);

fn client() -> ClientInfo {
    ClientInfo::new("ambit", "1.2.3")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

const META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientCapabilities":{},"#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"ambit","version":"1.2.3"}}"#
);

#[test]
fn requests_are_ours_from_the_first_byte_to_the_last() {
    let arguments = json!({"b": 1, "a": ["\n", {"z": 1.5, "y": null}]});
    let call = request::tools_call(7, Era::Modern, "a\"b", &arguments, None, &client());
    assert_eq!(
        text(call),
        format!(
            concat!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"a\"b","#,
                r#""arguments":{{"a":["\n",{{"y":null,"z":1.5}}],"b":1}},{meta}}}}}"#
            ),
            meta = META
        )
    );
    assert_eq!(
        text(request::tools_call(7, LEGACY, "x", &json!({}), None, &client())),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{}}}"#
    );
    assert_eq!(
        text(request::tools_call(7, LEGACY, "x", &json!({}), Some(7), &client())),
        concat!(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":{},"#,
            r#""_meta":{"progressToken":7}}}"#
        )
    );
    assert!(text(request::tools_call(7, Era::Modern, "x", &json!({}), Some(9), &client())).ends_with(&format!(
        "{}}}}}",
        META.replace(
            "{\"io.modelcontextprotocol/protocolVersion",
            "{\"progressToken\":9,\"io.modelcontextprotocol/protocolVersion"
        )
    )));
    assert_eq!(
        text(request::tools_list(1, LEGACY, Some("c\"1"), &client())),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"c\"1"}}"#
    );
    assert_eq!(
        text(request::initialize(2, OFFERED_LEGACY, &client())),
        concat!(
            r#"{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"2025-11-25","#,
            r#""capabilities":{},"clientInfo":{"name":"ambit","version":"1.2.3"}}}"#
        )
    );
}

#[test]
fn every_request_passes_our_own_strict_door() {
    let messages = [
        (request::discover(1, &client()), Era::Modern),
        (request::listen_for_tools(1, &client()), Era::Modern),
        (request::tools_list(1, Era::Modern, None, &client()), Era::Modern),
        (request::tools_call(1, Era::Modern, "x", &json!({}), None, &client()), Era::Modern),
        (request::tools_call(1, Era::Modern, "x", &json!({}), Some(1), &client()), Era::Modern),
        (request::tools_call(1, LEGACY, "x", &json!({}), Some(1), &client()), LEGACY),
        (request::initialize(1, OFFERED_LEGACY, &client()), LEGACY),
        (request::tools_list(1, LEGACY, None, &client()), LEGACY),
        (request::ping(1), LEGACY),
    ];
    for (bytes, era) in messages {
        let message = parse(&bytes, &Limits::default()).unwrap_or_else(|e| panic!("{e}: {}", text(bytes.clone())));
        assert!(matches!(message, Message::Request(_)));
        assert_eq!(crate::era::decide(Some(era.as_str()), &message), Ok(era));
    }
    let note = parse(request::INITIALIZED.as_bytes(), &Limits::default());
    assert!(matches!(note, Ok(Message::Notification(_))));
}

#[test]
fn a_server_that_asks_is_answered_without_a_promise() {
    let id = Id::from_scanned("\"s-1\"");
    assert_eq!(text(request::answer_server(id, "ping")), r#"{"jsonrpc":"2.0","id":"s-1","result":{}}"#);
    let refused = text(request::answer_server(id, "sampling/createMessage"));
    assert!(refused.contains("\"id\":\"s-1\",\"error\":{\"code\":-32601"), "{refused}");
}

fn read(text: &str) -> Result<Incoming<'_>, AnswerFault> {
    answer::read(text.as_bytes(), 7)
}

#[test]
fn an_answer_is_believed_only_as_one() {
    let refused: &[(&str, &str)] = &[
        ("", "ends too early"),
        ("<html></html>", "expected a value"),
        ("[]", "it is an array"),
        (r#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#, "it is an array"),
        ("null", "it is null"),
        ("{}", "not JSON-RPC 2.0"),
        (r#"{"jsonrpc":"2.0","id":7}"#, "neither"),
        (r#"{"id":7,"result":{}}"#, "not JSON-RPC 2.0"),
        (r#"{"jsonrpc":"2.0","id":8,"result":{}}"#, "another request (id 8)"),
        (r#"{"jsonrpc":"2.0","id":"7","result":{}}"#, "another request"),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, "another request"),
        (r#"{"jsonrpc":"2.0","result":{}}"#, "no `id`"),
        (r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"m"}}"#, "both"),
        (r#"{"jsonrpc":"2.0","id":7,"result":{},"result":{}}"#, "`result` twice"),
        (r#"{"jsonrpc":"2.0","id":7,"id":7,"result":{}}"#, "`id` twice"),
        (r#"{"jsonrpc":"2.0","id":7,"result":{},"method":"x"}"#, "at once"),
        (r#"{"jsonrpc":"2.0","id":8,"error":{"code":1,"message":"m"}}"#, "another request"),
        (r#"{"jsonrpc":"2.0","id":7,"error":"no"}"#, "`error`"),
        (r#"{"jsonrpc":"2.0","id":7,"error":{"message":"m"}}"#, "`code`"),
        (r#"{"jsonrpc":"2.0","id":7,"error":{"code":"1","message":"m"}}"#, "`code`"),
        (r#"{"jsonrpc":"2.0","id":7,"result":{}} x"#, "after the end"),
        (r#"{"jsonrpc":"2.0","id":7,"result":{"a":1"#, "ends too early"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, "`id`"),
        (r#"{"jsonrpc":"2.0","method":5}"#, "`method`"),
    ];
    for (body, piece) in refused {
        let error = read(body).expect_err(body).to_string();
        assert!(error.contains(piece), "{body}: {error}");
    }
    assert_eq!(answer::read(b"\xFF", 7).unwrap_err(), AnswerFault::NotUtf8);
    let deep = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    assert!(read(&deep).unwrap_err().to_string().contains("deeper than 128"));
}

#[test]
fn results_errors_and_what_servers_say_besides() {
    assert!(matches!(
        read(r#" {"x-extra":[1],"result": {"b":1.10,"a":2} ,"id":7,"jsonrpc":"2.0"}"#),
        Ok(Incoming::Result(raw)) if raw.as_str() == r#"{"b":1.10,"a":2}"#
    ));
    assert!(matches!(read(r#"{"jsonrpc":"2.0","id":7,"result":{},"error":null}"#), Ok(Incoming::Result(_))));
    let body = r#"{"jsonrpc":"2.0","error":{"code":-32022,"message":" no\u0007\nline \ud800","data":{"supported":["2025-11-25",5]}}}"#;
    let Ok(Incoming::Error(error)) = read(body) else { panic!("{body}") };
    assert_eq!((error.code, error.message.as_str()), (-32022, "no\\u{7} line \u{fffd}"));
    assert_eq!(error.supported, ["2025-11-25"]);
    assert!(error.is_modern() && error.is_refusal());
    let long = format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":-32603,"message":"{}"}}}}"#, "é".repeat(2000));
    let Ok(Incoming::Error(error)) = read(&long) else { panic!("{long}") };
    assert_eq!(error.message.chars().count(), 501);
    assert!(!error.is_refusal());
    assert!(matches!(
        read(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}"#),
        Ok(Incoming::Notification { method, params: Some(params) })
            if method == "notifications/tools/list_changed" && params.as_str() == "{}"
    ));
    for without in ["", r#","params":{},"params":{}"#] {
        let body = format!(r#"{{"jsonrpc":"2.0","method":"x"{without}}}"#);
        assert!(matches!(read(&body), Ok(Incoming::Notification { params: None, .. })), "{body}");
    }
    assert!(matches!(
        read(r#"{"jsonrpc":"2.0","id":"x","method":"roots\/list"}"#),
        Ok(Incoming::Request { id, method }) if id.as_str() == "\"x\"" && method == "roots/list"
    ));
}

#[test]
fn versions_are_read_where_they_stand() {
    let Ok(Incoming::Result(raw)) = read(
        r#"{"jsonrpc":"2.0","id":7,"result":{"supportedVersions":["2026-07-28"],"protocolVersion":"2025-06-18"}}"#,
    ) else {
        panic!("not a result")
    };
    assert_eq!(answer::supported_versions(raw), ["2026-07-28"]);
    assert_eq!(answer::protocol_version(raw).as_deref(), Some("2025-06-18"));
    assert_eq!(answer::protocol_version(Raw::EMPTY_OBJECT), None);
}

fn call_result(text: &str) -> Result<CallResult<'_>, ResultFault> {
    CallResult::read(Raw::from_scanned(text))
}

#[test]
fn a_result_that_is_not_final_or_not_one_is_refused() {
    let rows: &[(&str, &str)] = &[
        (r#"{"resultType":"input_required","inputRequests":{}}"#, "asks for input"),
        (r#"{"resultType":"task","taskId":"t"}"#, "task"),
        (r#"{"resultType":"surprise","content":[]}"#, "`surprise` is unknown"),
        (r#"{"resultType":5,"content":[]}"#, "`5` is unknown"),
        (r#"{"resultType":null,"content":[]}"#, "`null` is unknown"),
        (r#"{"resultType":"complete","resultType":"task","content":[]}"#, "`resultType` twice"),
        (r#"{"content":[],"isError":true,"isErro\u0072":false}"#, "`isError` twice"),
        (r#"{"content":[],"isError":"no"}"#, "not a boolean"),
        (r#"{"content":"text"}"#, "not an array"),
        ("{}", "neither `content`"),
        ("[]", "not an object"),
        ("\"ok\"", "not an object"),
    ];
    for (body, piece) in rows {
        let error = call_result(body).expect_err(body).to_string();
        assert!(error.contains(piece), "{body}: {error}");
    }
}

#[test]
fn a_result_reaches_the_other_era_with_nothing_else_changed() {
    let odd = r#"{"z":1.10, "content":[{"type":"odd","big":123456789012345678901234567890}],"_meta":{"b":1,"a":2}}"#;
    let result = call_result(odd).unwrap();
    assert!(!result.is_error());
    assert_eq!(result.for_client(LEGACY).as_str(), odd);
    assert_eq!(
        result.for_client(Era::Modern).as_str(),
        r#"{"resultType":"complete","z":1.10,"content":[{"type":"odd","big":123456789012345678901234567890}],"_meta":{"b":1,"a":2}}"#
    );
    let modern = r#"{"content":[],"resultType":"complete","structuredContent":[1, 2],"isError":true}"#;
    let result = call_result(modern).unwrap();
    assert!(result.is_error());
    assert_eq!(result.for_client(Era::Modern).as_str(), modern);
    assert_eq!(result.for_client(LEGACY).as_str(), r#"{"content":[],"isError":true}"#);
    let object = r#"{"resultType":"complete","content":[],"structuredContent":{"a":1}}"#;
    assert_eq!(
        call_result(object).unwrap().for_client(LEGACY).as_str(),
        r#"{"content":[],"structuredContent":{"a":1}}"#
    );
}

fn page(result: &Value) -> Result<Page, String> {
    listing::read_page(Raw::from_scanned(&result.to_string()), 10, |_| false)
}

#[test]
fn a_tool_that_cannot_be_used_is_left_out_alone() {
    let schema = r#""inputSchema":{"type":"object"}"#;
    let rows = [
        (
            r#"{"name":"a","description":"d","inputSchema":{"type":"object"},"x":{"k":[1.0]},"title":null}"#.to_owned(),
            "",
        ),
        ("5".into(), "tool 2: it is not an object"),
        (format!("{{{schema}}}"), "tool 3: it has no `name`"),
        (format!(r#"{{"name":"","x":1,{schema}}}"#), ": its `name` is empty"),
        (format!(r#"{{"name":5,{schema}}}"#), "tool 5: its `name` is not a string"),
        (r#"{"name":"f"}"#.into(), "f: it has no `inputSchema`"),
        (r#"{"name":"g","inputSchema":true}"#.into(), "g: its `inputSchema` is not an object"),
        (format!(r#"{{"name":"h","name":"read","x":1,{schema}}}"#), "h: duplicate key"),
        (format!(r#"{{"name":"i","description":"\ud800",{schema}}}"#), "i: lone surrogate"),
        (format!(r#"{{"name":"j","annotations":[],{schema}}}"#), "j: its `annotations` is not an object"),
        (format!(r#"{{"name":"k","execution":{{"taskSupport":"required"}},{schema}}}"#), "k: it runs only as a task"),
    ];
    let tools: Vec<&str> = rows.iter().map(|(tool, _)| tool.as_str()).collect();
    let text = format!(r#"{{"tools":[{}],"nextCursor":"n"}}"#, tools.join(","));
    let page = listing::read_page(Raw::from_scanned(&text), 20, |_| false).unwrap();
    let left_out: Vec<String> = page.left_out.iter().map(|one| format!("{}: {}", one.place, one.reason)).collect();
    for ((_, expected), found) in rows.iter().skip(1).zip(&left_out) {
        assert!(found.starts_with(expected), "{found}");
    }
    assert_eq!((left_out.len(), page.tools.len()), (rows.len() - 1, 1));
    let tool = &page.tools[0];
    assert_eq!((tool.name.as_str(), tool.title.as_deref(), tool.description.as_deref()), ("a", None, Some("d")));
    assert_eq!(tool.rest, Some(json!({"x": {"k": [1.0]}})));
    assert_eq!(page.next_cursor.as_deref(), Some("n"));
}

#[test]
fn a_tool_that_tells_a_secret_is_not_even_named() {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let text = json!({"tools": [tool("a"), tool("says-hunter2")]}).to_string();
    let page = listing::read_page(Raw::from_scanned(&text), 5, |text| text.contains("hunter2")).unwrap();
    assert_eq!((page.tools.len(), page.left_out[0].place.as_str()), (1, "tool 2"));
}

#[test]
fn mirrored_parameters_come_with_the_tool_or_it_is_left_out() {
    let tool = |name: &str, kind: &str| {
        let region = json!({"type": kind, "x-mcp-header": "Region"});
        json!({"name": name, "inputSchema": {"type": "object", "properties": {"region": region}}})
    };
    let page = page(&json!({"tools": [tool("ok", "string"), tool("bad", "number")]})).unwrap();
    assert_eq!(page.tools.len(), 1);
    assert_eq!(page.tools[0].mirrors.iter().map(|m| m.label().to_owned()).collect::<Vec<_>>(), ["Mcp-Param-Region"]);
    assert_eq!(page.left_out[0].place, "bad");
    assert!(page.left_out[0].reason.contains("`x-mcp-header` at `/properties/region`"), "{:?}", page.left_out);
}

#[test]
fn a_page_that_is_none_is_refused_whole() {
    let rows = [
        (json!({}), "no array `tools`"),
        (json!({"tools": {}}), "no array `tools`"),
        (json!({"tools": [], "nextCursor": 5}), "not a string"),
        (json!({"tools": [], "nextCursor": "x".repeat(9000)}), "too long"),
        (json!({"tools": [], "resultType": "input_required"}), "asks for input"),
        (json!({"tools": vec![json!(1); 11]}), "more tools than"),
        (json!([]), "no array `tools`"),
    ];
    for (result, piece) in rows {
        let error = page(&result).unwrap_err();
        assert!(error.contains(piece), "{result}: {error}");
    }
    for end in [json!({"tools": [], "nextCursor": null}), json!({"tools": [], "nextCursor": ""}), json!({"tools": []})]
    {
        assert_eq!(page(&end).unwrap().next_cursor, None);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é\n]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = answer::read(&bytes, 7);
    }

    #[test]
    fn a_changed_byte_is_read_without_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = br#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","inputSchema":{"type":"object"}}],"nextCursor":"x","resultType":"complete","content":[]}}"#.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(Incoming::Result(raw)) = answer::read(&body, 7) {
            let _ = listing::read_page(raw, 5, |_| false);
            if let Ok(result) = CallResult::read(raw) {
                let _ = (result.for_client(Era::Modern), result.for_client(LEGACY));
            }
        }
    }

    #[test]
    fn bridging_keeps_every_member_and_is_done_once(extra in prop::collection::btree_map("[a-z]{1,6}", any_json(), 0..6), error in any::<bool>()) {
        let mut members = serde_json::Map::from_iter(extra);
        members.insert("content".into(), json!([]));
        members.insert("isError".into(), json!(error));
        let text = serde_json::to_string_pretty(&members).unwrap();
        let result = call_result(&text).unwrap();
        let legacy = result.for_client(LEGACY);
        prop_assert_eq!(legacy.as_str(), text.as_str());
        let modern = result.for_client(Era::Modern).as_str().to_owned();
        let again = call_result(&modern).unwrap();
        let twice = again.for_client(Era::Modern);
        prop_assert_eq!(twice.as_str(), modern.as_str());
        prop_assert_eq!(again.is_error(), error);
        members.insert("resultType".into(), json!("complete"));
        prop_assert_eq!(serde_json::from_str::<Value>(&modern).unwrap(), Value::Object(members));
    }
}
