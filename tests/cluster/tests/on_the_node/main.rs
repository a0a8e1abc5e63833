//! The product on a node, as it is installed: `manifests/` by kubectl, pods from the image of the Dockerfile, applications
//! behind Services, requests from outside of the cluster. Only a kubelet rolls out, probes, restarts and gives addresses a
//! second time.
//!
//! A node costs seconds and a gigabyte, so there are few tests, each with a node of its own and many scenarios on it, in
//! namespaces of their own. What needs no pods is in `end_to_end`.

mod backends;
mod bad;
mod certificates;
mod clocks;
mod cut;
mod objects;
mod one_pod;
mod ourselves;
mod quiet;
mod readme;
mod rig;
mod zones;
