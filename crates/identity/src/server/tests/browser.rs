//! A browser and a client of the tests: keeps cookies, sends forms as they were shown, follows nothing by itself.

use std::{collections::BTreeMap, net::IpAddr};

use ambit_model::Digest;
use axum::{Router, body::Body};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::PASSWORD;
use crate::server::Source;

/// The PKCE verifier of the tests.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where it leads.
    pub fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        self.header("location")
    }

    /// A parameter of the query it leads to.
    pub fn query(&self, name: &str) -> Option<String> {
        let url = url::Url::parse("https://gw.example").unwrap().join(self.location()).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// The value of a form's field.
    pub fn field(&self, name: &str) -> String {
        let marker = format!("name=\"{name}\" value=\"");
        let at = self.body.find(&marker).unwrap_or_else(|| panic!("no field `{name}` in {}", self.body));
        self.body[at + marker.len()..].split('"').next().unwrap().to_owned()
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// The OAuth error of a JSON answer.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

/// One person at one browser.
pub struct Browser {
    router: Router,
    source: IpAddr,
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(router: Router, source: IpAddr) -> Self {
        Self { router, source, cookies: BTreeMap::new() }
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    pub async fn post_json(&mut self, path: &str, body: impl Into<Body>) -> Reply {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap();
        self.send(request).await
    }

    /// A form of a client that shows its secret in the header.
    pub async fn post_as(&mut self, id: &str, secret: &str, path: &str, form: &[(&str, &str)]) -> Reply {
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, format!("Basic {pair}"))
            .body(Body::from(body))
            .unwrap();
        self.send(request).await
    }

    pub async fn send(&mut self, mut request: Request<Body>) -> Reply {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        request.extensions_mut().insert(Source(self.source));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        for line in head.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
            }
        }
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Reply { status: head.status, headers: head.headers, body }
    }

    /// Logs in without anything waiting.
    pub async fn log_in(&mut self, name: &str) {
        let form = self.get("/login").await.expect(200);
        let reply = self.enter(&form, name, PASSWORD).await;
        assert_eq!(reply.location(), "/clients");
    }

    /// Sends a shown login form.
    pub async fn enter(&mut self, form: &Reply, name: &str, password: &str) -> Reply {
        let csrf = form.field("csrf");
        let mut fields = vec![("csrf", csrf.as_str()), ("name", name), ("password", password)];
        let request = form.body.contains("name=\"request\"").then(|| form.field("request"));
        if let Some(request) = &request {
            fields.push(("request", request));
        }
        let approval = form.body.contains("name=\"approval\"").then(|| form.field("approval"));
        if let Some(approval) = &approval {
            fields.push(("approval", approval));
        }
        self.post("/login", &fields).await
    }

    /// Sends a shown consent form.
    pub async fn answer(&mut self, page: &Reply, decision: &str, toolsets: &[&str]) -> Reply {
        let (csrf, request) = (page.field("csrf"), page.field("request"));
        let action = page.body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let mut fields = vec![("csrf", csrf.as_str()), ("request", &request), ("decision", decision)];
        fields.extend(toolsets.iter().map(|slug| ("toolset", *slug)));
        self.post(&action, &fields).await
    }

    /// From the authorize URL through login (if nobody is) to the page that asks.
    pub async fn until_consent(&mut self, url: &str, name: &str) -> Reply {
        let mut reply = self.get(url).await;
        if reply.location().starts_with("/login") {
            let login = reply.location().to_owned();
            let form = self.get(&login).await.expect(200);
            reply = self.enter(&form, name, PASSWORD).await;
        }
        let page = reply.location().to_owned();
        assert!(page.starts_with("/as/"), "{page}");
        self.get(&page).await.expect(200)
    }

    /// All the way to a code.
    pub async fn code(&mut self, ask: &Ask<'_>, name: &str, toolsets: &[&str]) -> String {
        let page = self.until_consent(&ask.url(), name).await;
        let reply = self.answer(&page, "allow", toolsets).await;
        reply.query("code").unwrap_or_else(|| panic!("{reply:?}"))
    }

    /// Exchanges a code for what `ask` asked for.
    pub async fn exchange(&mut self, ask: &Ask<'_>, code: &str) -> Reply {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", ask.redirect),
            ("client_id", ask.client),
            ("resource", ask.resource()),
        ];
        let path = format!("/as/{}/token", ask.endpoint);
        match ask.secret {
            Some(secret) => self.post_as(ask.client, secret, &path, &form).await,
            None => self.post(&path, &form).await,
        }
    }

    pub async fn refresh(&mut self, ask: &Ask<'_>, token: &str) -> Reply {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", ask.client)];
        let path = format!("/as/{}/token", ask.endpoint);
        match ask.secret {
            Some(secret) => self.post_as(ask.client, secret, &path, &form).await,
            None => self.post(&path, &form).await,
        }
    }

    /// Everything, from nothing to tokens.
    pub async fn connect(&mut self, ask: &Ask<'_>, name: &str, toolsets: &[&str]) -> Value {
        let code = self.code(ask, name, toolsets).await;
        self.exchange(ask, &code).await.expect(200).json()
    }
}

/// An authorization request of a client that knows the rules.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub endpoint: &'a str,
    pub client: &'a str,
    pub redirect: &'a str,
    pub secret: Option<&'a str>,
    pub scope: &'a str,
    pub more: &'a [(&'a str, &'a str)],
}

impl<'a> Ask<'a> {
    /// The configured client with a secret: confidential, so its consent is remembered.
    pub fn conf() -> Self {
        Self {
            endpoint: "default",
            client: "conf",
            redirect: super::CONF_REDIRECT,
            secret: Some(super::CONF_SECRET),
            scope: "mcp",
            more: &[],
        }
    }

    /// The configured public client at its loopback redirect: asked every time.
    pub fn pinned() -> Self {
        Self { client: "pinned", redirect: "http://127.0.0.1:3456/cb", secret: None, ..Self::conf() }
    }

    pub fn scope(self, scope: &'a str) -> Self {
        Self { scope, ..self }
    }

    pub fn with(self, more: &'a [(&'a str, &'a str)]) -> Self {
        Self { more, ..self }
    }

    pub fn resource(&self) -> &'static str {
        if self.endpoint == "default" { "https://gw.example/mcp" } else { "https://gw.example/mcp/other" }
    }

    /// The URL, parameters of `more` in place of the usual ones; an empty value leaves one out.
    pub fn url(&self) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(VERIFIER.as_bytes()).0);
        let usual = [
            ("response_type", "code"),
            ("client_id", self.client),
            ("redirect_uri", self.redirect),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "st&te"),
            ("scope", self.scope),
            ("resource", self.resource()),
        ];
        let replaced = |name: &str| self.more.iter().any(|(key, _)| *key == name);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(usual.iter().filter(|(name, _)| !replaced(name)));
        query.extend_pairs(self.more.iter().filter(|(_, value)| !value.is_empty()));
        format!("/as/{}/authorize?{}", self.endpoint, query.finish())
    }
}
