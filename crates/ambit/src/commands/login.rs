//! `ambit login --admin URL`: a person's browser proves to the admin API who they are, and this program is handed a token of a
//! quarter of an hour (RFC 8252: a port of its own on loopback, PKCE, a state that only it knows). The token lies in a file of its
//! own that nobody else may read, and nowhere else.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use ambit_identity::admin;
use ambit_model::{Digest, ids::Millis};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use url::Url;

use super::{Context, DONE, Ended, Failure};
use crate::{admin::remote::Remote, config::secrets};

/// How long the person may take.
const PERSON_WITHIN: Duration = Duration::from_mins(10);

/// How long a browser may take to say what it was sent to say.
const BROWSER_WITHIN: Duration = Duration::from_secs(5);

/// The longest head of a request that is read.
const MAX_HEAD: usize = 16 * 1024;

/// Get a token for the admin API, through your browser.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit login --admin https://admin.gateway.example")]
pub struct Login {}

/// A token as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    url: String,
    token: String,
    expires_at: Millis,
}

/// The admin API that was named, if one was.
pub(super) fn named(context: &Context<'_>) -> Option<String> {
    context.common.admin.clone().or_else(|| secrets::environment("AMBIT_ADMIN"))
}

/// The kept token for an admin API.
pub(super) fn token(remote: &Remote, context: &Context<'_>) -> Result<String, Failure> {
    let again = || Failure::Refused(format!("you are not logged in: run `ambit login --admin {}`", remote.url()));
    let text = fs::read_to_string(state_dir(context)?.join(remote.file_name())).map_err(|_| again())?;
    let kept: Kept = serde_json::from_str(&text).map_err(|_| again())?;
    if kept.url != remote.url() || kept.expires_at <= context.clock.now() {
        return Err(again());
    }
    Ok(kept.token)
}

impl Login {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Ended {
        let url = named(context).ok_or_else(|| Failure::Usage("name the admin API: `--admin URL`".into()))?;
        let remote = Remote::new(&url).map_err(Failure::Usage)?;
        let issuer = Issuer::find(&remote).await.map_err(Failure::Refused)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Failure::because)?;
        let port = listener.local_addr().map_err(Failure::because)?.port();
        let redirect = admin::REDIRECT.replace("127.0.0.1/", &format!("127.0.0.1:{port}/"));
        let (state, verifier) = (random()?, random()?);
        let page = issuer.page(&remote, &redirect, (&state, &verifier)).map_err(Failure::Refused)?;
        // Said whatever is asked for: without it nothing can go on.
        writeln!(context.err, "open this page in a browser on this machine:\n{page}")?;
        let answer = timeout(PERSON_WITHIN, answer(&listener, &state, &issuer.id)).await;
        let code = answer
            .map_err(|_| Failure::Refused("nobody answered within ten minutes: log in again".into()))?
            .map_err(Failure::Refused)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("code_verifier", &verifier),
            ("redirect_uri", &redirect),
            ("client_id", admin::CLIENT),
            ("resource", remote.url()),
        ];
        let tokens = remote.form(&issuer.token_endpoint, &form).await.map_err(Failure::Refused)?;
        let (Some(token), Some(seconds)) =
            (text(&tokens, "access_token"), tokens.get("expires_in").and_then(Value::as_i64))
        else {
            return Err(Failure::Refused("no token came back: use the ambit of the server's version".into()));
        };
        let expires_at = context.clock.now().saturating_add(seconds.saturating_mul(1000));
        let kept = Kept { url: remote.url().to_owned(), token: token.to_owned(), expires_at };
        keep(&state_dir(context)?, &remote.file_name(), &kept).map_err(Failure::because)?;
        let sentence = format!("logged in at {} for {} minutes", remote.url(), seconds / 60);
        context.print(&json!({ "url": remote.url(), "expires_in": seconds }), &sentence)?;
        Ok(DONE)
    }
}

/// Where tokens for an admin API are made.
struct Issuer {
    id: String,
    authorization_endpoint: String,
    token_endpoint: String,
}

