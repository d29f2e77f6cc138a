//! `cargo xtask demo`: Ambit in front of a sample API and a real MCP server, with people of different rights.
//!
//! Everything runs on loopback, in a folder that is made anew, and ends with this command.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    gateway::Gateway,
    http::{self, request},
    service::{Service, free_port},
    setup,
    shell::{cargo, command, in_ten_months, root, run as run_command, tee},
};

/// Where Ambit listens, if nothing else does.
const PORT: u16 = 8080;
const CONFIG: &str = include_str!("demo/ambit.toml");
/// The people of the demo, and what each may do.
const PEOPLE: [(&str, &str); 3] = [
    ("ada", "looks at videos, changes them, and tries the MCP server"),
    ("ben", "looks at videos, and approves what ada deletes"),
    ("eve", "has nothing yet: `ambit grant` changes that"),
];

/// A running demo.
struct Demo {
    gateway: Gateway,
    passwords: BTreeMap<&'static str, String>,
    folder: PathBuf,
    _upstreams: [Service; 2],
}

/// Builds, starts, says what can be done, and runs until the terminal says stop.
pub fn run_until_ended() -> Result<()> {
    let mut demo = Demo::start(&build()?, PORT)?;
    println!("{}", demo.introduction());
    match demo.gateway.service() {
        Some(service) => service.wait(),
        None => bail!("Ambit is not running"),
    }
}

/// Builds, starts, lets real clients call a tool, and ends. Whether they could.
pub fn check() -> Result<bool> {
    check_with(&build()?)
}

/// The same with programs that are built.
pub fn check_with(programs: &Path) -> Result<bool> {
    setup::ensure(&setup::Need::DEMO)?;
    let demo = Demo::start(programs, free_port()?)?;
    println!("{}", demo.introduction());
    let mut node = command(setup::node()?);
    node.arg("e2e/demo-check.mjs").arg(demo.url()).args(demo.passwords.iter().flat_map(|(name, word)| [*name, word]));
    let (succeeded, _) = tee(&mut node)?;
    Ok(succeeded)
}

fn build() -> Result<PathBuf> {
    setup::ensure(&setup::Need::DEMO)?;
    run_command(&mut cargo(&["build", "--package", "ambit", "--package", "ambit-testkit", "--bins"]))?;
    Ok(root().join("target/debug"))
}

impl Demo {
    fn start(programs: &Path, wanted: u16) -> Result<Self> {
        let folder = root().join(".ambit/demo");
        let free = std::net::TcpListener::bind(("127.0.0.1", wanted)).is_ok();
        let port = if free { wanted } else { free_port()? };
        let upstreams = root().join(".ambit/upstreams");
        fs::create_dir_all(&upstreams)?;
        let (mux, mux_address, credential) = start_mux(programs, &upstreams)?;
        let (everything, everything_url) = start_everything(&upstreams)?;
        let document = root().join("examples/mux/openapi.json");
        let granted_until = in_ten_months()?;
        let mut gateway = Gateway::prepare(programs, &folder, Some(port), &[], |listen| {
            let places = [
                ("{listen}", listen.to_owned()),
                ("{document}", document.display().to_string()),
                ("{mux}", format!("http://{mux_address}")),
                ("{everything}", everything_url.clone()),
                ("{granted_until}", granted_until.clone()),
                ("{secrets}", folder.join("secrets").display().to_string()),
            ];
            places.iter().fold(CONFIG.to_owned(), |text, (place, value)| text.replace(place, value))
        })?;
        let secrets = folder.join("secrets");
        fs::create_dir_all(&secrets)?;
        fs::write(secrets.join("mux-token-id"), &credential.0)?;
        fs::write(secrets.join("mux-token-secret"), &credential.1)?;
        gateway.accept("mux")?;
        gateway.accept("everything")?;
        gateway.serve()?;
        let mut passwords = BTreeMap::new();
        for (name, _) in PEOPLE {
            passwords.insert(name, set_password(&gateway, name)?);
        }
        Ok(Self { gateway, passwords, folder, _upstreams: [mux, everything] })
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.gateway.address())
    }

    fn introduction(&self) -> String {
        let (url, address) = (self.url(), self.gateway.address());
        let people: Vec<String> = PEOPLE
            .iter()
            .map(|(name, does)| {
                let password = self.passwords.get(name).map_or("", String::as_str);
                format!("  {name:<12} {password:<24} {does}")
            })
            .collect();
        let ambit = self.gateway.program().strip_prefix(root()).unwrap_or(self.gateway.program()).display().to_string();
        let config = self.folder.join("ambit.toml");
        let config = config.strip_prefix(root()).unwrap_or(&config).display().to_string();
        format!(
            r#"
Ambit runs. Paste this URL into an MCP client and log in as one of the people below:

  MCP URL      {url}
  my clients   http://{address}/clients
  approvals    http://{address}/approvals

{people}

  Claude Code  claude mcp add --transport http ambit {url}
  Cursor       in ~/.cursor/mcp.json: {{"mcpServers": {{"ambit": {{"url": "{url}"}}}}}}
  VS Code      code --add-mcp '{{"name": "ambit", "type": "http", "url": "{url}"}}'

From another terminal, in this folder:

  {ambit} tools --config {config} --as ben --endpoint /mcp
  {ambit} explain --config {config} --as ben --tool mux/create-asset
  {ambit} grant --config {config} --user eve --toolset video-read --for 1h --reason "to try it"
  {ambit} audit tail --config {config}

Ctrl-C ends it.
"#,
            people = people.join("\n")
        )
    }
}

