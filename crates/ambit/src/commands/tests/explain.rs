//! What `ambit explain` says is what a call would get, or says what it does not know.

use super::*;

const APPROVABLE: &str = "[servers.shop]\napprovers = [\"user bob\"]\n";
const OTHERS: &str = "[issuers.okta]\nissuer = \"https://okta.example\"\nscopes = \"none\"\npeople = \"unmarked\"\nclaims = \
                      [\"org_id\"]\n[issuers.okta.groups]\nclaim = \"groups\"\nmap = { s = \"staff\" }\n";

/// Everything is accepted, and these rules count.
async fn desk(config: &str, rules: &str) -> Desk {
    let desk = Desk::new(config);
    desk.done("tools accept shop").await;
    fs::create_dir(desk.path("policies")).unwrap();
    fs::write(desk.path("policies/a.cedar"), rules).unwrap();
    desk
}

async fn explained(desk: &Desk, line: &str) -> Value {
    desk.done(&format!("explain {line} --json")).await.json()
}

fn not_known(explained: &Value) -> Vec<&str> {
    explained["not_known"].as_array().unwrap().iter().map(|fact| fact["option"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_fact_that_a_rule_reads_and_nobody_named_is_named() {
    let rules = r#"
        @id("fresh") forbid (principal, action in Action::"call", resource)
        unless { context has login && context.login.age_seconds < 300 && context.login.methods.contains("otp") };
        @id("office") forbid (principal, action in Action::"call", resource)
        unless { context has source && context.source.isInRange(ip("10.0.0.0/8")) };
        @id("clean") forbid (principal, action in Action::"call", resource)
        when { context.touched.contains("untrusted_content") };"#;
    let desk = desk(CONFIG, rules).await;
    let get = "--as alice --tool shop/get-order";
    let bare = explained(&desk, get).await;
    assert_eq!(bare["outcome"], json!("refused"), "{bare}");
    let options = ["--args JSON", "--source ADDRESS", "--login-age DURATION", "--touched LABEL"];
    assert_eq!(not_known(&bare), options);
    let text = desk.done(&format!("explain {get}")).await.out;
    assert!(
        text.contains("not known here\n") && text.contains("the login: name it with `--login-age DURATION`"),
        "{text}"
    );
    let named = "--source 10.0.0.7 --login-age 4m --login-method pwd --login-method otp";
    let whole = desk
        .run_words(
            &[
                &["explain"][..],
                &get.split(' ').collect::<Vec<_>>(),
                &["--json", "--args", "{\"id\":1}"],
                &named.split(' ').collect::<Vec<_>>(),
            ]
            .concat(),
        )
        .await
        .json();
    assert_eq!((&whole["outcome"], not_known(&whole)), (&json!("allow"), vec!["--touched LABEL"]), "{whole}");
    let old = explained(&desk, &format!("{get} {}", named.replace("4m", "6m"))).await;
    assert_eq!((&old["outcome"], &old["policies"]), (&json!("refused"), &json!(["fresh"])), "{old}");
    let touched = explained(&desk, &format!("{get} {named} --touched untrusted_content")).await;
    assert_eq!((&touched["outcome"], &touched["policies"]), (&json!("refused"), &json!(["clean"])), "{touched}");
    for (wrong, said) in [
        ("--touched public_sink", "no label that a caller carries on"),
        ("--login-age soon", "is no duration"),
        ("--claim org_id=acme", "no claim `org_id` of issuer `local` is read"),
    ] {
        let refused = desk.run(&format!("explain {get} {wrong}")).await;
        assert!(refused.code == 2 && refused.err.contains(said), "{wrong}: {}", refused.err);
    }
    // Where no rule reads anything of the call, only the arguments are not known.
    fs::remove_file(desk.path("policies/a.cedar")).unwrap();
    assert_eq!(not_known(&explained(&desk, get).await), ["--args JSON"]);
}

#[tokio::test]
async fn claims_and_groups_of_another_issuer_are_named() {
    let rules = r#"@id("acme") forbid (principal, action in Action::"call", resource)
        unless { principal.hasTag("org_id") && principal.getTag("org_id").contains("acme") };"#;
    let desk = desk(&format!("{CONFIG}{OTHERS}"), rules).await;
    let get = "--as okta:1 --tool shop/get-order";
    assert_eq!(not_known(&explained(&desk, get).await), ["--group GROUP", "--claim NAME=VALUE"]);
    let other = explained(&desk, &format!("{get} --group staff --claim org_id=other")).await;
    assert_eq!((&other["outcome"], &other["policies"]), (&json!("refused"), &json!(["acme"])), "{other}");
    let acme = explained(&desk, &format!("{get} --group staff --claim org_id=other --claim org_id=acme")).await;
    assert_eq!((&acme["outcome"], not_known(&acme)), (&json!("allow"), vec!["--args JSON"]), "{acme}");
}

#[tokio::test]
async fn an_agent_by_itself_is_somebody() {
    let granted = "[[grants]]\nagent = \"bot\"\ntoolset = \"look\"\nreason = \"r\"\nexpires = 2027-11-01\n";
    let none = desk(CONFIG, "").await;
    let hidden = explained(&none, "--agent bot --tool shop/get-order").await;
    assert_eq!(hidden["outcome"], json!("hidden"));
    assert!(hidden["reasons"].to_string().contains("no grant of agent bot"), "{hidden}");
    let desk = desk(&format!("{CONFIG}{granted}"), "").await;
    assert_eq!(explained(&desk, "--agent bot --tool shop/get-order").await["outcome"], json!("allow"));
    let destroys = explained(&desk, "--agent bot --tool shop/delete-order").await;
    assert!(destroys["reasons"].to_string().contains("an agent on its own cannot have a reveal"), "{destroys}");
    assert_eq!(names(&desk.done("tools --agent bot --json").await.json()), ["get-order"]);
    assert!(desk.done("tools --agent bot").await.out.contains("shown to agent bot at /mcp"));
    assert_eq!(desk.run("tools --endpoint /mcp").await.code, 2, "of whom");
}

#[tokio::test]
async fn wrong_arguments_are_refused_by_what_refuses_them() {
    let limited = CONFIG.replace(
        "reason = \"r\"\nexpires = 2027-11-01\n",
        "reason = \"r\"\nexpires = 2027-11-01\n[grants.constraints.\"*\".properties]\nid = { maximum = 9 }\n",
    );
    let free = desk(CONFIG, "").await;
    let desk = desk(&limited, "").await;
    for (desk, arguments, policies) in
        [(&free, "{\"id\":\"x\"}", json!([])), (&desk, "{\"id\":10}", json!(["guard.argument-constraints"]))]
    {
        let words = ["explain", "--as", "alice", "--tool", "shop/get-order", "--json", "--args", arguments];
        let told = desk.run_words(&words).await.json();
        assert_eq!((&told["outcome"], &told["policies"]), (&json!("refused"), &policies), "{told}");
        let reasons = told["reasons"].as_array().unwrap();
        assert!(reasons.iter().any(|reason| reason.as_str().unwrap().starts_with("arguments: ")), "{told}");
    }
    assert_eq!(explained(&desk, "--as alice --tool shop/get-order").await["outcome"], json!("allow"));
}

#[tokio::test]
async fn nobody_who_can_approve_is_a_refusal() {
    let reveal =
        |who: &str| format!("grant --reveal --user {who} --client app --toolset clear --for 2h --reason r --json");
    let delete = |who: &str| format!("--as {who} --client app --tool shop/delete-order");
    let rule = r#"@id("second") forbid (principal, action in Action::"call", resource) unless { context.approved };"#;

    // Without a store, those count whom configuration names.
    for (config, who, outcome, approvers) in [
        (CONFIG.to_owned(), "alice", "refused", json!([])),
        (CONFIG.replace("[servers.shop]\n", APPROVABLE), "alice", "needs-approval", json!(["local:bob"])),
        (
            CONFIG.replace("[servers.shop]\n", &APPROVABLE.replace("user bob", "user alice")),
            "alice",
            "refused",
            json!([]),
        ),
    ] {
        let desk = desk(&config, rule).await;
        let told = explained(&desk, &format!("--as {who} --tool shop/get-order")).await;
        assert_eq!((&told["outcome"], &told["approvers"]), (&json!(outcome), &approvers), "{told}");
        assert_eq!(told["approvals_needed"], json!(1));
        let remedy = told["what_would_change"].to_string();
        assert_eq!(remedy.contains("name more people in `approvers`"), outcome == "refused", "{remedy}");
        let approved = explained(&desk, &format!("--as {who} --tool shop/get-order --approved")).await;
        assert_eq!((&approved["outcome"], approved.get("approvers")), (&json!("allow"), None), "{approved}");
    }
    // With one, whoever can log in.
    let desk = desk(&CONFIG.replace("[servers.shop]\n", APPROVABLE), "").await;
    let revealed = desk.done(&reveal("alice")).await.json();
    let told = explained(&desk, &delete("alice")).await;
    assert_eq!((&told["outcome"], &told["approvers"]), (&json!("refused"), &json!([])), "bob never logged in: {told}");

    // The list says what a call comes to as well.
    let listed = desk.done("tools --as alice --client app --json").await.json();
    let outcomes: Vec<_> = listed.as_array().unwrap().iter().map(|row| (&row["name"], &row["outcome"])).collect();
    assert_eq!(outcomes[0], (&json!("delete-order"), &json!("needs-approval")));
    assert_eq!(outcomes[1], (&json!("get-order"), &json!("allow")));

    // Whoever broke the glass waits for nobody, as long as configuration names them.
    let resolved = crate::config::load(&desk.path("ambit.toml"), NOW).unwrap();
    let store = ambit_store::Store::open(&resolved.store).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let id = ambit_model::ids::GrantId::parse(revealed["id"].as_str().unwrap()).unwrap();
    ambit_store::broken_glass::insert(&mut tx, &id).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    assert_eq!(explained(&desk, &delete("alice")).await["outcome"], json!("refused"), "she is not named");
    let config = fs::read_to_string(desk.path("ambit.toml")).unwrap();
    let named = format!("{config}[break_glass]\npeople = [\"alice\"]\ntoolsets = [\"clear\"]\n");
    fs::write(desk.path("ambit.toml"), named).unwrap();
    let told = explained(&desk, &delete("alice")).await;
    assert_eq!(told["outcome"], json!("allow"), "{told}");
    assert!(told["reasons"].to_string().contains("the glass is broken until 2026-11-25T02:00:00Z"), "{told}");
    let listed = desk.done("tools --as alice --client app --json").await.json();
    assert_eq!(listed[0]["outcome"], json!("allow"), "{listed}");
    // It lifts no rule.
    fs::write(desk.path("policies/a.cedar"), rule).unwrap();
    assert_eq!(explained(&desk, &delete("alice")).await["outcome"], json!("refused"));
}
