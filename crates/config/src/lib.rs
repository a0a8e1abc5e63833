//! The declarative model of groups, servers, routes and policies: what a data plane is told, wherever it came from.
//!
//! One serde schema is the wire, the file and the cache. The types cannot be wrong: whatever can be refused is refused when
//! a value is made, with a [`Diagnostic`] that says what, where and how to mend it. This crate does no IO, knows no
//! Kubernetes object and no socket.

mod address;
mod brief;
mod certificate;
mod diagnostic;
pub mod dns;
mod duration;
mod group;
mod id;
mod resource;
mod revision;
mod route;
mod size;
mod snapshot;
mod sticky;
pub mod template;
pub mod text;
mod tls;
mod weight;
mod zone;

pub use address::{Address, AddressError};
pub use balance::{Availability, MOST_RING_WEIGHT, Tier};
pub use certificate::{Certificate, PrivateKey};
pub use diagnostic::{Code, Diagnostic, Location, ObjectRef, Severity, listed, nearest};
pub use duration::{DurationError, Millis, parse_duration};
pub use group::{
    Condition, Group, Keepalive, LeastTimeMeasure, Method, NextUpstream, Pod, Protocol, RequestHeaders, Server,
    SetHeader, Timeouts,
};
pub use id::{CertificateId, GroupId, IdError};
pub use resource::{Resource, ResourceError, ResourceKey, ResourceKeyError};
pub use revision::{Revision, RevisionError};
pub use route::{HostPattern, HostPatternError, HostRoutes, PathMatch, PathRoute, Routes, Target};
pub use size::{SizeError, parse_size};
pub use snapshot::Config;
pub use sticky::{CookieLifetime, SameSite, Sticky, StickyCookie, StickyLearn, StickyRoute};
pub use template::{Phase, Template, TemplateError};
pub use tls::{ServerName, ServerNameError, ServerTls, Trust};
pub use weight::{LineWeight, WeightMode, weigh};
