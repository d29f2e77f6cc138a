//! What the other commands need on a machine: looked for, installed where that can be done, named exactly where it cannot.
//!
//! Versions are pinned by the lock files in `e2e/` and by the constants here. Nothing is installed twice.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::shell::{cargo, command, read, root, run, works};

/// The nextest that is installed where there is none.
const NEXTEST: &str = "0.9.143";

/// One thing that a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A C compiler, for the crates that build C.
    Compiler,
    /// cargo-nextest.
    Nextest,
    /// PostgreSQL's programs, for the store's second engine.
    Postgres,
    /// Node and the packages of `e2e/package-lock.json`.
    Node,
    /// Python and the packages of `e2e/requirements.txt`.
    Python,
    /// openssl, which makes the certificates of the end-to-end runs.
    Openssl,
    /// nginx, which the bench stands beside.
    Nginx,
}

impl Need {
    /// Everything any command needs.
    pub const ALL: [Self; 7] =
        [Self::Compiler, Self::Nextest, Self::Postgres, Self::Node, Self::Python, Self::Openssl, Self::Nginx];
    /// What `test` needs.
    pub const TEST: [Self; 6] =
        [Self::Compiler, Self::Nextest, Self::Postgres, Self::Node, Self::Python, Self::Openssl];
    /// What `e2e` needs.
    pub const E2E: [Self; 4] = [Self::Compiler, Self::Node, Self::Python, Self::Openssl];
    /// What `demo` needs.
    pub const DEMO: [Self; 2] = [Self::Compiler, Self::Node];
    /// What `bench` needs.
    pub const BENCH: [Self; 2] = [Self::Compiler, Self::Nginx];

    /// Whether the part of it that the system provides is there.
    fn is_provided(self) -> bool {
        match self {
            Self::Compiler => works("cc", &["--version"]),
            Self::Nextest => true,
            Self::Postgres => has_postgres(),
            Self::Node => works("npm", &["--version"]),
            Self::Python => {
                works("python3", &["-c", "import venv, ensurepip, sys; sys.exit(sys.version_info < (3, 10))"])
            }
            Self::Openssl => works("openssl", &["version"]),
            Self::Nginx => nginx().is_some(),
        }
    }

    /// The Debian packages that provide it.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Compiler => &["gcc", "libc6-dev", "make"],
            Self::Nextest => &[],
            Self::Postgres => &["postgresql"],
            Self::Node => &["npm"],
            Self::Python => &["python3", "python3-venv"],
            Self::Openssl => &["openssl"],
            Self::Nginx => &["nginx-light"],
        }
    }
}

/// Makes sure that everything is there.
///
/// # Errors
/// Something is missing and cannot be installed; the message says what to run.
pub fn ensure(needs: &[Need]) -> Result<()> {
    provide(needs)?;
    for need in needs {
        match need {
            Need::Nextest => nextest()?,
            Need::Node => npm_packages()?,
            Need::Python => python_packages()?,
            Need::Compiler | Need::Postgres | Need::Openssl | Need::Nginx => {}
        }
    }
    Ok(())
}

/// Installs Debian packages for what the system lacks; without the right to, says which.
fn provide(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> =
        needs.iter().filter(|need| !need.is_provided()).flat_map(|need| need.packages()).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !works("apt-get", &["--version"]) {
        bail!("this machine lacks what the Debian packages `{list}` provide, and has no apt-get: install their like");
    }
    if read(command("id").arg("-u"))?.trim() != "0" {
        bail!("this machine lacks some packages: run `sudo apt-get install {list}`");
    }
    run(command("apt-get").args(["-qq", "update"]))?;
    let install = ["-qq", "-y", "--no-install-recommends", "install"];
    run(command("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(install).args(&missing))?;
    match needs.iter().find(|need| !need.is_provided()) {
        Some(need) => bail!("{need:?} is not there although `{}` was installed", need.packages().join(" ")),
        None => Ok(()),
    }
}

fn nextest() -> Result<()> {
    if works("cargo", &["nextest", "--version"]) {
        return Ok(());
    }
    run(&mut cargo(&["install", "--locked", "cargo-nextest", "--version", NEXTEST]))
}

fn npm_packages() -> Result<()> {
    once("package-lock.json", "node_modules", |_| {
        run(command("npm").current_dir(root().join("e2e")).args(["ci", "--ignore-scripts", "--loglevel=error"]))
    })?;
    let version = read(command(node()?).arg("--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 22) {
        bail!("`{}` is Node {version}, and the peers need 22 or newer", node()?.display());
    }
    Ok(())
}

fn python_packages() -> Result<()> {
    once("requirements.txt", ".venv", |environment| {
        run(command("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
        let pip = ["install", "--quiet", "--no-deps", "--requirement", "e2e/requirements.txt"];
        run(command(environment.join("bin/pip")).args(pip))
    })
}

/// Installs what a lock file in `e2e/` names into a folder there, unless the folder says that it was.
fn once(lock: &str, folder: &str, install: impl FnOnce(&PathBuf) -> Result<()>) -> Result<()> {
    let lock = root().join("e2e").join(lock);
    let folder = root().join("e2e").join(folder);
    let wanted = fs::read(&lock).with_context(|| format!("read `{}`", lock.display()))?;
    let stamp = folder.join(".installed");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install(&folder)?;
    fs::write(&stamp, wanted).with_context(|| format!("write `{}`", stamp.display()))
}

/// The pinned Node.
///
/// # Errors
/// There is none for this processor.
pub fn node() -> Result<PathBuf> {
    let processor = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => bail!("no pinned Node for `{other}`: add `node-linux-…` to `e2e/package.json`"),
    };
    Ok(root().join(format!("e2e/node_modules/node-linux-{processor}/bin/node")))
}

/// The Python of the pinned environment.
pub fn python() -> PathBuf {
    root().join("e2e/.venv/bin/python")
}

/// nginx, which Debian keeps outside a user's search path.
pub fn nginx() -> Option<PathBuf> {
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];
    places.iter().map(PathBuf::from).find(|path| path.exists())
}

fn has_postgres() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|entry| entry.path().join("bin"));
    let fixed = ["/usr/local/bin", "/usr/bin", "/usr/local/pgsql/bin"].map(PathBuf::from);
    debian
        .chain(fixed)
        .any(|folder| ["initdb", "postgres", "psql", "pg_isready"].iter().all(|name| folder.join(name).exists()))
}
