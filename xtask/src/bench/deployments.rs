//! What is measured: two scripted upstreams, nginx in front of one, and an Ambit per deployment that a variant needs.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::{
    Variant,
    governed::{self, Lists},
    requests::{TOOL, legacy_call, legacy_initialize, modern_call, modern_list},
};
use crate::{
    gateway::Gateway,
    http,
    service::{Service, free_port},
    setup,
    shell::{command, in_ten_months},
};

/// What a good answer to a call holds, from whichever side.
const EXPECT_CALL: &str = "a thing of some length";

/// What the tools of the deployment with rules are labelled with: every call leaves both on its caller.
const LABELS: &str = "\n[servers.bench.labels]\n\"*\" = [\"private_data\", \"untrusted_content\"]\n";
/// What the narrowed deployment grants: the argument of every tool, and less than any text.
const CONSTRAINT: &str = r#"constraints."*" = { properties = { id = { pattern = "^item-[0-9]+$" } } }"#;

/// The organisation's rules of the ruled deployment: one about the called tool that reads what is particular to a call, and
/// others that cannot concern it.
fn rules() -> String {
    let mut text = r#"@id("about") forbid (principal, action in Action::"call", resource)
when { resource.server.slug == "bench" && context.arguments has id && context.arguments.id == "item-2" }
unless { context.approved || context.time.hour == 12 || principal has user && principal.user.groups.contains("release") };
"#
    .to_owned();
    for number in 0..20 {
        let _ = write!(
            text,
            "@id(\"other-{number}\") forbid (principal, action in Action::\"call\", resource)\n\
             when {{ resource.server.slug == \"other-{number}\" && context.time.hour < 6 }};\n"
        );
    }
    text
}

/// The grants of a deployment that is listed: one of the measured caller, the others of callers that list for the first time.
const LISTING: usize = 10;

/// In which order a round measures.
const ORDER: &[&str] = &[
    "direct",
    "nginx",
    "ambit-call",
    "ambit-call-legacy",
    "ambit-call-rest",
    "ambit-call-durable",
    "ambit-list",
    "ambit-list-1000",
    "ambit-list-narrowed-1000",
    "ambit-call-narrowed",
    "ambit-call-ruled",
    "ambit-grants-10",
    "ambit-grants-10000",
    "ambit-tools-10",
    "ambit-tools-5000",
];

/// Everything that runs during a bench. Dropping it ends it.
#[derive(Debug)]
pub struct Bench {
    folder: PathBuf,
    upstream: (Service, String),
    nginx: (Service, String),
    gateways: Vec<Deployment>,
    /// The bigger upstreams have no load of their own; they only have to be there.
    _more_tools: [(Service, String); 2],
}

/// An Ambit and the variants measured at it.
#[derive(Debug)]
struct Deployment {
    gateway: Gateway,
    pid: u32,
    variants: &'static [(&'static str, Request)],
}

/// What a variant sends.
#[derive(Debug, Clone, Copy)]
enum Request {
    Call,
    LegacyCall,
    RestCall,
    List,
    LongList,
}

impl Bench {
    /// Starts everything. The configurations differ in one thing each.
    pub fn start(programs: &Path, folder: &Path) -> Result<Self> {
        let scripted = |name: &str, tools: &str| {
            let mut program = command(programs.join("scripted-upstream"));
            program.args(["--tools", tools]);
            Service::start_listening(name, &program, folder)
        };
        let upstream = scripted("upstream", "10")?;
        let many_tools = scripted("upstream-5000", "5000")?;
        let nginx = start_nginx(&upstream.1, folder)?;
        let long = scripted("upstream-1000", "1000")?;
        let base =
            Config { upstream: &upstream.1, grants: LISTING, reads: "batched", rest: false, constraint: "", rules: "" };
        let rules = rules();
        let many = Config { upstream: &many_tools.1, ..base };
        let at_base: &[(&str, Request)] = &[
            ("ambit-call", Request::Call),
            ("ambit-call-legacy", Request::LegacyCall),
            ("ambit-list", Request::List),
            ("ambit-grants-10", Request::Call),
            ("ambit-tools-10", Request::Call),
        ];
        let deployments = [
            ("base", base, at_base),
            ("durable", Config { reads: "durable", ..base }, &[("ambit-call-durable", Request::Call)]),
            ("rest", Config { rest: true, ..base }, &[("ambit-call-rest", Request::RestCall)]),
            ("grants", Config { grants: 10_000, ..base }, &[("ambit-grants-10000", Request::Call)]),
            ("tools", many, &[("ambit-tools-5000", Request::Call)]),
            ("long", Config { upstream: &long.1, ..base }, &[("ambit-list-1000", Request::LongList)]),
            (
                "narrowed",
                Config { upstream: &long.1, constraint: CONSTRAINT, ..base },
                &[("ambit-list-narrowed-1000", Request::LongList), ("ambit-call-narrowed", Request::Call)],
            ),
            ("ruled", Config { rules: &rules, ..base }, &[("ambit-call-ruled", Request::Call)]),
        ];
        let mut gateways = Vec::new();
        for (name, config, variants) in deployments {
            println!("starting Ambit `{name}`");
            gateways.push(Deployment::start(programs, &folder.join(name), config, variants)?);
        }
        Ok(Self { folder: folder.to_owned(), upstream, nginx, gateways, _more_tools: [many_tools, long] })
    }

