//! `ambit.toml` as it is written. The JSON Schema of the file is generated from these types, and the shape of every file is
//! checked against that schema: what stands here is the one description of what may be written.
//!
//! Nothing here is trusted. [`super::resolve`] turns it into the nouns of a deployment; no other room sees these types.
//! The first sentence of a field's documentation is what an operator reads when the field is missing.

use std::{collections::BTreeMap, num::NonZeroU32};

use schemars::JsonSchema;
use serde::Deserialize;

use ambit_model::Effect;

mod access;
mod approvals;
mod break_glass;
pub mod budgets;
mod grants;
pub mod labels;
mod webhooks;

pub use access::AccessRequests;
pub use approvals::*;
pub use break_glass::BreakGlass;
pub use grants::{Claim, Fragment, Grant, RoleHolder};
pub use webhooks::{Webhook, WebhookEvent, WebhookFormat};

/// The configuration of an Ambit deployment.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The URL under which clients reach Ambit, without a path: `https://gateway.example`. Plain `http` only for loopback.
    #[serde(default = "defaults::public_url")]
    #[schemars(extend("format" = "ambit-public-url"))]
    pub public_url: String,
    /// The address and port to listen on. Differs from node to node; not part of what a fleet must agree on.
    #[serde(default = "defaults::listen")]
    #[schemars(extend("format" = "ambit-listen"))]
    pub listen: String,
    /// The directory of keys, trail and the embedded store, relative to this file.
    #[serde(default = "defaults::data_dir")]
    #[schemars(extend("format" = "ambit-text"))]
    pub data_dir: String,
    /// The directory of the keys that sign and seal, relative to this file: one that the nodes of a fleet share. `keys` in
    /// `data_dir` if absent. Where it is mounted may differ from node to node.
    #[schemars(extend("format" = "ambit-text"))]
    pub key_dir: Option<String>,
    /// The store: `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, or `env:NAME` or `file:PATH` of something that holds such a
    /// URL with its password. SQLite in `data_dir` if absent.
    #[schemars(extend("format" = "ambit-store"))]
    pub store: Option<String>,
    /// Address ranges of proxies whose forwarding headers name the client's address.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-network"}))]
    pub trusted_proxies: Vec<String>,
    /// The MCP endpoints that are published.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
    /// The servers behind them, by slug.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-slug"}))]
    pub servers: BTreeMap<String, Server>,
    /// External issuers whose access tokens endpoints may accept, by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-slug"}))]
    pub issuers: BTreeMap<String, Issuer>,
    /// Local accounts, by name. Passwords are set through a one-time link: `ambit account link NAME`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-account"}))]
    pub accounts: BTreeMap<String, Account>,
    /// Agents: non-human identities, by id.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-slug"}))]
    pub agents: BTreeMap<String, Agent>,
    /// Named selections of tools, by slug.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-slug"}))]
    pub toolsets: BTreeMap<String, Toolset>,
    /// Who holds which toolset.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// What client software may reach at most, by client id; `default` stands for every other client.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-client-id"}))]
    pub clients: BTreeMap<String, Client>,
    /// Who may use destructive tools for a while without waiting for others.
    #[serde(default)]
    pub break_glass: BreakGlass,
    /// What people may ask for through their clients.
    #[serde(default)]
    pub access_requests: AccessRequests,
    /// Other systems that hear what waits for people, by name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-slug"}))]
    pub webhooks: BTreeMap<String, Webhook>,
    /// How much each person may use, whatever clients they use; each agent, where no person stands behind it. `default` is everybody; `agent:ID`,
    /// `user:USER`, `client:ID` and `group:NAME` have in place of it what they say, in this order.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-budget-holder"}))]
    pub budgets: BTreeMap<String, budgets::Budget>,
    /// The streams on which clients hear that their list of tools changed. Differs from node to node; not part of what a
    /// fleet must agree on.
    #[serde(default)]
    pub streams: Streams,
    /// What operators may do.
    #[serde(default)]
    pub operator: Operator,
    /// The admin API: what operators do, over HTTP and with a login. There is none unless it has an address.
    #[serde(default)]
    pub admin: Admin,
    /// The trail.
    #[serde(default)]
    pub trail: Trail,
    /// Where outgoing requests may go, and whom they believe.
    #[serde(default)]
    pub egress: Egress,
    /// The organisation's rules.
    #[serde(default)]
    pub policies: super::policies::Table,
    /// Counters for monitoring. Differs from node to node; not part of what a fleet must agree on.
    #[serde(default)]
    pub metrics: Metrics,
}

