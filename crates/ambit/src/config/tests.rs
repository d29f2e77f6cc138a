//! What an operator reads when something is wrong, and what becomes of a configuration when nothing is.

mod access;
mod webhooks;

use std::{fs, path::Path};

use super::*;
use ambit_egress::rules::Transport;
use ambit_model::{
    Effect,
    ceiling::Ceiling,
    endpoint::EndpointIssuer,
    grant::GrantSubject,
    issuer::{IssuerScopes, People},
    server::{Scheme, Upstream},
};

/// A snapshot without the text it came from.
macro_rules! shown {
    ($value:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($value));
    }};
}

/// 2026-11-25.
const NOW: Millis = 1_795_564_800_000;

/// A server with everything it needs; `more` follows it.
fn with_server(more: &str) -> String {
    format!(
        r#"[servers.mux]
openapi = "openapi.json"
owner = "o"
purpose = "p"
environment = "test"
data_class = "internal"
expires = 2028-12-31
revoke_when = "never"
{more}"#
    )
}

fn load_text(text: &str) -> Result<Resolved, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("openapi.json"), "{}").unwrap();
    let path = dir.path().join("ambit.toml");
    fs::write(&path, text).unwrap();
    load(&path, NOW)
}

/// The problems of a text, without the name of the temporary directory.
fn problems(text: &str) -> String {
    let problems = match load_text(text) {
        Ok(resolved) => resolved.warnings,
        Err(errors) => errors.0,
    };
    let shown = problems.into_iter().map(|problem| {
        let file = problem.file.file_name().map(Into::into).unwrap_or_default();
        let directory = problem.file.parent().unwrap_or(Path::new("")).display().to_string();
        let message = problem.message.replace(&directory, "DIR");
        Problem { file, message, ..problem }.to_string()
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_missing_field_of_a_server_is_named_at_once() {
    shown!(problems("[servers.mux]\nopenapi = \"openapi.json\"\n"));
}

#[test]
fn unknown_keys_get_a_suggestion() {
    shown!(problems(&with_server(
        "ownr = \"x\"\n[[endpoint]]\npath = \"/mcp\"\n[accounts.alice]\ncolour = \"red\"\n[[grants]]\nreveal = true\nuser = \
         \"alice\"\ntoolset = \"t\"\nreason = \"r\"\nexpires = 2027-11-01\n[toolsets.t]\ntools = [\"mux/*\"]\n"
    )));
}

#[test]
fn wrong_kinds_are_told_without_follow_up_errors() {
    shown!(problems(
        "public_url = 8080\nlisten = true\nendpoints = \"x\"\n[servers]\nmux = \"x\"\n[operator]\nmint = \"yes\"\n\
         [trail]\nreads = \"sometimes\"\n"
    ));
}

#[test]
fn a_literal_secret_is_refused_and_never_printed() {
    let text = with_server(
        "[servers.mux.credential]\nbearer = \"hunter2\"\n[servers.mux.credentials.write]\nbasic = { username = \"env:U\", \
         password = \"hunter2\" }\n[servers.mux.credentials.destructive]\nheader = { name = \"x-key\", value = \
         \"hunter2\" }\n[clients.\"app\"]\ntoolsets = []\nsecret = \"hunter2\"\n",
    );
    let store = "store = \"postgres://ambit:hunter2@db/ambit\"\n";
    let shown = problems(&format!("{store}{text}"));
    assert!(!shown.contains("hunter2"), "{shown}");
    shown!(shown);
}

#[test]
fn no_message_repeats_a_secret_wherever_it_was_pasted() {
    for text in [
        "[servers.mux]\ncredential = \"hunter2\"\n",
        "[servers.mux.credential]\nbearer = [\"hunter2\"]\n",
        "[servers.mux.credential]\nbearer = hunter2\n",
        "[servers.mux.credential]\nbearer = \"hunter2\n",
        "[servers.mux.credential]\ntoken = \"hunter2\"\n",
        "store = \"hunter2\"\n",
        "store = \"env:hunter 2\"\n",
        "[servers.mux]\nmcp = \"https://me:hunter2@h/mcp\"\n",
        "[servers.mux]\nopenapi = \"https://me:hunter2@h/x.json\"\nbase_url = \"https://me:hunter2@h/\"\n",
        "[issuers.idp]\nissuer = \"https://me:hunter2@h/\"\njwks_uri = \"https://me:hunter2@h/\"\nscopes = \"none\"\n",
    ] {
        let shown = problems(text);
        assert!(!shown.is_empty() && !shown.contains("hunter2"), "{text}\n{shown}");
    }
}

#[test]
fn references_between_tables_are_checked() {
    shown!(problems(&with_server(
        r#"[[endpoints]]
path = "/mcp"
servers = ["muxx", "other", "other"]
issuer = "okta"
[[endpoints]]
path = "/mcp"
servers = ["mux"]
[[endpoints]]
path = "/mcp/two"
servers = ["mux", "mcp-server"]
prefix = false
[servers.mcp-server]
openapi = "missing.json"
mcp = "http://192.168.0.1/mcp"
owner = "o"
purpose = "p"
environment = "test"
data_class = "internal"
expires = 2028-12-31
revoke_when = "never"
[toolsets.read]
tools = ["mux/*", "mxu/get", "mux*"]
[agents.bot]
owner = "alcie"
purpose = "p"
expires = 2020-01-01
[accounts.alice]
groups = ["staff"]
[[grants]]
user = "alice"
group = "staff"
toolset = "reed"
reason = "r"
expires = 2027-11-01
[[grants]]
user = "okta:1234"
toolset = "read"
reason = "r"
expires = 2027-11-01
[[grants]]
group = "stuff"
toolset = "read"
reason = "r"
starts = 2028-01-02
expires = 2028-01-01
[[grants]]
agent = "boot"
toolset = "read"
reason = "r"
expires = 2020-01-01
[clients.default]
toolsets = ["read", "*"]
introspect = true
[clients."https://c.example/client.json"]
toolsets = ["write"]
pep = true
"#
    )));
}

#[test]
fn addresses_are_checked() {
    shown!(problems(
        r#"public_url = "http://gateway.example/path"
listen = "localhost:80"
trusted_proxies = ["10.0.0.1/8", "proxy"]
store = "mysql://h/d"
[egress]
allow = ["0.0.0.0/0", "169.254.0.0/16"]
[servers.ambit]
mcp = "http://127.0.0.1:9000/mcp"
base_url = "http://127.0.0.1"
owner = " "
purpose = "p"
environment = "test"
data_class = "internal"
expires = "soon"
revoke_when = "never"
timeout = "30"
max_reply = "1MB"
[issuers.local]
issuer = "https://idp.example"
scopes = { "mcp:read" = "read" }
people = "unmarked"
[issuers.idp]
issuer = "https://idp.example"
people = { claim = "sid" }
algorithms = ["HS256"]
scopes = 5
"#
    ));
}

#[test]
fn the_bounds_of_a_listing_are_bounded() {
    let bounded = |bounds: &str| {
        whole().replace("[[endpoints]]\npath = \"/mcp\"", &format!("{bounds}\n[[endpoints]]\npath = \"/mcp\""))
    };
    let limits =
        load_text(&bounded("max_tools = 10000\nmax_listing = \"32MiB\"")).unwrap().deployment.servers["other"].limits;
    assert_eq!((limits.max_tools, limits.max_listing_bytes), (10_000, 32 << 20));
    let usual = load_text(&whole()).unwrap().deployment.servers["other"].limits;
    assert_eq!((usual.max_tools, usual.max_listing_bytes), (2_000, 8 << 20));
    for (bounds, complaint) in [
        ("max_tools = 0", "`servers.other.max_tools` is `0`: write a number from 1 to 10000"),
        ("max_tools = -1", "is `-1`: write a number from 1 to 10000"),
        ("max_tools = 10001", "is `10001`: write a number from 1 to 10000"),
        ("max_tools = \"many\"", "`servers.other.max_tools` is "),
        ("max_listing = \"33MiB\"", "`servers.other.max_listing` is `33MiB`, and at most `32MiB` are read"),
    ] {
        let problems = problems(&bounded(bounds));
        assert!(problems.contains(complaint), "{bounds}: {problems}");
    }
    let of_an_api = problems(&with_server("max_tools = 5\nmax_listing = \"1MiB\"\n"));
    assert_eq!(of_an_api.matches("bounds the listing of an MCP server, and this is none").count(), 2, "{of_an_api}");
}

#[test]
fn what_should_be_looked_at_is_a_warning() {
    shown!(problems(
        &with_server("[toolsets.t]\ntools = [\"mux/*\"]\n[accounts.alice]\n[[grants]]\nuser = \"alice\"\ntoolset = \"t\"\nreason = \"r\"\nexpires = 2020-01-01\n")
            .replace("2028-12-31", "2020-12-31")
    ));
}

#[test]
fn budgets_that_mean_nothing_are_told_and_others_complete_each_other() {
    shown!(problems(&with_server(
        r#"[servers.mux.breaker]
failures = 0
within = "soon"
[budgets.default]
requests = { rate = "600", burst = 5 }
write = { burst = 5 }
reads = {}
tools = { "mux" = {}, "max/*" = { per_day = 1 } }
[budgets.everybody]
[budgets."user:alcie"]
[budgets."agent:boot"]
[accounts.alice]
"#
    )));
    let resolved = load_text(&with_server(
        r#"[servers.mux.breaker]
rest = "30s"
[budgets.default]
requests = { rate = "600/m" }
destructive = { per_day = 5 }
tools = { "mux/*" = { at_once = 1 } }
[budgets."user:alice"]
requests = { per_day = 10 }
[accounts.alice]
"#,
    ))
    .unwrap();
    let budgets = &resolved.deployment.budgets;
    let requests = budgets.everybody.requests;
    assert_eq!((requests.rate.unwrap().times.get(), requests.rate.unwrap().burst.get()), (600, 60));
    assert_eq!(requests.at_once, ambit_model::budget::Budgets::default().everybody.requests.at_once);
    let destructive = budgets.everybody.effects[&Effect::Destructive];
    assert_eq!((destructive.per_day.unwrap().get(), destructive.rate.unwrap().times.get()), (5, 60));
    assert_eq!(budgets.everybody.tools.len(), 1);
    assert_eq!(budgets.users.len(), 1);
    let breaker = resolved.deployment.servers.values().next().unwrap().limits.breaker;
    assert_eq!((breaker.rest_ms, breaker.failures.get()), (30_000, 20));
}

#[test]
fn every_issuer_says_how_people_are_known() {
    let issuer = |more: &str| format!("[issuers.idp]\nissuer = \"https://idp.example\"\nscopes = \"none\"\n{more}");
    // Whatever it is trusted with: groups, direct grants, or nothing yet.
    shown!(problems(&issuer("")));
    assert!(load_text(&issuer("groups = { claim = \"g\", map = { a = \"staff\" } }\n")).is_err());
    for (people, meant) in [
        ("\"unmarked\"", People::Unmarked),
        ("{ claim = \"sid\" }", People::Having { claim: "sid".into() }),
        ("{ claim = \"k\", value = \"user\" }", People::Saying { claim: "k".into(), value: "user".into() }),
    ] {
        let resolved = load_text(&issuer(&format!("people = {people}\n"))).unwrap();
        assert!(resolved.warnings.is_empty(), "{people}: {:?}", resolved.warnings);
        assert_eq!(resolved.deployment.issuers["idp"].people, meant);
    }
    for people in ["\"marked\"", "{ value = \"user\" }", "{}", "[]", "true"] {
        assert!(load_text(&issuer(&format!("people = {people}\n"))).is_err(), "{people}");
    }
}

#[test]
fn counters_are_read_where_it_is_said_and_nowhere_else() {
    assert_eq!(load_text("").unwrap().metrics, None);
    let at = |address: &str| format!("listen = \"127.0.0.1:8080\"\n[metrics]\nlisten = \"{address}\"\n");
    let resolved = load_text(&at("127.0.0.1:9464")).unwrap();
    assert_eq!(resolved.metrics, Some(([127, 0, 0, 1], 9464).into()));
    assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
    shown!([at("127.0.0.1:8080"), at("0.0.0.0:9464"), at("9464"), at("")].map(|text| problems(&text)).join("\n"));
}

#[test]
fn the_admin_api_is_a_place_of_its_own() {
    assert_eq!(load_text("").unwrap().admin, None);
    let people = "[accounts.alice]\n[[operator.roles]]\nperson = \"alice\"\nroles = [\"admin\"]\n";
    let at = |admin: &str| {
        format!("listen = \"127.0.0.1:8080\"\n[metrics]\nlisten = \"127.0.0.1:9464\"\n[admin]\n{admin}\n{people}")
    };
    let resolved = load_text(&at("listen = \"127.0.0.1:8081\"")).unwrap();
    assert_eq!(resolved.admin, Some(([127, 0, 0, 1], 8081).into()));
    let resource = resolved.deployment.admin.clone().unwrap();
    assert_eq!(resource.url, "http://127.0.0.1:8081");
    assert_eq!(resource.issuer, "http://127.0.0.1:8080/as/ambit-admin");
    assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
    // Nodes agree on the URL that tokens are made for, and on nothing else of it.
    let digest = |admin: &str| load_text(&at(admin)).unwrap().deployment.digest;
    let url = "public_url = \"https://admin.example/\"\nlisten = ";
    assert_eq!(digest(&format!("{url}\"10.0.0.1:8081\"")), digest(&format!("{url}\"10.0.0.2:8082\"")));
    assert_ne!(digest("listen = \"127.0.0.1:8081\""), digest("listen = \"127.0.0.1:8082\""));
    let wrong = [
        "listen = \"127.0.0.1:8080\"",
        "listen = \"127.0.0.1:9464\"",
        "listen = \"0.0.0.0:8081\"",
        "public_url = \"https://admin.example\"",
        "listen = \"127.0.0.1:8081\"\npublic_url = \"http://admin.example\"",
        "listen = \"127.0.0.1:8081\"\npublic_url = \"https://admin.example/path\"",
        "listen = \"127.0.0.1:8081\"\npublic_url = \"http://127.0.0.1:8080\"",
        "listen = \"8081\"",
    ];
    let nobody = problems("[admin]\nlisten = \"127.0.0.1:8081\"\n");
    let taken = problems("[[endpoints]]\npath = \"/mcp/ambit-admin\"\nservers = [\"mux\"]\n");
    shown!(wrong.map(|admin| problems(&at(admin))).join("\n") + "\n" + &nobody + "\n" + &taken);
}

#[test]
fn what_strangers_may_name_has_a_list_of_its_own() {
    let judged = |text: &str| {
        let resolved = load_text(text).unwrap();
        let judge = |rules: &EgressRules| rules.judge([10, 1, 2, 3].into(), Transport::Tls).is_ok();
        (judge(&resolved.egress), judge(&resolved.client_documents))
    };
    assert_eq!(judged(""), (false, false));
    assert_eq!(judged("[egress]\nallow = [\"10.0.0.0/8\"]\n"), (true, false));
    assert_eq!(judged("[egress]\nclient_documents = [\"10.0.0.0/8\"]\n"), (false, true));
    let wrong = problems("[egress]\nclient_documents = [\"0.0.0.0/0\", \"10.1.0.0/8\"]\n");
    assert!(wrong.contains("`egress.client_documents[0]` `0.0.0.0/0` covers every address"), "{wrong}");
    assert!(wrong.contains("`egress.client_documents[1]` `10.1.0.0/8` has bits set behind its prefix"), "{wrong}");
}

#[test]
fn syntax_errors_name_their_lines() {
    shown!(problems("[servers.mux\nowner = \"x\"\n= 1\n"));
}

#[test]
fn a_broken_lock_file_is_reported_beside_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ambit.toml"), "listen = \"x\"\n").unwrap();
    fs::write(dir.path().join("ambit.lock"), "version = 9\n").unwrap();
    let errors = load(&dir.path().join("ambit.toml"), NOW).unwrap_err();
    let files: Vec<_> = errors.0.iter().map(|problem| problem.file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(files, ["ambit.toml", "ambit.lock"]);
}

#[test]
fn a_missing_or_huge_file_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ambit.toml");
    assert!(load(&path, NOW).unwrap_err().to_string().contains("cannot be read"));
    fs::File::create(&path).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert!(load(&path, NOW).unwrap_err().to_string().contains("at most"));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(load(&path, NOW).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn nothing_is_a_valid_configuration_that_grants_nothing() {
    let resolved = empty(Path::new("/nowhere"), NOW).unwrap();
    assert!(resolved.deployment.endpoints.is_empty() && resolved.deployment.grants.is_empty());
    assert!(!resolved.deployment.operator_may_mint);
    assert_eq!(resolved.deployment.ceilings.default, Ceiling::Only([].into()));
    assert!(resolved.listen.ip().is_loopback());
    assert_eq!(resolved.store.to_string(), "sqlite:/nowhere/ambit-data/ambit.db");
}

/// A configuration that uses every table.
fn whole() -> String {
    let text = with_server(
        r#"timeout = "5s"
max_reply = "64KiB"
[servers.mux.credential]
bearer = "file:token"
[servers.mux.credentials.destructive]
id = "mux-delete"
header = { name = "X-Key", value = "env:KEY" }
[servers.mux.effects]
cancel-upload = { effect = "write", reason = "can be repeated" }
[servers.other]
mcp = "http://127.0.0.1:9000/mcp"
owner = "o"
purpose = "p"
environment = "test"
data_class = "internal"
expires = "2028-12-31T10:00:00+02:00"
revoke_when = "never"
[[endpoints]]
path = "/mcp"
servers = ["mux"]
[[endpoints]]
path = "/mcp/all"
servers = ["mux", "other"]
issuer = "idp"
[issuers.idp]
issuer = "https://idp.example"
other_audiences = ["account"]
people = { claim = "sid" }
groups = { claim = "groups", map = { "Video Team" = "video" } }
scopes = { "video" = "read" }
[accounts.alice]
groups = ["video"]
[agents.bot]
owner = "idp:1234"
purpose = "p"
expires = 2028-01-01
[toolsets.read]
tools = ["mux/*"]
effects = ["read"]
[[grants]]
group = "video"
toolset = "read"
reason = "r"
expires = 2027-11-01
[clients.default]
toolsets = []
[clients.app]
toolsets = ["*"]
redirect_uris = ["http://127.0.0.1/cb"]
"#,
    );
    let last =
        "[streams]\nlife = \"2h\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n[metrics]\nlisten = \"127.0.0.1:9464\"\n";
    format!("public_url = \"https://gateway.example/\"\n{text}{last}")
}

#[test]
fn a_whole_configuration_becomes_the_deployment() {
    let resolved = load_text(&whole()).unwrap();
    assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
    let deployment = &resolved.deployment;
    let [first, second] = deployment.endpoints.as_slice() else { panic!("{:?}", deployment.endpoints) };
    assert_eq!(
        (first.slug.as_str(), first.resource.as_str(), first.prefix),
        ("default", "https://gateway.example/mcp", false)
    );
    let embedded = EndpointIssuer::Embedded { issuer: "https://gateway.example/as/default".into() };
    assert_eq!(first.issuer, embedded);
    assert_eq!((second.slug.as_str(), second.prefix), ("all", true));
    assert!(matches!(&second.issuer, EndpointIssuer::External(name) if name.as_str() == "idp"));
    let mux = &deployment.servers["mux"];
    assert_eq!(mux.limits.timeout.as_secs(), 5);
    assert_eq!(mux.limits.max_reply_bytes, 65536);
    let credential = mux.credentials.for_effect(Effect::Destructive).unwrap();
    assert_eq!(credential.id.as_str(), "mux-delete");
    assert!(matches!(&credential.scheme, Scheme::Header { name, .. } if name == "x-key"));
    assert_eq!(mux.credentials.for_effect(Effect::Read).unwrap().id.as_str(), "mux");
    assert_eq!(mux.overrides["cancel-upload"].effect, Effect::Write);
    let other = &deployment.servers["other"];
    assert!(matches!(&other.upstream, Upstream::Mcp { .. }));
    assert_eq!(quantity::instant_text(other.governance.expires_at), "2028-12-31T08:00:00Z");
    let idp = &deployment.issuers["idp"];
    assert_eq!(idp.other_audiences, ["account".to_owned()].into());
    assert_eq!(idp.people, People::Having { claim: "sid".into() });
    assert_eq!(idp.groups.as_ref().unwrap().map["Video Team"].as_str(), "video");
    assert!(matches!(&idp.scopes, IssuerScopes::Map(map) if map["video"].as_str() == "read"));
    assert!(matches!(&deployment.grants[0].subject, GrantSubject::Group(group) if group.as_str() == "video"));
    assert!(deployment.ceilings.clients.values().all(|ceiling| *ceiling == Ceiling::Everything));
    assert_eq!(deployment.clients.len(), 1);
}

#[test]
fn the_digest_covers_what_a_fleet_shares_and_nothing_else() {
    let digest = |text: &str| load_text(text).unwrap().deployment.digest;
    let base = digest("");
    assert_eq!(
        digest(
            "listen = \"127.0.0.1:9\"\ndata_dir = \"x\"\nkey_dir = \"k\"\nstore = \"sqlite:y\"\n[trail]\nnode = \"b\"\n[metrics]\nlisten = \"127.0.0.1:9464\"\n[streams]\nper_person = 2\n"
        ),
        base
    );
    assert_eq!(digest("# a comment\n"), base);
    assert_ne!(digest("[operator]\nmint = true\n"), base);
    assert_ne!(digest("[egress]\nallow = [\"10.0.0.0/8\"]\n"), base);
    assert_ne!(digest("[egress]\nclient_documents = [\"10.0.0.0/8\"]\n"), base);
}

#[test]
fn streams_have_bounds_and_some_time() {
    let streams = |text: &str| load_text(&format!("[streams]\n{text}\n")).map(|resolved| resolved.streams);
    let usual = StreamSettings::default();
    assert_eq!(streams("").unwrap(), usual);
    let said = streams("per_person = 2\nat_once = 64\nlife = \"10m\"").unwrap();
    assert_eq!((said.per_person, said.at_once, said.life), (2, 64, Duration::from_mins(10)));
    assert_eq!((said.keep_alive, said.rest), (usual.keep_alive, usual.rest));
    for bad in
        ["per_person = 0", "at_once = 0", "per_person = -1", "life = \"59s\"", "life = \"soon\"", "keep_alive = \"1s\""]
    {
        assert!(streams(bad).is_err(), "{bad}");
    }
}

#[test]
fn records_are_kept_for_ever_or_for_a_day_at_least() {
    let retain = |text: &str| load_text(&format!("[trail]\n{text}\n")).map(|resolved| resolved.trail.retain);
    assert_eq!(retain("").unwrap(), None);
    assert_eq!(retain("retain = \"400d\"").unwrap(), Some(Duration::from_hours(400 * 24)));
    for bad in ["23h", "1s", "0d", "soon"] {
        assert!(retain(&format!("retain = \"{bad}\"")).is_err(), "{bad}");
    }
}

#[test]
fn keys_may_lie_apart_from_the_data_of_their_node() {
    let keys = |text: &str| {
        let resolved = load_text(text).unwrap();
        let base = resolved.lock_file.parent().unwrap().to_owned();
        let elsewhere = Overrides { data_dir: Some("/elsewhere".into()), ..Overrides::default() };
        let relative = |resolved: &Resolved| {
            let keys = resolved.key_dir();
            keys.strip_prefix(&base).unwrap_or(&keys).to_owned()
        };
        (relative(&resolved), relative(&resolved.overridden(elsewhere)))
    };
    assert_eq!(keys("data_dir = \"d\"\n"), ("d/keys".into(), "/elsewhere/keys".into()));
    assert_eq!(
        keys("data_dir = \"d\"\nkey_dir = \"k\"\n"),
        ("k".into(), "k".into()),
        "a shared mount stays where it is"
    );
    assert_eq!(keys("key_dir = \"/mnt/keys\"\n").0, Path::new("/mnt/keys"));
}

#[test]
fn every_example_is_valid() {
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
    let mut checked = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path().join("ambit.toml");
        if path.is_file() {
            let resolved = load(&path, NOW).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked}");
}

/// Every place of a table, deepest last.
fn places(value: &toml::Value, at: &[String], found: &mut Vec<Vec<String>>) {
    let mut member = |key: String, member: &toml::Value| {
        let place = [at, &[key]].concat();
        found.push(place.clone());
        places(member, &place, found);
    };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| member(key.clone(), value)),
        toml::Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| member(n.to_string(), value)),
        _ => {}
    }
}

