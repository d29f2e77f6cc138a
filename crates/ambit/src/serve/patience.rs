//! How long the process waits for a peer that does nothing: for the body of a request, whatever route it goes to, and for a
//! peer that does not read its answer. The head of a request has its time in the listener.

use std::{
    future::Future as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// From the head of a request to the end of its body.
const BODY: Duration = Duration::from_secs(30);

/// How long a peer may take no byte of an answer.
const WRITE: Duration = Duration::from_secs(30);

/// The body of a request, for as long as the process is patient. One that is there at once costs nothing more.
pub struct PatientBody<B = Incoming> {
    inner: B,
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B> PatientBody<B> {
    /// Waits for the rest of a body.
    pub fn new(inner: B) -> Self {
        Self { inner, patience: BODY, waiting: None }
    }
}

impl<B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Unpin> Body for PatientBody<B> {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "the body took too long").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A stream whose peer has to read on.
pub struct PatientStream<S> {
    inner: S,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> PatientStream<S> {
    /// Over a stream.
    pub fn new(inner: S) -> Self {
        Self { inner, patience: WRITE, stalled: None }
    }

    /// Judges a step of writing: progress forgets the time, none of it lets it run.
    fn judge<T>(&mut self, step: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if step.is_ready() {
            self.stalled = None;
            return step;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(step, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let step = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.judge(step, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.inner).poll_flush(context);
        self.judge(step, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let step = Pin::new(&mut self.inner).poll_shutdown(context);
        self.judge(step, context)
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Bytes, http::Request, routing::post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tower::ServiceExt as _;

    use super::*;

    /// A body of one piece that never ends.
    struct Stuck(Option<Bytes>);

    impl Body for Stuck {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            self.0.take().map_or(Poll::Pending, |piece| Poll::Ready(Some(Ok(Frame::data(piece)))))
        }
    }

    /// Routes that read their body by themselves, as those of the authorization server do, need not think of it.
    #[tokio::test]
    async fn a_form_that_does_not_come_to_its_end_is_given_up_whatever_the_route() {
        let routes = Router::new().route("/login", post(async |_: Bytes| "read"));
        let slow = PatientBody {
            patience: Duration::from_millis(10),
            ..PatientBody::new(Stuck(Some(Bytes::from_static(b"a"))))
        };
        let request = Request::post("/login").body(axum::body::Body::new(slow)).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 400);
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_given_up_and_one_that_reads_slowly_is_not() {
        let (near, mut far) = duplex(16);
        let mut stream = PatientStream::new(near);
        let writing = tokio::spawn(async move { stream.write_all(&[0; 64]).await });
        for _ in 0..4 {
            tokio::task::yield_now().await;
            let mut some = [0; 16];
            far.read_exact(&mut some).await.unwrap();
        }
        writing.await.unwrap().unwrap();
        let (near, _far) = duplex(16);
        let mut hasty = PatientStream { patience: Duration::from_millis(10), ..PatientStream::new(near) };
        let error = hasty.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
