//! The thread that takes the lanes over, and the signals between it and the rest.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::QUIET;
use super::format::Line;
use super::lane::Lane;
use super::output::Output;
use crate::stats::Counter;

/// Bytes of a buffer that stay allocated.
const KEPT: usize = 256 << 10;

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
    lines: Lines,
    reopen: bool,
    life: Life,
}

/// Whether there are lines to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Lines {
    /// None.
    #[default]
    None,
    /// Some lane has lines: write within [`QUIET`].
    Some,
    /// Some lane has many: write now.
    Many,
}

/// How far the thread's life has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Open,
    /// It is asked to write all and end.
    Closing,
    /// It has.
    Closed,
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
        self.ask(|wanted| wanted.lines = wanted.lines.max(Lines::Some));
    }

    /// A lane has enough lines to be written at once.
    pub(super) fn urgent(&self) {
        self.ask(|wanted| wanted.lines = Lines::Many);
    }

    /// The file is to be opened again.
    pub(super) fn reopen(&self) {
        self.ask(|wanted| wanted.reopen = true);
    }

    /// All is to be written, and the thread to end. Waits for that at most `limit`.
    pub(super) fn close(&self, limit: Duration) -> bool {
        self.ask(|wanted| match wanted.life {
            Life::Open => wanted.life = Life::Closing,
            Life::Closing | Life::Closed => {}
        });
        let mut wanted = self.wanted.lock();
        self.closed.wait_while_for(&mut wanted, |wanted| wanted.life != Life::Closed, limit);
        wanted.life == Life::Closed
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
                // What a hesitating disk has made grow is not kept.
                chunk.shrink_to(KEPT);
            }
            if round.reopen {
                output.reopen();
            }
            match round.life {
                Life::Open => {}
                Life::Closing | Life::Closed => {
                    self.wanted.lock().life = Life::Closed;
                    self.closed.notify_all();
                    return;
                }
            }
        }
    }

    /// Waits until there is something to do; lines wait for more lines first.
    fn next_round(&self) -> Wanted {
        let mut wanted = self.wanted.lock();
        self.wake.wait_while(&mut wanted, |wanted| wanted.lines == Lines::None && !wanted.is_pressing());
        self.wake.wait_while_for(&mut wanted, |wanted| !wanted.is_pressing(), QUIET);
        let next = Wanted { life: wanted.life, ..Wanted::default() };
        std::mem::replace(&mut wanted, next)
    }

    fn ask(&self, what: impl FnOnce(&mut Wanted)) {
        what(&mut self.wanted.lock());
        self.wake.notify_one();
    }
}

impl Wanted {
    /// Whether there is something that does not wait for company.
    fn is_pressing(&self) -> bool {
        self.lines == Lines::Many || self.reopen || self.life != Life::Open
    }
}