fn at_place<'v>(value: &'v mut toml::Value, place: &[String]) -> &'v mut toml::Value {
    place.iter().fold(value, |value, step| match value {
        toml::Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
        other => &mut other[step.as_str()],
    })
}

#[test]
fn any_value_at_any_place_is_taken_or_told_and_never_a_defect() {
    let base = toml::Value::Table(whole().parse::<toml::Table>().unwrap());
    let mut all = Vec::new();
    places(&base, &[], &mut all);
    assert!(all.len() > 80, "{}", all.len());
    let mut told = 0;
    for place in all {
        for other in ["\"hunter2\"", "7", "1.5", "true", "2028-01-01", "[]", "[7]", "{}", "{ hunter = 1 }"] {
            let mut changed = base.clone();
            *at_place(&mut changed, &place) =
                toml::from_str::<toml::Table>(&format!("v = {other}")).unwrap()["v"].clone();
            let text = toml::to_string(&changed).unwrap();
            if let Err(errors) = parse(&text, Path::new("ambit.toml"), (Path::new("."), NOW), Rules::Read) {
                told += 1;
                let shown = errors.to_string();
                assert!(!shown.contains("defect"), "{place:?} = {other}: {shown}");
            }
        }
    }
    assert!(told > 500, "{told}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z\\[\\]=.\"{}, 0-9#'\n-]{0,120}") {
        if let Err(errors) = parse(&text, Path::new("ambit.toml"), (Path::new("."), NOW), Rules::Read) {
            proptest::prop_assert!(!errors.0.is_empty());
        }
    }
}

