//! An application that is known by a metadata document in the operator's own network: the whole way of a login, what a change
//! of the document does to it, and what keeps a stranger from having anything else fetched there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ambit_live::clock::Clock;
use ambit_model::Digest;
use ambit_testkit::app::{
    Browser, Caller, Given, Reply, TestApp,
    browser::{VERIFIER, action, field},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};
use url::{Url, form_urlencoded};

use crate::{
    tokens::password,
    world::{self, Api},
};

/// The file of authorities, beside the configuration.
const CA_FILE: &str = "corp-ca.pem";

/// Where the application is answered, before and after it moved, and at a place it keeps.
const OLD: &str = "https://app.corp.example/callback";
const NEW: &str = "https://app.corp.example/oauth/callback";
const KEPT: &str = "https://app.corp.example/desk";

/// What the configuration says of the network, at its end, in `[egress]`.
const DOCUMENTS: &str = "client_documents = [\"127.0.0.1\"]\n";
const AUTHORITY: &str = "extra_ca = \"corp-ca.pem\"\n";

/// An https host of documents on loopback, and the authority of its certificate.
struct Intranet {
    origin: String,
    authority: String,
    documents: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Drop for Intranet {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Intranet {
    async fn start() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let (documents, asked) = (Arc::default(), Arc::default());
        let serving = tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::clone(&documents),
            Arc::clone(&asked),
        ));
        Self { origin, authority: authority.pem(), documents, asked, serving }
    }

    /// The id of the application, whose document names these redirects.
    fn publish(&self, name: &str, redirects: &[&str]) -> String {
        let id = format!("{}/apps/desk.json", self.origin);
        let document = json!({
            "client_id": id,
            "client_name": name,
            "redirect_uris": redirects,
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        self.documents.lock().unwrap().insert("/apps/desk.json".to_owned(), document.to_string());
        id
    }

    /// How often a document was asked for.
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// A gateway in this network, with the authority in a file beside its configuration.
    async fn gateway(&self, clock: &Clock, egress: &str) -> (TestApp, Api) {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(directory.path().join(CA_FILE), &self.authority).unwrap();
        world::with(Given { directory: Some(directory), ..world::at(clock) }, egress).await
    }
}

/// Answers every connection once.
async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    documents: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let Ok(mut tls) = acceptor.accept(tcp).await else { continue };
        let mut head = Vec::new();
        while let Ok(byte) = tls.read_u8().await {
            head.push(byte);
            if head.ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
        let document = documents.lock().unwrap().get(&path).cloned().unwrap_or_else(|| "{}".to_owned());
        asked.lock().unwrap().push(path);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: max-age=300";
        let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{document}", document.len());
        let _ = tls.write_all(answer.as_bytes()).await;
        let _ = tls.shutdown().await;
    }
}

/// What the application found out about the endpoint, as a client does that was given one URL.
struct Found {
    resource: String,
    authorize: String,
    token: String,
}

async fn discover(app: &TestApp) -> Found {
    let resource = format!("{}/mcp", app.url());
    let refused = app.web().send(Request::post(&resource).body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate");
    let metadata = challenge.split("resource_metadata=\"").nth(1).unwrap().split('"').next().unwrap();
    let metadata = app.web().get(metadata).await.unwrap().json();
    assert_eq!(metadata["resource"], resource.as_str());
    let issuer = Url::parse(metadata["authorization_servers"][0].as_str().unwrap()).unwrap();
    let known = format!("{}/.well-known/oauth-authorization-server{}", app.url(), issuer.path());
    let server = app.web().get(&known).await.unwrap().json();
    assert_eq!(server["client_id_metadata_document_supported"], true, "{server}");
    let text = |name: &str| server[name].as_str().unwrap().to_owned();
    Found { resource, authorize: text("authorization_endpoint"), token: text("token_endpoint") }
}

impl Found {
    /// Where the application sends the browser.
    fn url(&self, client: &str, redirect: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(VERIFIER.as_bytes()).0);
        let query = [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", redirect),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "s"),
            ("scope", "mcp"),
            ("resource", &self.resource),
        ];
        Url::parse_with_params(&self.authorize, query).unwrap().into()
    }

    async fn exchange(&self, app: &TestApp, (client, redirect): (&str, &str), code: &str, verifier: &str) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect),
            ("client_id", client),
            ("resource", &self.resource),
        ];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(&self.token).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        app.web().send(request.body(Full::<Bytes>::from(body)).unwrap()).await.unwrap()
    }

    /// What a code of this redirect is worth.
    async fn caller(&self, app: &TestApp, client: (&str, &str), code: &str) -> Caller {
        let tokens = self.exchange(app, client, code, VERIFIER).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let tokens = tokens.json();
        assert_eq!(tokens["scope"], "mcp toolset:things-edit", "{tokens}");
        Caller::new(app.web().clone(), self.resource.clone(), tokens["access_token"].as_str().unwrap().to_owned())
    }
}

