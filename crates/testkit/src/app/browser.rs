//! A person at a browser: keeps cookies, sends forms as they were shown and from the page they stood on, and follows only
//! where it is told to.

use std::collections::BTreeMap;

use ambit_model::Digest;
use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::http::{Reply, Web};

/// The PKCE verifier of the tests.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// The password of every person in the tests.
pub const PASSWORD: &str = "four unrelated test words";

/// Where codes are sent: nothing listens there, the browser stops in front of it.
pub const REDIRECT: &str = "http://127.0.0.1:8999/callback";

/// One person at one browser.
#[derive(Debug)]
pub struct Browser {
    web: Web,
    origin: String,
    /// What the site has set.
    pub cookies: BTreeMap<String, String>,
}

/// A client that was registered, on its way to tokens.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its client id.
    pub id: String,
    /// The URL of its issuer.
    pub issuer: String,
    /// The URL of the endpoint it connects to.
    pub resource: String,
}

impl Browser {
    /// A browser without cookies at the site of an origin.
    pub fn new(web: Web, origin: &str) -> Self {
        Self { web, origin: origin.to_owned(), cookies: BTreeMap::new() }
    }

    /// Opens a page; a path counts from the origin.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn open(&mut self, url: &str) -> Result<Reply> {
        let url = self.absolute(url);
        self.send(Request::get(url).body(Full::default())?).await
    }

    /// Sends a form, as from a page of the site.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Result<Reply> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(self.absolute(url))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, &self.origin);
        self.send(request.body(Full::from(body))?).await
    }

    /// Sets the password of an account through its one-time link.
    ///
    /// # Errors
    /// If the link does not.
    pub async fn set_password(&mut self, link: &str) -> Result<()> {
        let form = self.open(link).await?;
        let csrf = field(&form, "csrf")?;
        let set = self.submit(link, &[("csrf", &csrf), ("password", PASSWORD), ("again", PASSWORD)]).await?;
        ensure!(set.status == 200, "the password was not set: {}", set.text());
        Ok(())
    }

    /// Sends a shown login form.
    ///
    /// # Errors
    /// If it is none, or no whole answer came.
    pub async fn log_in(&mut self, form: &Reply, name: &str) -> Result<Reply> {
        let csrf = field(form, "csrf")?;
        let mut fields = vec![("csrf", csrf.as_str()), ("name", name), ("password", PASSWORD)];
        let request = field(form, "request").ok();
        if let Some(request) = &request {
            fields.push(("request", request));
        }
        self.submit("/login", &fields).await
    }

    /// From a client's authorization request through the login, if nobody is logged in, to the page that asks.
    ///
    /// # Errors
    /// If it leads elsewhere.
    pub async fn until_consent(&mut self, application: &Application, scope: &str, name: &str) -> Result<Reply> {
        let mut reply = self.open(&application.authorize_url(scope)?).await?;
        if reply.header("location").starts_with("/login") {
            let form = self.open(reply.header("location")).await?;
            reply = self.log_in(&form, name).await?;
        }
        let page = reply.header("location").to_owned();
        ensure!(page.starts_with("/as/"), "no consent is asked: {} {page} {}", reply.status, reply.text());
        self.open(&page).await
    }

    /// Ticks toolsets on a shown consent page and says yes: the code.
    ///
    /// # Errors
    /// If there is none.
    pub async fn consent(&mut self, page: &Reply, toolsets: &[&str]) -> Result<String> {
        let (csrf, request) = (field(page, "csrf")?, field(page, "request")?);
        let mut fields = vec![("csrf", csrf.as_str()), ("request", &request), ("decision", "allow")];
        fields.extend(toolsets.iter().map(|slug| ("toolset", *slug)));
        let back = self.submit(&action(page)?, &fields).await?;
        let to = back.header("location");
        ensure!(to.starts_with(REDIRECT), "it was not sent back to the client: {} {}", back.status, back.text());
        let to = Url::parse(to)?;
        let code = to.query_pairs().find(|(name, _)| name == "code");
        code.map(|(_, code)| code.into_owned()).with_context(|| format!("no code in {to}"))
    }

    /// Everything from nothing to tokens.
    ///
    /// # Errors
    /// If a step fails.
    pub async fn connect(&mut self, application: &Application, name: &str, toolsets: &[&str]) -> Result<Value> {
        let page = self.until_consent(application, "mcp", name).await?;
        let code = self.consent(&page, toolsets).await?;
        let tokens = application.exchange(&self.web, &code).await?;
        ensure!(tokens.status == 200, "no tokens: {}", tokens.text());
        Ok(tokens.json())
    }

    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Reply> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse()?);
        }
        let reply = self.web.send(request).await?;
        for line in reply.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = line.to_str()?.split_once('=').context("a cookie without a value")?;
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned());
            }
        }
        Ok(reply)
    }

    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') { format!("{}{url}", self.origin) } else { url.to_owned() }
    }
}