#[test]
fn a_grant_has_an_end_within_a_year() {
    let grant = |times: &str| format!("[[grants]]\nuser = \"alice\"\ntoolset = \"t\"\nreason = \"r\"\n{times}\n");
    let all = [
        "expires = 2099-01-01",
        "expires = 2027-11-26",
        "starts = 2026-12-01\nexpires = 2027-12-02",
        "starts = 2020-01-01",
        "",
        "expires = 2026-12-05",
    ];
    let text = all.iter().map(|times| grant(times)).collect::<String>();
    shown!(problems(&with_server(&format!("[toolsets.t]\ntools = [\"mux/*\"]\n[accounts.alice]\n{text}"))));
    let good = "starts = 2026-12-01\nticket = \"CHG-1\"";
    let resolved =
        load_text(&with_server(&format!("[toolsets.t]\ntools = [\"mux/*\"]\n[accounts.alice]\n{}", grant(good))))
            .unwrap();
    let [one] = resolved.deployment.grants.as_slice() else { panic!("one grant") };
    assert_eq!(one.expires_at - one.starts_at, ambit_model::grant::DEFAULT_GRANT_MS);
    assert_eq!(one.ticket.as_deref(), Some("CHG-1"));
}

#[test]
fn a_claim_grants_only_where_its_issuer_is_read() {
    let issuer = |name: &str, claims: &str| {
        format!(
            "[issuers.{name}]\nissuer = \"https://{name}.example\"\nscopes = \"none\"\npeople = \"unmarked\"\nclaims = {claims}\n"
        )
    };
    let grant =
        |claim: &str| format!("[[grants]]\nclaim = {claim}\ntoolset = \"t\"\nreason = \"r\"\nexpires = 2027-11-01\n");
    let text = |claims: &[&str]| {
        let grants = claims.iter().map(|claim| grant(claim)).collect::<String>();
        let issuers = issuer("a", "[\"org_id\", \"team\", \"email\"]") + &issuer("b", "[\"org_id\"]");
        with_server(&format!("[toolsets.t]\ntools = [\"mux/*\"]\n{issuers}{grants}"))
    };
    shown!(problems(&text(&[
        "{ name = \"org_id\", value = \"acme\" }",
        "{ name = \"tenant\", value = \"acme\" }",
        "{ issuer = \"b\", name = \"team\", value = \"x\" }",
        "{ issuer = \"c\", name = \"team\", value = \"x\" }",
        "{ issuer = \"a\", name = \"email\", value = \"a@acme.example\" }",
    ])));
    let resolved = load_text(&text(&[
        "{ issuer = \"b\", name = \"org_id\", value = \"acme\" }",
        "{ name = \"team\", value = \"x\" }",
    ]));
    let holders: Vec<_> = resolved.unwrap().deployment.grants.iter().map(|grant| grant.subject.to_string()).collect();
    assert_eq!(holders, ["claim b:org_id=acme", "claim a:team=x"]);
}

