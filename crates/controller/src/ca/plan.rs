//! When a CA is made, announced, used and dropped: a pure function of what the Secret holds and the time.
//!
//! A CA signs for most of its life. A quarter of it before its end (at most 90 days) its successor is made and *announced*: its
//! certificate is in the bundle, nobody signs with it. A week later, when every proxy has long re-read the bundle, it is
//! *promoted*; the certificate of the old one stays in the bundle until it expires, its key is forgotten. So whatever
//! replica signs with whichever of the two, and however old the bundle of a proxy is within that week, they fit. The replicas'
//! clocks may differ by days: what one does a few days early is still long after the announcement.

use jiff::{SignedDuration, Timestamp};

/// Of a CA made here.
const LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);

/// Before the end of a long-lived CA its successor is announced so early.
const ROTATE_BEFORE: SignedDuration = SignedDuration::from_hours(90 * 24);

/// The successor of a long-lived CA is announced for so long.
const ANNOUNCED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Certificates begin so much before they are made: clocks differ.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

/// Of a serving certificate.
const LEAF: SignedDuration = SignedDuration::from_hours(24);

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its `notBefore`.
    pub from: Timestamp,
    /// Its `notAfter`.
    pub until: Timestamp,
}

/// The CA that signs, and the one announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Signs.
    pub current: Span,
    /// Will sign.
    pub next: Option<Span>,
}

/// What is to be done to the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is none, or nothing that anybody could still trust: a CA is made and signs at once.
    Make,
    /// The successor is made.
    Announce,
    /// The successor signs from now on.
    Promote,
    /// Nothing.
    Rest,
}

impl Span {
    /// Of a CA made now.
    pub fn of_ca(now: Timestamp) -> Self {
        Self { from: earlier(now, BACKDATED), until: later(now, LIFETIME) }
    }

    /// Of a serving certificate made now by a CA.
    pub fn of_leaf(now: Timestamp, ca: Self) -> Self {
        Self { from: earlier(now, BACKDATED), until: later(now, LEAF).min(ca.until) }
    }

    /// When a serving certificate is to be renewed: after two thirds of what it has.
    pub fn renewal(self) -> Timestamp {
        earlier(self.until, self.length() / 3)
    }

    /// Whether it has ended.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.until <= now
    }

    fn length(self) -> SignedDuration {
        self.until.duration_since(self.from)
    }

    /// When the successor of this CA is to be made.
    fn rotation(self) -> Timestamp {
        earlier(self.until, self.notice())
    }

    fn notice(self) -> SignedDuration {
        ROTATE_BEFORE.min(self.length() / 4)
    }
}

/// What is to be done now; the bundle that belongs to `held` must have been published before.
pub fn step(held: Option<Outline>, now: Timestamp) -> Step {
    let Some(Outline { current, next }) = held else { return Step::Make };
    let next = next.filter(|next| !next.is_over(now));
    match next {
        None if current.is_over(now) => Step::Make,
        None if now >= current.rotation() => Step::Announce,
        None => Step::Rest,
        Some(next) => {
            let announced = ANNOUNCED.min(current.notice() / 2);
            if current.is_over(now) || now >= later(next.from, announced) { Step::Promote } else { Step::Rest }
        }
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
