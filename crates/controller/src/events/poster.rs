//! Events as objects of `events.k8s.io/v1`. The name follows from what is told, so the API server knows a repetition.

use std::collections::BTreeMap;

use api::{GROUP, KIND, VERSION};
use config::Revision;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as Object, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::Instant;

use super::{Again, Event, Kind, Regarding};
use crate::lease::WRITE_TIMEOUT;
use crate::trouble::{Rule, Teller, Trouble};

/// Who tells.
const CONTROLLER: &str = "forebay.dev/controller";

/// Bytes of a note (`ValidateEvent`).
const NOTE: usize = 1024;

/// Bytes of a reporting instance (`ValidateEvent`).
const INSTANCE: usize = 128;

/// Series whose count is remembered.
const SERIES: usize = 1024;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is new.
    Created,
    /// It was told before and is counted.
    Counted,
    /// It was told before.
    Known,
    /// It was not taken.
    Failed,
}

/// Tells events one after another.
pub struct Poster {
    client: Client,
    instance: String,
    counts: BTreeMap<String, i32>,
    /// By verb: who may create may still not patch.
    tellers: BTreeMap<&'static str, Teller>,
}

impl Posted {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Created, Self::Counted, Self::Known, Self::Failed];

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Counted => "counted",
            Self::Known => "known",
            Self::Failed => "error",
        }
    }
}

impl Poster {
    /// Tells in the name of the replica `instance`.
    pub fn new(client: Client, instance: &str) -> Self {
        Self { client, instance: shortened(instance, INSTANCE), counts: BTreeMap::new(), tellers: BTreeMap::new() }
    }

    /// Tells an event, within the time that a leader may take.
    pub async fn post(&mut self, event: &Event, now: Timestamp) -> Posted {
        let by = Instant::now() + WRITE_TIMEOUT;
        let now = MicroTime(now);
        let object = object(event, &self.instance, now.clone());
        let name = object.metadata.name.clone().unwrap_or_default();
        let events: Api<Object> = Api::namespaced(self.client.clone(), &event.regarding.namespace);
        match self.request("create", event, by, events.create(&PostParams::default(), &object)).await {
            Ok(_) => return Posted::Created,
            Err(Refused::Exists) if event.again == Again::Counts => {}
            // Its namespace is being deleted: nobody is left to tell.
            Err(Refused::Exists | Refused::Gone) => return Posted::Known,
            Err(Refused::Otherwise) => return Posted::Failed,
        }
        if self.counts.len() >= SERIES {
            self.counts.clear();
        }
        let count = self.counts.get(&name).copied().unwrap_or(1) + 1;
        let series = EventSeries { count, last_observed_time: now };
        let patch = Patch::Merge(json!({ "series": series }));
        match self.request("patch", event, by, events.patch(&name, &PatchParams::default(), &patch)).await {
            Ok(_) => {
                self.counts.insert(name, count);
                Posted::Counted
            }
            Err(Refused::Exists | Refused::Gone) => Posted::Known,
            Err(Refused::Otherwise) => Posted::Failed,
        }
    }

    /// Waits for the answer until `by`, and says what is wrong with it.
    async fn request(
        &mut self,
        verb: &'static str,
        event: &Event,
        by: Instant,
        asked: impl Future<Output = Result<Object, kube::Error>>,
    ) -> Result<Object, Refused> {
        let Regarding { namespace, name, .. } = &event.regarding;
        let what = format!("the event {:?} of {namespace}/{name} is not recorded", event.reason);
        let teller = self.tellers.entry(verb).or_default();
        let trouble = match tokio::time::timeout_at(by, asked).await {
            Ok(Ok(object)) => {
                teller.well();
                return Ok(object);
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => return Err(Refused::Exists),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 || is_terminating(&status) => {
                return Err(Refused::Gone);
            }
            Ok(Err(error)) => Trouble::of(
                &what,
                &error,
                &Rule { role: "role", group: "events.k8s.io", resource: "events", name: None, verbs: &[verb] },
            ),
            Err(_) => Trouble::silence(&what, WRITE_TIMEOUT),
        };
        if teller.trouble(trouble.reason, Instant::now()) {
            tracing::warn!("{trouble}");
        }
        Err(Refused::Otherwise)
    }
}

/// Why an event is not taken.
enum Refused {
    /// There is one of its name.
    Exists,
    /// Its namespace is gone, or goes.
    Gone,
    /// Which was said.
    Otherwise,
}

fn is_terminating(status: &kube::core::Status) -> bool {
    status.code == 403 && status.message.contains("being terminated")
}

fn object(event: &Event, instance: &str, now: MicroTime) -> Object {
    let Regarding { kind, namespace, name, uid } = &event.regarding;
    let what = format!("{kind:?} {uid} {:?} {}", event.reason, event.note);
    let id = Revision::of(what.as_bytes()).to_string();
    let (api_version, kind) = match kind {
        Kind::UpstreamGroup => (format!("{GROUP}/{VERSION}"), KIND),
        Kind::Ingress => ("networking.k8s.io/v1".to_owned(), "Ingress"),
        Kind::Service => ("v1".to_owned(), "Service"),
    };
    Object {
        action: Some(event.reason.action().into()),
        event_time: Some(now),
        metadata: ObjectMeta {
            // A name has at most 253 bytes, of which the digits and the dot take 17.
            name: Some(format!("{}.{}", shortened(name, 236), &id[..16])),
            namespace: Some(namespace.to_string()),
            ..ObjectMeta::default()
        },
        note: Some(shortened(&event.note, NOTE)),
        reason: Some(format!("{:?}", event.reason)),
        regarding: Some(ObjectReference {
            api_version: Some(api_version),
            kind: Some(kind.into()),
            name: Some(name.to_string()),
            namespace: Some(namespace.to_string()),
            uid: Some(uid.to_string()),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(instance.into()),
        type_: Some(if event.reason.is_normal() { "Normal" } else { "Warning" }.into()),
        ..Object::default()
    }
}

fn shortened(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}
