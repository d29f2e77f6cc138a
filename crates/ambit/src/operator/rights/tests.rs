//! Every act of every role: whose it is, whose it is not, and what nobody does for themselves.

use std::{collections::BTreeSet, fmt::Write as _};

use ambit_model::{
    Digest, Effect,
    approval::Says,
    constraints::Constraints,
    grant::{GrantOrigin, GrantSubject},
    ids::{AccessId, ApprovalId, ClientId, GrantId, Subject, ToolId, ToolsetSlug, UserKey},
    operator::Actor,
    revocation::Scope,
};
use ambit_store::grants;

use crate::operator::{
    act::{AcceptedTool, Act, ImportedGrant, ScopeText},
    perform::{ActError, perform},
    tests::{Fixture, NOW, fixture, operator, recorded},
};

const CONFIG: &str = r#"
[[endpoints]]
path = "/mcp"
servers = ["mux", "crm"]
[servers.mux]
mcp = "https://mux.example/mcp"
owner = "o"
purpose = "p"
environment = "test"
data_class = "internal"
expires = 2028-12-31
revoke_when = "never"
[servers.crm]
mcp = "https://crm.example/mcp"
owner = "o"
purpose = "p"
environment = "test"
data_class = "internal"
expires = 2028-12-31
revoke_when = "never"
[toolsets.mux-read]
tools = ["mux/*"]
[toolsets.crm-read]
tools = ["crm/*"]
[toolsets.both]
tools = ["mux/get", "crm/get"]
[accounts.alice]
[accounts.jana]
groups = ["owners"]
email = "jana@example.com"
[accounts.jana-two]
groups = ["others"]
email = "Jana@example.com "
[agents.janas-bot]
owner = "jana"
purpose = "p"
expires = 2028-12-31
[operator]
mint = true
[[operator.roles]]
os_user = "adam"
person = "alice"
roles = ["admin"]
[[operator.roles]]
os_user = "jana"
person = "jana"
roles = ["owner"]
servers = ["mux"]
[[operator.roles]]
os_user = "anna"
roles = ["approver"]
[[operator.roles]]
os_user = "audra"
roles = ["auditor"]
"#;

fn grant_to(kind: &str, name: &str, toolset: &str) -> Act {
    Act::Grant {
        subject: GrantSubject::parse(kind, name).unwrap().unwrap(),
        toolset: ToolsetSlug::parse(toolset).unwrap(),
        reason: "r".into(),
        ticket: None,
        approved_by: None,
        starts_at: None,
        expires_at: None,
        constraints: Constraints::default(),
    }
}

fn import(toolsets: &[&str]) -> Act {
    let grants = (1..).zip(toolsets).map(|(line, toolset)| ImportedGrant {
        line,
        subject: GrantSubject::parse("group", "staff").unwrap().unwrap(),
        toolset: ToolsetSlug::parse(toolset).unwrap(),
        reason: "r".into(),
        ticket: None,
        approved_by: None,
        starts_at: None,
        expires_at: None,
        constraints: Constraints::default(),
    });
    Act::Import { grants: grants.collect() }
}

fn reveal_to(user: &str, toolset: &str) -> Act {
    Act::Reveal {
        user: UserKey::parse(user).unwrap(),
        client: ClientId::parse("app").unwrap(),
        agent: None,
        toolset: ToolsetSlug::parse(toolset).unwrap(),
        reason: "r".into(),
        approved_by: None,
        life_ms: 1000,
    }
}

fn block(kind: &str, id: &str) -> Act {
    Act::Block { scope: ScopeText(Scope::parse(kind, id).unwrap()), reason: "r".into() }
}

fn revoke(kind: &str, id: &str) -> Act {
    Act::Revoke { scope: ScopeText(Scope::parse(kind, id).unwrap()), reason: "r".into() }
}

fn unblock(kind: &str, id: &str) -> Act {
    Act::Unblock { scope: ScopeText(Scope::parse(kind, id).unwrap()), reason: "r".into() }
}

fn accept(tools: &[&str]) -> Act {
    let accepted = |tool: &&str| AcceptedTool {
        tool: ToolId::parse(tool).unwrap(),
        before: None,
        after: Digest::of(b"x"),
        effect: Effect::Read,
    };
    Act::Accept { tools: tools.iter().map(accepted).collect() }
}