/// Opens an authorization request, logging in if nobody is: the answer behind it, a page or a way back.
async fn arrive(browser: &mut Browser, url: &str) -> Reply {
    let mut reply = browser.open(url).await.unwrap();
    if reply.header("location").starts_with("/login") {
        let form = browser.open(reply.header("location")).await.unwrap();
        reply = browser.log_in(&form, "alice").await.unwrap();
    }
    while reply.header("location").starts_with('/') {
        reply = browser.open(reply.header("location")).await.unwrap();
    }
    reply
}

/// Says yes to a shown page.
async fn agree(browser: &mut Browser, page: &Reply) -> Reply {
    assert_eq!(page.status, 200, "{} {}", page.header("location"), page.text());
    let (csrf, request) = (field(page, "csrf").unwrap(), field(page, "request").unwrap());
    let form = [("csrf", csrf.as_str()), ("request", &request), ("decision", "allow"), ("toolset", "things-edit")];
    browser.submit(&action(page).unwrap(), &form).await.unwrap()
}

/// The code of an answer that leads back to a redirect.
fn code(reply: &Reply, redirect: &str) -> String {
    let to = reply.header("location");
    assert!(to.starts_with(&format!("{redirect}?")), "{} {to} {}", reply.status, reply.text());
    let to = Url::parse(to).unwrap();
    to.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

/// Whether a request got an error page, and no address that nobody vouches for got anything.
fn is_refused(reply: &Reply, says: &str) -> bool {
    reply.status == 400 && reply.headers.get(header::LOCATION).is_none() && reply.text().contains(says)
}

#[tokio::test]
async fn an_application_of_the_own_network_goes_the_whole_way() {
    let (intranet, clock) = (Intranet::start().await, world::still());
    let (app, api) = intranet.gateway(&clock, &format!("{DOCUMENTS}{AUTHORITY}")).await;
    let mut browser = app.browser();
    password(&app, &mut browser, "alice").await;
    let id = intranet.publish("Desk", &[OLD, KEPT]);
    let found = discover(&app).await;

    let page = arrive(&mut browser, &found.url(&id, OLD)).await;
    for shown in ["Desk", "127.0.0.1", "app.corp.example", "Alice", "Make things"] {
        assert!(page.text().contains(shown), "`{shown}` is not in {}", page.text());
    }
    let first = code(&agree(&mut browser, &page).await, OLD);
    let wrong = found.exchange(&app, (&id, OLD), &first, &VERIFIER.replace('d', "e")).await;
    assert_eq!((wrong.status.as_u16(), &wrong.json()["error"]), (400, &json!("invalid_grant")));
    let again = code(&arrive(&mut browser, &found.url(&id, OLD)).await, OLD);
    let elsewhere = found.exchange(&app, (&id, KEPT), &again, VERIFIER).await;
    assert_eq!((elsewhere.status.as_u16(), &elsewhere.json()["error"]), (400, &json!("invalid_grant")));
    let again = code(&arrive(&mut browser, &found.url(&id, OLD)).await, OLD);
    let alice = found.caller(&app, (&id, OLD), &again).await;
    assert_eq!(alice.list().await.unwrap(), ["create-thing", "get-thing", "list-things"]);
    assert!(world::is_fine(&alice.call("create-thing", json!({"name": "a"})).await.unwrap()));
    assert_eq!(api.seen(), [r#"POST /things {"name":"a"}"#]);
    assert_eq!(intranet.asked(), 1, "one document for all of it");

    // Another browser of hers, another login: what is kept serves, and her yes counts there as well.
    let mut second = app.browser();
    let back = arrive(&mut second, &found.url(&id, OLD)).await;
    let other = found.caller(&app, (&id, OLD), &code(&back, OLD)).await;
    assert!(world::is_fine(&other.call("list-things", json!({})).await.unwrap()));
    assert_eq!(intranet.asked(), 1);

    let events = app.events().unwrap();
    let call = events.iter().find(|event| event["event"] == "intent" && event["method"] == "tools/call").unwrap();
    assert_eq!(
        (&call["who"]["client"], &call["who"]["assurance"], &call["who"]["user"]),
        (&json!(id), &json!("cimd"), &json!("local:alice"))
    );
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_document_that_moves_its_redirects_is_asked_about_again() {
    let (intranet, clock) = (Intranet::start().await, world::still());
    let (app, _api) = intranet.gateway(&clock, &format!("{DOCUMENTS}{AUTHORITY}")).await;
    let mut browser = app.browser();
    password(&app, &mut browser, "alice").await;
    let id = intranet.publish("Desk", &[OLD, KEPT]);
    let found = discover(&app).await;
    for redirect in [OLD, KEPT] {
        let page = arrive(&mut browser, &found.url(&id, redirect)).await;
        code(&agree(&mut browser, &page).await, redirect);
        code(&arrive(&mut browser, &found.url(&id, redirect)).await, redirect);
    }
    intranet.publish("Desk", &[NEW, KEPT]);
    // Until then what is kept counts, as the document itself said.
    clock.advance(299_000);
    assert!(is_refused(&arrive(&mut browser, &found.url(&id, NEW)).await, "redirect"), "not known yet");
    code(&arrive(&mut browser, &found.url(&id, OLD)).await, OLD);
    assert_eq!(intranet.asked(), 1);
    clock.advance(1_000);
    assert!(
        is_refused(&arrive(&mut browser, &found.url(&id, OLD)).await, "redirect"),
        "it is not the client's any more"
    );
    assert_eq!(intranet.asked(), 2);
    for redirect in [KEPT, NEW] {
        // Where it was answered before as well: her yes was to another document.
        let page = arrive(&mut browser, &found.url(&id, redirect)).await;
        let yes = code(&agree(&mut browser, &page).await, redirect);
        let alice = found.caller(&app, (&id, redirect), &yes).await;
        assert_eq!(alice.list().await.unwrap().len(), 3);
    }
    assert_eq!(intranet.asked(), 2);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn what_upstreams_may_reach_a_stranger_may_not() {
    let (intranet, clock) = (Intranet::start().await, world::still());
    let id = intranet.publish("Desk", &[OLD]);
    let port = Url::parse(&intranet.origin).unwrap().port().unwrap();
    for (what, egress, ids) in [
        ("`allow` alone has the address", AUTHORITY.to_owned(), vec![id.clone()]),
        ("another range is meant", format!("client_documents = [\"10.0.0.0/8\"]\n{AUTHORITY}"), vec![id.clone()]),
        ("nobody vouches for the certificate", DOCUMENTS.to_owned(), vec![id.clone()]),
        (
            "beyond the range, a name without a domain, without TLS, metadata of a cloud",
            format!("client_documents = [\"127.0.0.1\", \"169.254.0.0/16\"]\n{AUTHORITY}"),
            vec![
                format!("https://127.0.0.2:{port}/apps/desk.json"),
                format!("https://localhost:{port}/apps/desk.json"),
                id.replace("https://", "http://"),
                "https://169.254.169.254/latest/meta-data/iam".to_owned(),
            ],
        ),
    ] {
        let (app, _api) = intranet.gateway(&clock, &egress).await;
        let found = discover(&app).await;
        for id in ids {
            let reply = arrive(&mut app.browser(), &found.url(&id, OLD)).await;
            assert!(
                is_refused(&reply, "This application cannot connect"),
                "{what}: {id}: {} {}",
                reply.status,
                reply.text()
            );
        }
        assert_eq!(intranet.asked(), 0, "{what}");
        app.stop().await.unwrap();
    }
}

#[tokio::test]
async fn where_documents_are_changes_with_a_restart_and_says_so() {
    let (intranet, clock) = (Intranet::start().await, world::still());
    let (app, api) = intranet.gateway(&clock, AUTHORITY).await;
    let reload = async || match app.act(&ambit::operator::Act::Reload {}).await.unwrap() {
        ambit::operator::socket::Answer::Done(_) => String::new(),
        ambit::operator::socket::Answer::Refused { message } => message,
    };
    assert_eq!(reload().await, "");
    app.write_config(&format!("{}{AUTHORITY}{DOCUMENTS}", world::config(api.address))).unwrap();
    assert!(reload().await.contains("`egress` has changed, which takes a restart"));
    app.write_config(&format!("{}{AUTHORITY}", world::config(api.address))).unwrap();
    assert_eq!(reload().await, "");
    std::fs::write(app.directory().path().join(CA_FILE), Intranet::start().await.authority.clone()).unwrap();
    assert!(reload().await.contains("`egress` has changed, which takes a restart"));
    std::fs::write(app.directory().path().join(CA_FILE), "none").unwrap();
    assert!(reload().await.contains("holds no certificate"));
    app.stop().await.unwrap();
}
