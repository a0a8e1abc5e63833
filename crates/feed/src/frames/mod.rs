//! What is said on the wire: one JSON object per line with one member, whose name is the kind of frame.
//!
//! ```text
//! {"put":{"key":"group/shop/app","version":"0f...","value":{...}}}
//! ```
//!
//! Unknown members within a frame are ignored, unknown kinds of frames are passed over: they are a newer peer's. The value of
//! a `put` stays text until its name is known, so that one resource that cannot be read spoils nothing else.

mod put;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use config::Revision;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(crate) use put::{Cut, put_line};

use crate::scope::Scope;
use crate::versions::Versions;

/// From a controller to a data plane.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    /// Answers `hello`.
    Welcome(Welcome),
    /// A resource, new or changed; in force at the next `commit`.
    Put(Put<'a>),
    /// A resource is gone; in force at the next `commit`.
    Del(Del),
    /// What came since the last one belongs together: put it in force at once, then `ack`.
    Commit(Commit),
    /// The data plane now has everything there was when it connected.
    Synced(Synced),
    /// The stream lives; and where reports go.
    Beat(Beat),
    /// The controller ends the stream.
    Bye(Bye),
    /// A newer controller's.
    #[serde(skip)]
    Unknown,
}

/// From a data plane to a controller.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientFrame {
    /// Opens the stream.
    Hello(Hello),
    /// A commit, and every one before it, is in force.
    Ack(Ack),
    /// A resource cannot be used; what the data plane had of that name stays in force.
    Nack(Nack),
    /// A newer data plane's.
    #[serde(skip)]
    Unknown,
}

/// Who asks, for what, and what it has already.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocols it speaks.
    pub protocol: Versions,
    /// Its name: the pod's.
    pub instance: Arc<str>,
    /// What it asks for.
    pub scope: Scope,
    /// The resources it holds. Names are texts here: some may be of kinds this end does not know.
    #[serde(default, deserialize_with = "read::have")]
    pub have: BTreeMap<String, Revision>,
}

/// The stream is accepted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol spoken from here on.
    pub protocol: u32,
    /// The controller's name: the pod's.
    pub server: Arc<str>,
}

/// A resource with its content.
#[derive(Debug, Serialize, Deserialize)]
pub struct Put<'a> {
    /// Its name, as [`config::ResourceKey`] prints it.
    pub key: String,
    /// The version of `value`, made by the writer: a reader that drops fields would compute another.
    pub version: Revision,
    /// Its content.
    #[serde(borrow)]
    pub value: &'a RawValue,
}

/// A resource that is gone.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Del {
    /// Its name.
    pub key: String,
}

/// The end of a batch.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Counts the commits of this stream, from 1.
    pub seq: u64,
}

/// Nothing but its name.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {}

/// A sign of life.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The controller that takes reports, if there is one.
    pub leader: Option<Leader>,
}

/// The controller that holds the Lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    /// The holder's identity in the Lease.
    pub identity: Arc<str>,
    /// Where it takes reports, `HOST:PORT`, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Arc<str>>,
}

/// The stream ends.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Come again within this time, at a moment of your own choice, milliseconds.
    pub after_ms: u64,
    /// Why, for the log.
    pub reason: String,
}

/// A commit is in force.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Its number.
    pub commit: u64,
}

/// A resource is refused.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// Its name.
    pub key: String,
    /// The refused version.
    pub version: Revision,
    /// Why, for its author.
    pub problem: String,
}

impl ServerFrame<'_> {
    /// The frame with its newline.
    pub fn to_line(&self) -> Bytes {
        line(self)
    }
}

impl ClientFrame {
    /// The frame with its newline.
    pub fn to_line(&self) -> Bytes {
        line(self)
    }
}

fn line(frame: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(frame).expect("frames have string keys and no fallible serializer");
    line.push(b'\n');
    line.into()
}