/// Every kind of act, with what it reaches in its name.
fn acts() -> Vec<(&'static str, Act)> {
    vec![
        ("grant of mux", grant_to("user", "alice", "mux-read")),
        ("grant of crm", grant_to("group", "staff", "crm-read")),
        ("grant of both", grant_to("group", "staff", "both")),
        ("grant to a client", grant_to("client", "app", "mux-read")),
        ("import of mux", import(&["mux-read"])),
        ("import of both", import(&["mux-read", "crm-read"])),
        ("reveal of mux", reveal_to("okta:x", "mux-read")),
        ("block of mux", block("server", "mux")),
        ("block of a tool of crm", block("tool", "crm/get")),
        ("block of a user", block("user", "alice")),
        ("block of everything", block("deployment", "")),
        ("revoke of mux", revoke("server", "mux")),
        ("revoke of a user", revoke("user", "alice")),
        ("unblock of a tool of mux", unblock("tool", "mux/get")),
        ("unblock of crm", unblock("server", "crm")),
        ("unblock of a client", unblock("client", "app")),
        ("accept of mux", accept(&["mux/a", "mux/b"])),
        ("accept of both", accept(&["mux/a", "crm/b"])),
        (
            "token",
            Act::Token {
                user: UserKey::local("alice").unwrap(),
                agent: None,
                endpoint: "/mcp".into(),
                toolsets: None,
                life_ms: 1000,
            },
        ),
        ("account link", Act::AccountLink { account: Subject::parse("alice").unwrap() }),
        ("reload", Act::Reload {}),
        ("requests for access", Act::ListAccess {}),
        (
            "word on a request",
            Act::DecideAccess { id: AccessId::parse("none").unwrap(), says: Says::Yes, reason: None },
        ),
        ("end of what is not there", Act::End { id: GrantId::parse("grant:none").unwrap(), reason: "r".into() }),
        ("list of approvals", Act::ListApprovals {}),
        ("look at an approval", Act::ShowApproval { id: ApprovalId::parse("a1").unwrap() }),
        ("yes to an approval", decide(Says::Yes)),
        ("no to an approval", decide(Says::No)),
        ("list of broken glass", Act::ListGlass {}),
        ("review of broken glass", Act::ReviewGlass { id: GrantId::parse("glass:none").unwrap(), says: "r".into() }),
    ]
}

fn decide(says: Says) -> Act {
    Act::Decide { id: ApprovalId::parse("a1").unwrap(), says, reason: None }
}

/// The table has every kind of act: whoever adds one here is asked to add its row.
#[test]
fn every_kind_of_act_is_in_the_table() {
    let there: BTreeSet<_> = acts().iter().map(|(_, act)| act.word()).collect();
    let every = [
        "grant",
        "reveal",
        "end",
        "revoke",
        "block",
        "unblock",
        "token",
        "account_link",
        "accept",
        "reload",
        "approvals",
        "approval",
        "decide",
        "glass",
        "review_glass",
        "import",
        "access",
        "decide_access",
    ];
    assert_eq!(there, every.into());
}

