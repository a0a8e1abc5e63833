//! A data plane's end. It outlives every stream: what is in force stays in force, for ever if need be, until a controller
//! commits something else.
//!
//! A batch is staged resource by resource and put in force as one. A resource that cannot be used (a value only newer releases
//! know, a group the balancer refuses) is refused alone, by name; what was in force under that name stays.

mod event;
mod freshness;
mod holdings;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use config::{Config, Millis, Resource, ResourceKey, Revision};

use crate::frames::{Cut, Put, ServerFrame};
use crate::last_good::Remembered;
use crate::limits;
use crate::scope::Scope;
use crate::versions::Versions;
use crate::violation::Violation;
use freshness::Freshness;
use holdings::{Held, Holdings, Staged};
use stream::{Phase, Stream};

pub use event::{Event, Receipt, Rejection, Update};

/// Whether the data plane could put a resource in force; the error is for its author.
pub type Check = fn(&Resource) -> Result<(), String>;

/// Who a data plane is.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Its name: the pod's.
    pub instance: Arc<str>,
    /// What it asks for.
    pub scope: Scope,
    /// The protocols it speaks.
    pub protocol: Versions,
    /// How long a controller may be silent before it is taken for gone: three and a half beats.
    pub silence: Millis,
    /// What a resource must pass, besides having the right form.
    pub check: Check,
}

/// A data plane's end.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    holdings: Holdings,
    rejected: BTreeMap<String, Rejection>,
    freshness: Freshness,
    /// Counts streams, so that the ack of one is never said on the next.
    streams: u64,
    stream: Option<Stream>,
}

impl Client {
    /// A data plane that knows nothing.
    pub fn new(options: ClientOptions) -> Self {
        Self {
            options,
            holdings: Holdings::default(),
            rejected: BTreeMap::new(),
            freshness: Freshness::Never,
            streams: 0,
            stream: None,
        }
    }

    /// Takes what was in force in an earlier life, without putting it in force; what the check refuses today is left out. A
    /// controller is told that it is here, so that its first commit is the whole: what it does not know is kept, not lost.
    /// When nobody answers, there is [`Self::restore`].
    pub fn remember(&mut self, resources: Vec<Remembered>) {
        let mut staged = Staged::default();
        for Remembered { resource, version } in resources {
            if (self.options.check)(&resource).is_ok() {
                // The bound was kept when the file was read.
                let _ = staged.put(resource.key(), Held { resource, version }, &self.holdings);
            }
        }
        self.holdings.apply(staged);
    }

    /// Puts what is remembered in force, which was current `age` ago.
    pub fn restore(&mut self, age: Millis, now: Millis) -> Update {
        self.freshness = Freshness::Stale { since: now, already: age };
        self.update(None)
    }

    /// A stream was opened: the first line to send is the `hello`. A stream before it is forgotten.
    pub fn connect(&mut self, now: Millis) {
        self.disconnect();
        self.rejected.clear();
        self.streams += 1;
        self.stream = Some(Stream::new(&self.options, &self.holdings, now));
    }

