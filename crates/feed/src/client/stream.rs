//! One connection of a data plane to one controller: what is staged, what is to be answered.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use config::{Millis, Resource, ResourceKey, Revision};

use super::holdings::{Held, Holdings, Staged};
use super::{Check, ClientOptions, Rejection};
use crate::frames::{Ack, ClientFrame, Del, Hello, Nack};
use crate::limits;
use crate::lines::LineDecoder;
use crate::text::tidy;
use crate::violation::Violation;

#[derive(Debug)]
pub(super) struct Stream {
    pub decoder: LineDecoder,
    pub phase: Phase,
    pub heard: Millis,
    pub staged: Staged,
    /// Held, but not advertised for want of room: gone at `synced` unless the controller puts them anew.
    pub unconfirmed: BTreeSet<ResourceKey>,
    hello: Option<Bytes>,
    nacks: BTreeMap<String, Bytes>,
    ack: Option<u64>,
}

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `hello` is said, `welcome` is not.
    Greeting,
    /// Welcomed; the first synchronisation runs.
    Syncing,
    /// Everything is here.
    Synced,
}

impl Stream {
    pub fn new(options: &ClientOptions, holdings: &Holdings, now: Millis) -> Self {
        // Room for the rest of the frame, a scope of the largest size included.
        let mut room = limits::HELLO_LINE - limits::SCOPE * limits::KEY - limits::CLIENT_LINE;
        let (mut have, mut unconfirmed) = (BTreeMap::new(), BTreeSet::new());
        for (key, held) in holdings.iter() {
            let name = key.to_string();
            // At worst every character of a name is escaped; a version with its punctuation takes 38 bytes.
            let takes = name.len() * 6 + 38;
            if takes <= room && have.len() < limits::RESOURCES {
                room -= takes;
                // What the content here may fall short of has the version of no content: the controller sends it again, or
                // says that it is gone, or, where it does not know, leaves it.
                have.insert(name, held.version.unwrap_or(Revision::NOTHING));
            } else {
                unconfirmed.insert(key.clone());
            }
        }
        let hello = Hello {
            protocol: options.protocol,
            instance: options.instance.clone(),
            scope: options.scope.clone(),
            have,
        };
        Self {
            decoder: LineDecoder::new(limits::SERVER_LINE),
            phase: Phase::Greeting,
            heard: now,
            staged: Staged::default(),
            unconfirmed,
            hello: Some(ClientFrame::Hello(hello).to_line()),
            nacks: BTreeMap::new(),
            ack: None,
        }
    }

    /// The next line to send: refusals before the ack of their commit.
    pub fn next(&mut self) -> Option<Bytes> {
        let nack = |nacks: &mut BTreeMap<String, Bytes>| nacks.pop_first().map(|(_, line)| line);
        let ack = |ack: &mut Option<u64>| ack.take().map(|commit| ClientFrame::Ack(Ack { commit }).to_line());
        self.hello.take().or_else(|| nack(&mut self.nacks)).or_else(|| ack(&mut self.ack))
    }

    pub fn acknowledge(&mut self, commit: u64) {
        self.ack = self.ack.max(Some(commit));
    }

    /// Stages the resource `name`, or refuses it alone, because it could not be [`read`] or does not pass the check.
    pub fn put(
        &mut self,
        name: &str,
        version: Revision,
        resource: Result<Resource, String>,
        check: Check,
        holdings: &Holdings,
        rejected: &mut BTreeMap<String, Rejection>,
    ) -> Result<(), Violation> {
        if name.len() > limits::KEY {
            return Err(Violation::malformed(&"the name of a resource is too long", name.as_bytes()));
        }
        match resource.and_then(|resource| check(&resource).map(|()| resource)) {
            Ok(resource) => {
                rejected.remove(name);
                self.nacks.remove(name);
                let key = resource.key();
                self.unconfirmed.remove(&key);
                self.staged.put(key, Held { resource, version: Some(version) }, holdings)
            }
            Err(problem) => self.refuse(name.to_owned(), version, &problem, rejected),
        }
    }

    /// Stages the end of a resource. One of an unknown kind was never held.
    pub fn del(&mut self, del: &Del, holdings: &Holdings, rejected: &mut BTreeMap<String, Rejection>) {
        rejected.remove(&del.key);
        self.nacks.remove(&del.key);
        if let Ok(key) = del.key.parse() {
            self.staged.del(key, holdings);
        }
    }

    fn refuse(
        &mut self,
        key: String,
        version: Revision,
        problem: &str,
        rejected: &mut BTreeMap<String, Rejection>,
    ) -> Result<(), Violation> {
        let problem = tidy(problem, limits::PROBLEM);
        if rejected.len() == limits::RESOURCES {
            return Err(Violation::TooManyResources { max: limits::RESOURCES });
        }
        if let Ok(key) = key.parse() {
            // The last version that could be used stays, whether in force, staged or from before this stream.
            self.unconfirmed.remove(&key);
        }
        let nack = Nack { key: key.clone(), version, problem: problem.clone() };
        self.nacks.insert(key.clone(), ClientFrame::Nack(nack).to_line());
        rejected.insert(key, Rejection { version, problem });
        Ok(())
    }
}

/// The resource of a `put`, or why there is none in words for its author.
pub(super) fn read(name: &str, value: &str) -> Result<Resource, String> {
    let key: ResourceKey = name.parse().map_err(|error| format!("{error}; is this data plane too old for it?"))?;
    Resource::from_json(&key, value).map_err(|error| error.to_string())
}
