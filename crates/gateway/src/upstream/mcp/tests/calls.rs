//! What a call sends, and what comes back unchanged.

use super::*;
use crate::upstream::mcp::FailureKind;
use crate::upstream::mcp::testing::Reply;

#[tokio::test]
async fn results_cross_the_eras_with_their_bytes_intact() {
    let odd = r#"{"z":1.10,"content":[{"type":"odd","big":123456789012345678901234567890}],"_meta":{"b":1,"a":2}}"#;
    let typed = odd.replacen('{', r#"{"resultType":"complete","#, 1);
    for (kind, sent) in [(Kind::Legacy, odd), (Kind::Modern, typed.as_str())] {
        let scene = Scene::of(kind).await;
        let text = sent.to_owned();
        scene.fake.instead(move |heard| (heard.method() == "tools/call").then(|| Reply::result(heard, &text)));
        let modern = scene.call_with(&json!({}), 1 << 20, 5_000, Era::Modern).await.unwrap();
        assert_eq!(modern.result.as_str(), typed);
        let legacy = scene.call_with(&json!({}), 1 << 20, 5_000, LEGACY_CLIENT).await.unwrap();
        assert_eq!(legacy.result.as_str(), odd);
        assert!(!modern.is_error && modern.received_bytes > sent.len());
    }
}

/// Without its listing being read no call goes out, so calls that hang must not keep it from being read.
#[tokio::test]
async fn calls_that_hold_every_place_leave_room_for_the_listing() {
    for kind in [Kind::Modern, Kind::Legacy] {
        let mut scene = Scene::of(kind).await;
        scene.upstreams = McpUpstreams::with_places(upstreams().shared.egress.clone(), 1);
        scene.call().await.unwrap();
        scene.fake.instead(|heard| (heard.method() == "tools/call").then_some(Reply::Hang));
        let before = scene.fake.heard().len();
        let listing = async {
            while scene.fake.heard().len() == before {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            scene.upstreams.list(&scene.server, None, in_ms(1_000)).await.unwrap().tools.len()
        };
        tokio::select! {
            listed = listing => assert_eq!(listed, 1),
            ended = scene.call() => panic!("it hangs: {:?}", ended.err()),
        }
        // Another call is told that there is no place, in seconds.
        let (first, second) = tokio::join!(scene.call(), scene.call());
        let kinds = [first, second].map(|ended| ended.err().map(|failure| failure.kind()));
        assert!(kinds.contains(&Some(FailureKind::Busy)), "{kinds:?}");
    }
}

#[tokio::test]
async fn arguments_go_out_sorted_and_mirrored() {
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "left": {"type": "boolean", "x-mcp-header": "Left"}}});
    let described = json!({"name": "get_thing", "inputSchema": schema});
    let scene = Scene::with_tool(Kind::Modern, described.clone()).await;
    let arguments = json!({"region": "Zürich", "count": 5, "a": {"y": 1, "x": [1.5]}, "left": null});
    scene.call_with(&arguments, 1 << 20, 5_000, Era::Modern).await.unwrap();
    let heard = scene.fake.heard().pop().unwrap();
    let sent = r#""arguments":{"a":{"x":[1.5],"y":1},"count":5,"left":null,"region":"Zürich"}"#;
    assert!(heard.body.contains(sent), "{}", heard.body);
    assert_eq!(heard.header("mcp-param-region"), Some("=?base64?WsO8cmljaA==?="));
    assert_eq!(heard.header("mcp-param-count"), Some("5"));
    assert_eq!(heard.header("mcp-param-left"), None);
    let legacy = Scene::with_tool(Kind::Legacy, described).await;
    legacy.call_with(&arguments, 1 << 20, 5_000, Era::Modern).await.unwrap();
    let heard = legacy.fake.heard().pop().unwrap();
    assert!(heard.body.contains(sent) && heard.header("mcp-param-region").is_none());
}

#[tokio::test]
async fn a_failed_tool_is_a_result_and_a_protocol_error_is_not() {
    let scene = Scene::of(Kind::Modern).await;
    scene.fake.instead(|heard| {
        let failed = r#"{"resultType":"complete","content":[{"type":"text","text":"no"}],"isError":true}"#;
        (heard.method() == "tools/call").then(|| Reply::result(heard, failed))
    });
    assert!(scene.call().await.unwrap().is_error);
    let rows = [
        (200, -32602, true),
        (200, -32600, true),
        (200, -32601, false),
        (200, -32603, true),
        (200, -32000, true),
        (200, 5, true),
        (500, -32603, true),
        (400, -32602, true),
        // From within a tool, as the Python SDK does.
        (400, -32600, true),
    ];
    for (status, code, may_have_happened) in rows {
        scene.fake.instead(move |heard| {
            (heard.method() == "tools/call").then(|| Reply::error(heard, status, code, "their reason\u{7}"))
        });
        let failure = scene.call().await.unwrap_err();
        assert_eq!(
            (failure.kind(), failure.may_have_happened()),
            (FailureKind::Remote, may_have_happened),
            "{status} {code}"
        );
        assert!(failure.to_string().contains(&format!("error {code}: their reason\\u{{7}}")), "{failure}");
    }
}