fn start_mux(programs: &Path, folder: &Path) -> Result<(Service, String, (String, String))> {
    let (id, secret) = (random_word()?, random_word()?);
    let mut program = command(programs.join("mux-mock"));
    program.args(["--document", "examples/mux/openapi.json", "--username", &id, "--secret", &secret]);
    let (service, address) = Service::start_listening("mux-mock", &program, folder)?;
    Ok((service, address, (id, secret)))
}

fn start_everything(folder: &Path) -> Result<(Service, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut program = command(setup::node()?);
    program.arg("e2e/peers/everything.mjs").env("PORT", address.rsplit(':').next().unwrap_or_default());
    let mut service = Service::start("everything", &program, folder)?;
    let probe = request("GET", "/mcp", &address, &[("connection", "close")], "");
    service.wait_until(Duration::from_secs(30), || http::send(&address, &probe).is_ok())?;
    Ok((service, format!("http://{address}/mcp")))
}

/// Sets a password the way its owner does: through the one-time link.
fn set_password(gateway: &Gateway, account: &str) -> Result<String> {
    let link = gateway.run_json(&["account", "link", account])?;
    let link = link["url"].as_str().context("no link")?;
    let address = gateway.address();
    let path =
        link.split_once(address).map(|(_, path)| path).with_context(|| format!("`{link}` is not at `{address}`"))?;
    let page = http::send(address, &request("GET", path, address, &[], ""))?;
    let token = page.body.split_once("name=\"csrf\" value=\"").and_then(|(_, rest)| rest.split('"').next());
    let token = token.with_context(|| format!("no form at `{link}`: {} {}", page.status, page.body))?;
    let cookie = page.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
    let password = random_word()?;
    let body = format!("csrf={token}&password={password}&again={password}");
    let origin = format!("http://{address}");
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie), ("origin", &origin)];
    let answer = http::send(address, &request("POST", path, address, &headers, &body))?;
    if answer.status != 200 {
        bail!("the password of `{account}` was refused: {} {}", answer.status, answer.body);
    }
    Ok(password)
}

/// Sixteen characters nobody guesses, without those that look alike.
fn random_word() -> Result<String> {
    const ALPHABET: &[u8; 32] = b"23456789abcdefghjkmnpqrstuvwxyzA";
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32))).map(|byte| char::from(*byte)).collect())
}
