//! The pages of approvals: the requester's, the approver's, and everybody else's, who find nothing.

use std::collections::{BTreeMap, BTreeSet};

use ambit_live::notices::NoticeKind;
use ambit_model::{
    Digest, Effect,
    approval::{Approver, ApproverRule, ExactCall, REQUEST_LIFE_MS},
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    event::Executed,
    grant::{Grant, GrantOrigin, GrantSubject, Reveal},
    ids::{AgentId, ApprovalId, ClientId, EndpointSlug, GrantId, Millis, ToolId, UserKey},
    revocation::Scope,
    shown::is_hidden,
};
use ambit_store::{approvals as rows, grants, reveals};
use serde_json::{Value, json};

use super::{
    App, PASSWORD, alice,
    browser::{Browser, Reply},
    generous, grant, nowhere, slug, world,
};
use crate::approvals::{Asked, Standing, ask, sweep};

const ARGUMENTS: &[u8] = br#"{"id":"<script>alert(1)</script>","purge":true}"#;

/// Where the calls come from.
const CLIENT: &str = "https://client.example/c";

/// What turns the direction of writing, and what is not seen at all.
const TURNED: &str = "\u{202e}";
const UNSEEN: &str = "\u{200b}";

/// Bob approves what `up` does.
async fn app() -> App {
    let mut world = world();
    let rule = ApproverRule { approvers: [Approver::parse("user bob").unwrap()].into(), needed: 1 };
    for server in world.servers.values_mut() {
        server.approvals.rule = rule.clone();
    }
    App::with(world, generous(), nowhere()).await
}

/// Asks for a call of alice, or of an agent on its own.
async fn asked(app: &App, by_alice: bool) -> ApprovalId {
    asked_with(app, if by_alice { person() } else { Principal::Agent { agent: bot() } }, ARGUMENTS, "everything").await
}

fn person() -> Principal {
    Principal::Person { user: user() }
}

fn user() -> UserFacts {
    UserFacts { key: alice(), groups: BTreeSet::new(), claims: BTreeMap::new() }
}

fn bot() -> AgentFacts {
    AgentFacts { id: AgentId::parse("bot").unwrap(), owner: alice(), expires_at: Millis::MAX }
}

async fn asked_with(app: &App, principal: Principal, arguments: &[u8], what: &str) -> ApprovalId {
    let snapshot = app.live.current();
    let server = snapshot.deployment.servers.values().next().unwrap();
    let client = ClientId::parse(CLIENT).unwrap();
    let caller = CallerFacts {
        principal,
        client: ClientFacts { id: client.clone(), assurance: Assurance::Cimd },
        scopes: TokenScopes::None,
        declined: BTreeSet::new(),
        operator: None,
    };
    let (endpoint, tool) = (EndpointSlug::parse("default").unwrap(), ToolId::parse("up/delete").unwrap());
    let exact = ExactCall {
        user: caller.user().map(|user| &user.key),
        agent: caller.agent().map(|agent| &agent.id),
        client: &client,
        endpoint: &endpoint,
        tool: &tool,
        definition: Digest::of(b"definition"),
        rules: Digest::of(b"rules"),
        arguments: Digest::of(arguments),
    };
    let purpose = format!("Deletes <b>{what}</b>");
    let asked = Asked {
        exact,
        arguments,
        server,
        caller: &caller,
        effect: Effect::Destructive,
        purpose: &purpose,
        claimed: Some(format!("Trusted & approved {what}")),
        rules: &["guard.destructive-needs-approval".into()],
    };
    match ask(&app.live, &snapshot, &asked).await.unwrap() {
        Standing::Waiting { approval, .. } => approval.id,
        other => panic!("{other:?}"),
    }
}

