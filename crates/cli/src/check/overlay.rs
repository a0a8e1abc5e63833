//! Files over the objects of a cluster, as applying them would leave it: an object of a file takes the place of the
//! cluster's, and keeps what the API server does not let anybody change.

use std::sync::Arc;

use api::UpstreamGroup;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use translate::document::Documents;
use translate::{Located, Objects, Store};

/// The cluster's `objects` with those of `files`. Faults in the files stay theirs.
pub fn apply(objects: &Objects, files: Documents) -> Documents {
    let mut over = files.objects;
    keep(&mut over.upstream_groups, &objects.upstream_groups, |held: &UpstreamGroup, new: &mut UpstreamGroup| {
        keep_identity(&held.metadata, &mut new.metadata);
        new.status.clone_from(&held.status);
    });
    keep(&mut over.ingresses, &objects.ingresses, |held: &Ingress, new: &mut Ingress| {
        keep_identity(&held.metadata, &mut new.metadata);
    });
    let mut all = objects.with(&over);
    // What is refused in a file leaves what the cluster has.
    let known = all.references();
    all.refused.extend(over.refused.into_iter().filter(|object| !known.contains(object)));
    Documents { objects: all, diagnostics: files.diagnostics, apart: files.apart }
}

fn keep<T: Clone>(over: &mut Store<T>, held: &Store<T>, keep: impl Fn(&T, &mut T)) {
    for ((namespace, name), held) in held.iter() {
        if let Some(new) = over.find_mut(&namespace, &name) {
            let mut kept = Located::clone(new);
            keep(&held.object, &mut kept.object);
            *new = Arc::new(kept);
        }
    }
}

/// The age decides which of two Ingresses has a path.
fn keep_identity(held: &ObjectMeta, new: &mut ObjectMeta) {
    new.uid.clone_from(&held.uid);
    new.creation_timestamp.clone_from(&held.creation_timestamp);
}
