//! The thread that takes the lanes over, and the signals between it and the rest.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::format::Line;
use super::lane::Lane;
use super::output::Output;
use super::QUIET;
use crate::stats::Counter;

/// What workers and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) line: Line,
    pub(super) lost: Counter,
    lanes: Mutex<Vec<Arc<Mutex<Lane>>>>,
    wanted: Mutex<Wanted>,
    wake: Condvar,
    closed: Condvar,
}

/// What the thread is asked for.
#[derive(Debug, Default)]
struct Wanted {
    /// Some lane has lines: write within [`QUIET`].
    lines: bool,
    /// Some lane has many: write now.
    now: bool,
    reopen: bool,
    close: bool,
    /// The thread's answer to `close`.
    closed: bool,
}

/// What the thread does next.
struct Round {
    reopen: bool,
    close: bool,
}

impl Shared {
    pub(super) fn new(line: Line) -> Self {
        Self {
            line,
            lost: Counter::default(),
            lanes: Mutex::default(),
            wanted: Mutex::default(),
            wake: Condvar::new(),
            closed: Condvar::new(),
        }
    }

    /// One more lane.
    pub(super) fn add_lane(&self) -> Arc<Mutex<Lane>> {
        let lane = Arc::new(Mutex::new(Lane::default()));
        self.lanes.lock().push(lane.clone());
        lane
    }

    /// A lane that was empty has a line.
    pub(super) fn pending(&self) {
        self.ask(|wanted| &mut wanted.lines);
    }

    /// A lane has enough lines to be written at once.
    pub(super) fn urgent(&self) {
        self.ask(|wanted| &mut wanted.now);
    }

    /// The file is to be opened again.
    pub(super) fn reopen(&self) {
        self.ask(|wanted| &mut wanted.reopen);
    }

    /// All is to be written, and the thread to end. Waits for that at most `limit`.
    pub(super) fn close(&self, limit: Duration) -> bool {
        self.ask(|wanted| &mut wanted.close);
        let mut wanted = self.wanted.lock();
        self.closed.wait_while_for(&mut wanted, |wanted| !wanted.closed, limit);
        wanted.closed
    }

    /// The thread's life.
    pub(super) fn run(&self, mut output: Output) {
        let mut chunk = Vec::new();
        loop {
            let round = self.next_round();
            // A copy: a write that blocks must not keep a new worker from its lane.
            let lanes = self.lanes.lock().clone();
            for lane in lanes {
                lane.lock().take(&mut chunk);
                self.lost.add(output.write(&chunk));
                chunk.clear();
            }
            if round.reopen {
                output.reopen();
            }
            if round.close {
                self.wanted.lock().closed = true;
                self.closed.notify_all();
                return;
            }
        }
    }

    /// Waits until there is something to do; lines wait for more lines first.
    fn next_round(&self) -> Round {
        let mut wanted = self.wanted.lock();
        let at_once = |wanted: &Wanted| wanted.now || wanted.reopen || wanted.close;
        self.wake.wait_while(&mut wanted, |wanted| !wanted.lines && !at_once(wanted));
        self.wake.wait_while_for(&mut wanted, |wanted| !at_once(wanted), QUIET);
        let round = Round { reopen: wanted.reopen, close: wanted.close };
        *wanted = Wanted::default();
        round
    }

    fn ask(&self, what: impl FnOnce(&mut Wanted) -> &mut bool) {
        let mut wanted = self.wanted.lock();
        let asked = std::mem::replace(what(&mut wanted), true);
        drop(wanted);
        if !asked {
            self.wake.notify_one();
        }
    }
}
