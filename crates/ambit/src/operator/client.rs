//! The command line's half of the operator socket.

use std::{io, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    act::Act,
    socket::{Address, Answer, MAX_REQUEST},
};

/// How long a running server may take for an act: a reload reads documents and listings.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);

/// The largest answer that is read.
const MAX_ANSWER: u64 = 1024 * 1024;

/// Why a running server did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It is there and cannot be talked to.
    #[error("the running server cannot be asked: {0}")]
    Io(#[from] io::Error),
    /// It said something else.
    #[error("the running server's answer is not understood: use the ambit of its version")]
    NotUnderstood,
    /// The act does not fit into a request.
    #[error("the act is longer than {MAX_REQUEST} bytes")]
    TooLong,
}

/// Asks the server behind a socket to perform an act. `None` if no server runs there.
///
/// # Errors
/// [`AskError`]; the act may have been performed.
pub async fn ask(socket: &Path, act: &Act) -> Result<Option<Answer>, AskError> {
    let address = match Address::of(socket) {
        Ok(address) => address,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut stream = match address.connect().await {
        Ok(stream) => stream,
        // A refused connection is a socket that a server left behind.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let mut line = serde_json::to_vec(act).map_err(io::Error::from)?;
    line.push(b'\n');
    if line.len() as u64 > MAX_REQUEST {
        return Err(AskError::TooLong);
    }
    let exchange = async {
        stream.write_all(&line).await?;
        let mut answer = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(ANSWER_WITHIN, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    serde_json::from_str(&answer).map(Some).map_err(|_| AskError::NotUnderstood)
}

/// Whether a server listens behind a socket.
pub async fn is_listening(socket: &Path) -> bool {
    match Address::of(socket) {
        Ok(address) => address.connect().await.is_ok(),
        Err(_) => false,
    }
}
