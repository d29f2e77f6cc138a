//! Configuration: the text of `ambit.toml` to a [`Deployment`], or every reason why not.
//!
//! The way is always the same: [`tree`] reads the text with its lines, [`shape`] holds it to the [`schema`] generated from
//! [`raw`], [`resolve`] turns it into the nouns of the deployment and checks what refers to what. Nothing is taken from a
//! file with an error in it. Secrets stay references here; [`secrets`] reads them when something is about to spend them.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ambit_egress::{EgressRules, Network, Roots, Target};
use ambit_gateway::StreamSettings;
use ambit_live::{deployment::Deployment, lock::Lock, notices::NoticeKind};
use ambit_model::{Digest, canonical, ids::Millis, secret::SecretRef};
use ambit_store::StoreUrl;
use serde_json::Value as Json;

mod format;
mod place;
pub mod policies;
mod problem;
pub mod quantity;
pub mod raw;
mod resolve;
pub mod schema;
pub mod secrets;
mod shape;
mod tree;

pub use problem::{ConfigErrors, Problem, Severity};

pub(crate) use format::public_url;
pub(crate) use resolve::grants::ENDS_SOON_MS;

use place::Place;
use problem::Findings;
use tree::Node;

/// The largest configuration file that is read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What is not part of what a fleet's nodes must agree on.
const OF_ONE_NODE: [&str; 6] = ["listen", "data_dir", "key_dir", "store", "metrics", "streams"];

/// A configuration without an error.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The file it was read from; `None` when Ambit starts empty.
    pub file: Option<PathBuf>,
    /// Where accepted definitions are pinned: beside the configuration, `ambit.lock` for `ambit.toml`.
    pub lock_file: PathBuf,
    /// What was accepted.
    pub lock: Lock,
    /// The deployment.
    pub deployment: Deployment,
    /// Other systems that hear what waits for people.
    pub webhooks: BTreeMap<String, DeclaredWebhook>,
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address where counters are read, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// The address where the admin API listens, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Bounds and times of the streams to clients.
    pub streams: StreamSettings,
    /// Trail and the embedded store, and the keys unless they have a directory of their own.
    pub data_dir: PathBuf,
    /// The keys' own directory, if they have one.
    pub key_dir: Option<PathBuf>,
    /// The store.
    pub store: StoreUrl,
    /// The trail.
    pub trail: TrailSettings,
    /// Where the organisation's rules lie.
    pub rules: policies::Place,
    /// Where upstream requests may go.
    pub egress: EgressRules,
    /// Where metadata documents of clients may be fetched from.
    pub client_documents: EgressRules,
    /// Whose certificates are believed.
    pub roots: Roots,
    /// Proxies that are believed about the client's address.
    pub trusted_proxies: Vec<Network>,
    /// What the command line said in place of the file.
    pub overrides: Overrides,
    /// What somebody should look at.
    pub warnings: Vec<Problem>,
}

/// A webhook as it is declared. Its secrets are read when it is about to be used.
#[derive(Debug, Clone)]
pub struct DeclaredWebhook {
    /// Where it listens.
    pub address: Address,
    /// How it reads.
    pub format: raw::WebhookFormat,
    /// What messages are signed with.
    pub key: Option<SecretRef>,
    /// What it hears.
    pub kinds: Vec<NoticeKind>,
}

/// Where a webhook listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// At a URL that anybody may see.
    Plain(Target),
    /// At one that is a secret itself.
    Secret(SecretRef),
}

/// What the command line says in place of the file, about this node alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// In place of `data_dir`.
    pub data_dir: Option<PathBuf>,
    /// In place of `listen`.
    pub listen: Option<SocketAddr>,
    /// In place of `trail.node`.
    pub node: Option<String>,
}

/// How this node keeps its trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailSettings {
    /// When the record of a read counts.
    pub reads: raw::Reads,
    /// Where checkpoints are copied to.
    pub checkpoint_file: Option<PathBuf>,
    /// The node's name in a fleet, if it was given one.
    pub node: Option<String>,
    /// How long records are kept at least; for ever if absent.
    pub retain: Option<Duration>,
}