/// A published MCP endpoint.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Its path: `/mcp` for the default endpoint, `/mcp/SLUG` for any other.
    #[schemars(extend("format" = "ambit-endpoint-path"))]
    pub path: String,
    /// The slugs of the servers it publishes.
    #[schemars(length(min = 1), extend("items" = {"type": "string", "format": "ambit-slug"}))]
    pub servers: Vec<String>,
    /// Whether shown tool names carry the server's slug in front. True unless there is one server.
    pub prefix: Option<bool>,
    /// What consent pages call it. Its path if absent.
    #[schemars(extend("format" = "ambit-text"))]
    pub title: Option<String>,
    /// Who issues its tokens: `embedded`, or the name of an entry of `issuers`.
    #[serde(default = "defaults::issuer")]
    #[schemars(extend("format" = "ambit-slug"))]
    pub issuer: String,
    /// Whether access can be asked for here: `ambit_status` and `ambit_request_access`. It can if absent, unless
    /// `access_requests.enabled` is `false`.
    #[serde(default = "access::on")]
    pub access_requests: bool,
}

/// A registered upstream: a governed non-human identity.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The OpenAPI document that describes it: a path relative to this file, or an `https` URL.
    #[schemars(extend("format" = "ambit-document"))]
    pub openapi: Option<String>,
    /// Where the described API is reached, in place of the document's own `servers`.
    #[schemars(extend("format" = "ambit-base-url"))]
    pub base_url: Option<String>,
    /// The URL of an MCP server over Streamable HTTP.
    #[schemars(extend("format" = "ambit-url"))]
    pub mcp: Option<String>,
    /// Who answers for it: a person or a team.
    #[schemars(extend("format" = "ambit-text"))]
    pub owner: String,
    /// Why it is here, in a sentence.
    #[schemars(extend("format" = "ambit-text"))]
    pub purpose: String,
    /// Which environment it belongs to, as the organisation names them: `production`, `staging`, ….
    #[schemars(extend("format" = "ambit-text"))]
    pub environment: String,
    /// The class of data behind it, as the organisation names them: `public`, `internal`, `confidential`, ….
    #[schemars(extend("format" = "ambit-text"))]
    pub data_class: String,
    /// When it is hidden unless its owner renews it: a date such as `2027-06-30` (00:00 UTC) or a date and time.
    #[schemars(extend("format" = "ambit-instant"))]
    pub expires: String,
    /// The event after which it must be revoked, in the owner's words.
    #[schemars(extend("format" = "ambit-text"))]
    pub revoke_when: String,
    /// The credential that is spent at it. None is sent if absent.
    pub credential: Option<Credential>,
    /// Credentials for the tools of one effect, in place of `credential`.
    #[serde(default)]
    pub credentials: EffectCredentials,
    /// The owner's corrections of effects, by tool name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-tool-name"}))]
    pub effects: BTreeMap<String, EffectOverride>,
    /// Who may approve its calls that need a human yes: `user NAME` of a local account, or `group NAME`. Nobody if absent,
    /// and then such calls are refused.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-approver"}))]
    pub approvers: Vec<String>,
    /// How many different people have to say yes to one call. One if absent.
    #[serde(default = "approvals::one")]
    #[schemars(schema_with = "approvals::count_of_people")]
    pub approvals_needed: u32,
    /// What the owner says about approvals of single tools, by tool name.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "ambit-tool-name"}))]
    pub approvals: BTreeMap<String, ToolApprovals>,
    /// The longest a call may take, such as `30s`.
    #[schemars(extend("format" = "ambit-duration"))]
    pub timeout: Option<String>,
    /// The largest reply that is read, such as `1MiB`.
    #[schemars(extend("format" = "ambit-size"))]
    pub max_reply: Option<String>,
    /// The most tools that are read from an MCP server: 2000 unless set, at most 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_tools: Option<u32>,
    /// The largest listing of tools that is read from an MCP server, such as `8MiB`; at most `32MiB`.
    #[schemars(extend("format" = "ambit-size"))]
    pub max_listing: Option<String>,
    /// What passes through its tools, by tool name, `prefix*` or `*`. Every line that covers a tool counts.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<labels::Label>>", extend("propertyNames" = {"format": "ambit-name-pattern"}))]
    pub labels: BTreeMap<String, Vec<ambit_model::label::Label>>,
    /// When its calls are not sent any more because it does not answer.
    pub breaker: Option<budgets::Breaker>,
}

