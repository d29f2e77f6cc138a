//! Client ID metadata documents, served by a peer that tells the truth, lies, redirects, floods, or stands where no document
//! may be fetched from.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ambit_egress::{Client, EgressRules, Roots};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

use super::{App, browser::Ask, generous, nowhere, world};
use crate::server::Settings;

/// A host of documents, over TLS on loopback.
struct Host {
    origin: String,
    pem: String,
    answers: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Host {
    async fn start() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let host = Self { origin, pem: made.cert.pem(), answers: Arc::default(), asked: Arc::default() };
        let (answers, asked) = (Arc::clone(&host.answers), Arc::clone(&host.asked));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, answers, asked) = (acceptor.clone(), Arc::clone(&answers), Arc::clone(&asked));
                tokio::spawn(async move {
                    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = tls.read_u8().await else { return };
                        head.push(byte);
                    }
                    let path = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned();
                    asked.lock().unwrap().push(path.clone());
                    let answer = answers.lock().unwrap().get(&path).cloned();
                    let answer = answer.unwrap_or_else(|| "HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n".to_owned());
                    let _ = tls.write_all(answer.as_bytes()).await;
                    let _ = tls.shutdown().await;
                });
            }
        });
        host
    }

    fn id(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn raw(&self, path: &str, answer: String) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn serve(&self, path: &str, document: &Value, headers: &str) {
        let body = document.to_string();
        let length = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n");
        self.raw(path, head + &body);
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// An egress client that believes this host. Only a test allows loopback.
    fn egress(&self) -> Client {
        let rules = EgressRules::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let roots = Roots::only(self.pem.clone());
        Client::new(&ambit_egress::Settings { rules, roots, ..Default::default() }).unwrap()
    }
}

fn document(id: &str, redirects: &[&str]) -> Value {
    json!({
        "client_id": id,
        "client_name": "Documented",
        "redirect_uris": redirects,
        "token_endpoint_auth_method": "none",
    })
}

const WEB: &str = "https://client.example/cb";
const LOCAL: &str = "http://127.0.0.1/cb";

#[tokio::test]
async fn a_document_makes_a_client_whose_consent_is_remembered() {
    let host = Host::start().await;
    let app = App::with(world(), generous(), host.egress()).await;
    let id = host.id("/client.json");
    host.serve("/client.json", &document(&id, &[WEB, LOCAL]), "");
    let mut browser = app.browser();
    let ask = Ask { client: &id, redirect: WEB, secret: None, ..Ask::conf() };
    let page = browser.until_consent(&ask.url(), "alice").await;
    assert!(
        page.body.contains("Documented")
            && page.body.contains(&format!("<dd>{}</dd>", &host.origin["https://".len()..])),
        "{}",
        page.body
    );
    assert!(page.body.contains("client.example") && !page.body.contains("class=\"warning\""));
    let code = browser.answer(&page, "allow", &["reading"]).await.query("code").unwrap();
    let tokens = browser.exchange(&ask, &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "mcp toolset:reading");

    let again = browser.get(&ask.url()).await;
    let code = again.query("code").expect("a remembered consent answers at once");
    assert_eq!(browser.exchange(&ask, &code).await.expect(200).json()["scope"], "mcp toolset:reading");
    assert_eq!(host.asked(), 1, "the document is kept");

    // Any program on the machine can take the answer of its other redirect: asked every time.
    let local = Ask { redirect: "http://127.0.0.1:5000/cb", ..ask };
    for _ in 0..2 {
        let page = browser.until_consent(&local.url(), "alice").await;
        assert!(page.body.contains("class=\"warning\""));
        browser.answer(&page, "allow", &["reading"]).await.query("code").unwrap();
    }
}

#[tokio::test]
async fn a_changed_document_asks_again() {
    let host = Host::start().await;
    let app = App::with(world(), generous(), host.egress()).await;
    let id = host.id("/client.json");
    host.serve("/client.json", &document(&id, &[WEB]), "cache-control: max-age=300\r\n");
    let mut browser = app.browser();
    let ask = Ask { client: &id, redirect: WEB, secret: None, ..Ask::conf() };
    browser.code(&ask, "alice", &["reading"]).await;
    let mut changed = document(&id, &[WEB]);
    changed["client_name"] = "Renamed".into();
    host.serve("/client.json", &changed, "");
    app.clock.advance(299_000);
    assert!(browser.get(&ask.url()).await.query("code").is_some());
    app.clock.advance(1_000);
    let page = browser.until_consent(&ask.url(), "alice").await;
    assert!(page.body.contains("Renamed"));
}

#[tokio::test]
async fn a_document_that_lies_redirects_or_is_huge_makes_no_client() {
    let host = Host::start().await;
    let app = App::with(world(), generous(), host.egress()).await;
    let mut browser = app.browser();
    let good = |path: &str| document(&host.id(path), &[WEB]);
    host.serve("/lies", &document("https://client.example/client.json", &[WEB]), "");
    host.serve("/other-redirect", &document(&host.id("/other-redirect"), &["https://evil.example/cb"]), "");
    let mut huge = good("/huge");
    huge["client_name"] = "x".repeat(6000).into();
    host.serve("/huge", &huge, "");
    host.serve("/target", &good("/target"), "");
    host.raw("/redirects", format!("HTTP/1.1 302 x\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", host.id("/target")));
    host.raw("/away", "HTTP/1.1 302 x\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n".to_owned());
    host.raw("/html", "HTTP/1.1 200 x\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\n{}".to_owned());
    host.raw("/error", "HTTP/1.1 500 x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}".to_owned());
    host.raw("/short", "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{}".to_owned());
    let mut secret = good("/secret");
    secret["token_endpoint_auth_method"] = "client_secret_post".into();
    host.serve("/secret", &secret, "");
    for path in
        ["/lies", "/other-redirect", "/huge", "/redirects", "/away", "/html", "/error", "/short", "/secret", "/absent"]
    {
        let id = host.id(path);
        let asked = host.asked();
        let ask = Ask { client: &id, redirect: WEB, secret: None, ..Ask::conf() };
        let reply = browser.get(&ask.url()).await.expect(400);
        assert!(reply.headers.get("location").is_none(), "{path}");
        assert_eq!(host.asked(), asked + 1, "{path}");
        if path != "/other-redirect" {
            // A bad document is not kept: it is asked for again.
            browser.get(&ask.url()).await.expect(400);
            assert_eq!(host.asked(), asked + 2, "{path}");
        }
    }
}

#[tokio::test]
async fn a_document_vouches_for_its_own_origin_and_this_computer_alone() {
    let host = Host::start().await;
    let app = App::with(world(), generous(), host.egress()).await;
    let mut browser = app.browser();
    let (id, own) = (host.id("/client.json"), host.id("/cb"));
    // Another service of the same host.
    let beside = "https://127.0.0.1:1/cb";
    host.serve("/client.json", &document(&id, &[WEB, LOCAL, &own, beside, "com.client.app:/cb"]), "");
    for redirect in [own.as_str(), LOCAL] {
        let ask = Ask { client: &id, redirect, secret: None, ..Ask::conf() };
        let reply = browser.get(&ask.with(&[("prompt", "none")]).url()).await;
        assert!(reply.location().starts_with(redirect), "{reply:?}");
    }
    for redirect in [WEB, beside, "com.client.app:/cb"] {
        let ask = Ask { client: &id, redirect, secret: None, ..Ask::conf() };
        let page = browser.get(&ask.with(&[("prompt", "none")]).url()).await.expect(400);
        assert!(page.headers.get("location").is_none() && page.body.contains("login_required"), "{page:?}");
    }
    host.serve("/msdt.json", &document(&host.id("/msdt.json"), &[WEB, "ms-msdt:/x"]), "");
    let ask = Ask { client: &host.id("/msdt.json"), redirect: WEB, secret: None, ..Ask::conf() };
    browser.get(&ask.url()).await.expect(400);
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_names_and_addresses_inside() {
    let host = Host::start().await;
    let app = App::with(world(), generous(), host.egress()).await;
    let mut browser = app.browser();
    host.serve("/lies", &document("https://client.example/client.json", &[WEB]), "");
    host.raw("/error", "HTTP/1.1 500 x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}".to_owned());
    let port = host.origin.rsplit_once(':').unwrap().1;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut pages = Vec::new();
    for id in [
        format!("https://{}/c", silent.local_addr().unwrap()),
        host.id("/lies"),
        host.id("/error"),
        host.id("/absent"),
        "https://127.0.0.1:1/c".to_owned(),
        "https://10.0.0.1/c".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        let ask = Ask { client: &id, redirect: WEB, secret: None, ..Ask::conf() };
        let began = std::time::Instant::now();
        let page = browser.get(&ask.url()).await.expect(400);
        assert!(page.body.contains("could not be fetched"), "{id}: {}", page.body);
        assert!(began.elapsed() >= generous().failed_documents_after, "{id}: the time tells what is there");
        pages.push(page.body);
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:#?}");
    let asked = host.asked();
    for bare in [format!("https://localhost:{port}/c"), format!("https://localhost.:{port}/c")] {
        let ask = Ask { client: &bare, redirect: WEB, secret: None, ..Ask::conf() };
        browser.get(&ask.url()).await.expect(400);
    }
    assert_eq!(host.asked(), asked, "names inside a network are no hosts of documents");
    app.live.recorder().flush_refusals(true).await.unwrap();
    let trail = app.trail();
    for reason in ["document_not_fetched", "document_status", "document_not_valid", "document_url"] {
        assert!(trail.contains(&format!("\"reason\":\"{reason}\"")), "{reason}: {trail}");
    }
    assert!(!trail.contains("10.0.0.1") && !trail.contains("169.254"), "{trail}");
}

#[tokio::test]
async fn a_document_at_a_private_address_is_not_fetched() {
    let host = Host::start().await;
    let app = App::with(world(), generous(), nowhere()).await;
    let mut browser = app.browser();
    let id = host.id("/client.json");
    host.serve("/client.json", &document(&id, &[WEB]), "");
    for id in [id.as_str(), "https://10.0.0.1/c", "https://169.254.169.254/latest/meta-data", "https://[::1]/c"] {
        let ask = Ask { client: id, redirect: WEB, secret: None, ..Ask::conf() };
        browser.get(&ask.url()).await.expect(400);
    }
    assert_eq!(host.asked(), 0);
}

#[tokio::test]
async fn one_source_cannot_make_the_server_fetch_without_end() {
    let host = Host::start().await;
    let settings = Settings { documents_per_minute: 3.try_into().unwrap(), ..generous() };
    let app = App::with(world(), settings, host.egress()).await;
    let mut browser = app.browser();
    for n in 0..10 {
        let id = host.id(&format!("/{n}"));
        let ask = Ask { client: &id, redirect: WEB, secret: None, ..Ask::conf() };
        browser.get(&ask.url()).await.expect(400);
    }
    assert_eq!(host.asked(), 3);
}