/// Makes grants and reveals of `writing`, each with whoever made it.
async fn entitle(app: &App, grants: &[(&Grant, &str)], reveals: &[(&Reveal, &str)]) {
    let mut tx = app.live.store().begin().await.unwrap();
    for (grant, by) in grants {
        grants::insert(&mut tx, grant, by, app.now()).await.unwrap();
    }
    for (reveal, by) in reveals {
        reveals::insert(&mut tx, reveal, by, app.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    app.live.refresh().await.unwrap();
}

fn reveal(app: &App, reason: &str, approved_by: Option<&str>) -> Reveal {
    Reveal {
        id: GrantId::parse("r1").unwrap(),
        user: alice(),
        client: ClientId::parse(CLIENT).unwrap(),
        agent: Some(bot().id),
        toolset: slug("writing"),
        reason: reason.into(),
        approved_by: approved_by.map(Into::into),
        starts_at: app.now(),
        expires_at: app.now() + 3_600_000,
    }
}

/// Has a request that bob said yes to let out, as the gateway does it.
async fn let_out(app: &App, id: &ApprovalId) {
    let mut bob = app.browser();
    let page = reach(&mut bob, id, "bob").await.expect(200);
    decide(&mut bob, &page, id, "approve").await.expect(303);
    let mut tx = app.live.store().begin().await.unwrap();
    let held = rows::hold(&mut tx, id).await.unwrap().unwrap();
    rows::consume(&mut tx, id, &held.digest, "record", app.now()).await.unwrap().unwrap();
    assert!(rows::executed(&mut tx, id, "record", Executed::Yes).await.unwrap());
    tx.commit().await.unwrap();
}

/// What a page says in a row of a list, as a browser shows it.
fn said(page: &Reply, term: &str) -> Vec<String> {
    let begin = format!("<dt>{term}</dt><dd>");
    let rows = page.body.split(&begin).skip(1);
    rows.map(|rest| as_shown(rest.split("</dd>").next().unwrap())).collect()
}

/// Without tags, and with the characters that markup stands for.
fn as_shown(markup: &str) -> String {
    let mut text = String::new();
    for part in markup.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, rest)| rest));
    }
    ["&#34;\"", "&#39;'", "&#60;<", "&#62;>", "&#38;&"]
        .iter()
        .fold(text, |text, pair| text.replace(&pair[..5], &pair[5..]))
}

fn arguments_on(page: &Reply) -> String {
    let rest = page.body.split("<pre class=\"arguments\">").nth(1).unwrap_or_else(|| panic!("{}", page.body));
    as_shown(rest.split("</pre>").next().unwrap())
}

/// Logs in on the way to a request.
async fn reach(browser: &mut Browser, id: &ApprovalId, name: &str) -> Reply {
    let page = format!("/approvals/{id}");
    let form = browser.get(&format!("/login?approval={id}")).await.expect(200);
    let entered = browser.enter(&form, name, PASSWORD).await;
    assert_eq!(entered.location(), page);
    browser.get(&page).await
}

async fn decide(browser: &mut Browser, page: &Reply, id: &ApprovalId, what: &str) -> Reply {
    let csrf = page.field("csrf");
    browser
        .post(&format!("/approvals/{id}"), &[("csrf", csrf.as_str()), ("do", what), ("reason", "looks\nright")])
        .await
}