    /// What the first and further lists of a thousand narrowed tools take, of callers that nothing is remembered of.
    pub fn lists(&self) -> Result<Lists> {
        let others = (1..LISTING).map(|number| format!("other-{number}"));
        governed::lists(self.at("ambit-list-narrowed-1000")?, others, "get-item-0990")
    }

    /// The gateway with rules.
    pub fn ruled(&self) -> Result<&Gateway> {
        self.at("ambit-call-ruled")
    }

    fn at(&self, variant: &str) -> Result<&Gateway> {
        let of = |deployment: &&Deployment| deployment.variants.iter().any(|(name, _)| *name == variant);
        let found = self.gateways.iter().find(of).with_context(|| format!("nothing measures `{variant}`"))?;
        Ok(&found.gateway)
    }

    /// The variants, with requests that carry fresh tokens.
    pub fn variants(&self) -> Result<Vec<Variant>> {
        let plain = |name: &str, (service, address): &(Service, String)| {
            self.variant(name, address, &modern_call(address, None, TOOL), EXPECT_CALL, service.pid())
        };
        let mut variants = vec![plain("direct", &self.upstream)?, plain("nginx", &self.nginx)?];
        for deployment in &self.gateways {
            let address = deployment.gateway.address();
            let token = deployment.gateway.token("bench", "/mcp")?;
            for (name, request) in deployment.variants {
                let (text, expect) = match request {
                    Request::Call => (modern_call(address, Some(&token), TOOL), EXPECT_CALL),
                    Request::RestCall => (modern_call(address, Some(&token), "get-item"), EXPECT_CALL),
                    Request::LegacyCall => (in_legacy_session(address, &token)?, EXPECT_CALL),
                    Request::List => (modern_list(address, &token), "get-item-0009"),
                    Request::LongList => (modern_list(address, &token), "get-item-0990"),
                };
                variants.push(self.variant(name, address, &text, expect, deployment.pid)?);
            }
        }
        // A pair whose ratio is judged is measured side by side: what else the machine does in between falls on neither.
        variants.sort_by_key(|variant| ORDER.iter().position(|name| *name == variant.name));
        Ok(variants)
    }

    fn variant(&self, name: &str, address: &str, request: &str, expect: &str, pid: u32) -> Result<Variant> {
        let file = self.folder.join(format!("{name}.request"));
        fs::write(&file, request)?;
        let (name, address, expect) = (name.to_owned(), address.to_owned(), expect.to_owned());
        Ok(Variant { name, address, request: file, expect, pid })
    }
}

impl Deployment {
    fn start(
        programs: &Path,
        folder: &Path,
        config: Config<'_>,
        variants: &'static [(&'static str, Request)],
    ) -> Result<Self> {
        let granted_until = in_ten_months()?;
        let mut gateway =
            Gateway::prepare(programs, folder, None, &[], |address| config.text(address, &granted_until))?;
        if config.rest {
            fs::write(folder.join("openapi.json"), rest_document(config.upstream))?;
        }
        if !config.rules.is_empty() {
            fs::create_dir(folder.join("policies"))?;
            fs::write(folder.join("policies/bench.cedar"), config.rules)?;
        }
        gateway.accept("bench")?;
        gateway.serve()?;
        let pid = gateway.service().map(|service| service.pid()).context("it is not running")?;
        Ok(Self { gateway, pid, variants })
    }
}