impl Issuer {
    /// Follows the metadata, and believes of it only what the URL before it vouches for.
    async fn find(remote: &Remote) -> Result<Self, String> {
        let resource = remote.document(&format!("{}{}", remote.url(), admin::METADATA)).await?;
        let own = text(&resource, "resource").unwrap_or("nothing");
        if own != remote.url() {
            return Err(format!("`{}` says that it is `{own}`: use that URL", remote.url()));
        }
        let first = resource.pointer("/authorization_servers/0").and_then(Value::as_str);
        let issuer = first.ok_or("the metadata names no issuer")?.to_owned();
        let url = Url::parse(&issuer).map_err(|error| format!("the issuer `{issuer}` is no URL: {error}"))?;
        crate::config::public_url(&url.origin().ascii_serialization()).map_err(|why| format!("`{issuer}`: {why}"))?;
        let known =
            format!("{}/.well-known/oauth-authorization-server{}", url.origin().ascii_serialization(), url.path());
        let metadata = remote.document(&known).await?;
        let found = Self {
            authorization_endpoint: needed(&metadata, "authorization_endpoint")?,
            token_endpoint: needed(&metadata, "token_endpoint")?,
            id: issuer,
        };
        let own = [&found.authorization_endpoint, &found.token_endpoint];
        let is_own = |endpoint: &&String| endpoint.strip_prefix(&found.id).is_some_and(|rest| rest.starts_with('/'));
        if text(&metadata, "issuer") != Some(&found.id) || !own.iter().all(is_own) {
            return Err(format!("the metadata of `{}` is of another issuer", found.id));
        }
        Ok(found)
    }

    fn page(&self, remote: &Remote, redirect: &str, (state, verifier): (&str, &str)) -> Result<String, String> {
        let mut page = Url::parse(&self.authorization_endpoint).map_err(|error| error.to_string())?;
        let challenge = URL_SAFE_NO_PAD.encode(Digest::of(verifier.as_bytes()).0);
        page.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", admin::CLIENT),
            ("redirect_uri", redirect),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", state),
            ("scope", admin::SCOPE),
            ("resource", remote.url()),
        ]);
        Ok(page.into())
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn needed(value: &Value, name: &str) -> Result<String, String> {
    text(value, name).map(ToOwned::to_owned).ok_or_else(|| format!("the metadata has no `{name}`"))
}

/// Waits for the browser to come back, and lets whatever else knocks go away.
async fn answer(listener: &TcpListener, state: &str, issuer: &str) -> Result<String, String> {
    loop {
        let (mut stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        let Ok(Ok(path)) = timeout(BROWSER_WITHIN, asked(&mut stream)).await else { continue };
        let Ok(url) = Url::parse(&format!("http://127.0.0.1{path}")) else { continue };
        let one = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        // Another program, or another page, does not know the state.
        if url.path() != "/callback" || one("state").as_deref() != Some(state) {
            let _ = timeout(BROWSER_WITHIN, say(&mut stream, "404 Not Found", "Nothing is here.")).await;
            continue;
        }
        if one("iss").as_deref() != Some(issuer) {
            let _ = timeout(BROWSER_WITHIN, say(&mut stream, "400 Bad Request", "This is from another issuer.")).await;
            return Err("the answer is from another issuer: log in again".to_owned());
        }
        let _ = timeout(BROWSER_WITHIN, say(&mut stream, "200 OK", "You can close this page.")).await;
        return one("code").ok_or_else(|| match one("error").as_deref() {
            Some("access_denied") => "you said no".to_owned(),
            Some(_) | None => "no code came back: log in again".to_owned(),
        });
    }
}

/// The target of a GET.
async fn asked(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut chunk).await?;
        if read == 0 || head.len() > MAX_HEAD {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("GET ").and_then(|rest| rest.split_once(" HTTP/1.")).map(|(target, _)| target);
    target.map(ToOwned::to_owned).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

async fn say(stream: &mut TcpStream, status: &str, sentence: &str) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{sentence}",
        sentence.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// 256 random bits as text.
fn random() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::Refused("the system gives no random bytes".into()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Where tokens are kept: what was said, or `ambit` in the user's directory of states (XDG Base Directory).
fn state_dir(context: &Context<'_>) -> Result<PathBuf, Failure> {
    if let Some(directory) = &context.common.state_dir {
        return Ok(directory.clone());
    }
    let own = secrets::environment("XDG_STATE_HOME").map(PathBuf::from);
    let own = own.or_else(|| secrets::environment("HOME").map(|home| Path::new(&home).join(".local/state")));
    own.map(|directory| directory.join("ambit")).ok_or_else(|| {
        Failure::Usage("there is no home directory to keep a token in: name one with `--state-dir`".into())
    })
}

/// Writes a file that only its owner reads, whole or not at all.
fn keep(directory: &Path, name: &str, kept: &Kept) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let (path, fresh) = (directory.join(name), directory.join(format!("{name}.new")));
    let _ = fs::remove_file(&fresh);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(serde_json::to_string(kept)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}