impl Application {
    /// What a real client does first: asks the endpoint, follows its challenge to the metadata, and registers itself.
    ///
    /// # Errors
    /// If a step of the discovery fails.
    pub async fn register(web: &Web, endpoint: &str) -> Result<Self> {
        let refused = web.send(Request::post(endpoint).body(Full::default())?).await?;
        ensure!(refused.status == 401, "no challenge: {}", refused.status);
        let challenge = refused.header("www-authenticate");
        let metadata = challenge.split("resource_metadata=\"").nth(1).and_then(|rest| rest.split('"').next());
        let metadata = web.get(metadata.with_context(|| format!("no metadata in {challenge}"))?).await?.json();
        ensure!(metadata["resource"] == endpoint, "the metadata is of another resource: {metadata}");
        let issuer = metadata["authorization_servers"][0].as_str().context("no authorization server")?;
        let own = Url::parse(issuer)?;
        let known =
            format!("{}/.well-known/oauth-authorization-server{}", own.origin().ascii_serialization(), own.path());
        let server = web.get(&known).await?.json();
        ensure!(server["issuer"] == issuer, "the metadata is of another issuer: {server}");
        let wish = json!({
            "client_name": "A test client",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "application_type": "native",
        });
        let register = server["registration_endpoint"].as_str().context("no registration")?;
        let request = Request::post(register).header(header::CONTENT_TYPE, "application/json");
        let registered = web.send(request.body(Full::from(wish.to_string()))?).await?;
        let registered = registered.json();
        let id = registered["client_id"].as_str().with_context(|| format!("not registered: {registered}"))?;
        Ok(Self { id: id.to_owned(), issuer: issuer.to_owned(), resource: endpoint.to_owned() })
    }

    /// Where it sends the browser.
    ///
    /// # Errors
    /// If its issuer is no URL.
    pub fn authorize_url(&self, scope: &str) -> Result<String> {
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(VERIFIER.as_bytes()).0);
        let mut url = Url::parse(&format!("{}/authorize", self.issuer))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.id)
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", "s")
            .append_pair("scope", scope)
            .append_pair("resource", &self.resource);
        Ok(url.into())
    }

    /// Exchanges a code.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn exchange(&self, web: &Web, code: &str) -> Result<Reply> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT),
            ("client_id", &self.id),
            ("resource", &self.resource),
        ];
        self.ask(web, "token", &form).await
    }

    /// Refreshes.
    ///
    /// # Errors
    /// If no whole answer came.
    pub async fn refresh(&self, web: &Web, token: &str) -> Result<Reply> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.id)];
        self.ask(web, "token", &form).await
    }

    async fn ask(&self, web: &Web, what: &str, form: &[(&str, &str)]) -> Result<Reply> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = Request::post(format!("{}/{what}", self.issuer))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        web.send(request.body(Full::from(body))?).await
    }
}

/// The value of a hidden field of a shown form.
///
/// # Errors
/// If the page has none of this name.
pub fn field(page: &Reply, name: &str) -> Result<String> {
    let text = page.text();
    let marker = format!("name=\"{name}\" value=\"");
    let rest = text.split_once(&marker).with_context(|| format!("no field `{name}` in {} {text}", page.status))?.1;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// Where a shown form is sent to.
///
/// # Errors
/// If the page has no form.
pub fn action(page: &Reply) -> Result<String> {
    let text = page.text();
    let rest = text.split_once("action=\"").with_context(|| format!("no form in {text}"))?.1;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}
