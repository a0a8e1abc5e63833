//! What a controller has to say, encoded once, shared by every subscriber. Publishing costs what changed, never the number
//! of subscribers: each of them finds its own difference when it has room for a frame.
//!
//! A short log of changed names answers "what since?" for those who keep up; who fell behind its end compares everything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use config::{Config, Resource, ResourceKey, Revision};

use crate::frames::{Beat, Leader, ServerFrame, put_line};
use crate::limits;
use crate::versions::BRIEF;

/// Changes the log holds at least; it holds as many as there are resources, twice, if that is more.
const LOG_LEAST: usize = 1024;

/// Every resource in force, and what changed lately.
#[derive(Debug)]
pub struct Published {
    resources: BTreeMap<Arc<ResourceKey>, Encoded>,
    /// See [`Change::Hold`].
    held: BTreeSet<ResourceKey>,
    /// Counts publications that changed something. Zero: nothing was ever published, and nobody is told anything.
    sequence: u64,
    log: VecDeque<(u64, Arc<ResourceKey>)>,
    /// The last sequence the log has lost some of.
    forgotten: u64,
    leader: Option<Leader>,
    leaders: u64,
    beat: Bytes,
    line_max: usize,
}

/// A resource as it is sent.
#[derive(Clone, Debug)]
pub struct Encoded {
    resource: Resource,
    version: Revision,
    line: Bytes,
    /// Made when somebody is there who speaks no newer protocol.
    whole: OnceLock<Bytes>,
    /// Bytes of the longest of its lines, newline not counted.
    longest: usize,
}

/// One change to what is published.
#[derive(Clone, Debug)]
pub enum Change {
    /// A resource is new, or another than before.
    Put(Resource),
    /// A resource is gone.
    Delete(ResourceKey),
    /// A resource is there and nobody knows its content (it is refused, and a controller that just started never saw the
    /// version before): whoever has something under the name keeps it, and nobody is sent anything.
    Hold(ResourceKey),
}

/// Changes that are encoded already: what takes time is done, and what is left is to put them in force.
#[derive(Debug)]
pub struct Prepared(Vec<Step>);

/// One of them.
#[derive(Debug)]
enum Step {
    /// `None`: it was no change when that was looked at.
    Put(ResourceKey, Resource, Option<Encoded>),
    Delete(ResourceKey),
    Hold(ResourceKey),
}

/// What a publication did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// Resources whose content changed.
    pub changed: usize,
    /// Resources that cannot be sent. What was published of that name stays.
    pub refused: Vec<Unpublishable>,
}

/// A resource that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpublishable {
    /// No data plane would read its line.
    #[error("{key} takes {bytes} bytes on the wire, more than {max}; divide it among several groups or hosts")]
    TooLarge {
        /// Its name.
        key: ResourceKey,
        /// What it takes.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// No data plane would hold one more.
    #[error("{key} would be one more than the {max} resources a data plane holds")]
    TooMany {
        /// Its name.
        key: ResourceKey,
        /// The bound.
        max: usize,
    },
}

/// What changed since a subscriber last looked.
#[derive(Debug)]
pub enum Changes<'a> {
    /// Nothing is published yet: the controller does not know its cluster.
    NotReady,
    /// These, some perhaps more than once.
    Keys(Vec<&'a Arc<ResourceKey>>),
    /// Too long ago to say.
    Everything,
}

impl Default for Published {
    fn default() -> Self {
        Self::new(limits::SERVER_LINE)
    }
}

impl Published {
    /// Nothing yet; lines of at most `line_max` bytes.
    pub fn new(line_max: usize) -> Self {
        Self {
            resources: BTreeMap::new(),
            held: BTreeSet::new(),
            sequence: 0,
            log: VecDeque::new(),
            forgotten: 0,
            leader: None,
            leaders: 0,
            beat: ServerFrame::Beat(Beat { leader: None }).to_line(),
            line_max,
        }
    }

    /// Puts changes in force together. The first call says that the cluster is known, even if it is empty.
    pub fn publish(&mut self, changes: impl IntoIterator<Item = Change>) -> Publication {
        let prepared = self.prepare(changes);
        self.put_in_force(prepared)
    }

    /// Encodes what changed, while others look at what is in force.
    pub fn prepare(&self, changes: impl IntoIterator<Item = Change>) -> Prepared {
        let step = |change| match change {
            Change::Put(resource) => {
                let key = resource.key();
                let encoded = (!self.is(&key, &resource)).then(|| Encoded::new(&key, resource.clone()));
                Step::Put(key, resource, encoded)
            }
            Change::Delete(key) => Step::Delete(key),
            Change::Hold(key) => Step::Hold(key),
        };
        Prepared(changes.into_iter().map(step).collect())
    }

