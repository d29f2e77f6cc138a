//! A PostgreSQL for tests: Debian's package, a temporary directory, a unix socket, gone with the test process.
//!
//! One server per process, one fresh database per test. A missing PostgreSQL is an error, never a skipped test. The server
//! belongs to a small shell that waits on a pipe of this process, so that it ends also when the tests are killed.

use std::{
    fs,
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{InvalidStoreUrl, Store, StoreError, StoreUrl};

/// Why no PostgreSQL could be started.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PostgresError {
    /// It is not installed.
    #[error("PostgreSQL is not installed, and these tests need it: run `apt-get install postgresql`")]
    Missing,
    /// This process is root, PostgreSQL refuses to be, and there is nobody else to be.
    #[error("PostgreSQL refuses to run as root and there is no user `postgres`: run `apt-get install postgresql`")]
    NoUser,
    /// A program failed.
    #[error("`{program}` failed: {output}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it said.
        output: String,
    },
}

/// A database of its own on the server of this process, as a url. The server is started by the first call.
///
/// Blocks for about two seconds the first time.
///
/// # Errors
/// [`PostgresError`]: let the test fail with it.
pub fn postgres_url() -> Result<String, PostgresError> {
    static SHARED: OnceLock<Result<Postgres, PostgresError>> = OnceLock::new();
    SHARED.get_or_init(Postgres::start).as_ref().map_err(Clone::clone)?.fresh_database()
}

/// The same as [`postgres_url`], parsed.
///
/// # Errors
/// [`PostgresError`].
pub fn postgres() -> Result<StoreUrl, PostgresError> {
    postgres_url().and_then(|url| parse(&url))
}

/// Has the engine refuse every statement that spends an approval, until [`allow_spending`]: as a store does that is lost just
/// then. For SQLite.
///
/// # Errors
/// [`StoreError`].
pub async fn refuse_spending(store: &Store) -> Result<(), StoreError> {
    const TRIGGER: &str = "
create trigger test_refuse_spending before update on approvals when new.stage = 'consumed'
begin select raise(abort, 'this store is lost just now'); end";
    script(store, TRIGGER).await
}

/// Ends what [`refuse_spending`] began.
///
/// # Errors
/// [`StoreError`].
pub async fn allow_spending(store: &Store) -> Result<(), StoreError> {
    script(store, "drop trigger test_refuse_spending").await
}

async fn script(store: &Store, text: &str) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    tx.execute_script(text.to_owned()).await?;
    tx.commit().await.map(drop)
}

fn parse(url: &str) -> Result<StoreUrl, PostgresError> {
    StoreUrl::parse(url).map_err(|error: InvalidStoreUrl| failed("url", &error))
}

/// A server of one test, which may stop and start it. Dropping it removes everything.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    directory: PathBuf,
    identity: Option<(u32, u32)>,
    shell: Option<(Child, ChildStdin)>,
    databases: AtomicU32,
}

/// Waits for the pipe: a line stops the server and keeps its data, the end of the pipe removes them too.
const SHELL: &str = r#"
trap '' INT TERM HUP
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off -c max_connections=200 \
    >>"$2/log" 2>&1 </dev/null &
server=$!
read -r word || word=end
kill -QUIT "$server"
wait "$server"
if [ "$word" = end ]; then rm -rf "$2"; fi
"#;

impl Postgres {
    /// Starts a server for one test.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub fn start() -> Result<Self, PostgresError> {
        let programs = find_programs()?;
        let identity = other_than_root()?;
        let directory = tempfile::Builder::new().prefix("ambit-pg-").tempdir().map_err(|e| failed("mkdir", &e))?;
        if let Some((user, group)) = identity {
            chown(directory.path(), Some(user), Some(group)).map_err(|e| failed("chown", &e))?;
        }
        let directory = directory.keep();
        let mut server = Self { programs, directory, identity, shell: None, databases: AtomicU32::new(0) };
        let data = server.directory.join("data").display().to_string();
        server.run(
            "initdb",
            &["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D", &data],
        )?;
        server.resume()?;
        Ok(server)
    }

    /// Stops the server as a crash would, keeping its data.
    pub fn stop(&mut self) {
        self.end_shell(true);
    }

    /// Starts the server again.
    ///
    /// # Errors
    /// [`PostgresError`] if it does not answer within half a minute.
    pub fn resume(&mut self) -> Result<(), PostgresError> {
        let mut command = self.command(Path::new("/bin/sh"));
        command.arg("-c").arg(SHELL).arg("sh").arg(&self.programs).arg(&self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = command.spawn().map_err(|e| failed("sh", &e))?;
        if let Some(pipe) = shell.stdin.take() {
            self.shell = Some((shell, pipe));
        }
        let directory = self.directory.display().to_string();
        for _ in 0..600 {
            if self.run("pg_isready", &["-q", "-h", &directory]).is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        Err(PostgresError::Failed { program: "postgres", output: log })
    }

    /// Makes a database and returns its url.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub fn fresh_database(&self) -> Result<String, PostgresError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let directory = self.directory.display().to_string();
        let create = format!("create database {name}");
        self.run("psql", &["-q", "-h", &directory, "-U", "postgres", "-d", "postgres", "-c", &create])?;
        Ok(format!("postgres://postgres@localhost/{name}?host={directory}"))
    }

    fn run(&self, program: &'static str, args: &[&str]) -> Result<(), PostgresError> {
        let output = self.command(&self.programs.join(program)).args(args).output();
        let Output { status, stdout, stderr } = output.map_err(|e| failed(program, &e))?;
        if status.success() {
            return Ok(());
        }
        let output = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        Err(PostgresError::Failed { program, output })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.directory).env("LC_ALL", "C.UTF-8");
        if let Some((user, group)) = self.identity {
            command.uid(user).gid(group);
        }
        command
    }

    fn end_shell(&mut self, keep_data: bool) {
        if let Some((mut shell, mut pipe)) = self.shell.take() {
            if keep_data {
                // A broken pipe means that the shell is gone, which is what is wanted.
                drop(pipe.write_all(b"keep\n"));
            }
            drop(pipe);
            drop(shell.wait());
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end_shell(false);
        // The shell has removed it unless the server never started or was stopped.
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn failed(program: &'static str, error: &dyn std::error::Error) -> PostgresError {
    PostgresError::Failed { program, output: error.to_string() }
}

/// Debian keeps the server's programs outside the search path, one directory per version: the newest counts.
fn find_programs() -> Result<PathBuf, PostgresError> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut candidates: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    candidates.sort();
    let fixed = ["/usr/local/bin", "/usr/bin", "/usr/local/pgsql/bin"].map(PathBuf::from);
    candidates
        .into_iter()
        .rev()
        .map(|(_, path)| path)
        .chain(fixed)
        .find(|path| ["initdb", "postgres", "psql", "pg_isready"].iter().all(|name| path.join(name).exists()))
        .ok_or(PostgresError::Missing)
}

/// Whom to be when this process is root: the user and group Debian's package makes. None when it is somebody else.
fn other_than_root() -> Result<Option<(u32, u32)>, PostgresError> {
    let own = fs::metadata("/proc/self").map_err(|e| failed("stat", &e))?.uid();
    if own != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(|e| failed("passwd", &e))?;
    users
        .lines()
        .find_map(|line| {
            let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
            Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
        })
        .map(Some)
        .ok_or(PostgresError::NoUser)
}
