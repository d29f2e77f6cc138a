//! An answer that began before it was complete: events while the call runs, and its closed reply as the last one. And an
//! answer that is nothing but events, for as long as its client listens.
//!
//! A client that drops the stream has left, under the same rules as one that drops a request. Nothing is repeated and no
//! event has an id: the stream cannot be taken up again.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use ambit_mcp::sse::{self, Event};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use http_body::Frame;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::{
    answer::Reply,
    finish::{Streaming, Told},
    listening::Listening,
    trail::Closed,
};

/// How often a silent stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Begins the answer.
pub(crate) fn respond(streaming: Streaming<Closed<Reply>>) -> Response {
    let mut silent = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    silent.set_missed_tick_behavior(MissedTickBehavior::Delay);
    of(Body::new(Events { streaming: Some(streaming), silent }))
}

/// Begins an answer that lasts. Its events are made when they can be sent, one at a time.
pub(crate) fn listen(listening: Listening) -> Response {
    let events = unfold(listening.begun(), async |mut listening| {
        let event = listening.next().await?;
        Some((Ok::<_, Infallible>(event), listening))
    });
    of(Body::from_stream(events))
}

fn of(events: Body) -> Response {
    let mut response = Response::new(events);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(sse::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies in between would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

struct Events {
    /// None once the reply was given out.
    streaming: Option<Streaming<Closed<Reply>>>,
    silent: Interval,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(streaming) = &mut self.streaming else { return Poll::Ready(None) };
        let event = match streaming.poll(context) {
            Poll::Ready(Told::Event(event)) => {
                self.silent.reset();
                event
            }
            Poll::Ready(Told::End(closed)) => {
                self.streaming = None;
                let Some(closed) = closed else { return Poll::Ready(None) };
                last(closed)
            }
            Poll::Pending => match self.silent.poll_tick(context) {
                Poll::Ready(_) => Bytes::from_static(sse::KEEP_ALIVE),
                Poll::Pending => return Poll::Pending,
            },
        };
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

/// The last event of an answer that lasted, if its record is what it says and there is something to say.
pub(crate) fn last_of(closed: Closed<Reply>, result: &'static str) -> Option<Bytes> {
    let reply = closed.into_inner();
    let says = reply.note.result == result && !reply.body.is_empty();
    Some(event(&reply.body)).filter(|_| says)
}

/// The reply as an event. Its status and headers went with the first one.
fn last(closed: Closed<Reply>) -> Bytes {
    event(&closed.into_inner().body)
}

fn event(body: &[u8]) -> Bytes {
    match std::str::from_utf8(body) {
        Ok(text) => Event::message(text).encode().into(),
        // What is written here is text; a reply that is not would break the stream for good.
        Err(_) => Bytes::new(),
    }
}
