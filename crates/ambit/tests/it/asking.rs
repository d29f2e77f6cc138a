//! A person's client asks for access, in the whole gateway: the person confirms on a page, an owner says yes on another or from
//! the command line, the tool is there on the next request, and gone when the grant is ended or over.

use std::sync::Arc;

use ambit_live::clock::Clock;
use ambit_testkit::app::{Browser, Caller, Given, TestApp, browser::field};
use serde_json::{Value, json};

use crate::{
    waiting::{heard, os_user, reload},
    world::{self, Api, ambit},
};

const REQUEST: &str = "ambit_request_access";
const STATUS: &str = "ambit_status";
const DAY_MS: i64 = 24 * 3_600_000;

/// Bob reads and may ask to edit; carol owns the server and is whoever runs the commands.
struct Scene {
    app: TestApp,
    api: Api,
    clock: Clock,
    config: String,
}

impl Scene {
    async fn new() -> Self {
        let api = Api::start().await;
        let directory = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(directory.path().join("things.json"), world::DOCUMENT).unwrap();
        std::fs::write(directory.path().join("hook-key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let clock = world::still();
        let hook = format!(
            "[webhooks.pager]\nurl = \"http://{}/hook\"\nsecret = \"file:hook-key\"\nevents = [\"access.requested\", \
             \"access.approved\", \"access.denied\"]\n",
            api.address
        );
        let requestable = "title = \"Make things\"\nrequestable_by = [\"group readers\"]";
        let text = world::config(api.address)
            .replace("enabled = false", "enabled = true\nlongest = \"30d\"")
            .replace("title = \"Make things\"", requestable)
            + &hook;
        let given = Given { directory: Some(directory), ..world::at(&clock) };
        let app = TestApp::with(&text, given).await.unwrap();
        let os_user = os_user(&app).await;
        let roles = format!(
            "[[operator.roles]]\nos_user = \"{os_user}\"\nperson = \"carol\"\nroles = [\"admin\", \"owner\"]\nservers = \
             [\"things\"]\n"
        );
        let config = text + &roles;
        app.write_config(&config).unwrap();
        reload(&app).await;
        let scene = Self { app, api, clock, config };
        for name in ["bob", "carol"] {
            let link: Value =
                serde_json::from_str(&ambit(&scene.app, &["account", "--json", "link", name]).await).unwrap();
            scene.app.browser().set_password(link["url"].as_str().unwrap()).await.unwrap();
        }
        scene
    }

    fn bob(&self) -> Caller {
        world::person(&self.app, "bob", "c1")
    }

    /// Asks in bob's name and gives the page and the id of the request.
    async fn ask(&self) -> (String, String) {
        let wish = json!({"toolset": "things-edit", "reason": "the <i>migration</i>", "for": "7d"});
        let answer = self.bob().call(REQUEST, wish).await.unwrap();
        assert!(world::is_fine(&answer), "{}", answer.text());
        let told = answer.json()["result"]["structuredContent"].clone();
        let link = told["link"].as_str().unwrap().to_owned();
        assert_eq!(link, format!("{}/access/{}", self.app.url(), told["request"].as_str().unwrap()));
        (link, told["request"].as_str().unwrap().to_owned())
    }

    async fn browser(&self, name: &str) -> Browser {
        let mut browser = self.app.browser();
        let form = browser.open("/login").await.unwrap();
        let entered = browser.log_in(&form, name).await.unwrap();
        assert_eq!(entered.status, 303, "{}", entered.text());
        browser
    }

    async fn say(&self, name: &str, link: &str, what: &str) {
        let mut browser = self.browser(name).await;
        let page = browser.open(link).await.unwrap();
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(!page.text().contains("<i>"), "what a client says is text");
        let csrf = field(&page, "csrf").unwrap();
        let done = browser.submit(link, &[("csrf", &csrf), ("do", what), ("reason", "")]).await.unwrap();
        assert_eq!(done.status, 303, "{}", done.text());
    }

    async fn can_edit(&self) -> bool {
        let listed = self.bob().list().await.unwrap().contains(&"create-thing".to_owned());
        let answer = self.bob().call("create-thing", json!({"name": "x"})).await.unwrap();
        assert_eq!(world::is_fine(&answer), listed, "{}", answer.text());
        listed
    }
}

#[tokio::test]
async fn from_the_wish_to_the_tool_and_back() {
    let scene = Scene::new().await;
    assert_eq!(scene.bob().list().await.unwrap(), [REQUEST, STATUS, "get-thing", "list-things"]);
    let (link, id) = scene.ask().await;
    assert!(!scene.can_edit().await, "asking is not having");
    assert_eq!(ambit(&scene.app, &["access", "list"]).await.trim(), "nothing waits for local:carol");
    // The owner finds nothing yet.
    let owner = scene.browser("carol").await.open(&link).await.unwrap();
    assert_eq!(owner.status, 404);
    scene.say("bob", &link, "confirm").await;
    assert!(!scene.can_edit().await, "wanting is not having");
    let first = heard(&scene.api, 1).await.remove(0);
    assert_eq!((&first["type"], &first["data"]["toolset"]), (&json!("access.requested"), &json!("things-edit")));
    assert_eq!((&first["data"]["requester"], &first["data"]["link"]), (&json!("user local:bob"), &json!(link)));
    assert!(!first.to_string().contains("migration"), "what a client says is told nobody outside");
    let waiting = ambit(&scene.app, &["access", "list"]).await;
    assert!(waiting.contains(&id) && waiting.contains("their client says: \"the <i>migration</i>\""), "{waiting}");

    scene.say("carol", &link, "approve").await;
    assert!(scene.can_edit().await, "on the next request");
    assert_eq!(heard(&scene.api, 2).await[1]["type"], "access.approved");
    let grants: Value = serde_json::from_str(&ambit(&scene.app, &["grants", "--json"]).await).unwrap();
    let text = grants.to_string();
    assert!(text.contains("\"origin\":\"request\"") && text.contains("local:carol"), "{text}");
    let events = scene.app.events().unwrap();
    let acts: Vec<_> = events
        .iter()
        .filter(|event| event["subject"] == format!("access {id}"))
        .map(|event| (event["act"].as_str().unwrap(), event["by"].as_str().unwrap()))
        .collect();
    let bob = "user local:bob";
    assert_eq!(acts, [("access.request", bob), ("access.confirm", bob), ("access.approve", "user local:carol")]);
    let create = events.iter().find(|event| event["act"] == "grant.create").unwrap();
    assert_eq!((&create["by"], &create["after"]["origin"]), (&json!("user local:carol"), &json!("request")));
    // The grant ends as any other does.
    let grant = create["after"]["id"].as_str().unwrap();
    ambit(&scene.app, &["revoke", "grant", grant, "--reason", "not needed any more"]).await;
    assert!(!scene.can_edit().await);
    let (second, again) = scene.ask().await;
    assert_ne!(again, id);
    scene.say("bob", &second, "confirm").await;
    let said = ambit(&scene.app, &["access", "approve", &again, "--reason", "one more week"]).await;
    assert!(said.starts_with(&format!("local:carol said yes: request {again} is approved: request:")), "{said}");
    assert!(scene.can_edit().await);
    scene.clock.advance(7 * DAY_MS);
    assert!(!scene.can_edit().await, "it is over after what was asked for");
    scene.app.stop().await.unwrap();
}

#[tokio::test]
async fn from_the_command_line_too_nobody_decides_their_own_or_what_is_not_theirs() {
    let scene = Scene::new().await;
    let (link, id) = scene.ask().await;
    let refused = async |args: &[&str]| {
        let (code, out, err) = scene.app.ambit(args).await;
        assert_eq!(code, 1, "{args:?}: {out}{err}");
        err
    };
    let early = refused(&["access", "approve", &id]).await;
    assert!(early.contains("there is no request"), "{early}");
    assert_eq!(early.replace(&id, "ID"), refused(&["access", "approve", "nothing"]).await.replace("nothing", "ID"));
    scene.say("bob", &link, "confirm").await;
    // The one who runs the commands becomes bob himself.
    scene.app.write_config(&scene.config.replace("person = \"carol\"", "person = \"bob\"")).unwrap();
    reload(&scene.app).await;
    assert!(refused(&["access", "approve", &id]).await.contains("there is no request"));
    assert_eq!(ambit(&scene.app, &["access", "list"]).await.trim(), "nothing waits for local:bob");
    let wish = json!({"toolset": "things-edit", "reason": "r"});
    let told = scene.bob().call(REQUEST, wish).await.unwrap().json()["result"]["structuredContent"].clone();
    assert_eq!(told["status"], "no_deciders");
    scene.app.write_config(&scene.config).unwrap();
    reload(&scene.app).await;
    let denied = ambit(&scene.app, &["access", "deny", &id, "--reason", "ask the team first"]).await;
    assert_eq!(denied.trim(), format!("local:carol said no: request {id} is denied"));
    assert!(!scene.can_edit().await);
    let told = scene.bob().call(STATUS, json!({})).await.unwrap().json()["result"]["structuredContent"].clone();
    assert_eq!((&told["requests"][0]["status"], &told["requests"][0]["request"]), (&json!("denied"), &json!(id)));
    scene.app.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_survives_a_restart_and_runs_out_by_itself() {
    let scene = Scene::new().await;
    let (link, id) = scene.ask().await;
    scene.say("bob", &link, "confirm").await;
    let Scene { app, api, clock, config } = scene;
    let directory = app.stop().await.unwrap();
    let given = Given { directory: Some(directory), ..world::at(&clock) };
    let app = TestApp::with(&config, given).await.unwrap();
    let scene = Scene { app, api, clock, config };
    let waiting = ambit(&scene.app, &["access", "list"]).await;
    assert!(waiting.contains(&id), "{waiting}");
    scene.clock.advance(7 * DAY_MS);
    assert_eq!(ambit(&scene.app, &["access", "list"]).await.trim(), "nothing waits for local:carol");
    let (code, _, err) = scene.app.ambit(&["access", "approve", &id]).await;
    assert_eq!((code, err.contains("is lapsed")), (1, true), "{err}");
    assert!(!scene.can_edit().await);
    scene.app.stop().await.unwrap();
}