    /// The stream is gone; what was staged and not committed with it.
    pub fn disconnect(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.freshness.lost(stream.heard);
        }
    }

    /// Takes what arrived, in whatever pieces. What was complete before a [`Violation`] counts; the violation is then the last
    /// event, and the client has left the stream.
    pub fn receive(&mut self, mut bytes: &[u8], now: Millis) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(stream) = &mut self.stream {
            let taken = match stream.decoder.next(&mut bytes) {
                Ok(None) => break,
                Ok(Some(line)) => {
                    // Only a whole line is a sign of life: bytes that trickle tell nothing.
                    stream.heard = now;
                    self.take(&line, &mut events)
                }
                Err(violation) => Err(violation),
            };
            if let Err(violation) = taken {
                self.disconnect();
                events.push(Event::Violated(violation));
            }
        }
        events
    }

    /// The next line to send.
    pub fn poll(&mut self) -> Option<Bytes> {
        self.stream.as_mut()?.next()
    }

    /// The configuration of that receipt is in force; the next line says so, if the stream it came on still stands.
    pub fn applied(&mut self, receipt: Receipt) {
        if let (Some(stream), Some(commit)) = (&mut self.stream, receipt.commit)
            && receipt.stream == self.streams
        {
            stream.acknowledge(commit);
        }
    }

    /// When the controller is to be taken for gone, unless it is heard before; `None` without a stream.
    pub fn deadline(&self) -> Option<Millis> {
        self.stream.as_ref().map(|stream| self.options.silence.after(stream.heard))
    }

    /// Whether a controller keeps this data plane up to date at this moment.
    pub fn is_synced(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.phase == Phase::Synced)
    }

    /// How old the configuration may be: zero while a controller keeps it current, `None` until one completed the first
    /// synchronisation.
    pub fn age(&self, now: Millis) -> Option<Millis> {
        self.freshness.age(now)
    }

    /// The configuration in force, or what is remembered before there is one.
    pub fn config(&self) -> Config {
        self.holdings.config()
    }

    /// Its version, from the versions of its parts.
    pub fn revision(&self) -> Revision {
        self.holdings.revision()
    }

    /// Its resources with the versions a controller gave them: what is written as last good.
    pub fn resources(&self) -> impl Iterator<Item = (&ResourceKey, &Resource, Option<Revision>)> {
        self.holdings.iter().map(|(key, held)| (key, &held.resource, held.version))
    }

    /// What this stream's controller sent and this release cannot use, by name.
    pub fn rejected(&self) -> &BTreeMap<String, Rejection> {
        &self.rejected
    }

    /// Entries kept: at most a few times the resources, whatever a controller does.
    pub fn entries(&self) -> usize {
        let stream = self.stream.as_ref().map_or(0, |stream| stream.staged.len() + stream.unconfirmed.len());
        self.holdings.len() + self.rejected.len() + stream
    }

    fn update(&self, commit: Option<u64>) -> Update {
        Update {
            config: Arc::new(self.holdings.config()),
            revision: self.holdings.revision(),
            receipt: Receipt { stream: self.streams, commit },
        }
    }

    fn take(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), Violation> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if stream.phase != Phase::Greeting
            && let Some(Cut { key, version, value }) = Cut::of(line)
            && let Ok(resource) = stream::read(key, value)
        {
            return stream.put(key, version, Ok(resource), self.options.check, &self.holdings, &mut self.rejected);
        }
        let frame = ServerFrame::from_line(line)?;
        if stream.phase == Phase::Greeting
            && !matches!(frame, ServerFrame::Welcome(_) | ServerFrame::Bye(_) | ServerFrame::Unknown)
        {
            return Err(Violation::OutOfPlace { frame: "this frame", rule: "a controller begins with welcome" });
        }
        match frame {
            ServerFrame::Welcome(welcome) => {
                if !self.options.protocol.contains(welcome.protocol) {
                    return Err(Violation::OutOfPlace { frame: "welcome", rule: "it names a protocol of the hello" });
                }
                stream.phase = Phase::Syncing;
                events.push(Event::Welcomed { server: welcome.server, protocol: welcome.protocol });
            }
            ServerFrame::Put(Put { key, version, value }) => {
                let resource = stream::read(&key, value.get());
                stream.put(&key, version, resource, self.options.check, &self.holdings, &mut self.rejected)?;
            }
            ServerFrame::Del(del) => stream.del(&del, &self.holdings, &mut self.rejected),
            ServerFrame::Commit(commit) => {
                let changed = self.holdings.apply(std::mem::take(&mut stream.staged));
                if self.holdings.len() > limits::RESOURCES {
                    return Err(Violation::TooManyResources { max: limits::RESOURCES });
                }
                if changed || self.freshness == Freshness::Never {
                    events.push(Event::Commit(self.update(Some(commit.seq))));
                } else {
                    stream.acknowledge(commit.seq);
                }
            }
            ServerFrame::Synced(_) => {
                stream.phase = Phase::Synced;
                let unconfirmed = std::mem::take(&mut stream.unconfirmed);
                self.freshness = Freshness::Current;
                if self.holdings.drop_all(unconfirmed) {
                    events.push(Event::Commit(self.update(None)));
                }
                events.push(Event::Synced);
            }
            ServerFrame::Beat(beat) => events.push(Event::Leads(beat.leader)),
            ServerFrame::Bye(bye) => {
                events.push(Event::Bye { within: Millis(bye.after_ms), reason: bye.reason });
            }
            ServerFrame::Unknown => {}
        }
        Ok(())
    }
}