    /// The rest of [`Self::publish`].
    pub fn put_in_force(&mut self, prepared: Prepared) -> Publication {
        let mut publication = Publication::default();
        let sequence = self.sequence + 1;
        for step in prepared.0 {
            let changed = match step {
                Step::Put(key, resource, encoded) => self.put(key, resource, encoded).unwrap_or_else(|refused| {
                    publication.refused.push(refused);
                    None
                }),
                Step::Delete(key) => {
                    let held = self.held.take(&key).map(Arc::new);
                    self.resources.remove_entry(&key).map(|(key, _)| key).or(held)
                }
                Step::Hold(key) => {
                    self.resources.remove(&key);
                    self.held.insert(key);
                    None
                }
            };
            if let Some(key) = changed {
                publication.changed += 1;
                self.log.push_back((sequence, key));
            }
        }
        if publication.changed > 0 || self.sequence == 0 {
            self.sequence = sequence;
        }
        let keep = LOG_LEAST.max(self.resources.len() * 2);
        while self.log.len() > keep
            && let Some((lost, _)) = self.log.pop_front()
        {
            self.forgotten = lost;
        }
        publication
    }

    /// Puts a whole configuration in force; what it does not contain is gone.
    pub fn replace(&mut self, config: &Config) -> Publication {
        let next: Vec<Resource> = config.resources().collect();
        let kept: BTreeSet<ResourceKey> = next.iter().map(Resource::key).collect();
        let gone = self.resources.keys().filter(|key| !kept.contains(&***key));
        let gone: Vec<Change> = gone.map(|key| Change::Delete(ResourceKey::clone(key))).collect();
        self.publish(gone.into_iter().chain(next.into_iter().map(Change::Put)))
    }

    /// Says who takes reports. Every subscriber is told at once.
    pub fn lead(&mut self, leader: Option<Leader>) {
        if self.leader != leader {
            self.leaders += 1;
            self.beat = ServerFrame::Beat(Beat { leader: leader.clone() }).to_line();
            self.leader = leader;
        }
    }

    /// The resource of a name.
    pub fn resource(&self, key: &ResourceKey) -> Option<&Encoded> {
        self.resources.get(key)
    }

    /// Every resource, in the order of making.
    pub fn resources(&self) -> impl Iterator<Item = (&Arc<ResourceKey>, &Encoded)> {
        self.resources.iter()
    }

    /// How many publications changed something.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Entries of the log of changes: bounded by the number of resources.
    pub fn logged(&self) -> usize {
        self.log.len()
    }

    /// What changed after `seen`, a value of [`Self::sequence`], or `None` for the beginning.
    pub fn changes_since(&self, seen: Option<u64>) -> Changes<'_> {
        match seen {
            _ if self.sequence == 0 => Changes::NotReady,
            Some(seen) if seen >= self.forgotten => {
                let from = self.log.partition_point(|(sequence, _)| *sequence <= seen);
                Changes::Keys(self.log.range(from..).map(|(_, key)| key).collect())
            }
            Some(_) | None => Changes::Everything,
        }
    }

    /// Whether what subscribers have under this name is to stay, whatever it is.
    pub(crate) fn is_held(&self, key: &ResourceKey) -> bool {
        self.held.contains(key)
    }

    pub(crate) fn interned(&self, key: &ResourceKey) -> Option<Arc<ResourceKey>> {
        self.resources.get_key_value(key).map(|(key, _)| key.clone())
    }

    /// The line to be sent as a sign of life, and how often its leader has changed.
    pub(crate) fn beat(&self) -> (&Bytes, u64) {
        (&self.beat, self.leaders)
    }

    /// Whether this is what is published under that name.
    fn is(&self, key: &ResourceKey, resource: &Resource) -> bool {
        self.resources.get(key).is_some_and(|last| last.resource == *resource)
    }

    /// The name, if the content is another than before.
    fn put(
        &mut self,
        key: ResourceKey,
        resource: Resource,
        encoded: Option<Encoded>,
    ) -> Result<Option<Arc<ResourceKey>>, Unpublishable> {
        if self.is(&key, &resource) {
            return Ok(None);
        }
        if self.resources.len() == limits::RESOURCES && !self.resources.contains_key(&key) {
            return Err(Unpublishable::TooMany { key, max: limits::RESOURCES });
        }
        let encoded = encoded.unwrap_or_else(|| Encoded::new(&key, resource));
        let bytes = encoded.longest;
        if bytes > self.line_max {
            return Err(Unpublishable::TooLarge { key, bytes, max: self.line_max });
        }
        self.held.remove(&key);
        let key = self.interned(&key).unwrap_or_else(|| Arc::new(key));
        self.resources.insert(key.clone(), encoded);
        Ok(Some(key))
    }
}

impl Encoded {
    fn new(key: &ResourceKey, resource: Resource) -> Self {
        let (whole, brief) = (resource.to_json(), resource.to_brief_json());
        let version = Revision::of(&whole);
        let value = brief.as_ref().unwrap_or(&whole);
        let line = put_line(key, version, value);
        let longest = line.len() - 1 + whole.len() - value.len();
        Self { resource, version, line, whole: OnceLock::new(), longest }
    }

    /// The resource.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// The version of its content.
    pub fn version(&self) -> Revision {
        self.version
    }

    /// The `put` that says it in this protocol, with its newline; every subscriber is sent these very bytes.
    pub fn line(&self, protocol: u32) -> &Bytes {
        if protocol >= BRIEF || self.longest == self.line.len() - 1 {
            return &self.line;
        }
        self.whole.get_or_init(|| put_line(&self.resource.key(), self.version, &self.resource.to_json()))
    }
}

#[cfg(test)]
mod tests;