#[test]
fn roles_name_somebody_and_owners_own_something() {
    shown!(problems(&with_server(
        r#"[accounts.jana]
[[operator.roles]]
roles = ["admin"]
[[operator.roles]]
os_user = "jana"
person = "jane"
roles = ["owner", "boss"]
[[operator.roles]]
os_user = "jana"
roles = []
servers = ["mux"]
[[operator.roles]]
person = "jana"
roles = ["owner"]
servers = ["mxu"]
"#
    )));
}

#[test]
fn constraints_are_understood_or_refused_where_they_stand() {
    let text = |constraints: &str| {
        with_server(&format!(
            "[toolsets.t]\ntools = [\"mux/*\"]\n[accounts.alice]\n[[grants]]\nuser = \"alice\"\ntoolset = \"t\"\nreason = \"r\"\nexpires = 2027-11-01\n{constraints}\n"
        ))
    };
    shown!(
        [
            "constraints.\"mux/get\" = { properties = { env = { colour = 1 } } }",
            "constraints.\"other/get\" = { required = [\"env\"] }",
            "constraints.\"mux\" = { required = [\"env\"] }",
            "constraints.\"mux/get\" = \"{\"",
            "constraints.\"mux/get\" = 5",
            "constraints.\"mux/get\" = { \"$ref\" = \"https://x.example/s.json\" }",
            "constraints.\"mux/*\" = { required = [\"env\"] }\nconstraints.\"mux/get\" = { required = [\"env\"] }",
            "constraints.\"*\" = { properties = { env = { pattern = \"staging\" } } }",
        ]
        .map(|constraints| problems(&text(constraints)))
        .join("\n")
    );
    let table = load_text(&text(
        "constraints.\"*\".properties = { ratio = { maximum = 0.5 }, env = { enum = [\"a\", \"b\"] } }",
    ));
    let json = load_text(&text(
        "constraints.\"*\" = '{\"properties\": {\"env\": {\"enum\": [\"a\", \"b\"]}, \"ratio\": {\"maximum\": 0.5}}}'",
    ));
    let of = |resolved: Result<Resolved, ConfigErrors>| resolved.unwrap().deployment.grants[0].constraints.clone();
    assert_eq!(of(table), of(json));
}

