use super::*;

fn read(body: &str, may_be_several: bool) -> Result<Asked<'_>, String> {
    Asked::read(body.as_bytes(), may_be_several, &Limits::default())
}

const QUESTION: &str = r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"tools/call"},
    "resource":{"type":"tool","id":"api/get-thing"}}"#;

#[test]
fn a_question_is_read_with_what_it_may_bring() {
    let body = r#"{"subject":{"type":"user","id":"okta:1","properties":{"client":"c","agent":"b",
        "toolsets":["t"],"department":"x","groups":["g"]}},
        "action":{"name":"tools/call","properties":{"arguments":{"n":1.10}}},
        "resource":{"type":"tool","id":"t","properties":{"x":1}},"context":{"source":"192.0.2.1","time":1e400},"more":[]}"#;
    let asked = read(body, false).unwrap();
    let [Ok(question)] = &asked.questions[..] else { panic!("{asked:?}") };
    assert_eq!((question.action.as_str(), question.resource.id.as_str()), ("tools/call", "t"));
    assert_eq!(question.arguments.unwrap().as_str(), r#"{"n":1.10}"#, "as it was written");
    assert_eq!(question.source, Some("192.0.2.1".parse().unwrap()));
    let named = &question.subject;
    assert_eq!((named.client.as_deref(), named.agent.as_deref()), (Some("c"), Some("b")));
    assert_eq!(named.toolsets.as_deref(), Some(&["t".to_owned()][..]));
    assert!(!asked.are_several);
}

#[test]
fn what_is_no_question_is_told_where() {
    let with = |from: &str, to: &str| QUESTION.replace(from, to);
    for (body, told) in [
        (String::new(), "ends too early"),
        ("[]".into(), "this body is an array"),
        ("{}".into(), "`subject` is missing"),
        (with(r#""name":"tools/call""#, ""), "`action`: missing field `name`"),
        (with(r#"{"name":"tools/call"}"#, r#"["tools/call"]"#), "`action` is not an object"),
        (with(r#""tools/call""#, "1"), "`action`: invalid type"),
        (with(r#"{"type":"user","id":"alice"}"#, r#""alice""#), "`subject` is not an object"),
        (with(r#","id":"alice""#, ""), "`subject`: missing field `id`"),
        (with(r#"{"type":"tool","id":"api/get-thing"}"#, "null"), "`resource` is missing"),
        (with(r#""id":"alice""#, r#""id":"alice","id":"bob""#), "duplicate key"),
        (with(r#""id":"alice""#, r#""id":"alice","properties":[]"#), "`subject.properties` is not an object"),
        (with(r#""id":"alice""#, r#""id":"alice","properties":{"client":1}"#), "`subject.properties`: invalid type"),
        (with(r#""subject""#, r#""context":{"source":"here"},"subject""#), "`context`: invalid"),
        (
            with(r#""subject""#, &format!(r#""context":{}{},"subject""#, "[".repeat(80), "]".repeat(80))),
            "nesting deeper",
        ),
    ] {
        let error = read(&body, false).unwrap_err();
        assert!(error.contains(told), "{body}: {error}");
    }
}

#[test]
fn the_members_above_stand_in_for_those_that_an_evaluation_leaves_out() {
    let body = r#"{"subject":{"type":"user","id":"alice","properties":{"client":"c"}},"action":{"name":"call"},"evaluations":[
        {"resource":{"type":"tool","id":"a"}},
        {"resource":{"type":"tool","id":"b"},"subject":{"type":"user","id":"bob"},"evaluations":[{}]},
        {"action":{"name":"list"}}, 7
    ],"options":{"evaluations_semantic":"deny_on_first_deny","other":1}}"#;
    let asked = read(body, true).unwrap();
    assert_eq!((asked.semantic, asked.are_several), (Semantic::DenyOnFirstDeny, true));
    let [Ok(first), Ok(second), Err(third), Err(fourth)] = &asked.questions[..] else { panic!("{asked:?}") };
    assert_eq!((first.subject.client.as_deref(), first.resource.id.as_str()), (Some("c"), "a"));
    assert_eq!((second.subject.id.as_str(), second.subject.client.as_deref()), ("bob", None), "taken whole");
    assert!(third.contains("`resource` is missing") && fourth.contains("not an object"), "{third}; {fourth}");
}

#[test]
fn a_list_that_is_empty_or_not_asked_for_is_one_question() {
    let with_list = |list: &str| QUESTION.replacen('{', &format!(r#"{{"evaluations":{list},"#), 1);
    for (body, may_be_several) in [(with_list("[]"), true), (with_list("[{}]"), false), (QUESTION.to_owned(), true)] {
        let asked = read(&body, may_be_several).unwrap();
        assert_eq!((asked.questions.len(), asked.are_several), (1, false), "{body}");
    }
    let many = with_list(&format!("[{}]", vec!["{}"; MOST + 1].join(",")));
    assert!(read(&many, true).unwrap_err().contains("101 evaluations are more than 100"));
    let whole = with_list(&format!("[{}]", vec!["{}"; MOST].join(",")));
    assert_eq!(read(&whole, true).unwrap().questions.len(), MOST);
    let unknown = with_list("[{}]").replacen('{', r#"{"options":{"evaluations_semantic":"guess"},"#, 1);
    assert!(read(&unknown, true).unwrap_err().contains("unknown variant"));
}

#[test]
fn a_member_above_weighs_as_often_as_it_is_inherited() {
    let body = |many: usize, bytes: usize| {
        let evaluation = r#"{"resource":{"type":"tool","id":"a"}}"#;
        format!(
            r#"{{"subject":{{"type":"user","id":"alice"}},"action":{{"name":"call","properties":{{"arguments":{{"a":"{}"}}}}}},
            "evaluations":[{}]}}"#,
            "x".repeat(bytes),
            vec![evaluation; many].join(",")
        )
    };
    let fits = body(100, MOST_BYTES / 101);
    assert_eq!(read(&fits, true).unwrap().questions.len(), 100);
    let error = read(&body(100, MOST_BYTES / 100), true).unwrap_err();
    assert!(error.contains("1048576") && error.contains("ask fewer in one request"), "{error}");
    // Whichever member it is.
    let above = format!(r#""context":{{"more":"{}"}},"subject""#, "x".repeat(MOST_BYTES / 2));
    assert!(read(&body(2, 1).replacen(r#""subject""#, &above, 1), true).unwrap_err().contains("bytes"));
    assert!(read(&body(1, MOST_BYTES * 2), true).unwrap().questions[0].is_ok(), "one alone is bounded by the body");
}
