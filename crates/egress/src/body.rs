//! The body of an answer, read within bounds, over the connection it comes by.
//!
//! A whole body is complete or an error: closing early, lying about the length or leaving it open
//! never yields a short success. Streams are handed out in chunks as they come; whoever reads one
//! has to know from its content when it is complete.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::TRANSFER_ENCODING;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::kept::Kept;
use crate::pool::Way;

/// Largest first allocation for a body whose length the server announced.
const FIRST_ALLOCATION_BYTES: usize = 64 * 1024;

/// An answer's body. Dropping it before its end closes the connection.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    /// What brings it, until its end was read, and where that goes then.
    connection: Option<(Kept, Way)>,
    /// Whether the end of the body can be told from the end of the connection.
    framed: bool,
    /// Keeps the target's slot taken while the body is read.
    _slot: Option<OwnedSemaphorePermit>,
}

/// Why a body could not be read. The request has been carried out, as far as anyone can tell.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// More bytes than permitted.
    #[error("the answer is larger than {limit} bytes: ask for less, or raise the limit")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
    /// The connection ended before the body did.
    #[error("the answer ended before it was complete")]
    Truncated,
    /// The answer announces no length: an end cannot be told from an interruption.
    #[error("the answer has neither a length nor chunks, so nothing shows that it is complete")]
    Unframed,
    /// The body was not complete at the deadline, or nothing came for too long.
    #[error("the answer stopped coming before it was complete")]
    Timeout,
    /// The body is not valid HTTP, or the connection failed.
    #[error("the answer could not be read ({0})")]
    Broken(Box<str>),
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        headers: &HeaderMap,
        connection: (Kept, Way),
        slot: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let framed = incoming.size_hint().exact().is_some() || is_chunked(headers);
        let mut body = Self { incoming, connection: Some(connection), framed, _slot: slot };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    /// The length the server announced, in bytes.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// The whole body, of at most `max_bytes`, complete by `deadline`.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_bounded(mut self, max_bytes: usize, deadline: Instant) -> Result<Bytes, ReadError> {
        let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        if self.announced_bytes().is_some_and(|bytes| bytes > limit) {
            return Err(ReadError::TooLarge { limit });
        }
        let whole = timeout_at(deadline, self.collect(max_bytes)).await.map_err(|_| ReadError::Timeout)??;
        if !self.framed && !whole.is_empty() {
            return Err(ReadError::Unframed);
        }
        Ok(whole)
    }

    /// The body as it comes: each chunk within `idle` of the one before, `max_bytes` in all.
    ///
    /// An answer without a length ends where its connection ends.
    pub fn into_chunks(self, idle: Duration, max_bytes: u64) -> Chunks {
        Chunks { body: self, idle, limit: max_bytes, left: max_bytes, done: false }
    }

    /// Most answers are one chunk, which is handed on without a copy.
    async fn collect(&mut self, max_bytes: usize) -> Result<Bytes, ReadError> {
        let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        let Some(first) = self.next_data().await? else { return Ok(Bytes::new()) };
        if first.len() > max_bytes {
            return Err(ReadError::TooLarge { limit });
        }
        let Some(second) = self.next_data().await? else { return Ok(first) };
        let announced = self.announced_bytes().and_then(|rest| usize::try_from(rest).ok()).unwrap_or(0);
        let mut whole = BytesMut::with_capacity(first.len() + second.len() + announced.min(FIRST_ALLOCATION_BYTES));
        whole.extend_from_slice(&first);
        let mut next = Some(second);
        while let Some(data) = next {
            if data.len() > max_bytes.saturating_sub(whole.len()) {
                return Err(ReadError::TooLarge { limit });
            }
            whole.extend_from_slice(&data);
            next = self.next_data().await?;
        }
        Ok(whole.freeze())
    }

    /// The next bytes; trailers are not passed on. The connection is given back with the last of them.
    async fn next_data(&mut self) -> Result<Option<Bytes>, ReadError> {
        let Some((kept, _)) = &mut self.connection else { return Ok(None) };
        let incoming = &mut self.incoming;
        let data = loop {
            let frame =
                poll_fn(|context| kept.drive(context, |quiet| Pin::new(&mut *incoming).poll_frame(quiet))).await;
            match frame {
                // The connection knows of no end that the body does not know of.
                None => return Err(ReadError::Truncated),
                Some(None) => break None,
                Some(Some(Err(error))) => return Err(diagnose(&error)),
                Some(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        break Some(data);
                    }
                }
            }
        };
        if data.is_none() || self.incoming.is_end_stream() {
            self.give_back();
        }
        Ok(data)
    }

    fn give_back(&mut self) {
        if let Some((kept, way)) = self.connection.take() {
            way.give_back(kept);
        }
    }
}

/// The chunks of a body.
#[derive(Debug)]
pub struct Chunks {
    body: Body,
    idle: Duration,
    limit: u64,
    left: u64,
    done: bool,
}

impl Chunks {
    /// The next chunk; none at the end and after an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, ReadError>> {
        if self.done {
            return None;
        }
        let next = match timeout(self.idle, self.body.next_data()).await {
            Err(_) => Err(ReadError::Timeout),
            Ok(Err(error)) => Err(error),
            Ok(Ok(None)) => {
                self.done = true;
                return None;
            }
            Ok(Ok(Some(data))) => match self.left.checked_sub(data.len() as u64) {
                None => Err(ReadError::TooLarge { limit: self.limit }),
                Some(left) => {
                    self.left = left;
                    Ok(data)
                }
            },
        };
        self.done = next.is_err();
        Some(next)
    }
}

/// Chunks have an end of their own if they are the last coding (RFC 9112 §6.3).
fn is_chunked(headers: &HeaderMap) -> bool {
    headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
}

fn diagnose(error: &hyper::Error) -> ReadError {
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if error.is_incomplete_message() || io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof) {
        return ReadError::Truncated;
    }
    ReadError::Broken(io.map_or_else(|| error.to_string(), ToString::to_string).into())
}
