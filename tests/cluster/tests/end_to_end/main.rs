//! Controllers and data planes together, as processes beside a real API server, with the rights and tokens of the manifests. There
//! is no kubelet: the tests write the EndpointSlices, and their servers are the pods.
//!
//! Clocks that differ between replicas are not here, because all replicas have the machine's: the simulation of the lease
//! (`controller/src/lease/simulation.rs`) has them.

mod commands;
mod cut;
mod dies;
mod follows;
mod may;
mod narrow;
mod objects;
mod own;
mod rig;
mod secrets;
mod survives;
