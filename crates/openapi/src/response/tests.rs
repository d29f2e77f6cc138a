use super::*;
use serde_json::{Value, json};

fn result(status: u16, content_type: Option<&str>, body: &[u8]) -> Value {
    let status = StatusCode::from_u16(status).unwrap();
    serde_json::to_value(to_tool_result(status, content_type, body, Limits::default())).unwrap()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[test]
fn good_json_is_passed_on_as_it_came() {
    let body = br#"{"z": 1e400, "a": 12345678901234567890123, "z": 2}"#;
    let outcome = to_tool_result(StatusCode::OK, Some("application/json; charset=utf-8"), body, Limits::default());
    let written = serde_json::to_string(&outcome).unwrap();
    let raw = String::from_utf8_lossy(body);
    assert!(written.contains(&format!("\"structuredContent\":{raw}")), "{written}");
    assert!(written.ends_with("\"isError\":false}"), "{written}");
    assert_eq!(outcome.content, [Content::text(raw)]);
}

#[test]
fn structured_content_other_than_objects_stays_text_for_older_clients() {
    for (body, kept) in [("[1]", false), (" {\"a\":1}", true), ("3", false)] {
        let outcome = to_tool_result(StatusCode::OK, Some("application/json"), body.as_bytes(), Limits::default());
        assert!(outcome.structured_content.is_some());
        assert_eq!(outcome.for_object_only_clients().structured_content.is_some(), kept, "{body}");
    }
}

#[test]
fn broken_or_bottomless_json_is_text() {
    for body in ["{\"a\":", "{'a':1}", &format!("{}1{}", "[".repeat(200), "]".repeat(200)), "\"\\u00\""] {
        let shown = result(200, Some("application/json"), body.as_bytes());
        assert_eq!((shown.get("structuredContent"), text(&shown)), (None, body));
    }
    let quoted = format!("\"{}\"", "[{\\\"".repeat(500));
    assert_eq!(result(200, None, quoted.as_bytes())["structuredContent"], json!("[{\"".repeat(500)));
}

#[test]
fn an_answer_without_a_body_says_so() {
    for (status, body) in [(204, b"".as_slice()), (200, b""), (202, b" \r\n"), (201, b"\xef\xbb\xbf")] {
        let shown = result(status, Some("application/json"), body);
        assert!(text(&shown).starts_with(&format!("done: the API answered {status} ")), "{shown}");
        assert_eq!(shown["isError"], false);
    }
}

#[test]
fn errors_are_short_and_readable() {
    let shown = result(404, Some("application/problem+json"), br#"{"title":"no such asset"}"#);
    assert_eq!(shown["isError"], true);
    assert_eq!(text(&shown), "the API answered 404 Not Found: {\"title\":\"no such asset\"}");
    assert_eq!(shown.get("structuredContent"), None);
    let page = b"<!DOCTYPE html><html><style>p{}</style><script>x<y</script><p>Bad\n <b>gateway</b></p></html>";
    assert_eq!(text(&result(502, Some("text/html"), page)), "the API answered 502 Bad Gateway: Bad gateway");
    let long = result(500, Some("text/plain"), "é\u{202e}".repeat(5_000).as_bytes());
    assert!(text(&long).len() < 2_100 && text(&long).ends_with('…') && !text(&long).contains('\u{202e}'));
    assert_eq!(
        text(&result(500, None, b"\xff\xfe")),
        "the API answered 500 Internal Server Error without a readable body"
    );
    assert!(text(&result(401, None, b"")).contains("gateway's own credential"));
    assert!(text(&result(429, None, b"slow down")).contains("wait before the next call"));
    assert!(text(&result(302, None, b"")).contains("redirect"));
    assert_eq!(result(302, None, b"")["isError"], true);
}

#[test]
fn bytes_are_described_or_encoded() {
    let image = result(200, Some("image/png"), b"\x89PNG");
    assert_eq!(image["content"][0], json!({"type": "image", "data": "iVBORw==", "mimeType": "image/png"}));
    let sound = result(200, Some("audio/mpeg"), b"abc");
    assert_eq!(sound["content"][0]["type"], "audio");
    let archive = result(200, Some("application/zip"), b"PK\xff");
    assert_eq!(
        text(&archive),
        "the API answered with 3 bytes of type `application/zip`, which are not shown: they are not text"
    );
    let large = result(200, Some("image/png"), &vec![0xff; (512 << 10) + 1]);
    assert!(text(&large).contains("524289 bytes"));
    assert_eq!(text(&result(200, Some("text/plain; charset=ISO-8859-1"), b"caf\xe9")), "café");
    assert_eq!(text(&result(200, Some("text/csv"), b"a\xff")), "a\u{fffd}");
    assert_eq!(text(&result(200, Some("image/svg+xml"), b"<svg/>")), "<svg/>");
}
