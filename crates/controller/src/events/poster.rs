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

use super::{Again, Event, Kind, Regarding};
use crate::lease::WRITE_TIMEOUT;

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
    failed: bool,
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
        Self { client, instance: shortened(instance, INSTANCE), counts: BTreeMap::new(), failed: false }
    }

    /// Tells an event. An event that cannot be told is lost: the status says the same.
    pub async fn post(&mut self, event: &Event, now: Timestamp) -> Posted {
        let problem = match tokio::time::timeout(WRITE_TIMEOUT, self.try_post(event, MicroTime(now))).await {
            Ok(Ok(posted)) => {
                self.failed = false;
                return posted;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {WRITE_TIMEOUT:?}"),
        };
        if !self.failed {
            tracing::warn!("an event {:?} is not recorded: {problem}", event.reason);
            self.failed = true;
        }
        Posted::Failed
    }

    async fn try_post(&mut self, event: &Event, now: MicroTime) -> Result<Posted, kube::Error> {
        let events: Api<Object> = Api::namespaced(self.client.clone(), &event.regarding.namespace);
        let object = object(event, &self.instance, now.clone());
        let name = object.metadata.name.clone().unwrap_or_default();
        match events.create(&PostParams::default(), &object).await {
            Ok(_) => Ok(Posted::Created),
            Err(kube::Error::Api(status)) if status.code == 409 && event.again == Again::Counts => {
                if self.counts.len() >= SERIES {
                    self.counts.clear();
                }
                let count = self.counts.entry(name.clone()).or_insert(1);
                *count += 1;
                let series = EventSeries { count: *count, last_observed_time: now };
                let patch = Patch::Merge(json!({ "series": series }));
                events.patch(&name, &PatchParams::default(), &patch).await?;
                Ok(Posted::Counted)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Posted::Known),
            // Its namespace is being deleted: nobody is left to tell.
            Err(kube::Error::Api(status)) if status.code == 404 || is_terminating(&status) => Ok(Posted::Known),
            Err(error) => Err(error),
        }
    }
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
