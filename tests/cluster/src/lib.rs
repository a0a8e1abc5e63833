//! A real Kubernetes for the tests: etcd and the API server ([`Cluster::light`], 3 s), or a whole node as well
//! ([`Cluster::node`], 6 s), in namespaces of their own. Nothing of it is seen from outside and nothing outlives the test:
//! everything hangs on a pipe, and when the test is gone, however it went, the kernel ends the rest.
//!
//! The programs come from the folder that `tests/cluster/build` makes once. Needs root, for the namespaces. What is missing is
//! a loud skip on a laptop and a failure where `CI=true` ([`required`]).

mod certificates;
pub mod clock;
mod cluster;
mod cut;
pub mod forebay;
pub mod image;
mod installed;
mod kubectl;
mod load;
mod namespaces;
mod node;
mod pods;
mod process;
mod seen;
mod tools;
mod wait;

pub use cluster::{ADDRESS, Cluster, Part};
pub use forebay::Forebay;
pub use installed::{Installed, NAMESPACE};
pub use kubectl::{Kubectl, Said};
pub use load::{Answer, Connections, Load, Served, get, request};
pub use namespaces::{Form, Namespaces};
pub use node::POD_IMAGE;
pub use process::Process;
pub use seen::Seen;
pub use tools::{Tools, required};
pub use wait::{PATIENCE, until, within};