impl Resolved {
    /// Lets the command line's word count in place of the file's, now and after every reload.
    #[must_use]
    pub fn overridden(mut self, by: Overrides) -> Self {
        if let Some(directory) = &by.data_dir {
            // A store elsewhere stays where it is.
            if let StoreUrl::File(path) = &self.store
                && let Ok(inside) = path.strip_prefix(&self.data_dir)
            {
                self.store = StoreUrl::File(directory.join(inside));
            }
            self.data_dir.clone_from(directory);
        }
        self.listen = by.listen.unwrap_or(self.listen);
        if by.node.is_some() {
            self.trail.node.clone_from(&by.node);
        }
        Self { overrides: by, ..self }
    }

    /// The same file, read again under the same overrides.
    ///
    /// # Errors
    /// [`ConfigErrors`], also when this was started without a file.
    pub fn again(&self, now: Millis) -> Result<Self, ConfigErrors> {
        match &self.file {
            Some(file) => Ok(load(file, now)?.overridden(self.overrides.clone())),
            None => Err(ConfigErrors::of_file(
                Path::new("ambit.toml"),
                "was not there when this server started: restart it",
            )),
        }
    }

    /// Whether other nodes can be on the same store.
    pub fn shares_its_store(&self) -> bool {
        match &self.store {
            StoreUrl::Memory | StoreUrl::File(_) => false,
            StoreUrl::Postgres(_) => true,
        }
    }

    /// The directory of the trail's segments.
    pub fn trail_dir(&self) -> PathBuf {
        self.data_dir.join("trail")
    }

    /// The directory of key files.
    pub fn key_dir(&self) -> PathBuf {
        self.key_dir.clone().unwrap_or_else(|| self.data_dir.join("keys"))
    }

    /// Where a running server takes operators' acts.
    pub fn operator_socket(&self) -> PathBuf {
        self.data_dir.join("operator.sock")
    }
}

/// Reads and resolves a configuration file and the lock file beside it.
///
/// # Errors
/// [`ConfigErrors`] with every problem of both files.
pub fn load(path: &Path, now: Millis) -> Result<Resolved, ConfigErrors> {
    load_with(path, now, Rules::Read)
}

/// The same, with or without the organisation's rules: whoever checks rules has to get past those that are wrong.
///
/// # Errors
/// [`ConfigErrors`] with every problem of both files.
pub fn load_with(path: &Path, now: Millis, rules: Rules) -> Result<Resolved, ConfigErrors> {
    let text = read(path, "make one, or run `ambit serve` without `--config` to see how to begin")?;
    let base = path.parent().unwrap_or(Path::new(""));
    let resolved = parse(&text, path, (base, now), rules);
    match (resolved, load_lock(&path.with_extension("lock"))) {
        (Ok(resolved), Ok(lock)) => Ok(Resolved { file: Some(path.to_owned()), lock, ..resolved }),
        (Err(mut errors), Err(more)) => {
            errors.0.extend(more.0);
            Err(errors)
        }
        (Err(errors), Ok(_)) | (Ok(_), Err(errors)) => Err(errors),
    }
}

/// A configuration file as it would be with other grants in place of its own, which stand in a file as they would in it.
///
/// # Errors
/// [`ConfigErrors`].
pub fn load_with_grants(path: &Path, grants: &Path, now: Millis) -> Result<Resolved, ConfigErrors> {
    let table = |path: &Path| -> Result<toml::Table, ConfigErrors> {
        let text = read(path, "name a file of `[[grants]]`")?;
        toml::from_str(&text)
            .map_err(|error| ConfigErrors::of_file(path, format!("this is not TOML: {}", error.message())))
    };
    let mut whole = table(path)?;
    let mut other = table(grants)?;
    let replaced = other.remove("grants").unwrap_or_else(|| toml::Value::Array(Vec::new()));
    if let Some(stray) = other.keys().next() {
        return Err(ConfigErrors::of_file(grants, format!("holds `{stray}`: only `[[grants]]` may stand here")));
    }
    whole.insert("grants".to_owned(), replaced);
    let base = path.parent().unwrap_or(Path::new(""));
    let text = toml::to_string(&whole).map_err(|error| ConfigErrors::of_file(grants, error.to_string()))?;
    let resolved = parse(&text, grants, (base, now), Rules::Leave)?;
    let lock = load_lock(&path.with_extension("lock"))?;
    Ok(Resolved { file: Some(path.to_owned()), lock, ..resolved })
}

