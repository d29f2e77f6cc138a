//! Tokens of other issuers: each issuer's people, groups and scopes are its own, however alike their names are.

use ambit_testkit::app::{Answer, Caller, Era, Given, TestApp};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::world;

/// An identity provider with one key.
struct Provider {
    origin: String,
    key: EcdsaKeyPair,
    serving: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Provider {
    async fn start() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let half = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1", "x": half(&point[1..33]), "y": half(&point[33..])});
        let keys = json!({"keys": [jwk]}).to_string();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router =
            Router::new().route("/jwks", get(move || async move { ([("content-type", "application/json")], keys) }));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, key, serving }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let input =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn config(&self, name: &str, scopes: &str) -> String {
        format!(
            "[issuers.{name}]\nissuer = \"{0}\"\njwks_uri = \"{0}/jwks\"\nscopes = {scopes}\npeople = \"unmarked\"\nclaims = [\"org_id\"]\n[issuers.{name}.groups]\nclaim = \
             \"groups\"\nmap = {{ staff = \"{name}-staff\" }}\n[[endpoints]]\npath = \"/mcp/{name}\"\nservers = [\"things\"]\nissuer = \
             \"{name}\"\n",
            self.origin
        )
    }
}

struct Scene {
    app: TestApp,
    one: Provider,
    two: Provider,
    _api: world::Api,
}

const GRANTS: &str = r#"
[[grants]]
group = "one-staff"
toolset = "things-edit"
reason = "staff of one edits"
approved_by = "Team Things"
expires = 2099-01-01

[[grants]]
user = "two:alice"
toolset = "things-read"
reason = "alice of two reads"
approved_by = "Team Things"
expires = 2099-01-01
"#;

impl Scene {
    async fn new() -> Self {
        let (one, two) = (Provider::start().await, Provider::start().await);
        let map = "{ \"things.read\" = \"things-read\", \"things.edit\" = \"things-edit\" }";
        let more = format!("{GRANTS}{}{}", one.config("one", "\"none\""), two.config("two", map));
        let (app, api) = world::with(Given::default(), &more).await;
        Self { app, one, two, _api: api }
    }

    fn claims(&self, provider: &Provider, name: &str) -> Value {
        let now = self.app.live().clock().now() / 1000;
        json!({
            "iss": provider.origin, "sub": "alice", "aud": format!("{}/mcp/{name}", self.app.url()), "client_id": "desk",
            "iat": now, "exp": now + 300, "groups": ["staff"], "scope": "things.read things.edit", "jti": "t1",
        })
    }

    fn caller(&self, name: &str, token: &str) -> Caller {
        Caller::new(self.app.web().clone(), format!("{}/mcp/{name}", self.app.url()), token.to_owned())
    }
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"})
}

async fn list(caller: &Caller) -> Answer {
    caller.request(Era::Modern, "tools/list", json!({})).await.unwrap()
}

#[tokio::test]
async fn one_name_at_two_issuers_is_two_people_and_two_groups() {
    let scene = Scene::new().await;
    let one = scene.caller("one", &scene.one.sign(&header(), &scene.claims(&scene.one, "one")));
    let two = scene.caller("two", &scene.two.sign(&header(), &scene.claims(&scene.two, "two")));
    let local = world::person(&scene.app, "alice", "desk");
    assert_eq!(one.list().await.unwrap(), ["create-thing", "get-thing", "list-things"]);
    assert_eq!(two.list().await.unwrap(), ["get-thing", "list-things"]);
    assert_eq!(local.list().await.unwrap().len(), 3);
    // A kill switch names an issuer's person, not everybody of that name.
    world::ambit(&scene.app, &["block", "user", "two:alice", "--reason", "r"]).await;
    assert_eq!(list(&two).await.status, 401);
    assert_eq!((one.list().await.unwrap().len(), local.list().await.unwrap().len()), (3, 3));
    world::ambit(&scene.app, &["revoke", "jti", "one:t1", "--reason", "r"]).await;
    assert_eq!(list(&one).await.status, 401);
    let mut again = scene.claims(&scene.one, "one");
    again["jti"] = json!("t2");
    let again = scene.caller("one", &scene.one.sign(&header(), &again));
    assert_eq!(again.list().await.unwrap().len(), 3);
    let made = again.call("create-thing", json!({"name": "x"})).await.unwrap();
    assert_eq!(made.json()["result"]["isError"], json!(false), "{}", made.text());
    let call = scene.app.events().unwrap().into_iter().find(|event| event["event"] == "intent").unwrap();
    assert_eq!(call["who"]["user"], "one:alice");
    scene.app.stop().await.unwrap();
}

