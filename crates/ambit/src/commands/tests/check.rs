//! What `ambit check` says of a configuration that would start and would not do what was meant. Every finding stands beside
//! the neighbour that is none.

use super::*;

/// The configuration, in which somebody may approve.
fn approvable() -> String {
    CONFIG.replace("[servers.shop]\n", "[servers.shop]\napprovers = [\"user bob\"]\n")
}

async fn problems(config: &str) -> (u8, Vec<(String, String)>) {
    let ended = Desk::new(config).run("check --json").await;
    let problems = ended.json()["problems"].as_array().unwrap().clone();
    let text = |problem: &Value, member: &str| problem[member].as_str().unwrap().to_owned();
    (ended.code, problems.iter().map(|problem| (text(problem, "path"), text(problem, "message"))).collect())
}

#[tokio::test]
async fn a_name_that_no_tool_has_is_told_where_it_stands() {
    let waiver = "not_needed = { reason = \"r\", until = 2027-06-30 }";
    for (more, path, message) in [
        (
            "[servers.shop.labels]\n\"get-odrer\" = [\"private_data\"]".to_owned(),
            "servers.shop.labels.get-odrer",
            "guards no flow",
        ),
        (
            "[servers.shop.labels]\n\"post-*\" = [\"public_sink\"]".to_owned(),
            "servers.shop.labels.post-*",
            "labels nothing",
        ),
        (
            format!("[servers.shop.approvals.delete-odrer]\n{waiver}"),
            "servers.shop.approvals.delete-odrer",
            "waives nothing",
        ),
        (
            "[budgets.default.tools.\"shop/get-odrer\"]\nper_day = 5".to_owned(),
            "budgets.default.tools.\"shop/get-odrer\"",
            "limits nothing",
        ),
        (
            "[budgets.\"user:alice\".tools.\"shop/put-*\"]\nper_day = 5".to_owned(),
            "budgets.\"user:alice\".tools.\"shop/put-*\"",
            "limits nothing",
        ),
        (
            "[servers.shop.effects]\nget-odrer = { effect = \"read\", reason = \"r\" }".to_owned(),
            "servers.shop.effects.get-odrer",
            "corrects nothing",
        ),
    ] {
        let (code, told) = problems(&format!("{}{more}\n", approvable())).await;
        assert_eq!((code, told.len()), (1, 1), "{more}: {told:?}");
        assert_eq!(told[0].0, path);
        assert!(told[0].1.contains(message) && told[0].1.contains("`ambit tools --server shop`"), "{told:?}");
        // The neighbour names what is there.
        let right = more.replace("odrer", "order").replace("post-*", "get-*").replace("put-*", "*");
        assert_ne!(right, more);
        assert_eq!(problems(&format!("{}{right}\n", approvable())).await, (0, Vec::new()), "{right}");
    }
}

#[tokio::test]
async fn a_destructive_tool_that_nobody_may_approve_is_told_and_stops_nothing() {
    let (code, told) = problems(CONFIG).await;
    assert_eq!((code, told.len()), (0, 1), "{told:?}");
    assert_eq!(told[0].0, "servers.shop.approvers");
    assert!(told[0].1.contains("every call of `delete-order` would be refused"), "{told:?}");
    let waiver = "[servers.shop.approvals.delete-order]\nnot_needed = { reason = \"r\", until = 2027-06-30 }\n";
    let elsewhere = CONFIG.replace("[toolsets.clear]\ntools = [\"shop/delete-order\"]\n", "");
    for fine in [approvable(), format!("{CONFIG}{waiver}"), elsewhere] {
        assert_eq!(problems(&fine).await, (0, Vec::new()), "{fine}");
    }
    // Of a server that is not read here, what was accepted is known.
    let remote = CONFIG.replace("openapi = \"openapi.json\"", "mcp = \"https://shop.example/mcp\"");
    let desk = Desk::new(&remote);
    assert_eq!(desk.done("check --json").await.json()["problems"], json!([]));
    let pin = format!("effect = \"destructive\", digest = \"sha256:{}\"", "0".repeat(64));
    fs::write(desk.path("ambit.lock"), format!("version = 1\n[tools]\n\"shop/delete-order\" = {{ {pin} }}\n")).unwrap();
    let told = desk.done("check --json").await.json();
    assert_eq!(told["problems"][0]["path"], json!("servers.shop.approvers"), "{told}");
}

#[tokio::test]
async fn a_constraint_on_an_argument_that_no_tool_has_is_told() {
    let with = |constraint: &str| {
        let grant =
            format!("toolset = \"look\"\nreason = \"r\"\nexpires = 2027-11-01\n[grants.constraints.{constraint}\n");
        let of_staff = "toolset = \"look\"\nreason = \"r\"\nexpires = 2027-11-01\n";
        let config = approvable().replace(of_staff, &grant);
        assert_ne!(config, approvable());
        config
    };
    for (wrong, message, right) in [
        ("\"*\".properties]\nidd = { maximum = 9 }", "the argument `idd`", "\"*\".properties]\nid = { maximum = 9 }"),
        (
            "\"shop/get-order\".properties]\nid = { maximum = 9 }\nforce = false",
            "the argument `force`",
            "\"shop/get-order\".properties]\nid = { maximum = 9 }",
        ),
        (
            "\"shop/delete-order\".properties]\nid = { maximum = 9 }",
            "is about no tool of toolset `look`",
            "\"shop/get-*\".properties]\nid = { maximum = 9 }",
        ),
    ] {
        let (code, told) = problems(&with(wrong)).await;
        assert_eq!((code, told.len()), (1, 1), "{wrong}: {told:?}");
        assert!(told[0].0.starts_with("grants[0].constraints.") && told[0].1.contains(message), "{told:?}");
        assert_eq!(problems(&with(right)).await, (0, Vec::new()), "{right}");
    }
}
