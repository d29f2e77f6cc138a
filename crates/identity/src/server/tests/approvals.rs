//! The pages of approvals: the requester's, the approver's, and everybody else's, who find nothing.

use std::collections::{BTreeMap, BTreeSet};

use ambit_live::notices::NoticeKind;
use ambit_model::{
    Digest, Effect,
    approval::{Approver, ApproverRule, ExactCall, REQUEST_LIFE_MS},
    caller::{AgentFacts, Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ids::{AgentId, ApprovalId, ClientId, EndpointSlug, Millis, ToolId, UserKey},
    revocation::Scope,
};

use super::{
    App, PASSWORD, alice,
    browser::{Browser, Reply},
    generous, nowhere, world,
};
use crate::approvals::{Asked, Standing, ask};

const ARGUMENTS: &[u8] = br#"{"id":"<script>alert(1)</script>","purge":true}"#;

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
    let snapshot = app.live.current();
    let server = snapshot.deployment.servers.values().next().unwrap();
    let principal = if by_alice {
        Principal::Person { user: UserFacts { key: alice(), groups: BTreeSet::new(), claims: BTreeMap::new() } }
    } else {
        Principal::Agent {
            agent: AgentFacts { id: AgentId::parse("bot").unwrap(), owner: alice(), expires_at: Millis::MAX },
        }
    };
    let client = ClientId::parse("https://client.example/c").unwrap();
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
        arguments: Digest::of(ARGUMENTS),
    };
    let asked = Asked {
        exact,
        arguments: ARGUMENTS,
        server,
        caller: &caller,
        effect: Effect::Destructive,
        purpose: "Deletes <b>everything</b>",
        claimed: Some("Trusted & approved client".into()),
        rules: &["guard.destructive-needs-approval".into()],
    };
    match ask(&app.live, &snapshot, &asked).await.unwrap() {
        Standing::Waiting { approval, .. } => approval.id,
        other => panic!("{other:?}"),
    }
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