/// A downstream credential. Exactly one of `bearer`, `basic` and `header`; every value is a reference such as `env:NAME` or
/// `file:PATH`, never the secret itself.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Its id in the trail. Made from the server's slug if absent.
    #[schemars(extend("format" = "ambit-text"))]
    pub id: Option<String>,
    /// Sent as `Authorization: Bearer …`.
    #[schemars(extend("format" = "ambit-secret"))]
    pub bearer: Option<String>,
    /// Sent as `Authorization: Basic …`.
    pub basic: Option<Basic>,
    /// Sent as a header of the API's own.
    pub header: Option<Header>,
}

/// Basic credentials.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The reference to the user half.
    #[schemars(extend("format" = "ambit-secret"))]
    pub username: String,
    /// The reference to the password half.
    #[schemars(extend("format" = "ambit-secret"))]
    pub password: String,
}

/// A credential in a header of its own.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The header's name.
    #[schemars(extend("format" = "ambit-header-name"))]
    pub name: String,
    /// The reference to its value.
    #[schemars(extend("format" = "ambit-secret"))]
    pub value: String,
}

/// One credential per effect.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct EffectCredentials {
    /// For tools that only read.
    pub read: Option<Credential>,
    /// For tools that write.
    pub write: Option<Credential>,
    /// For destructive tools.
    pub destructive: Option<Credential>,
}

/// An owner's word on a tool's effect.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct EffectOverride {
    /// The effect that counts: `read`, `write` or `destructive`.
    #[schemars(with = "RawEffect")]
    pub effect: Effect,
    /// Why the classification was wrong.
    #[schemars(extend("format" = "ambit-text"))]
    pub reason: String,
}

/// What a tool does to the world.
#[derive(JsonSchema)]
#[schemars(rename = "Effect", rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used: the type itself is `ambit_model::Effect`")]
enum RawEffect {
    Read,
    Write,
    Destructive,
}

/// An external issuer and its rules. What is not said is refused.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its exact `iss`.
    #[schemars(extend("format" = "ambit-url"))]
    pub issuer: String,
    /// Where its keys are. Read from its metadata if absent.
    #[schemars(extend("format" = "ambit-url"))]
    pub jwks_uri: Option<String>,
    /// The signature algorithms that are accepted.
    #[serde(default = "defaults::algorithms")]
    #[schemars(length(min = 1))]
    pub algorithms: Vec<Algorithm>,
    /// Which `typ` counts as an access token.
    #[serde(default)]
    pub typ: Typ,
    /// Audiences that its tokens may have beside the endpoint's URL, exactly as written. None if absent: each of them could
    /// replay a token here.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-text"}))]
    pub other_audiences: Vec<String>,
    /// The claim that is the subject.
    #[serde(default = "defaults::subject_claim")]
    #[schemars(extend("format" = "ambit-text"))]
    pub subject_claim: String,
    /// The claims that may name the client, in order.
    #[serde(default = "defaults::client_claims")]
    #[schemars(length(min = 1), extend("items" = {"type": "string", "format": "ambit-text"}))]
    pub client_claims: Vec<String>,
    /// How people's tokens are told from those that a client got for itself: `{ claim = "…" }` with a claim that only people's
    /// tokens have, or `"unmarked"` where nothing tells them apart or there are no others. Nothing is assumed.
    pub people: People,
    /// Where its groups come from. Without it nobody of this issuer is in a group.
    pub groups: Option<Groups>,
    /// What its scopes mean: `none`, or a table from its scope to an Ambit toolset.
    pub scopes: Scopes,
    /// The claims that policies may read.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-text"}))]
    pub claims: Vec<String>,
}

/// A signature algorithm.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

/// Which `typ` counts as an access token.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
pub enum Typ {
    /// `at+jwt` alone (RFC 9068).
    #[default]
    Strict,
    /// Also `JWT` or none, for issuers that do not mark access tokens.
    Lenient,
}