#[tokio::test]
async fn an_approver_sees_the_whole_call_and_lets_it_through_once() {
    let app = app().await;
    let id = asked(&app, true).await;
    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    for shown in [
        "delete",
        "destructive",
        "Alice Example",
        "https://client.example/c",
        "purge",
        "guard.destructive-needs-approval",
    ] {
        assert!(page.body.contains(shown), "{shown}\n{}", page.body);
    }
    // What an agent or a server says is text, and marked as theirs.
    assert!(!page.body.contains("<script>") && !page.body.contains("<b>everything"), "{}", page.body);
    assert!(page.body.contains("its own claim"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    let inbox = bob.get("/approvals").await.expect(200);
    assert!(inbox.body.contains(id.as_str()));
    let done = decide(&mut bob, &page, &id, "approve").await;
    assert_eq!(done.location(), format!("/approvals/{id}"));
    let after = bob.get(&format!("/approvals/{id}")).await.expect(200);
    assert!(after.body.contains("approved") && after.body.contains("looks right"), "{}", after.body);
    // A second yes is none; a no still counts, until the call was made.
    decide(&mut bob, &page, &id, "approve").await.expect(410);
    decide(&mut bob, &page, &id, "deny").await.expect(303);
    decide(&mut bob, &page, &id, "deny").await.expect(410);
    let trail = app.trail();
    for act in ["approval.request", "approval.approve", "approval.deny"] {
        assert!(trail.contains(act), "{act}");
    }
    assert!(!trail.contains("alert(1)"), "no argument is in the trail");
}

/// Every item a person decides by, each in its place.
#[tokio::test]
async fn an_approver_is_shown_each_thing_there_is_to_know() {
    let app = app().await;
    let agents = GrantSubject::Agent(bot().id);
    let stored = Grant {
        subject: agents,
        reason: "nightly cleaning".into(),
        origin: GrantOrigin::Operator,
        starts_at: app.now(),
        expires_at: app.now() + 3_600_000,
        ..grant("g7", "alice", "writing")
    };
    let reveal = reveal(&app, "the disk is full", Some("the boss"));
    entitle(&app, &[(&stored, "operator:jana")], &[(&reveal, "operator:adam")]).await;
    let both = || Principal::Delegated { user: user(), agent: bot() };
    let earlier = asked_with(&app, both(), br#"{"id":"7","purge":false}"#, "everything").await;
    let_out(&app, &earlier).await;
    app.clock.advance(1_000);
    let id = asked_with(&app, both(), ARGUMENTS, "everything").await;
    let kept = rows::find(app.live.store(), &id).await.unwrap().unwrap();
    // Who made it is a fact; who approved it is what they wrote.
    let grounds = [
        r#"r1 of writing, made by operator:adam, according to whom "the boss" approved it: the disk is full"#,
        "g2 of writing to user local:alice, declared by configuration: tests",
        "g7 of writing to agent bot, made by operator:jana: nightly cleaning",
    ];
    assert_eq!(kept.told.grounds, grounds);

    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    let call = page.body.split("<p class=\"call\">").nth(1).unwrap().split("</p>").next().unwrap();
    assert_eq!(as_shown(call), "destructive delete\non up, environment test");
    assert_eq!(arguments_on(&page).as_bytes(), b"{\n  \"id\": \"<script>alert(1)</script>\",\n  \"purge\": true\n}");
    let differences: Vec<_> = page.body.split("<p class=\"difference\">").skip(1).collect();
    let differences: Vec<_> = differences.iter().map(|rest| rest.split("</p>").next().unwrap()).map(as_shown).collect();
    assert_eq!(differences, [r#"/id "7" "<script>alert(1)</script>""#, "/purge false true"]);
    let asked = super::super::when::minute(app.now());
    for (term, values) in [
        ("For", vec!["Alice Example".to_owned()]),
        ("Agent", vec!["bot".to_owned()]),
        ("Client", vec![format!("{CLIENT}cimd")]),
        ("Asked for", vec![format!("{asked}, once")]),
        ("By", grounds.map(ToOwned::to_owned).to_vec()),
        ("Takes", vec!["1 yes".to_owned()]),
        ("Server", vec!["up".to_owned()]),
        ("Owner", vec!["o".to_owned()]),
        ("Environment", vec!["test".to_owned()]),
        ("Data", vec!["internal".to_owned()]),
        ("The tool says", vec!["Deletes <b>everything</b>".to_owned()]),
        ("Asked by rule", vec!["guard.destructive-needs-approval".to_owned()]),
        ("Call", vec![kept.digest.to_string()]),
        ("Definition", vec![Digest::of(b"definition").to_string()]),
    ] {
        assert_eq!(said(&page, term), values, "{term}");
    }
    let claim = page.body.split("<p class=\"warning\">").nth(1).unwrap().split("</p>").next().unwrap();
    assert_eq!(
        as_shown(claim),
        "The client calls itself “Trusted & approved everything”. That is its own claim; nobody has checked it."
    );
}

/// What is read is what is there: nothing turns the direction of writing, and nothing is left out of sight.
#[tokio::test]
async fn nobody_is_made_to_read_something_else_than_what_is_sent() {
    let app = app().await;
    let reason = format!("{TURNED}desreveR");
    let reveal = Reveal { agent: None, ..reveal(&app, &reason, Some(&reason)) };
    entitle(&app, &[], &[(&reveal, "operator:adam")]).await;
    let value = json!({ "file": format!("invoice{TURNED}fdp.exe"), format!("to{UNSEEN}"): "\u{e0041}\u{3164}\u{a0}" });
    let id = asked_with(&app, person(), &serde_json::to_vec(&value).unwrap(), &format!("{TURNED}all{UNSEEN}")).await;
    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    let hidden: Vec<_> = page.body.chars().filter(|c| *c != '\n' && is_hidden(*c)).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
    let arguments = arguments_on(&page);
    assert!(arguments.contains(r"invoice\u202efdp.exe") && arguments.contains(r"to\u200b"), "{arguments}");
    assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap(), value, "and it is still what is sent");
}

#[tokio::test]
async fn more_differences_than_are_listed_are_said_to_be_there() {
    let app = app().await;
    let arguments = |what: &str| serde_json::to_vec(&vec![what; 104]).unwrap();
    let earlier = asked_with(&app, person(), &arguments("a"), "everything").await;
    let_out(&app, &earlier).await;
    app.clock.advance(1_000);
    let id = asked_with(&app, person(), &arguments("b"), "everything").await;
    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    assert_eq!(page.body.matches("<p class=\"difference\">").count(), 100);
    assert!(page.body.contains("And 4 more places"), "{}", page.body);
}

/// The store has arguments sealed alone, and a day after the decision not even that.
#[tokio::test]
async fn arguments_lie_sealed_and_are_gone_a_day_later() {
    let app = app().await;
    let id = asked_with(&app, person(), br#"{"id":"plainly-visible-9"}"#, "everything").await;
    let_out(&app, &id).await;
    let stored = || {
        let files =
            ["ambit.db", "ambit.db-wal"].iter().filter_map(|name| std::fs::read(app.dir.path().join(name)).ok());
        String::from_utf8_lossy(&files.flatten().collect::<Vec<_>>()).into_owned()
    };
    assert!(stored().contains(id.as_str()), "the right file was read");
    assert!(!stored().contains("plainly-visible-9") && !app.trail().contains("plainly-visible-9"));
    let later = asked_with(&app, person(), br#"{"id":"another"}"#, "everything").await;
    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    assert!(arguments_on(&page).contains("plainly-visible-9"), "whoever may decide sees them");
    assert!(bob.get(&format!("/approvals/{later}")).await.expect(200).body.contains("plainly-visible-9"));

    app.clock.advance(24 * 3_600_000 - 1);
    sweep(&app.live).await.unwrap();
    assert!(rows::arguments(app.live.store(), &id).await.unwrap().is_some(), "not before");
    app.clock.advance(1);
    sweep(&app.live).await.unwrap();
    assert_eq!(rows::arguments(app.live.store(), &id).await.unwrap(), None);
    let again = asked_with(&app, person(), br#"{"id":"yet another"}"#, "everything").await;
    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    assert!(page.body.contains("The arguments are not kept any more"), "{}", page.body);
    assert!(!page.body.contains("plainly-visible-9"));
    let page = bob.get(&format!("/approvals/{again}")).await.expect(200);
    assert!(page.body.contains("no earlier call of this tool whose arguments are still kept"), "{}", page.body);
}

#[tokio::test]
async fn people_outside_hear_what_waits_and_how_it_was_decided() {
    let app = app().await;
    let mut heard = app.live.notices().listen();
    let mut bob = app.browser();
    for (by_alice, what, kind) in
        [(true, "approve", NoticeKind::ApprovalApproved), (false, "deny", NoticeKind::ApprovalDenied)]
    {
        let id = asked(&app, by_alice).await;
        // Asked again it is the same request, and told once.
        assert_eq!(asked(&app, by_alice).await, id);
        let page = reach(&mut bob, &id, "bob").await.expect(200);
        decide(&mut bob, &page, &id, what).await.expect(303);
        for kind in [NoticeKind::ApprovalRequested, kind] {
            let notice = heard.try_recv().unwrap();
            assert_eq!((notice.kind, &notice.id), (kind, &id.to_string()));
            assert_eq!(notice.link, format!("https://gw.example/approvals/{id}"));
            assert!(!format!("{notice:?}").contains("purge"), "no argument is told");
        }
    }
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn the_requester_sees_the_status_and_nothing_else() {
    let app = app().await;
    let id = asked(&app, true).await;
    let mut requester = app.browser();
    let page = reach(&mut requester, &id, "alice").await.expect(200);
    assert!(
        page.body.contains("pending") && !page.body.contains("purge") && !page.body.contains("<form"),
        "{}",
        page.body
    );
    let forged = [("csrf", "AAAA"), ("do", "approve")];
    requester.post(&format!("/approvals/{id}"), &forged).await.expect(403);
    assert!(requester.get("/approvals").await.expect(200).body.contains(id.as_str()));
}

#[tokio::test]
async fn whoever_may_not_decide_finds_nothing() {
    let app = app().await;
    // An agent's call: alice owns the agent and is no approver.
    let id = asked(&app, false).await;
    let mut foreign = app.browser();
    let missing = reach(&mut foreign, &id, "alice").await.expect(404);
    let unknown = foreign.get("/approvals/0000").await.expect(404);
    assert_eq!(missing.body, unknown.body, "no telling one that is there from one that is not");
    let mut nobody = app.browser();
    let sent_away = nobody.get(&format!("/approvals/{id}")).await;
    assert_eq!(sent_away.location(), format!("/login?approval={id}"));
    nobody.post(&format!("/approvals/{id}"), &[("csrf", "x"), ("do", "approve")]).await.expect(303);
    // An approver who was revoked is nobody either.
    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    app.clock.advance(1_000);
    app.revoke(Scope::User(UserKey::local("bob").unwrap())).await;
    assert_eq!(decide(&mut bob, &page, &id, "approve").await.location(), format!("/login?approval={id}"));
}

#[tokio::test]
async fn a_decision_takes_a_fresh_login_a_form_of_ours_and_a_request_that_waits() {
    let app = app().await;
    let id = asked(&app, false).await;
    let path = format!("/approvals/{id}");
    let mut bob = app.browser();
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    bob.post(&path, &[("do", "approve")]).await.expect(403);
    let other = asked(&app, true).await;
    let others = bob.get(&format!("/approvals/{other}")).await.expect(200).field("csrf");
    bob.post(&path, &[("csrf", others.as_str()), ("do", "approve")]).await.expect(403);
    bob.post(&path, &[("csrf", page.field("csrf").as_str()), ("do", "maybe")]).await.expect(400);
    // Five minutes after the login, looking and deciding both ask for another.
    app.clock.advance(5 * 60_000);
    assert_eq!(bob.get(&path).await.location(), format!("/login?approval={id}"));
    assert_eq!(decide(&mut bob, &page, &id, "approve").await.location(), format!("/login?approval={id}"));
    // Nor does a login from the future, after the clock was set back.
    let page = reach(&mut bob, &id, "bob").await.expect(200);
    app.clock.advance(-60_000);
    assert_eq!(bob.get(&path).await.location(), format!("/login?approval={id}"));
    app.clock.advance(60_000);
    app.clock.advance(REQUEST_LIFE_MS - 5 * 60_000 - 1);
    let late = reach(&mut bob, &id, "bob").await.expect(200);
    app.clock.advance(1);
    decide(&mut bob, &late, &id, "approve").await.expect(410);
    assert!(page.body.contains("csrf"));
}

#[tokio::test]
async fn a_login_leads_to_our_pages_alone() {
    let app = app().await;
    for (given, leads_to) in
        [("all", "/approvals"), ("https://evil.example/", "/approvals"), ("../clients", "/approvals")]
    {
        let mut browser = app.browser();
        let form = browser.get(&format!("/login?approval={given}")).await.expect(200);
        assert_eq!(browser.enter(&form, "alice", PASSWORD).await.location(), leads_to, "{given}");
    }
}
