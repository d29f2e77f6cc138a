//! The server's half of the operator socket: one request and one answer per connection, each a line of JSON.
//!
//! The socket lies in the data directory. Who asks is what the kernel says of the peer, never what the request says: heard
//! are the server's own user, root, and users that `[[operator.roles]]` names. Its mode is 0600 until somebody else is named;
//! letting them reach the directory is up to whoever owns it. Size, time and number of requests are bounded.

use std::{
    fs,
    future::Future,
    io,
    os::{fd::AsRawFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use ambit_model::operator::Actor;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    act::{Act, Done},
    context::OperatorContext,
    os_user,
    perform::perform,
};

/// The largest request, in bytes.
pub(super) const MAX_REQUEST: u64 = 256 * 1024;

/// How long a peer may take to send its request, or to take the answer.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// How soon a reload that names other users opens the socket to them.
const LOOK_AT_ROLES: Duration = Duration::from_secs(2);

/// The most acts at once; more wait.
const MAX_AT_ONCE: usize = 8;

/// The longest path a socket address can hold, with some room.
const MAX_PATH: usize = 100;

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done(Done),
    /// It was not done, or not wholly.
    Refused {
        /// Why, and what to do.
        message: String,
    },
}

/// A bound operator socket.
#[derive(Debug)]
pub struct OperatorSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl OperatorSocket {
    /// Binds the socket. One left behind by a server that is gone is replaced; one that answers is an error.
    ///
    /// # Errors
    /// If another server answers there, or the directory cannot be used.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        if fs::exists(path)? {
            if Address::of(path)?.connect().await.is_ok() {
                let message = format!("another ambit serves from this data directory: `{}` answers", path.display());
                return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
            }
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(Address::of(path)?.path())?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Performs acts until the shutdown resolves; those under way are finished.
    pub async fn serve(self, context: OperatorContext, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let slots = Arc::new(Semaphore::new(MAX_AT_ONCE));
        let mut acts = JoinSet::new();
        let mut mode = 0o600;
        loop {
            match self.open_to_named(&context, mode) {
                Ok(now) => mode = now,
                Err(error) => {
                    tracing::warn!(%error, "the operator socket cannot be opened to the users that have roles");
                }
            }
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
            let stream = tokio::select! {
                () = &mut shutdown => break,
                // Roles may come or go with a reload.
                () = tokio::time::sleep(LOOK_AT_ROLES) => continue,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "an operator's connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let context = context.clone();
            acts.spawn(async move {
                if let Err(error) = attend(stream, &context).await {
                    tracing::debug!(%error, "an operator's connection ended early");
                }
                drop(slot);
            });
            while acts.try_join_next().is_some() {}
        }
        while acts.join_next().await.is_some() {}
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the operator socket could not be removed");
        }
    }
}

impl OperatorSocket {
    /// Lets those that have roles knock. Who is heard is decided over what the kernel says of them.
    fn open_to_named(&self, context: &OperatorContext, before: u32) -> io::Result<u32> {
        let own = os_user::own_uid().map(os_user::name);
        let deployment = context.deployment();
        let mut named = deployment.roles.0.iter().filter_map(|holder| holder.os_user.as_deref());
        let mode = if named.any(|name| Some(name) != own.as_deref() && name != "root") { 0o666 } else { 0o600 };
        if mode != before {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))?;
        }
        Ok(mode)
    }
}

async fn attend(stream: UnixStream, context: &OperatorContext) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let name = os_user::name(uid);
    let named = context.deployment().roles.names_os_user(&name);
    let by = Actor::OsUser(name);
    let answer = if uid == 0 || os_user::own_uid() == Some(uid) || named {
        let mut line = String::new();
        let mut reader = BufReader::new(reader.take(MAX_REQUEST + 1));
        timeout(PEER_TIMEOUT, reader.read_line(&mut line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        answer(&line, &by, context).await
    } else {
        tracing::warn!(uid, "a user that has no role was refused at the operator socket");
        let message = format!(
            "user {uid} is not heard here: run ambit as the user the server runs as, or name this one in `[[operator.roles]]`"
        );
        Answer::Refused { message }
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    timeout(PEER_TIMEOUT, writer.write_all(&line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    writer.shutdown().await
}

async fn answer(line: &str, by: &Actor, context: &OperatorContext) -> Answer {
    if !line.ends_with('\n') {
        return Answer::Refused { message: format!("the request is cut off or longer than {MAX_REQUEST} bytes") };
    }
    let act: Act = match serde_json::from_str(line) {
        Ok(act) => act,
        Err(error) => {
            let message =
                format!("the request is not understood ({error}): use the ambit of the running server's version");
            return Answer::Refused { message };
        }
    };
    match perform(act, by, context).await {
        Ok(done) => Answer::Done(done),
        Err(error) => Answer::Refused { message: error.to_string() },
    }
}

/// The address of a socket. A path too long for one is reached through its open directory.
pub(super) struct Address {
    path: PathBuf,
    /// Keeps the directory open while the path through it is used.
    _directory: Option<fs::File>,
}

impl Address {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= MAX_PATH {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = fs::File::open(path.parent().unwrap_or(Path::new(".")))?;
        let through = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { path: through, _directory: Some(directory) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.path).await
    }
}
