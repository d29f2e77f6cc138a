//! Bad bodies by table, good ones by agreement with `serde_json`, and no panic on any bytes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::{INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a\u002fb","arguments":{"x":1},
 "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},
 "progressToken":"p","traceparent":"00-1","other":[1]},"extra":{"name":1}}}"#;

fn request(body: &str) -> Request<'_> {
    match parse(body.as_bytes(), &Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("not a request: {other:?}"),
    }
}

#[test]
fn a_call_is_read_with_everything_the_gateway_needs() {
    let call = request(CALL);
    assert_eq!(call.id.as_str(), "7");
    assert_eq!(call.method, "tools/call");
    assert_eq!(call.params.name.as_deref(), Some("a/b"));
    assert_eq!(call.params.arguments.unwrap().as_str(), r#"{"x":1}"#);
    let meta = call.params.meta;
    assert_eq!(meta.protocol_version.as_deref(), Some("2026-07-28"));
    assert_eq!(meta.client_capabilities.unwrap().as_str(), "{}");
    assert_eq!(meta.progress_token.unwrap().as_str(), "\"p\"");
    assert_eq!(meta.traceparent.as_deref(), Some("00-1"));
    assert!(meta.client_info.is_none() && meta.log_level.is_none());
}

#[test]
fn ids_are_kept_as_written() {
    for id in [r#""a\u0062""#, "0", "-5", "123456789012345678901234567890", r#""""#] {
        let body = format!(r#"{{"id": {id} ,"jsonrpc":"2.0","method":"ping"}}"#);
        assert_eq!(request(&body).id.as_str(), id);
    }
}

#[test]
fn notifications_and_responses_are_told_apart() {
    let note = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert!(matches!(parse(note, &Limits::default()), Ok(Message::Notification(_))));
    let answer = br#"{"jsonrpc":"2.0","id":"s-1","result":{"a":1}}"#;
    let Ok(Message::Response(response)) = parse(answer, &Limits::default()) else {
        panic!("not a response");
    };
    assert!(matches!(response.outcome, ResponseOutcome::Result(raw) if raw.as_str() == r#"{"a":1}"#));
}

/// Body, code, a piece of the message.
const REFUSED: &[(&str, i32, &str)] = &[
    ("", PARSE_ERROR, "ends too early"),
    ("   ", PARSE_ERROR, "ends too early"),
    ("nul", PARSE_ERROR, "expected a value"),
    ("null", INVALID_REQUEST, "this body is null"),
    ("42", INVALID_REQUEST, "this body is a number"),
    ("[]", INVALID_REQUEST, "batches"),
    (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST, "batches"),
    ("\u{feff}{}", PARSE_ERROR, "byte order mark"),
    ("{}", INVALID_REQUEST, "`jsonrpc`"),
    (r#"{"jsonrpc":"2.0"}"#, INVALID_REQUEST, "`method` is missing"),
    (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, INVALID_REQUEST, "`jsonrpc`"),
    (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, INVALID_REQUEST, "`jsonrpc`"),
    (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, INVALID_REQUEST, "`id`"),
    (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, INVALID_REQUEST, "`id`"),
    (r#"{"jsonrpc":"2.0","id":1e3,"method":"ping"}"#, INVALID_REQUEST, "`id`"),
    (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, INVALID_REQUEST, "`id`"),
    (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, INVALID_REQUEST, "`id`"),
    (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, INVALID_REQUEST, "`id`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST, "`method`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, INVALID_REQUEST, "`params`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, INVALID_REQUEST, "`params`"),
    (r#"{"jsonrpc":"2.0","id":1,"Method":"ping"}"#, INVALID_REQUEST, "written `method`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","PARAMS":{}}"#, INVALID_REQUEST, "written `params`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}"#, INVALID_REQUEST, "written `params`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","route":"x"}"#, INVALID_REQUEST, "unknown member `route`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, INVALID_REQUEST, "not both"),
    (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, INVALID_REQUEST, "not both"),
    (r#"{"jsonrpc":"2.0","result":{}}"#, INVALID_REQUEST, "`id` of the response"),
    (r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, INVALID_REQUEST, "no `params`"),
    (r#"{"jsonrpc":"2.0","id":1,"result":7}"#, INVALID_REQUEST, "`result`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, PARSE_ERROR, "data after"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, PARSE_ERROR, "data after"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, PARSE_ERROR, "expected an object key"),
    (r#"{"jsonrpc":"2.0","id":01,"method":"ping"}"#, PARSE_ERROR, "expected"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"p"#, PARSE_ERROR, "ends too early"),
    (r#"{'jsonrpc':"2.0"}"#, PARSE_ERROR, "expected an object key"),
    (r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}"#, INVALID_REQUEST, "duplicate key"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","m\u0065thod":"b"}"#, INVALID_REQUEST, "duplicate key"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":[{"k":1,"\u006b":2}]}}"#, INVALID_REQUEST, "duplicate key"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, PARSE_ERROR, "lone surrogate"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"\udc00\ud800"}"#, PARSE_ERROR, "lone surrogate"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"\ud800\u0041"}"#, PARSE_ERROR, "lone surrogate"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":"\ud83dx"}}"#, PARSE_ERROR, "lone surrogate"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"\x"}"#, PARSE_ERROR, "unknown escape"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"\u00g0"}"#, PARSE_ERROR, "unknown escape"),
    ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\nb\"}", PARSE_ERROR, "control character"),
    ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\u{0}b\"}", PARSE_ERROR, "control character"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":+1}}"#, PARSE_ERROR, "expected a value"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":1.}}"#, PARSE_ERROR, "expected a digit"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":NaN}}"#, PARSE_ERROR, "expected a value"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":[1,]}}"#, PARSE_ERROR, "expected a value"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"Arguments":{}}}"#, INVALID_PARAMS, "written `arguments`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"NAME":"x"}}"#, INVALID_PARAMS, "written `name`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"argument\u017f":{}}}"#, INVALID_PARAMS, "written `arguments`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"tas\u212aId":"x"}}"#, INVALID_PARAMS, "written `taskId`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_META":{}}}"#, INVALID_PARAMS, "written `_meta`"),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"ProgressToken":1}}}"#,
        INVALID_PARAMS,
        "written `progressToken`",
    ),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":1}}"#, INVALID_PARAMS, "`name`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":[]}}"#, INVALID_PARAMS, "`arguments`"),
    (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":[]}}"#, INVALID_PARAMS, "`_meta`"),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":{}}}}"#,
        INVALID_PARAMS,
        "`progressToken`",
    ),
    (
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}"#,
        INVALID_PARAMS,
        "protocolVersion",
    ),
];

#[test]
fn every_bad_body_is_refused_with_its_code() {
    for (body, code, piece) in REFUSED {
        let refusal = parse(body.as_bytes(), &Limits::default()).expect_err(body);
        let rpc = refusal.error.to_rpc();
        assert_eq!(rpc.code(), *code, "{body}: {rpc:?}");
        assert_eq!(rpc.http_status(), 400, "{body}");
        assert!(rpc.message().contains(piece), "{body}: {}", rpc.message());
    }
}

#[test]
fn bounds_hold_exactly() {
    let limits = Limits { max_body_bytes: 400, max_depth: 4, max_key_bytes: 8, max_id_bytes: 4 };
    let code = |body: &str| parse(body.as_bytes(), &limits).map(drop).map_err(|r| r.error.to_rpc());
    let nested = |open: usize| {
        let (a, b) = ("[".repeat(open), "]".repeat(open));
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{a}{b}}}}}"#)
    };
    assert!(code(&nested(2)).is_ok());
    assert_eq!(code(&nested(3)).unwrap_err().code(), INVALID_REQUEST);
    let keyed = |key: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"{key}":1}}}}"#);
    assert!(code(&keyed("12345678")).is_ok());
    assert!(code(&keyed("123456789")).unwrap_err().message().contains("8 bytes"));
    let with_id = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
    assert!(code(&with_id("1234")).is_ok());
    assert_eq!(code(&with_id("12345")).unwrap_err().code(), INVALID_REQUEST);
    let long = with_id(&format!("1{}", " ".repeat(400)));
    assert_eq!(code(&long).unwrap_err().http_status(), 413);
}