/// How an issuer marks the tokens of people.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(untagged)]
pub enum People {
    /// `unmarked`: a token that is not known to be a client's own is a person's.
    Word(PeopleWord),
    /// A claim that only people's tokens have.
    Sign(PeopleSign),
}

/// The word that takes the place of a sign.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum PeopleWord {
    /// Nothing marks them.
    Unmarked,
}

/// The claim by which people's tokens are known.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct PeopleSign {
    /// The claim. A token without it is refused.
    #[schemars(extend("format" = "ambit-text"))]
    pub claim: String,
    /// What it says, as its text or in its list. If absent, whatever it says is enough.
    #[schemars(extend("format" = "ambit-text"))]
    pub value: Option<String>,
}

/// Where an issuer's groups come from.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// The claim. A token without it is refused.
    #[schemars(extend("format" = "ambit-text"))]
    pub claim: String,
    /// The issuer's value → the Ambit group. A value that is not here does not count.
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "ambit-slug"}))]
    pub map: BTreeMap<String, String>,
}

/// What an issuer's scopes mean.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(untagged)]
pub enum Scopes {
    /// `none`: its scopes say nothing about toolsets, the client's ceiling stands in.
    Word(ScopesWord),
    /// Its scope → the toolset.
    #[schemars(extend("additionalProperties" = {"type": "string", "format": "ambit-slug"}))]
    Map(BTreeMap<String, String>),
}

/// The word that takes the place of a scope map.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum ScopesWord {
    /// Its scopes say nothing about toolsets.
    None,
}

/// A local account.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What pages call the person. The account's name if absent.
    #[schemars(extend("format" = "ambit-text"))]
    pub name: Option<String>,
    /// Its Ambit groups.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-slug"}))]
    pub groups: Vec<String>,
    /// Their e-mail address. It grants nothing; it keeps a person with two logins from approving their own call.
    #[schemars(extend("format" = "ambit-text"))]
    pub email: Option<String>,
}

/// An agent: a governed non-human identity.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The user who answers for it: a local account, or `issuer:subject`.
    #[schemars(extend("format" = "ambit-user"))]
    pub owner: String,
    /// Why it exists, in a sentence.
    #[schemars(extend("format" = "ambit-text"))]
    pub purpose: String,
    /// When it stops unless its owner renews it: a date such as `2027-06-30` (00:00 UTC) or a date and time.
    #[schemars(extend("format" = "ambit-instant"))]
    pub expires: String,
}

/// A named selection of tools.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Toolset {
    /// What consent and pages call it. Its slug if absent.
    #[schemars(extend("format" = "ambit-text"))]
    pub title: Option<String>,
    /// The tools: `server/tool`, `server/prefix*` or `server/*`. A `*` never includes a destructive tool.
    #[schemars(length(min = 1), extend("items" = {"type": "string", "format": "ambit-selector"}))]
    pub tools: Vec<String>,
    /// Only tools of these effects. All if absent.
    #[serde(default)]
    #[schemars(with = "Vec<RawEffect>")]
    pub effects: Vec<Effect>,
    /// Who may ask for it through their client: `user NAME` of a local account, or `group NAME`. Nobody if absent. A person
    /// who is `owner` of every server it reaches, or an `admin`, decides.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-approver"}))]
    pub requestable_by: Vec<String>,
}

/// Client software: its ceiling, and for a client that is registered here its credentials.
#[derive(Deserialize, JsonSchema, Debug)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The toolsets it may reach at most; `["*"]` for whatever user and agent hold.
    #[schemars(extend("items" = {"type": "string", "format": "ambit-toolset-or-star"}))]
    pub toolsets: Vec<String>,
    /// What consent calls it. Its id if absent.
    #[schemars(extend("format" = "ambit-text"))]
    pub name: Option<String>,
    /// Its exact redirect URIs: registers it as a client of the embedded authorization server.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-redirect-uri"}))]
    pub redirect_uris: Vec<String>,
    /// The reference to its secret. Without one it is a public client.
    #[schemars(extend("format" = "ambit-secret"))]
    pub secret: Option<String>,
    /// Whether it is a resource server that may introspect tokens. Needs a secret.
    #[serde(default)]
    pub introspect: bool,
    /// Whether it is a policy enforcement point that may ask the decision point about others than itself. Needs a secret.
    #[serde(default)]
    pub pep: bool,
}

