//! The election as a machine: told what the API server answered and what time it is by this replica's own monotonic clock,
//! it says what to ask next. Times written into the Lease are for people; none is read.

use std::sync::Arc;

use config::Millis;
use feed::frames::Leader;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::Leadership;

/// The annotation of the Lease that says how data planes reach the holder's feed.
pub const FEED_ADDRESS: &str = "forebay.dev/feed-address";

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Without a renewal seen for so long, the Lease is free.
    pub duration: Millis,
    /// The holder leads for so long after it asked for the last renewal that succeeded; shorter than `duration`.
    pub renew_deadline: Millis,
    /// Between two attempts.
    pub retry: Millis,
}

/// What to ask the API server.
#[derive(Clone, Debug)]
pub enum Act {
    /// Read the Lease.
    Read,
    /// Replace it, if it is still the one with this resource version; without one, create it.
    Write(Box<Lease>),
}

/// What the API server answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// There is no Lease.
    Absent,
    /// There is this one.
    Found(Box<Lease>),
    /// It was written and is now this.
    Written(Box<Lease>),
    /// It is not the one that was to be replaced.
    Conflict,
    /// Nothing that tells what became of the request.
    Failed,
}

/// One candidate.
#[derive(Debug)]
pub struct Elector {
    timing: Timing,
    identity: Arc<str>,
    address: Option<Arc<str>>,
    blank: ObjectMeta,
    seen: Option<Seen>,
    /// When the last renewal that succeeded was asked for.
    held: Option<Millis>,
    plan: Plan,
}

/// The Lease as it was last seen.
#[derive(Debug)]
struct Seen {
    lease: Box<Lease>,
    /// When it was first seen so.
    at: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Read,
    Write,
    /// Wait, then renew if the Lease as seen is ours, else read.
    Rest(Millis),
    /// Wait, then read: what was seen may be outdated.
    RestAndRead(Millis),
}

impl Elector {
    /// A candidate that knows nothing.
    pub fn new(timing: Timing, identity: Arc<str>, address: Option<Arc<str>>, namespace: &str, name: &str) -> Self {
        let blank = ObjectMeta { name: Some(name.into()), namespace: Some(namespace.into()), ..ObjectMeta::default() };
        Self { timing, identity, address, blank, seen: None, held: None, plan: Plan::Read }
    }

    /// What to ask now, if anything is due. `wall` is written for people.
    pub fn act(&mut self, now: Millis, wall: Timestamp) -> Option<Act> {
        match self.plan {
            Plan::Rest(until) | Plan::RestAndRead(until) if now < until => None,
            Plan::Rest(_) if self.is_mine() => Some(Act::Write(self.claim(wall))),
            Plan::Write => Some(Act::Write(self.claim(wall))),
            Plan::Read | Plan::Rest(_) | Plan::RestAndRead(_) => Some(Act::Read),
        }
    }

    /// When to look again: something is due, or who leads changes because time ran out.
    pub fn due(&self, now: Millis) -> Millis {
        let next = match self.plan {
            Plan::Read | Plan::Write => now,
            Plan::Rest(until) | Plan::RestAndRead(until) => until,
        };
        let ends = [self.until(), self.seen.as_ref().map(|seen| self.expiry(seen))];
        ends.into_iter().flatten().filter(|end| *end > now).fold(next, Ord::min)
    }

    /// What became of what was asked at `asked`.
    pub fn heard(&mut self, answer: Answer, asked: Millis, now: Millis) {
        let later = self.timing.retry.after(now);
        self.plan = match answer {
            Answer::Absent => {
                self.seen = None;
                Plan::Write
            }
            Answer::Found(lease) => {
                self.see(lease, now);
                if self.is_free(now) { Plan::Write } else { Plan::Rest(later) }
            }
            Answer::Written(lease) => {
                self.see(lease, now);
                self.held = Some(asked);
                Plan::Rest(self.timing.retry.after(asked).max(now))
            }
            Answer::Conflict | Answer::Failed => Plan::RestAndRead(later),
        };
    }

