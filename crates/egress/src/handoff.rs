//! The body of a request, which knows whether the request was handed to a connection.
//!
//! The HTTP implementation asks a body whether it is empty at the moment it takes the request off
//! its queue to write it: before that nothing can have left, from then on something may have. Both
//! sides settle it with one atomic exchange, so an answer "nothing was sent" stays true: a request
//! that is given up first cannot be written afterwards.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

const WAITING: u8 = 0;
const HANDED_OVER: u8 = 1;
const GIVEN_UP: u8 = 2;

/// The sender's half.
#[derive(Clone)]
pub(crate) struct Handoff(Arc<AtomicU8>);

/// A request body as the connection sees it.
pub(crate) struct Outgoing {
    body: Full<Bytes>,
    /// An empty body is announced as `Content-Length: 0`, not left out.
    announced: bool,
    stage: Arc<AtomicU8>,
}

/// The sender gave the request up before it was written.
#[derive(Debug, thiserror::Error)]
#[error("the request was given up before it was sent")]
pub(crate) struct GivenUp;

impl Outgoing {
    /// A body for a request of `method`, and the sender's hold on it.
    pub(crate) fn new(body: Full<Bytes>, method: &Method) -> (Self, Handoff) {
        // RFC 9110 §8.6: methods that define a meaning for a body say that it is empty.
        let announced = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        let stage = Arc::new(AtomicU8::new(WAITING));
        (Self { body, announced, stage: Arc::clone(&stage) }, Handoff(stage))
    }

    /// The body of the same request once more, if that has none. It is the same request: what left once cannot be given up.
    pub(crate) fn again(&self) -> Option<Self> {
        let empty = !self.announced && self.body.is_end_stream();
        empty.then(|| Self { body: Full::default(), announced: false, stage: Arc::clone(&self.stage) })
    }

    fn is_given_up(&self) -> bool {
        self.stage.load(Ordering::Acquire) == GIVEN_UP
    }
}

impl Handoff {
    /// Gives the request up; true if nothing of it was or will be written.
    pub(crate) fn give_up(&self) -> bool {
        match self.0.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(stage) => stage == GIVEN_UP,
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        if self.is_given_up() {
            return Poll::Ready(Some(Err(GivenUp)));
        }
        Pin::new(&mut self.body).poll_frame(cx).map_err(|never| match never {})
    }

    /// Called when the request is taken to be written.
    ///
    /// A body that was given up claims to have bytes, so that it is asked for them and can fail
    /// before anything is flushed.
    fn is_end_stream(&self) -> bool {
        match self.stage.compare_exchange(WAITING, HANDED_OVER, Ordering::AcqRel, Ordering::Acquire) {
            Err(GIVEN_UP) => false,
            Ok(_) => !self.announced && self.body.is_end_stream(),
            Err(_) => self.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_given_up() { SizeHint::with_exact(1) } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Sends a request over a real HTTP connection and returns the bytes that reached the other side.
    async fn bytes_on_the_wire(method: Method, body: &'static str, give_up: bool) -> (String, bool) {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
        let connection = tokio::spawn(connection);
        let (outgoing, handoff) = Outgoing::new(Full::from(body), &method);
        if give_up {
            assert!(handoff.give_up());
        }
        let mut request = Request::new(outgoing);
        *request.method_mut() = method;
        let answer = tokio::spawn(async move { sender.send_request(request).await.is_ok() });
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let unsent = handoff.give_up();
        connection.abort();
        let mut seen = String::new();
        theirs.read_to_string(&mut seen).await.unwrap();
        assert!(!answer.await.unwrap());
        (seen, unsent)
    }

    #[tokio::test]
    async fn a_request_given_up_first_never_reaches_the_wire() {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
            for body in ["", "x", "hello"] {
                let (seen, unsent) = bytes_on_the_wire(method.clone(), body, true).await;
                assert_eq!((seen.as_str(), unsent), ("", true), "{method} {body}");
            }
        }
    }

    #[tokio::test]
    async fn a_request_on_the_wire_cannot_be_given_up() {
        for (method, body) in [(Method::GET, ""), (Method::POST, ""), (Method::POST, "hello")] {
            let (seen, unsent) = bytes_on_the_wire(method.clone(), body, false).await;
            assert!(seen.starts_with(method.as_str()) && seen.ends_with(body) && !unsent, "{seen}");
        }
    }
}