/// The streams on which clients hear that their list of tools changed.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    /// The most that one person may have open at a node, through however many clients. 8 if absent.
    pub per_person: Option<NonZeroU32>,
    /// The most that may be open at a node. 1024 if absent; never more than half of its connections.
    pub at_once: Option<NonZeroU32>,
    /// The longest that one stays open, such as `1h`; it ends with its token in any case.
    #[schemars(extend("format" = "ambit-duration"))]
    pub life: Option<String>,
}

/// What operators may do.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Whether `ambit token` may mint access tokens, of at most 15 minutes, for declared accounts.
    #[serde(default)]
    pub mint: bool,
    /// Who may do what: at the operator socket as `os_user`, through the admin API as `person`. If nobody is named, the user the
    /// server runs as may do everything, and no person anything.
    #[serde(default)]
    pub roles: Vec<RoleHolder>,
}

/// The admin API.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The address and port where it listens, such as `127.0.0.1:8081`. Nowhere if absent. Differs from node to node.
    #[schemars(extend("format" = "ambit-listen"))]
    pub listen: Option<String>,
    /// The URL under which its users reach it, without a path: `https://admin.gateway.example`. Plain `http` only for loopback.
    /// `http://` and the address if absent. Its tokens are made for this URL.
    #[schemars(extend("format" = "ambit-public-url"))]
    pub public_url: Option<String>,
}

/// The trail.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Trail {
    /// When the record of a read counts: `batched` is on disk within 50 ms, `durable` is on disk before the answer.
    #[serde(default)]
    pub reads: Reads,
    /// A file that every signed checkpoint is written to, relative to this file. Keep it on another machine.
    #[schemars(extend("format" = "ambit-text"))]
    pub checkpoint_file: Option<String>,
    /// This node's name. Nodes that share a store each need one of their own; `node` if absent.
    #[schemars(extend("format" = "ambit-slug"))]
    pub node: Option<String>,
    /// How long records are kept at least, such as `400d`: whole segments that are older are removed, which the trail says.
    /// For ever if absent.
    #[schemars(extend("format" = "ambit-duration"))]
    pub retain: Option<String>,
}

/// When the record of a read counts.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// Written before the answer, on disk within 50 ms.
    #[default]
    Batched,
    /// On disk before the answer.
    Durable,
}

/// Where outgoing requests may go, and whom they believe.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Private address ranges that are meant, such as `10.20.0.0/16`. Metadata addresses are never reached.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-network"}))]
    pub allow: Vec<String>,
    /// Private address ranges where applications of your own network keep the metadata documents they are known by. Strangers
    /// write such URLs, so `allow` does not count for them; addresses of cloud metadata are never reached.
    #[serde(default)]
    #[schemars(extend("items" = {"type": "string", "format": "ambit-network"}))]
    pub client_documents: Vec<String>,
    /// A PEM file of certificate authorities, relative to this file, that are believed beside those of the machine.
    #[schemars(extend("format" = "ambit-text"))]
    pub extra_ca: Option<String>,
}

/// Counters for monitoring.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The address and port where `GET /metrics` answers whoever reaches it, such as `127.0.0.1:9464`. Nowhere if absent.
    #[schemars(extend("format" = "ambit-listen"))]
    pub listen: Option<String>,
}

mod defaults {
    use super::Algorithm;

    pub(super) fn public_url() -> String {
        "http://127.0.0.1:8080".to_owned()
    }

    pub(super) fn listen() -> String {
        "127.0.0.1:8080".to_owned()
    }

    pub(super) fn data_dir() -> String {
        "ambit-data".to_owned()
    }

    pub(super) fn issuer() -> String {
        super::EMBEDDED.to_owned()
    }

    pub(super) fn algorithms() -> Vec<Algorithm> {
        vec![Algorithm::ES256, Algorithm::RS256]
    }

    pub(super) fn subject_claim() -> String {
        "sub".to_owned()
    }

    pub(super) fn client_claims() -> Vec<String> {
        vec!["client_id".to_owned(), "azp".to_owned()]
    }
}

/// The word for the embedded authorization server.
pub const EMBEDDED: &str = "embedded";

/// The key of `clients` that stands for every client without an entry.
pub const DEFAULT_CLIENT: &str = "default";