#[tokio::test]
async fn a_claim_grants_to_whoever_carries_it_from_the_issuer_that_is_named() {
    let scene = Scene::new().await;
    let carrying = |provider: &Provider, name: &str, org: Value| {
        let mut claims = scene.claims(provider, name);
        claims["sub"] = json!("zoe");
        claims["org_id"] = org;
        claims["groups"] = json!([]);
        scene.caller(name, &provider.sign(&header(), &claims))
    };
    let acme = carrying(&scene.one, "one", json!("acme"));
    assert!(acme.list().await.unwrap().is_empty());
    let grant =
        ["grant", "--claim", "org_id=acme", "--issuer", "one", "--toolset", "things-read", "--reason", "contract"];
    let (code, _, err) = scene.app.ambit(&[&grant[..3], &grant[5..]].concat()).await;
    assert!(code == 2 && err.contains("several issuers have claim `org_id`"), "{err}");
    world::ambit(&scene.app, &grant).await;
    let reads = ["get-thing", "list-things"];
    assert_eq!(acme.list().await.unwrap(), reads);
    assert_eq!(carrying(&scene.one, "one", json!(["x", "acme"])).list().await.unwrap(), reads);
    for org in [json!("acme2"), json!({"acme": "acme"}), json!(true)] {
        assert!(carrying(&scene.one, "one", org.clone()).list().await.unwrap().is_empty(), "{org}");
    }
    assert!(carrying(&scene.two, "two", json!("acme")).list().await.unwrap().is_empty(), "another issuer's word");
    scene.app.stop().await.unwrap();
}

#[tokio::test]
async fn a_foreign_token_is_held_to_every_rule() {
    let scene = Scene::new().await;
    let good = scene.claims(&scene.one, "one");
    assert_eq!(list(&scene.caller("one", &scene.one.sign(&header(), &good))).await.status, 200);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let own = scene.app.url();
    let now = good["iat"].as_i64().unwrap();
    let mut without_groups = good.clone();
    without_groups.as_object_mut().unwrap().remove("groups");
    for (what, endpoint, token) in [
        ("another endpoint's audience", "one", scene.one.sign(&header(), &with("aud", json!(format!("{own}/mcp"))))),
        ("the issuer's audience", "one", scene.one.sign(&header(), &with("aud", json!(scene.one.origin)))),
        ("the other issuer's name", "one", scene.one.sign(&header(), &with("iss", json!(scene.two.origin)))),
        ("our own issuer's name", "one", scene.one.sign(&header(), &with("iss", json!(format!("{own}/as/default"))))),
        ("the other issuer's key", "one", scene.two.sign(&header(), &good)),
        ("an ID token", "one", scene.one.sign(&json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}), &good)),
        ("no typ", "one", scene.one.sign(&json!({"alg": "ES256", "kid": "k1"}), &good)),
        (
            "another algorithm's name",
            "one",
            scene.one.sign(&json!({"alg": "RS256", "typ": "at+jwt", "kid": "k1"}), &good),
        ),
        ("algorithm none", "one", scene.one.sign(&json!({"alg": "none", "typ": "at+jwt"}), &good)),
        (
            "a key it brings along",
            "one",
            scene.two.sign(
                &json!({"alg": "ES256", "typ": "at+jwt", "kid": "k2", "jku": format!("{}/jwks", scene.two.origin)}),
                &good,
            ),
        ),
        ("over", "one", scene.one.sign(&header(), &with("exp", json!(now - 600)))),
        ("of later", "one", scene.one.sign(&header(), &with("nbf", json!(now + 600)))),
        ("without the groups it should have", "one", scene.one.sign(&header(), &without_groups)),
        ("groups that are none", "one", scene.one.sign(&header(), &with("groups", json!({"staff": true})))),
        ("good, elsewhere", "two", scene.one.sign(&header(), &good)),
    ] {
        let answer = list(&scene.caller(endpoint, &token)).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert!(answer.header("www-authenticate").contains("resource_metadata"), "{what}");
    }
    // At an endpoint of the embedded issuer it is nothing, and ours is nothing at its endpoint.
    let foreign = scene.one.sign(&header(), &with("aud", json!(format!("{own}/mcp"))));
    assert_eq!(list(&Caller::new(scene.app.web().clone(), format!("{own}/mcp"), foreign)).await.status, 401);
    let ours = world::person(&scene.app, "alice", "desk");
    assert_eq!(list(&ours.at(&format!("{own}/mcp/one"))).await.status, 401);
    // Values that are not mapped make nobody a member; scopes that are mapped bound the token.
    let outsider =
        scene.caller("one", &scene.one.sign(&header(), &with("groups", json!(["one-staff", "Staff", "admins"]))));
    assert!(outsider.list().await.unwrap().is_empty());
    let several = scene.caller("one", &scene.one.sign(&header(), &with("groups", json!("staff staff"))));
    assert!(several.list().await.unwrap().is_empty());
    let mut narrow = scene.claims(&scene.two, "two");
    narrow["scope"] = json!("openid things.write things");
    let narrow = scene.caller("two", &scene.two.sign(&header(), &narrow));
    let refused = narrow.call("list-things", json!({})).await.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.text());
    scene.app.stop().await.unwrap();
}

#[tokio::test]
async fn metadata_names_the_issuer_of_each_endpoint() {
    let scene = Scene::new().await;
    for (path, issuer) in [
        ("/mcp", format!("{}/as/default", scene.app.url())),
        ("/mcp/one", scene.one.origin.clone()),
        ("/mcp/two", scene.two.origin.clone()),
    ] {
        let metadata = scene
            .app
            .web()
            .get(&format!("{}/.well-known/oauth-protected-resource{path}", scene.app.url()))
            .await
            .unwrap()
            .json();
        assert_eq!(
            (&metadata["resource"], &metadata["authorization_servers"]),
            (&json!(format!("{}{path}", scene.app.url())), &json!([issuer]))
        );
    }
    let none = scene.app.web().get(&format!("{}/as/one/authorize", scene.app.url())).await.unwrap();
    assert_eq!(none.status, 404);
    scene.app.stop().await.unwrap();
}