#[tokio::test]
async fn results_that_are_not_final_are_failures() {
    let rows = [
        (r#"{"resultType":"input_required","inputRequests":{"a":{}}}"#, "asks for input"),
        (r#"{"resultType":"task","taskId":"t"}"#, "task"),
        (r#"{"resultType":"brand_new","content":[]}"#, "`brand_new` is unknown"),
        (r#"{"content":[],"isError":true,"isError":false}"#, "`isError` twice"),
        (r"{}", "neither `content`"),
        (r"[]", "not an object"),
    ];
    for kind in [Kind::Modern, Kind::Legacy] {
        let scene = Scene::of(kind).await;
        for (result, piece) in rows {
            scene.fake.instead(move |heard| (heard.method() == "tools/call").then(|| Reply::result(heard, result)));
            let failure = scene.call().await.unwrap_err();
            assert_eq!((failure.kind(), failure.may_have_happened()), (FailureKind::Unusable, true));
            assert!(failure.to_string().contains(piece), "{failure}");
        }
    }
}

#[tokio::test]
async fn the_only_headers_that_arrive_are_ours() {
    let scene = Scene::of(Kind::Legacy).await;
    scene.call().await.unwrap();
    let known = [
        "accept",
        "content-type",
        "content-length",
        "host",
        "user-agent",
        "mcp-protocol-version",
        "mcp-session-id",
        "mcp-method",
        "mcp-name",
    ];
    for heard in scene.fake.heard() {
        for (name, _) in &heard.headers {
            assert!(known.contains(&name.as_str()), "{name}");
        }
    }
}

#[tokio::test]
async fn a_call_of_a_rest_server_is_refused_here() {
    let scene = Scene::of(Kind::Modern).await;
    let mut server = scene.server.clone();
    server.upstream = ambit_model::server::Upstream::OpenApi {
        document: ambit_model::server::DocumentSource::File("x".into()),
        base_url: None,
    };
    let failure = scene.upstreams.list(&server, None, in_ms(1_000)).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Unsupported);
}

#[tokio::test]
async fn a_credential_goes_out_and_does_not_come_back() {
    use ambit_live::credentials::Spendables;
    use ambit_model::ids::CredentialId;
    use ambit_model::secret::{Secret, SecretRef};
    use ambit_model::server::{Credential, Scheme};

    let scene = Scene::of(Kind::Legacy).await;
    let mut server = scene.server.clone();
    server.credentials.default = Some(Credential {
        id: CredentialId::parse("up").unwrap(),
        scheme: Scheme::Bearer(SecretRef::Env("UP".into())),
    });
    let all = Spendables::resolve([&server], |_| Ok(Secret::new("hunter2345".into()))).unwrap();
    let credential = all.find(&server.slug, ambit_model::Effect::Read).map(AsRef::as_ref);
    let described = json!({"name": "hunter2345_tool", "inputSchema": {"type": "object"}});
    scene.fake.set_tools(vec![described, tool("get_thing")]);
    let listing = scene.upstreams.list(&server, credential, in_ms(5_000)).await.unwrap();
    assert_eq!((listing.tools.len(), listing.left_out.len()), (1, 1));
    assert!(!format!("{listing:?}").contains("hunter2345"));
    assert!(scene.fake.heard().iter().all(|heard| heard.header("authorization") == Some("Bearer hunter2345")));
    scene.fake.instead(|heard| {
        let said = heard.header("authorization").unwrap_or_default().to_owned();
        matches!(heard.method().as_str(), "tools/call" | "tools/list").then(|| Reply::error(heard, 200, -32000, &said))
    });
    let arguments = json!({});
    let call = Call {
        server: &server,
        tool: &scene.tool,
        credential,
        arguments: &arguments,
        deadline: in_ms(5_000),
        max_bytes: 1 << 16,
        client_era: Era::Modern,
        progress: None,
        stands: &|| true,
    };
    let failures = [
        scene.upstreams.call(&call).await.unwrap_err(),
        scene.upstreams.list(&server, credential, in_ms(5_000)).await.unwrap_err(),
    ];
    for failure in failures {
        assert!(failure.to_string().ends_with("error -32000: Bearer [redacted]"), "{failure}");
        assert!(!format!("{failure:?}").contains("hunter2345"));
    }
    // Nor in another spelling: here in base64.
    scene.fake.instead(|heard| {
        (heard.method() == "tools/call")
            .then(|| Reply::error(heard, 200, -32000, "Basic aHVudGVyMjM0NQ== is not known"))
    });
    let failure = scene.upstreams.call(&call).await.unwrap_err();
    assert!(failure.to_string().contains("[redacted]"), "{failure}");
    assert!(!format!("{failure:?}").contains("aHVudGVy"), "{failure:?}");
}
