//! Everything a data plane is told, with a version that depends on the content alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Certificate, CertificateId, Group, GroupId, Revision, Routes};

/// The whole configuration. Equal content has an equal [`Revision`], whoever computed it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Every group that a route, a listener or an operator may name.
    pub groups: BTreeMap<GroupId, Arc<Group>>,
    /// How requests find a group.
    pub routes: Arc<Routes>,
    /// What TLS listeners present.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<CertificateId, Arc<Certificate>>,
}

impl Config {
    /// The version of this content: that of its resources.
    pub fn revision(&self) -> Revision {
        Revision::of_parts(self.resources().map(|resource| (resource.key(), resource.revision())))
    }
}