/// The configuration of a server that was given none: no endpoint, no server, nobody.
///
/// # Errors
/// Never with an empty text; the type is that of [`load`].
pub fn empty(directory: &Path, now: Millis) -> Result<Resolved, ConfigErrors> {
    parse("", &directory.join("ambit.toml"), (directory, now), Rules::Read)
}

/// The accepted definitions; none if there is no file.
///
/// # Errors
/// [`ConfigErrors`] naming the lock file.
pub fn load_lock(path: &Path) -> Result<Lock, ConfigErrors> {
    if matches!(fs::exists(path), Ok(false)) {
        return Ok(Lock::default());
    }
    let text = read(path, "make it readable")?;
    Lock::parse(&text).map_err(|error| {
        ConfigErrors::of_file(path, format!("{error}; restore it, or write it anew with `ambit tools accept`"))
    })
}

/// Whether the organisation's rules are read along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// They are, and a problem of theirs is one of the configuration.
    Read,
    /// The deployment has none.
    Leave,
}

fn parse(text: &str, file: &Path, (base, now): (&Path, Millis), rules: Rules) -> Result<Resolved, ConfigErrors> {
    let tree = Node::parse(text).map_err(|errors| syntax(errors, text, file))?;
    let mut findings = Findings::default();
    let shaped = shape::check(&tree, &schema::document(), &mut findings);
    let digest = digest(&shaped);
    let raw: raw::File = serde_json::from_value(shaped)
        // What the shape check lets through always fits the types it was generated from.
        .map_err(|_| ConfigErrors::of_file(file, "does not fit its own schema; this is a defect of the program"))?;
    let resolved = resolve::Resolving { raw: &raw, base, now, rules, findings: &mut findings }.run(file, digest);
    let line = |place: &Place| Some(tree::line_of(text, tree.nearest(place).span.start));
    match findings.into_problems(file, line) {
        (problems, true) => Err(ConfigErrors(problems)),
        (warnings, false) => Ok(Resolved { warnings, ..resolved }),
    }
}

fn syntax(errors: Vec<tree::SyntaxError>, text: &str, file: &Path) -> ConfigErrors {
    let problem = |error: tree::SyntaxError| Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        line: error.span.map(|span| tree::line_of(text, span.start)),
        path: String::new(),
        message: format!("this is not TOML: {}", error.message.replace('\n', ", ")),
    };
    ConfigErrors(errors.into_iter().map(problem).collect())
}

/// The digest of everything that every node of a fleet must agree on.
fn digest(shaped: &Json) -> Digest {
    let mut agreed = shaped.clone();
    if let Some(members) = agreed.as_object_mut() {
        for name in OF_ONE_NODE {
            members.remove(name);
        }
        // Without a URL of its own the address is the resource that tokens are made for.
        if let Some(admin) = members.get_mut("admin").and_then(Json::as_object_mut)
            && admin.contains_key("public_url")
        {
            admin.remove("listen");
        }
        if let Some(trail) = members.get_mut("trail").and_then(Json::as_object_mut) {
            trail.remove("node");
            trail.remove("checkpoint_file");
            if trail.is_empty() {
                members.remove("trail");
            }
        }
    }
    canonical::digest(&agreed)
}

fn read(path: &Path, remedy: &str) -> Result<String, ConfigErrors> {
    let of_file = |message: String| ConfigErrors::of_file(path, message);
    let length = fs::metadata(path).map_err(|error| of_file(format!("cannot be read ({error}): {remedy}")))?.len();
    if length > MAX_BYTES {
        return Err(of_file(format!("has {length} bytes: at most {MAX_BYTES} are read")));
    }
    let bytes = fs::read(path).map_err(|error| of_file(format!("cannot be read ({error}): {remedy}")))?;
    String::from_utf8(bytes).map_err(|_| of_file("is not UTF-8: save it as UTF-8".to_owned()))
}

#[cfg(test)]
mod tests;
