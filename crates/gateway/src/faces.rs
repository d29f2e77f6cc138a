//! How each endpoint names itself. Written once per catalogue, not per answer.

use std::sync::Arc;

use ambit_live::{Snapshot, catalogue::Catalogue};
use ambit_mcp::reply::Server;
use arc_swap::ArcSwap;

use crate::http::Place;

/// What the model reads about an endpoint before it calls anything.
const INSTRUCTIONS: &str = "The tools listed here are those the signed-in identity is entitled to. A call that is refused \
     says why and what to do about it; repeat it unchanged only when it says so.";

pub(crate) struct Faces {
    current: ArcSwap<Written>,
    nameless: Arc<Server>,
}

struct Written {
    /// Kept, so that its address belongs to no other catalogue.
    catalogue: Arc<Catalogue>,
    servers: Vec<Arc<Server>>,
}

impl Faces {
    pub(crate) fn new() -> Self {
        Self { current: ArcSwap::from_pointee(Written::of(Arc::default())), nameless: Arc::new(face("Ambit")) }
    }

    /// The face of an endpoint.
    pub(crate) fn of(&self, place: &Place) -> Arc<Server> {
        let written = self.written(place.snapshot());
        let at = usize::try_from(place.number().0).ok().and_then(|at| written.servers.get(at));
        Arc::clone(at.unwrap_or(&self.nameless))
    }

    fn written(&self, snapshot: &Snapshot) -> arc_swap::Guard<Arc<Written>> {
        let written = self.current.load();
        if Arc::ptr_eq(&written.catalogue, &snapshot.catalogue) {
            return written;
        }
        self.current.store(Arc::new(Written::of(Arc::clone(&snapshot.catalogue))));
        let rewritten = self.current.load();
        if Arc::ptr_eq(&rewritten.catalogue, &snapshot.catalogue) {
            return rewritten;
        }
        // Another request has another snapshot; each writes its own.
        arc_swap::Guard::from_inner(Arc::new(Written::of(Arc::clone(&snapshot.catalogue))))
    }
}

impl Written {
    fn of(catalogue: Arc<Catalogue>) -> Self {
        let servers = catalogue.endpoints().iter().map(|view| Arc::new(face(&view.endpoint.title))).collect();
        Self { catalogue, servers }
    }
}

fn face(title: &str) -> Server {
    Server::new("ambit", Some(title), env!("CARGO_PKG_VERSION"), Some(INSTRUCTIONS))
}
