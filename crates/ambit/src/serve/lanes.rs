//! The threads that serve connections: one for each core, each with a runtime of its own.
//!
//! A request is parsed, judged, sent, answered and recorded on the thread its connection belongs to, and so are the
//! connections to upstreams that it uses: nothing of it is handed to another core, which costs more than what is done to it.
//! The price is that a busy lane gets no help, so nothing may hold one up: what takes long runs on blocking threads, and what
//! serves nobody in particular on the runtime of the process.

use std::{
    future::Future,
    io,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use tokio::{net::TcpStream, runtime, sync::mpsc};

/// Most lanes: beyond it the upstreams' connections, which lanes do not share, cost more than the lanes bring.
const MOST: usize = 64;

/// What a lane is given: it starts a connection on the runtime of whoever calls it.
type Start = Box<dyn FnOnce() + Send>;

/// The lanes. They end when this is dropped, and with them whatever still runs there.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    starts: mpsc::UnboundedSender<Start>,
    connections: Arc<AtomicUsize>,
}

/// Counts a connection for as long as it is there.
struct Counted(Arc<AtomicUsize>);

impl Lanes {
    /// One for each core this process may use.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub fn for_each_core() -> anyhow::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get).min(MOST);
        let lanes = (0..cores).map(Lane::new).collect::<io::Result<_>>();
        Ok(Self { lanes: lanes.context("cannot start the threads that serve connections")? })
    }

    /// No lanes: connections are served on the runtime of whoever accepts them.
    pub fn none() -> Self {
        Self::default()
    }

    /// Serves a connection on the lane that has the fewest.
    ///
    /// # Errors
    /// If the socket cannot be handed over.
    pub fn serve<F>(&self, stream: TcpStream, serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(lane) = self.lanes.iter().min_by_key(|lane| lane.connections.load(Ordering::Relaxed)) else {
            tokio::spawn(serve(stream));
            return Ok(());
        };
        // A socket belongs to the runtime that waits for it.
        let stream = stream.into_std()?;
        let counted = Counted::one_more(&lane.connections);
        let start = Box::new(move || match TcpStream::from_std(stream) {
            Ok(stream) => {
                let serving = serve(stream);
                tokio::spawn(async move {
                    serving.await;
                    drop(counted);
                });
            }
            Err(error) => tracing::warn!(%error, "a connection cannot be served"),
        });
        lane.starts.send(start).map_err(|_| io::Error::other("the thread that would serve it has ended"))
    }
}

impl Lane {
    fn new(number: usize) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (starts, mut started) = mpsc::unbounded_channel::<Start>();
        thread::Builder::new().name(format!("ambit-lane-{number}")).spawn(move || {
            runtime.block_on(async {
                while let Some(start) = started.recv().await {
                    start();
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { starts, connections: Arc::default() })
    }
}

impl Counted {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::{
        net::TcpListener,
        sync::{mpsc::unbounded_channel, watch},
    };

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test that is its own client")]
    async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (TcpStream::from_std(theirs).unwrap(), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn connections_are_spread_evenly_and_stay_where_they_are() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lanes = Lanes { lanes: (0..3).map(|number| Lane::new(number).unwrap()).collect() };
        let (told, mut seen) = unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let mut theirs = Vec::new();
        for _ in 0..9 {
            let (kept, ours) = pair(&listener).await;
            theirs.push(kept);
            let (told, mut stopped) = (told.clone(), stopped.clone());
            lanes
                .serve(ours, move |stream| async move {
                    let first = thread::current().id();
                    stream.writable().await.unwrap();
                    stopped.wait_for(|stopped| *stopped).await.unwrap();
                    told.send((first, thread::current().id())).unwrap();
                })
                .unwrap();
        }
        let counts = || lanes.lanes.iter().map(|lane| lane.connections.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(counts(), [3, 3, 3]);
        stop.send_replace(true);
        let mut by_thread = HashMap::new();
        for _ in 0..9 {
            let (first, last) = seen.recv().await.unwrap();
            assert_eq!(first, last);
            *by_thread.entry(first).or_insert(0) += 1;
        }
        assert_eq!(by_thread.into_values().collect::<Vec<_>>(), [3, 3, 3]);
        while counts() != [0, 0, 0] {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn without_lanes_a_connection_is_served_where_it_was_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_theirs, ours) = pair(&listener).await;
        let (told, mut seen) = unbounded_channel();
        Lanes::none().serve(ours, move |_| async move { told.send(thread::current().id()).unwrap() }).unwrap();
        assert_eq!(seen.recv().await, Some(thread::current().id()));
    }
}