/// What a configuration varies.
#[derive(Debug, Clone, Copy)]
struct Config<'c> {
    upstream: &'c str,
    grants: usize,
    reads: &'c str,
    rest: bool,
    /// A line of the measured caller's grant.
    constraint: &'c str,
    /// The organisation's rules.
    rules: &'c str,
}

impl Config<'_> {
    fn text(&self, address: &str, granted_until: &str) -> String {
        let reached = if self.rest {
            "openapi = \"openapi.json\"".to_owned()
        } else {
            format!("mcp = \"http://{}/mcp\"\nmax_tools = 10000", self.upstream)
        };
        let mut text = format!(
            r#"public_url = "http://{address}"
listen = "{address}"
data_dir = "data"

[egress]
allow = ["127.0.0.0/8"]

[operator]
mint = true

[trail]
reads = "{reads}"

[[endpoints]]
path = "/mcp"
servers = ["bench"]

[servers.bench]
{reached}
owner = "bench"
purpose = "to be measured"
environment = "test"
data_class = "public"
expires = "2099-01-01"
revoke_when = "the bench is over"
{labels}
[accounts.bench]

[toolsets.all]
tools = ["bench/*"]

[clients.default]
toolsets = ["*"]

# Every limit is looked at, as in production, and none is reached: one caller sends everything.
[budgets.default]
requests = {{ rate = "1000000/s", burst = 1000000, at_once = 100000, per_day = 4000000000 }}
read = {{ rate = "1000000/s", burst = 1000000, at_once = 100000 }}
tools."bench/*" = {{ rate = "1000000/s", burst = 1000000 }}

[[grants]]
user = "bench"
toolset = "all"
reason = "to be measured"
expires = "{granted_until}"
{constraint}
"#,
            reads = self.reads,
            constraint = self.constraint,
            // Where rules are read, what calls bring is noted as well.
            labels = if self.rules.is_empty() { "" } else { LABELS },
        );
        for number in 1..self.grants {
            let _ = write!(
                text,
                "\n[accounts.other-{number}]\n\n[[grants]]\nuser = \"other-{number}\"\ntoolset = \"all\"\n\
                 reason = \"to be many\"\nexpires = \"{granted_until}\"\n"
            );
            if !self.constraint.is_empty() {
                // Another one for each: what is narrowed for one caller is not there yet for the next.
                let _ = writeln!(text, "{}", self.constraint.replace("]+$", &format!("]{{1,{number}}}$")));
            }
        }
        text
    }
}

/// A legacy session is opened first; the calls of all connections share it.
fn in_legacy_session(address: &str, token: &str) -> Result<String> {
    let answer = http::send(address, &legacy_initialize(address, token))?;
    if answer.status != 200 {
        bail!("`initialize` was answered {}: {}", answer.status, answer.body);
    }
    Ok(legacy_call(address, token, answer.header("mcp-session-id"), TOOL))
}

fn rest_document(upstream: &str) -> String {
    let parameter =
        json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string", "maxLength": 64}});
    json!({
        "openapi": "3.1.0",
        "info": {"title": "bench", "version": "1"},
        "servers": [{"url": format!("http://{upstream}")}],
        "paths": {"/items/{id}": {"get": {
            "operationId": "get-item", "summary": "Read an item by its id.", "parameters": [parameter],
            "responses": {"200": {"description": "the item"}},
        }}},
    })
    .to_string()
}

/// nginx as a plain reverse proxy: kept connections on both sides, no logs, nothing else.
fn start_nginx(upstream: &str, folder: &Path) -> Result<(Service, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let shown = folder.display();
    let config = format!(
        "daemon off;\nworker_processes auto;\npid {shown}/pid;\nerror_log {shown}/error.log error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  tcp_nodelay on;\n\
         \x20 client_body_temp_path {shown}/body;\n  proxy_temp_path {shown}/proxy;\n  fastcgi_temp_path {shown}/fastcgi;\n\
         \x20 uwsgi_temp_path {shown}/uwsgi;\n  scgi_temp_path {shown}/scgi;\n\
         \x20 upstream scripted {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}\n\
         \x20 server {{\n    listen {address};\n    location / {{\n      proxy_pass http://scripted;\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n  }}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let mut program = command(setup::nginx().context("nginx is not there")?);
    program.arg("-e").arg(folder.join("start.log")).arg("-p").arg(&folder).arg("-c").arg(&file);
    let mut service = Service::start("nginx", &program, &folder)?;
    service.wait_until(Duration::from_secs(10), || http::is_ok(&address, "/"))?;
    Ok((service, address))
}