    /// Who leads at `now`.
    pub fn leadership(&self, now: Millis) -> Leadership {
        let until = self.until().filter(|until| now < *until);
        let holder = self.seen.as_ref().filter(|seen| now < self.expiry(seen)).and_then(|seen| holder(&seen.lease));
        let leader = match holder {
            _ if until.is_some() => Some(Leader { identity: self.identity.clone(), address: self.address.clone() }),
            // It bears our name, but we let it run out.
            Some(holder) if *holder == *self.identity => None,
            Some(holder) => Some(Leader { identity: holder.into(), address: self.seen_address() }),
            None => None,
        };
        Leadership { until, leader }
    }

    /// Leads no longer; the Lease to write so that another may at once, if it is ours to give.
    pub fn release(&mut self, now: Millis, wall: Timestamp) -> Option<Box<Lease>> {
        let leads = self.until().is_some_and(|until| now < until);
        self.held = None;
        let mut lease = leads.then(|| self.claim(wall))?;
        lease.metadata.annotations.get_or_insert_default().remove(FEED_ADDRESS);
        if let Some(spec) = &mut lease.spec {
            (spec.holder_identity, spec.lease_duration_seconds) = (None, Some(1));
        }
        self.seen = None;
        Some(lease)
    }

    /// How long an answer is waited for: two attempts fit into a renew deadline.
    pub fn patience(&self) -> Millis {
        Millis(self.timing.renew_deadline.0 / 2)
    }

    fn see(&mut self, lease: Box<Lease>, now: Millis) {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        match &mut self.seen {
            Some(seen) if version(&seen.lease) == version(&lease) => {}
            seen => *seen = Some(Seen { lease, at: now }),
        }
    }

    fn is_mine(&self) -> bool {
        self.seen.as_ref().and_then(|seen| holder(&seen.lease)).is_some_and(|holder| *holder == *self.identity)
    }

    fn is_free(&self, now: Millis) -> bool {
        let held = self.seen.as_ref().is_some_and(|seen| holder(&seen.lease).is_some() && now < self.expiry(seen));
        self.is_mine() || !held
    }

    /// When the Lease as seen is free. The holder's notion of the duration counts if it is the longer one.
    fn expiry(&self, seen: &Seen) -> Millis {
        let told = seen.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let told = Millis::from_secs(told.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0));
        told.max(self.timing.duration).after(seen.at)
    }

    fn until(&self) -> Option<Millis> {
        self.held.map(|asked| self.timing.renew_deadline.after(asked))
    }

    fn seen_address(&self) -> Option<Arc<str>> {
        let annotations = self.seen.as_ref().and_then(|seen| seen.lease.metadata.annotations.as_ref());
        annotations.and_then(|annotations| annotations.get(FEED_ADDRESS)).map(|address| address.as_str().into())
    }

    /// The Lease as seen, in our name. What others wrote into it (labels, owners) stays.
    fn claim(&self, wall: Timestamp) -> Box<Lease> {
        let mut lease = self
            .seen
            .as_ref()
            .map_or_else(|| Box::new(Lease { metadata: self.blank.clone(), spec: None }), |seen| seen.lease.clone());
        let before = lease.spec.take().unwrap_or_default();
        let renewed = MicroTime(to_micros(wall));
        let (acquired, transitions) = match &before.holder_identity {
            Some(holder) if **holder == *self.identity => (before.acquire_time, before.lease_transitions),
            None if before.lease_transitions.is_none() => (Some(renewed.clone()), Some(0)),
            _ => (Some(renewed.clone()), Some(before.lease_transitions.unwrap_or(0).saturating_add(1))),
        };
        lease.spec = Some(LeaseSpec {
            acquire_time: acquired,
            holder_identity: Some(self.identity.to_string()),
            lease_duration_seconds: i32::try_from(self.timing.duration.0.div_ceil(1000)).ok(),
            lease_transitions: transitions,
            renew_time: Some(renewed),
            ..before
        });
        let annotations = lease.metadata.annotations.get_or_insert_default();
        match &self.address {
            Some(address) => annotations.insert(FEED_ADDRESS.into(), address.to_string()),
            None => annotations.remove(FEED_ADDRESS),
        };
        lease
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

fn to_micros(wall: Timestamp) -> Timestamp {
    wall.round(jiff::Unit::Microsecond).unwrap_or(wall)
}
