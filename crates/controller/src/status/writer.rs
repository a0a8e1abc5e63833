//! Server-side apply on the status subresource: the whole of what is ours, every time, with our own field manager; what
//! others own stays theirs. The object's UID goes along, so that an object made again under the name gets nothing of the old.

use std::error::Error;
use std::sync::Arc;

use api::{ServerStatus, UpstreamGroup, UpstreamGroupStatus};
use http::StatusCode;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerIngress};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, Request};
use kube::client::Body;
use kube::{Client, Resource};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::lease::WRITE_TIMEOUT;
use crate::trouble::{Reason, Rule, Teller, Trouble};

/// Who owns what is written.
pub const FIELD_MANAGER: &str = "forebay-controller";

/// What an API server that is too busy is given when it does not say how long.
const BUSY_SECONDS: u64 = 5;

/// And at most, whatever it says: a status is not to be silent for hours.
const BUSY_SECONDS_MAX: u64 = 300;

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
        /// Every server, of which the status lists the worst; `None` if the fleet was not heard.
        servers: Option<Vec<ServerStatus>>,
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

/// Kind, namespace and name.
type Name = (String, String, String);

/// Why a write failed: the outcome, the status of the answer if there was one, and what to say.
type Refusal = (Outcome, Option<StatusCode>, Trouble);

/// What is common to all writes that fail alike: the kind, and why.
type Alike = (String, Reason, Option<StatusCode>);

/// Writes one after another.
pub struct Writer {
    client: Client,
    groups: ApiResource,
    ingresses: ApiResource,
    /// What is wrong, kind by kind, and the object it began with.
    troubles: Vec<(Alike, Name, Teller)>,
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
        Self { client, groups, ingresses: ApiResource::erase::<Ingress>(&()), troubles: Vec::new() }
    }

    /// Writes, and says once per kind and reason why it cannot be done, until the object of which it was said is written.
    pub async fn write(&mut self, write: &Write) -> Outcome {
        let resource = match &write.status {
            Status::Group { .. } => &self.groups,
            Status::Ingress { .. } => &self.ingresses,
        };
        let object = (resource.kind.clone(), write.namespace.clone(), write.name.clone());
        let what = format!("the status of {} {}/{} is not written", resource.kind, write.namespace, write.name);
        let answer = tokio::time::timeout(WRITE_TIMEOUT, self.send(resource, write, &what)).await;
        let (outcome, code, trouble) = match answer {
            Ok(Ok(())) => {
                self.troubles.retain(|(_, began_with, _)| *began_with != object);
                return Outcome::Written;
            }
            Ok(Err(refusal)) => refusal,
            Err(_) => (Outcome::TimedOut, None, Trouble::silence(&what, WRITE_TIMEOUT)),
        };
        match outcome {
            Outcome::Written | Outcome::Gone | Outcome::Conflict => {}
            Outcome::Throttled(_) | Outcome::TimedOut | Outcome::Failed => self.say(object, code, &trouble),
        }
        outcome
    }

    fn say(&mut self, object: Name, code: Option<StatusCode>, trouble: &Trouble) {
        let alike = (object.0.clone(), trouble.reason, code);
        let known = self.troubles.iter().position(|(known, ..)| *known == alike);
        let at = known.unwrap_or_else(|| {
            self.troubles.push((alike, object, Teller::default()));
            self.troubles.len() - 1
        });
        if self.troubles[at].2.trouble(trouble.reason, Instant::now()) {
            tracing::warn!("{trouble}");
        }
    }

    /// The request itself, past kube's typed calls: they keep `Retry-After` to themselves.
    async fn send(&self, resource: &ApiResource, write: &Write, what: &str) -> Result<(), Refusal> {
        let subresource = format!("{}/status", resource.plural);
        let rule = Rule { role: "role", group: &resource.group, resource: &subresource, name: None, verbs: &["patch"] };
        let failed = |error: kube::Error| (Outcome::Failed, None, Trouble::of(what, &error, &rule));
        let broken =
            |error: &dyn Error| (Outcome::Failed, None, Trouble::told(what, Reason::Broken, &error.to_string(), &rule));
        let url = DynamicObject::url_path(resource, Some(&write.namespace));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body(resource, write));
        let request = Request::new(url).patch_subresource("status", &write.name, &params, &patch);
        let request = request.map_err(|error| broken(&error))?.map(Body::from);
        let (head, body) = self.client.send(request).await.map_err(failed)?.into_parts();
        // Read to its end, or the connection is not used again.
        let body = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
        if head.status.is_success() {
            return Ok(());
        }
        let wait = head.headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()).and_then(|wait| wait.parse().ok());
        let detail = match serde_json::from_slice::<kube::core::Status>(&body) {
            Ok(status) => format!("{} ({})", status.message, head.status),
            Err(_) => head.status.to_string(),
        };
        let reason = Reason::of_code(head.status.as_u16());
        Err((judge(head.status, wait), Some(head.status), Trouble::told(what, reason, &detail, &rule)))
    }
}

/// What an answer that is not a success means. `wait` is what its `Retry-After` says.
fn judge(code: StatusCode, wait: Option<u64>) -> Outcome {
    match code {
        StatusCode::NOT_FOUND => Outcome::Gone,
        StatusCode::CONFLICT => Outcome::Conflict,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Outcome::Throttled(wait.unwrap_or(BUSY_SECONDS).clamp(1, BUSY_SECONDS_MAX))
        }
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
