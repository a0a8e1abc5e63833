//! Server-side apply on the status subresource: the whole of what is ours, every time, with our own field manager; what
//! others own stays theirs. The object's UID goes along, so that an object made again under the name gets nothing of the old.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{UpstreamGroup, UpstreamGroupStatus};
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::lease::WRITE_TIMEOUT;

/// Who owns what is written.
pub const FIELD_MANAGER: &str = "forebay-controller";

/// What an API server that is too busy is given when it does not say how long.
const BUSY_SECONDS: u64 = 5;

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub status: Status,
}

/// The status of an object, and what the object had when it was made.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    Group {
        status: Box<UpstreamGroupStatus>,
        /// As the cluster told.
        had: Option<Arc<UpstreamGroupStatus>>,
        /// As the cluster will tell when it has told of every write.
        previous: Option<Arc<UpstreamGroupStatus>>,
    },
    Ingress {
        status: Vec<IngressLoadBalancerIngress>,
        had: Vec<IngressLoadBalancerIngress>,
    },
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written,
    /// The object is gone.
    Gone,
    /// Another object has its name, or somebody was faster.
    Conflict,
    /// The API server wants no writes for so many seconds.
    Throttled(u64),
    /// No answer in time.
    TimedOut,
    /// Refused, or not reached.
    Failed,
}

/// Writes one after another.
pub struct Writer {
    client: Client,
    groups: ApiResource,
    ingresses: ApiResource,
    said: BTreeSet<String>,
}

impl Outcome {
    pub const NAMES: [&str; 6] = ["written", "gone", "conflict", "throttled", "timeout", "error"];

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::Throttled(_) => "throttled",
            Self::TimedOut => "timeout",
            Self::Failed => "error",
        }
    }
}

impl Writer {
    pub fn new(client: Client) -> Self {
        let groups = ApiResource::erase::<UpstreamGroup>(&());
        Self { client, groups, ingresses: ApiResource::erase::<Ingress>(&()), said: BTreeSet::new() }
    }

    /// Writes, and says once why it cannot be done; the next success forgets what was said.
    pub async fn write(&mut self, write: &Write) -> Outcome {
        let resource = match &write.status {
            Status::Group { .. } => &self.groups,
            Status::Ingress { .. } => &self.ingresses,
        };
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &write.namespace, resource);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body(resource, write));
        let answer = tokio::time::timeout(WRITE_TIMEOUT, api.patch_status(&write.name, &params, &patch)).await;
        let (outcome, problem) = match answer {
            Ok(Ok(_)) => {
                self.said.clear();
                return Outcome::Written;
            }
            Ok(Err(error)) => (judge(&error), error.to_string()),
            Err(_) => (Outcome::TimedOut, format!("no answer within {WRITE_TIMEOUT:?}")),
        };
        let is_news = match outcome {
            Outcome::Written | Outcome::Gone | Outcome::Conflict => false,
            Outcome::Throttled(_) | Outcome::TimedOut => self.said.insert(outcome.name().into()),
            // The message names the object; the reason is what is common to all that fail alike.
            Outcome::Failed => self.said.len() < 16 && self.said.insert(problem.clone()),
        };
        if is_news {
            let Write { namespace, name, .. } = write;
            tracing::warn!("the status of {} {namespace}/{name} is not written: {problem}", resource.kind);
        }
        outcome
    }
}

fn judge(error: &kube::Error) -> Outcome {
    let kube::Error::Api(status) = error else { return Outcome::Failed };
    let seconds = status.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
    let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(BUSY_SECONDS);
    match status.code {
        404 => Outcome::Gone,
        409 => Outcome::Conflict,
        429 | 503 => Outcome::Throttled(seconds),
        _ => Outcome::Failed,
    }
}

fn body(resource: &ApiResource, write: &Write) -> Value {
    let status = match &write.status {
        Status::Group { status, .. } => json!(status),
        Status::Ingress { status, .. } if status.is_empty() => json!({ "loadBalancer": {} }),
        Status::Ingress { status, .. } => json!({ "loadBalancer": { "ingress": status } }),
    };
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": write.name, "uid": write.uid },
        "status": status,
    })
}
