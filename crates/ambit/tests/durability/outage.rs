//! The store goes away while people work: reads go on, nothing that changes anything does, whoever logs in or renews a token
//! is told when to come back, and all of it returns with the store.

use ambit_store::testing::Postgres;
use ambit_testkit::app::{Answer, Login, TestApp, Web};
use ambit_trail::testing::FaultFiles;
use http::{Request, header};
use http_body_util::Full;

use crate::{
    api::Api,
    person::{BOTH, Person, is_done},
    records::Records,
    world::{Ground, HOST, eventually_so, get},
};

pub async fn ask(app: &TestApp, method: &str, path: &str, content_type: &str, body: &'static str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", app.url()))
        .header(header::HOST, HOST)
        .header(header::CONTENT_TYPE, content_type);
    Web::new().send(request.body(Full::from(body)).unwrap()).await.unwrap()
}

const FORM: &str = "application/x-www-form-urlencoded";
const AUTHORIZE: &str = "/as/default/authorize?response_type=code&client_id=somebody&redirect_uri=https%3A%2F%2Fa.example%2Fcb\
                         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

/// Everything of the authorization server that needs the store.
pub const NEEDS_THE_STORE: [(&str, &str, &str, &str); 5] = [
    ("GET", AUTHORIZE, FORM, ""),
    ("POST", "/as/default/token", FORM, "grant_type=refresh_token&client_id=somebody&refresh_token=x"),
    ("POST", "/as/default/revoke", FORM, "client_id=somebody&token=x"),
    ("POST", "/as/default/register", "application/json", r#"{"redirect_uris":["https://a.example/cb"]}"#),
    ("GET", "/setup/x", FORM, ""),
];

/// A login form as it was shown before, filled in.
struct Form {
    cookie: String,
    fields: String,
}

impl Form {
    async fn show(app: &TestApp) -> Self {
        let page = get(app.address(), "/login").await;
        let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
        let text = page.text();
        let csrf = text.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        Self { cookie, fields: format!("csrf={csrf}&name=alice&password=guess") }
    }

    async fn send(&self, app: &TestApp) -> Answer {
        let request = Request::post(format!("{}/login", app.url()))
            .header(header::HOST, HOST)
            .header(header::CONTENT_TYPE, FORM)
            .header(header::COOKIE, &self.cookie);
        Web::new().send(request.body(Full::from(self.fields.clone())).unwrap()).await.unwrap()
    }
}

pub fn is_told_when_to_come_back(answer: &Answer) -> bool {
    answer.status == 503 && answer.header("retry-after").parse::<u64>().is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_reads_go_on_and_nothing_else() {
    let mut postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let top = format!("store = \"{}\"", postgres.fresh_database().unwrap());
    let ground = Ground::new(&api, &top, "[trail]\nnode = \"a\"\n").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let alice = Person::alice(&app);
    assert!(is_done(&alice.write(0).await.unwrap()));
    let grant = ["grant", "--user", "carol", "--toolset", "things-read", "--for", "1h", "--reason", "to look"];

    // One token was seen here before it was revoked, the other is shown for the first time when the store is gone.
    let [lost, unseen] =
        ["lost"; 2].map(|client| Person::of(&app, &Login { client, toolsets: BOTH, ..Login::default() }));
    assert!(is_done(&lost.read(3000).await.unwrap()));
    for args in [["revoke", "client", "lost"], ["block", "user", "carol"]] {
        let (code, out, err) = app.ambit(&[&args[..], &["--reason", "laptop lost"]].concat()).await;
        assert_eq!(code, 0, "{out}{err}");
    }
    let carol = Person::of(&app, &Login { user: "carol", toolsets: BOTH, ..Login::default() });
    assert_eq!(lost.read(3001).await.unwrap().status, 401);

    let form = Form::show(&app).await;
    assert_eq!(form.send(&app).await.status, 401, "the form is a good one, the password is not");

    postgres.stop();
    let mut number = 1;
    let refused = loop {
        let answer = alice.write(number).await.unwrap();
        if !is_done(&answer) {
            break answer;
        }
        number += 1;
    };
    assert!(is_told_when_to_come_back(&refused), "{refused:?}");
    assert!(refused.text().contains("the store cannot be reached"), "{refused:?}");
    assert!(is_done(&alice.read(1000).await.unwrap()));
    assert_eq!(alice.list().await.unwrap().status, 200);
    for dead in [&lost, &unseen, &carol] {
        assert_eq!(dead.read(3002).await.unwrap().status, 401, "what was ended stays so without the store");
        assert_eq!(dead.list().await.unwrap().status, 401);
    }
    let ready = get(app.address(), "/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text().as_str()), (200, "reads only: the store cannot be reached\n"));
    assert_eq!(get(app.address(), "/healthz").await.status, 200);
    for (method, path, content_type, body) in NEEDS_THE_STORE {
        let answer = ask(&app, method, path, content_type, body).await;
        assert!(is_told_when_to_come_back(&answer), "{method} {path}: {answer:?}");
        assert!(!answer.text().to_lowercase().contains("postgres") && !answer.text().contains("sqlx"), "{answer:?}");
    }
    let login = form.send(&app).await;
    assert!(is_told_when_to_come_back(&login), "{login:?}");
    for public in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server/as/default"] {
        assert_eq!(get(app.address(), public).await.status, 200, "{public}");
    }
    let (code, out, err) = app.ambit(&grant).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(is_done(&alice.read(1001).await.unwrap()), "reads still go on");
    assert!(is_told_when_to_come_back(&alice.write(1002).await.unwrap()));
    assert_eq!(api.writes().len() as u64, number, "what was refused was not sent");

    postgres.resume().unwrap();
    let mut number = 2000;
    eventually_so("writes run again", async || {
        number += 1;
        is_done(&alice.write(number).await.unwrap())
    })
    .await;
    assert_eq!(get(app.address(), "/readyz").await.text(), "ok\n");
    for (method, path, content_type, body) in NEEDS_THE_STORE {
        let answer = ask(&app, method, path, content_type, body).await;
        assert!(answer.status.as_u16() < 500, "{method} {path}: {answer:?}");
    }
    let (code, out, err) = app.ambit(&["unblock", "user", "carol", "--reason", "over"]).await;
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = app.ambit(&grant).await;
    assert_eq!(code, 0, "{out}{err}");
    for dead in [&lost, &unseen] {
        assert_eq!(dead.read(3003).await.unwrap().status, 401, "and when it is back");
    }

    let refusals = Records::read(disk.clone(), &ground.trail());
    let refused: Vec<_> = refusals.of("outcome").filter(|outcome| outcome["result"] == "store_down").collect();
    assert!(refused.len() >= 2 && refused.iter().all(|outcome| outcome["executed"] == "no"), "{refused:?}");
    app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_without_the_store_ends_and_loses_no_count() {
    let mut postgres = Postgres::start().unwrap_or_else(|error| panic!("{error}"));
    let api = Api::start().await;
    let top = format!("store = \"{}\"", postgres.fresh_database().unwrap());
    let ground = Ground::new(&api, &top, "[trail]\nnode = \"a\"\n").await;
    let disk = FaultFiles::new();
    let app = ground.on(&disk).await;
    let nobody = Person::new(app.address(), "no-token".to_owned());
    postgres.stop();
    assert_eq!(nobody.read(1).await.unwrap().status, 401);
    eventually_so("the store is missed", async || get(app.address(), "/readyz").await.text() != "ok\n").await;
    assert_eq!(nobody.read(2).await.unwrap().status, 401);
    app.stop().await.unwrap();
    let records = Records::read(disk, &ground.trail());
    let counted: u64 = records.of("rollup").filter_map(|rollup| rollup["count"].as_u64()).sum();
    assert_eq!(counted, 2, "{:?}", records.of("rollup").collect::<Vec<_>>());
}
