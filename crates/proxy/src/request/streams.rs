//! The streams of one HTTP/2 connection: tasks that the worker waits for when it leaves, counted so that an idle connection is
//! known.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::worker::Worker;

/// Spawns streams. Clones count together.
#[derive(Clone)]
pub(crate) struct Streams {
    worker: Arc<Worker>,
    open: Arc<AtomicUsize>,
}

/// One stream that is open.
struct Open(Arc<AtomicUsize>);

impl Streams {
    /// None yet.
    pub(crate) fn new(worker: Arc<Worker>) -> Self {
        Self { worker, open: Arc::default() }
    }

    /// Whether a request is in progress: its response not handed over yet.
    pub(crate) fn are_open(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(self.open.clone());
        self.worker.spawn(async move {
            let _open = open;
            stream.await;
        });
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