/// Two people, one group, a server whose approvals say `more`.
fn with_approvals(more: &str) -> String {
    with_server(&format!("{more}\n[accounts.alice]\nemail = \"a@x.example\"\n[accounts.bob]\ngroups = [\"owners\"]\n"))
}

#[test]
fn approvers_and_waivers_are_read() {
    use ambit_model::{approval::Approver, ids::ToolName};
    let text = with_approvals(
        "approvers = [\"user alice\", \"group owners\"]\napprovals_needed = 2\n[servers.mux.approvals.\"delete-draft\"]\n\
         not_needed = { reason = \"drafts are made anew\", until = 2027-11-25 }\n",
    );
    let resolved = load_text(&text).unwrap();
    let approvals = &resolved.deployment.servers.values().next().unwrap().approvals;
    let named = ["user alice", "group owners"].map(|text| Approver::parse(text).unwrap());
    assert_eq!((&approvals.rule.approvers, approvals.rule.needed), (&named.into(), 2));
    let waiver = &approvals.waivers[&ToolName::parse("delete-draft").unwrap()];
    assert_eq!((waiver.reason.as_str(), waiver.until), ("drafts are made anew", NOW + 365 * 24 * 3_600_000));
    assert_eq!(resolved.deployment.accounts.values().next().unwrap().email.as_deref(), Some("a@x.example"));
}

