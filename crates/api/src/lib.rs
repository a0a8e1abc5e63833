//! The Kubernetes API of Forebay: `UpstreamGroup` as types, the CRD generated from them, and the CRD's own rules evaluated in
//! process, so that `forebay check` and the API server give one verdict.
//!
//! This crate knows the shape of objects and nothing of what they mean to a data plane: texts such as durations are held as
//! their author wrote them, within a pattern that leaves nothing for a later parser to refuse. Every default is structural,
//! so an object read back from a cluster shows the values that apply.

// The comments of API fields are the CRD's descriptions, read in a terminal: they carry no markup.
#![allow(clippy::doc_markdown, reason = "the docs become descriptions in the CRD, which kubectl prints as plain text")]

mod condition;
mod crd;
mod group;
mod headers;
mod keepalive;
mod method;
mod protocol;
mod retry;
mod rules;
mod server;
mod status;
mod sticky;
mod text;
mod timeouts;

pub use condition::{ConditionFact, ConditionReason, ConditionStatus, ConditionType, set_condition};
pub use crd::{crd, crd_schema, crd_yaml};
pub use group::{GROUP, KIND, UpstreamGroup, UpstreamGroupSpec, VERSION};
pub use headers::{RequestHeaders, SetHeader};
pub use keepalive::Keepalive;
pub use method::{Hash, LeastTime, Measure, Method, MethodType, Random, RandomChoices};
pub use protocol::{CaReference, CaReferenceKind, Protocol, SecretReference, UpstreamTls};
pub use retry::{NextUpstream, NextUpstreamCondition};
pub use rules::{Violation, apply_defaults, violations};
pub use server::{ADDRESS_PATTERN, DnsTarget, Server, ServiceTarget, WeightMode};
pub use status::{
    ActiveTier, DataPlanes, FailureReason, LastFailure, ServerState, ServerStatus, Summary, UpstreamGroupStatus,
};
pub use sticky::{SameSite, Sticky, StickyCookie, StickyLearn, StickyRoute};
pub use text::{CookieLifetime, Duration, Seconds, Size};
pub use timeouts::{RequestBuffering, Timeouts};