#[tokio::test]
async fn every_act_takes_its_role() {
    let mut table = String::new();
    for (name, act) in acts() {
        write!(table, "{name:<26}").unwrap();
        for by in ["adam", "jana", "anna", "audra", "somebody"] {
            let Fixture { directory, context, .. } = fixture(CONFIG).await;
            let answer = perform(act.clone(), &operator(by), &context).await;
            let theirs = !matches!(answer, Err(ActError::NotYours(_)));
            write!(table, "{:<10}", if theirs { by } else { "-" }).unwrap();
            let refused = format!("operator:{by} operator.refused {}", act.subject());
            assert_eq!(recorded(directory.path()).contains(&refused), !theirs, "{name} by {by}: {answer:?}");
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn nobody_gives_anything_to_themselves() {
    let Fixture { directory: _kept, context, store, .. } = fixture(CONFIG).await;
    let mut said = String::new();
    for (by, act) in [
        ("jana", grant_to("user", "jana", "mux-read")),
        ("jana", grant_to("group", "owners", "mux-read")),
        ("jana", grant_to("agent", "janas-bot", "mux-read")),
        ("jana", reveal_to("jana", "mux-read")),
        ("adam", grant_to("user", "alice", "crm-read")),
        ("adam", reveal_to("alice", "crm-read")),
    ] {
        let refused = perform(act, &operator(by), &context).await.unwrap_err();
        writeln!(said, "{refused}").unwrap();
    }
    let approved_by_its_holder = match grant_to("user", "alice", "mux-read") {
        Act::Grant { subject, toolset, reason, ticket, starts_at, expires_at, constraints, .. } => Act::Grant {
            subject,
            toolset,
            reason,
            ticket,
            approved_by: Some("alice".into()),
            starts_at,
            expires_at,
            constraints,
        },
        other => other,
    };
    writeln!(said, "{}", perform(approved_by_its_holder, &operator("jana"), &context).await.unwrap_err()).unwrap();
    insta::assert_snapshot!(said);
    assert!(grants::load_live(&store, NOW).await.unwrap().is_empty());
    // What somebody else gave, they may give back; and others may be given it.
    let made = perform(grant_to("user", "jana", "mux-read"), &operator("adam"), &context).await.unwrap();
    let id = GrantId::parse(made.result["id"].as_str().unwrap()).unwrap();
    perform(Act::End { id, reason: "r".into() }, &operator("jana"), &context).await.unwrap();
    perform(grant_to("group", "staff", "mux-read"), &operator("jana"), &context).await.unwrap();
}

#[tokio::test]
async fn a_person_is_held_to_their_roles_and_to_who_they_are_under_any_name() {
    let Fixture { directory, context, store, .. } = fixture(CONFIG).await;
    let person = |name: &str| Actor::Person(UserKey::parse(name).unwrap());
    let mut said = String::new();
    for (by, act) in [
        // Nobody names them, so they have no rights at all: unlike a user of the operating system.
        ("mallory", grant_to("group", "staff", "mux-read")),
        ("jana-two", grant_to("group", "staff", "mux-read")),
        // The same subject at another issuer is somebody else.
        ("okta:jana", grant_to("group", "staff", "mux-read")),
        ("jana", grant_to("group", "staff", "crm-read")),
        ("jana", block("user", "alice")),
        ("jana", grant_to("user", "jana", "mux-read")),
        ("jana", grant_to("group", "owners", "mux-read")),
        ("jana", grant_to("agent", "janas-bot", "mux-read")),
        // The account of the same address is the same person.
        ("jana", grant_to("user", "jana-two", "mux-read")),
        ("jana", grant_to("group", "others", "mux-read")),
        ("jana", reveal_to("jana-two", "mux-read")),
        ("alice", Act::Unblock { scope: ScopeText(Scope::parse("user", "alice").unwrap()), reason: "r".into() }),
    ] {
        let refused = perform(act, &person(by), &context).await.unwrap_err();
        assert!(matches!(refused, ActError::NotYours(_)), "{by}: {refused:?}");
        writeln!(said, "{by}: {refused}").unwrap();
    }
    insta::assert_snapshot!(said);
    assert!(grants::load_live(&store, NOW).await.unwrap().is_empty());
    perform(grant_to("group", "staff", "mux-read"), &person("jana"), &context).await.unwrap();
    perform(grant_to("user", "jana", "crm-read"), &person("alice"), &context).await.unwrap();
    let acts = recorded(directory.path());
    assert_eq!(acts[0], "user local:mallory operator.refused group staff");
    assert_eq!(acts[acts.len() - 1], "user local:alice grant.create user local:jana");
    let token = Act::Token {
        user: UserKey::local("jana").unwrap(),
        agent: None,
        endpoint: "/mcp".into(),
        toolsets: None,
        life_ms: 1000,
    };
    let refused = perform(token, &person("alice"), &context).await.unwrap_err();
    assert!(refused.to_string().contains("on the machine alone"), "{refused}");
}

#[tokio::test]
async fn an_owner_ends_only_what_reaches_own_servers() {
    let Fixture { directory: _kept, context, .. } = fixture(CONFIG).await;
    for (toolset, theirs) in [("mux-read", true), ("crm-read", false), ("both", false)] {
        let made = perform(grant_to("group", "staff", toolset), &operator("adam"), &context).await.unwrap();
        let end = Act::End { id: GrantId::parse(made.result["id"].as_str().unwrap()).unwrap(), reason: "r".into() };
        let ended = perform(end, &operator("jana"), &context).await;
        assert_eq!(ended.is_ok(), theirs, "{toolset}: {ended:?}");
    }
}

#[tokio::test]
async fn whoever_owns_what_the_configuration_grants_is_told_to_end_it_there() {
    let grant = |toolset: &str| {
        format!("[[grants]]\ngroup = \"owners\"\ntoolset = \"{toolset}\"\nreason = \"r\"\nexpires = 2026-12-31\n")
    };
    let config = format!("{CONFIG}{}{}", grant("mux-read"), grant("crm-read"));
    let Fixture { directory: _kept, context, .. } = fixture(&config).await;
    let ids: Vec<_> =
        context.deployment().grants.iter().map(|grant| (grant.toolset.clone(), grant.id.clone())).collect();
    assert_eq!(ids.len(), 2);
    for (toolset, id) in ids {
        let ended = perform(Act::End { id, reason: "r".into() }, &operator("jana"), &context).await;
        match toolset.as_str() {
            "mux-read" => assert!(matches!(ended, Err(ActError::Declared(_))), "{ended:?}"),
            _ => assert!(matches!(ended, Err(ActError::NotYours(_))), "{ended:?}"),
        }
    }
}

#[tokio::test]
async fn an_owner_lifts_the_blocks_of_owners_alone() {
    let Fixture { directory, context, .. } = fixture(CONFIG).await;
    for scope in [("server", "mux"), ("tool", "mux/get")] {
        let (block, unblock) = (|| block(scope.0, scope.1), || unblock(scope.0, scope.1));
        perform(block(), &operator("jana"), &context).await.unwrap();
        perform(unblock(), &operator("jana"), &context).await.unwrap();
        // Whoever the socket hears without an entry holds the store in their hands, as an admin does.
        for above in ["adam", "root"] {
            perform(block(), &operator(above), &context).await.unwrap();
            let refused = perform(unblock(), &operator("jana"), &context).await.unwrap_err();
            assert!(matches!(&refused, ActError::NotYours(why) if why.contains("ask an admin")), "{refused:?}");
            // To set it once more changes nothing: it is not theirs by that.
            perform(block(), &operator("jana"), &context).await.unwrap();
            let refused = perform(unblock(), &operator("jana"), &context).await;
            assert!(matches!(refused, Err(ActError::NotYours(_))), "{refused:?}");
            perform(unblock(), &operator("adam"), &context).await.unwrap();
        }
    }
    let refused = "operator:jana operator.refused server mux".to_owned();
    assert_eq!(recorded(directory.path()).iter().filter(|act| **act == refused).count(), 4);
}

#[tokio::test]
async fn of_an_import_each_grant_has_to_be_theirs_and_for_somebody_else() {
    let Fixture { directory, context, store, .. } = fixture(CONFIG).await;
    let mut act = import(&["mux-read", "crm-read", "mux-read", "both"]);
    if let Act::Import { grants } = &mut act {
        grants[2].subject = GrantSubject::parse("agent", "janas-bot").unwrap().unwrap();
    }
    let refused = perform(act.clone(), &operator("jana"), &context).await.unwrap_err();
    assert!(matches!(refused, ActError::NotYours(_)), "{refused:?}");
    insta::assert_snapshot!(refused.to_string());
    assert!(grants::load_live(&store, NOW).await.unwrap().is_empty(), "all or nothing");
    assert_eq!(recorded(directory.path()), ["operator:jana operator.refused 4 grants"]);
    // An admin may, each is recorded, and each says where it came from.
    perform(act, &operator("adam"), &context).await.unwrap();
    let made = grants::load_live(&store, NOW).await.unwrap();
    assert_eq!(made.len(), 4);
    assert!(made.iter().all(|grant| grant.origin == GrantOrigin::Import));
    let acts = recorded(directory.path());
    assert_eq!(acts.iter().filter(|act| act.starts_with("operator:adam grant.create ")).count(), 4, "{acts:?}");
    assert_eq!(acts.last().unwrap(), "operator:adam grant.import 4 grants");
}

#[tokio::test]
async fn a_named_user_is_heard_at_the_socket_with_its_own_roles_alone() {
    let name = crate::operator::os_user::name(crate::operator::os_user::own_uid().unwrap());
    let config = CONFIG.replace("os_user = \"audra\"", &format!("os_user = \"{name}\""));
    let Fixture { directory, context, store, .. } = fixture(&config).await;
    let path = directory.path().join("operator.sock");
    let socket = crate::operator::socket::OperatorSocket::bind(&path).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(socket.serve(context, async {
        let _ = stopped.await;
    }));
    let answer = crate::operator::client::ask(&path, &grant_to("user", "alice", "mux-read")).await.unwrap().unwrap();
    let crate::operator::socket::Answer::Refused { message } = answer else { panic!("done") };
    assert_eq!(
        message,
        "not done: this takes an admin, or the owner of every server it reaches, and you are auditor: ask one of them"
    );
    assert!(grants::load_live(&store, NOW).await.unwrap().is_empty());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o666, "others that have roles may knock");
    stop.send(()).unwrap();
    serving.await.unwrap();
}