#[test]
fn a_depth_beyond_the_ceiling_is_not_configurable() {
    let limits = Limits { max_depth: u16::MAX, ..Limits::default() };
    let body = format!(r#"{{"x":{}"#, "[".repeat(100_000));
    let refusal = parse(body.as_bytes(), &limits).unwrap_err();
    assert!(matches!(refusal.error, StrictError::Json { fault: Fault::TooDeep(256), .. }));
}

#[test]
fn a_refusal_carries_the_id_that_was_read() {
    let body = br#"{"params":{"NAME":"x"},"method":"tools/call","jsonrpc":"2.0","id":"q"}"#;
    let refusal = parse(body, &Limits::default()).unwrap_err();
    let (status, bytes) = refusal.to_response();
    assert_eq!(status, 400);
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(answer["id"], "q");
    assert_eq!(answer["error"]["code"], INVALID_PARAMS);
    let (_, bytes) = parse(b"{", &Limits::default()).unwrap_err().to_response();
    assert!(serde_json::from_slice::<Value>(&bytes).unwrap().get("id").is_none());
}

#[test]
fn large_objects_find_their_duplicates() {
    let members = |count: usize| (0..count).map(|n| format!(r#""k{n}":{n}"#)).collect::<Vec<_>>().join(",");
    let body = |members: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":{{{members}}}}}}}"#);
    assert!(parse(body(&members(500)).as_bytes(), &Limits::default()).is_ok());
    for twice in ["k0", "k15", "k16", "k17", "k499"] {
        let doubled = body(&format!(r#"{},"{twice}":0"#, members(500)));
        let refusal = parse(doubled.as_bytes(), &Limits::default()).unwrap_err();
        assert!(matches!(refusal.error, StrictError::Json { fault: Fault::DuplicateKey, .. }), "{twice}");
    }
}

fn arguments(text: &str) -> Result<Value, ArgumentError> {
    parse_arguments(Raw::from_scanned(text))
}

#[test]
fn numbers_that_keep_their_value_are_kept() {
    for (literal, same) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1.10", "1.1"),
        ("1.0", "1.0"),
        ("1e2", "100.0"),
        ("1E+2", "100.0"),
        ("100e-2", "1.0"),
        ("0.1", "0.1"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("0e5", "0.0"),
        // Halfway between two shortest forms: the even one, as JavaScript and Python write it.
        ("2149683573158786.2", "2149683573158786.2"),
    ] {
        let value = arguments(&format!(r#"{{"a":{literal}}}"#)).unwrap();
        assert_eq!(value["a"].to_string(), same, "{literal}");
    }
}

#[test]
fn numbers_that_would_change_are_refused_with_their_place() {
    for literal in [
        "12345678901234567890123",
        "10000000000000000000000",
        "-9223372036854775809",
        "1e400",
        "1e-400",
        "0.1000000000000000055511151231257827",
        "9007199254740993.0",
        "1e99999999999",
        "3.14159265358979323846",
    ] {
        let error = arguments(&format!(r#"{{"a/b":[0,{{"c~":{literal}}}]}}"#)).unwrap_err();
        let ArgumentError::Number { pointer, literal: told } = error else {
            panic!("{literal}: {error}");
        };
        assert_eq!(pointer, "/a~1b/1/c~0");
        assert_eq!(told, literal);
    }
}

#[test]
fn sorted_json_does_not_follow_the_order_written() {
    let value = arguments(r#"{"b":{"z":1,"a":[{"y":null,"x":"\u0001\n\"é"}]},"a":true,"":-1.50}"#).unwrap();
    let sorted = String::from_utf8(to_sorted_json(&value)).unwrap();
    assert_eq!(sorted, r#"{"":-1.5,"a":true,"b":{"a":[{"x":"\u0001\n\"é","y":null}],"z":1}}"#);
}

/// Any JSON value, shallow enough for the default limits.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn an_object_of_any_shape_is_read_as_strictly() {
    let limits = Limits { max_body_bytes: 64, max_depth: 3, ..Limits::default() };
    let read =
        |body: &'static str| object(body.as_bytes(), &limits).map(Raw::as_str).map_err(|error| error.to_string());
    assert_eq!(read(r#" {"a":{"b":[1e400]},"A":2} "#).unwrap(), r#"{"a":{"b":[1e400]},"A":2}"#);
    for (body, told) in [
        ("", "ends too early"),
        ("[{}]", "this body is an array"),
        (r#"{"a":1}{"#, "after"),
        (r#"{"a":{"b":1,"\u0062":2}}"#, "duplicate key"),
        (r#"{"a":[[[1]]]}"#, "nesting deeper than 3"),
        ("\u{feff}{}", "byte order mark"),
        (r#"{"a":"\ud800"}"#, "surrogate"),
        (r#"{"a":"0123456789012345678901234567890123456789012345678901234567890"}"#, "over the limit of 64 bytes"),
    ] {
        let error = read(body).unwrap_err();
        assert!(error.contains(told), "{body}: {error}");
    }
}

proptest! {
    #[test]
    fn whatever_serde_writes_is_accepted_and_means_the_same(value in any_value()) {
        let arguments = json!({"v": value});
        let body = json!({"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments": arguments}}).to_string();
        let Ok(Message::Request(request)) = parse(body.as_bytes(), &Limits::default()) else {
            return Err(TestCaseError::fail(format!("refused: {body}")));
        };
        let raw = request.params.arguments.unwrap();
        let read = parse_arguments(raw).unwrap();
        prop_assert_eq!(&read, &arguments);
        let sorted = to_sorted_json(&read);
        // Not `serde_json::from_slice`: without its `float_roundtrip` it reads floats one ulp off.
        let again = parse_arguments(Raw::from_scanned(std::str::from_utf8(&sorted).unwrap())).unwrap();
        prop_assert_eq!(again, read);
    }

    #[test]
    fn a_doubled_key_is_refused_wherever_it_stands(
        before in prop::collection::vec("[a-z]{1,4}", 0..30),
        depth in 0usize..20,
    ) {
        let mut keys: Vec<String> = before;
        keys.sort();
        keys.dedup();
        keys.push("twice".into());
        let members: String = keys.iter().map(|k| format!("\"{k}\":0,")).collect::<Vec<_>>().concat();
        let object = format!(r#"{{{members}"tw\u0069ce":1}}"#);
        let nested = format!("{}{object}{}", "[".repeat(depth), "]".repeat(depth));
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"x":{nested}}}}}"#);
        let refusal = parse(body.as_bytes(), &Limits::default()).unwrap_err();
        let duplicate = matches!(refusal.error, StrictError::Json { fault: Fault::DuplicateKey, .. });
        prop_assert!(duplicate, "{}", refusal.error);
    }

    #[test]
    fn any_bytes_are_answered_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(refusal) = parse(&bytes, &Limits::default()) {
            let (status, body) = refusal.to_response();
            prop_assert!(status == 400);
            prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
    }

    #[test]
    fn one_changed_byte_never_widens_what_serde_accepts(at in 0usize..300, byte in any::<u8>()) {
        let mut body = CALL.as_bytes().to_vec();
        let at = at % body.len();
        body[at] = byte;
        if parse(&body, &Limits::default()).is_ok() {
            prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
        }
    }
}
