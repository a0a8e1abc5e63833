//! A subscriber that has introduced itself: batches, commits, answers, signs of life.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use config::{Millis, ResourceKey, Revision};

use super::ledger::Ledger;
use super::{Received, Standing};
use crate::frames::{ClientFrame, Commit, Nack, ServerFrame, Synced};
use crate::limits;
use crate::published::Published;
use crate::text::tidy;
use crate::violation::Violation;

/// A batch is closed after this round, although more is due, when it has this many times the subscriber's resources, and
/// this many more: who reads more slowly than things change still gets on. What is then in force is sound, and not the
/// latest.
const BATCH_TIMES: usize = 2;
const BATCH_MORE: usize = 64;

#[derive(Debug)]
pub(super) struct Live {
    pub instance: Arc<str>,
    pub protocol: u32,
    pub ledger: Ledger,
    welcome: Option<Bytes>,
    progress: Progress,
    in_batch: usize,
    /// The last commit sent.
    commit: u64,
    pub acked: u64,
    beat_at: Millis,
    leaders_seen: u64,
    problems: VecDeque<(Arc<ResourceKey>, Revision, String)>,
    unknown: u32,
}

/// How far the first synchronisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Sending,
    Committed,
    Synced,
}

impl Live {
    pub fn new(instance: Arc<str>, protocol: u32, welcome: Bytes, ledger: Ledger, beat_at: Millis) -> Self {
        Self {
            instance,
            protocol,
            ledger,
            welcome: Some(welcome),
            progress: Progress::Sending,
            in_batch: 0,
            commit: 0,
            acked: 0,
            beat_at,
            // More than any store counts, so that the first poll says who leads.
            leaders_seen: u64::MAX,
            problems: VecDeque::new(),
            unknown: 0,
        }
    }

    pub fn deadline(&self) -> Millis {
        self.beat_at
    }

    pub fn next(&mut self, published: &Published, now: Millis, interval: Millis) -> Option<Bytes> {
        if let Some(welcome) = self.welcome.take() {
            return Some(welcome);
        }
        let (beat, leaders) = published.beat();
        if now >= self.beat_at || leaders != self.leaders_seen {
            self.beat_at = interval.after(now);
            self.leaders_seen = leaders;
            return Some(beat.clone());
        }
        if self.progress == Progress::Committed {
            self.progress = Progress::Synced;
            return Some(ServerFrame::Synced(Synced {}).to_line());
        }
        if !self.ledger.catch_up(published) {
            return None;
        }
        loop {
            if let Some(line) = self.ledger.next(published, self.commit + 1) {
                self.in_batch += 1;
                return Some(line);
            }
            let full = self.in_batch >= BATCH_TIMES * self.ledger.holdings() + BATCH_MORE;
            if full || !self.ledger.begin_round(published) {
                break;
            }
        }
        if self.progress == Progress::Sending {
            // A round is over, and the first one holds everything there was. Its commit is sent even if it is empty: the ack
            // says that the data plane has everything.
            self.progress = Progress::Committed;
            return Some(self.close_batch());
        }
        (self.in_batch > 0).then(|| self.close_batch())
    }

    pub fn receive(&mut self, frame: ClientFrame) -> Result<Option<Received>, Violation> {
        match frame {
            ClientFrame::Hello(_) => {
                Err(Violation::OutOfPlace { frame: "hello", rule: "it opens a stream and is said once" })
            }
            ClientFrame::Ack(ack) => {
                if ack.commit > self.commit {
                    return Err(Violation::AckOfNothing { acked: ack.commit, sent: self.commit });
                }
                self.acked = self.acked.max(ack.commit);
                Ok(Some(Received::Acked { commit: ack.commit }))
            }
            ClientFrame::Nack(nack) => Ok(self.refused(&nack)),
            ClientFrame::Unknown => {
                self.unknown += 1;
                if self.unknown > limits::UNKNOWN_FRAMES {
                    return Err(Violation::TooManyUnknown { max: limits::UNKNOWN_FRAMES });
                }
                Ok(None)
            }
        }
    }

    pub fn has_committed(&self) -> bool {
        self.commit > 0
    }

    pub fn standing(&self, key: &ResourceKey) -> Standing {
        match self.ledger.sent(key) {
            None => Standing::Absent,
            Some(sent) if sent.refused => Standing::Refused { version: sent.version },
            Some(sent) if sent.commit <= self.acked => Standing::InForce { version: sent.version },
            Some(sent) => Standing::OnItsWay { version: sent.version },
        }
    }

    /// What the subscriber said of a version it refused, if that is remembered.
    pub fn problem(&self, key: &ResourceKey, version: Revision) -> Option<&str> {
        let of = |(refused, of, _): &&(Arc<ResourceKey>, Revision, String)| **refused == *key && *of == version;
        self.problems.iter().find(of).map(|(_, _, problem)| problem.as_str())
    }

    pub fn entries(&self) -> usize {
        self.ledger.entries() + self.problems.len()
    }

    fn close_batch(&mut self) -> Bytes {
        self.in_batch = 0;
        self.commit += 1;
        ServerFrame::Commit(Commit { seq: self.commit }).to_line()
    }

    fn refused(&mut self, nack: &Nack) -> Option<Received> {
        let key: ResourceKey = nack.key.parse().ok()?;
        if !self.ledger.refuse(&key, nack.version) {
            return None;
        }
        let problem = tidy(&nack.problem, limits::PROBLEM);
        self.problems.retain(|(of, _, _)| **of != key);
        if self.problems.len() == limits::PROBLEMS_KEPT {
            self.problems.pop_front();
        }
        self.problems.push_back((Arc::new(key.clone()), nack.version, problem.clone()));
        Some(Received::Refused { key, version: nack.version, problem })
    }
}