#[test]
fn approvals_that_nobody_could_give_are_refused() {
    shown!(problems(&with_approvals(
        "approvers = [\"user carol\", \"user okta:x\", \"group owner\", \"owners\"]\napprovals_needed = 3\n\
         [servers.mux.approvals.\"delete-draft\"]\nnot_needed = { reason = \" \", until = 2029-01-01 }\n\
         [servers.mux.approvals.\"delete-old\"]\nnot_needed = { reason = \"r\", until = 2025-01-01 }\n",
    )));
    shown!(problems(&with_approvals("approvers = [\"user alice\"]\napprovals_needed = 2")));
    shown!(problems(&with_approvals("approvals_needed = 0")));
}

/// Votes are counted by people, so approvers are.
#[test]
fn two_accounts_of_one_address_are_one_approver() {
    let with = |email: &str| {
        let text = with_approvals("approvers = [\"user alice\", \"user carol\"]\napprovals_needed = 2");
        problems(&format!("{text}[accounts.carol]\nemail = \"{email}\"\n"))
    };
    for email in ["a@x.example", "A@X.example"] {
        let told = with(email);
        assert!(told.contains("asks for 2 people, and `approvers` names 1"), "{told}");
        assert!(told.contains("accounts with one `email` are one person"), "{told}");
    }
    assert!(!with("c@x.example").contains("approvals_needed"));
}
