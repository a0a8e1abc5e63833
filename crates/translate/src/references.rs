//! The Secrets and `ConfigMap`s that objects name, each in its own namespace. Of these kinds nothing else is read, and whoever
//! follows a cluster need not keep the rest.

use api::{CaReferenceKind, UpstreamGroup};
use k8s_openapi::api::networking::v1::Ingress;

use crate::by_name::ByName;
use crate::document::Objects;

/// What is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Secrets.
    pub secrets: ByName<()>,
    /// `ConfigMap`s.
    pub config_maps: ByName<()>,
}

/// One name, and of which kind.
pub type Reference<'o> = (CaReferenceKind, &'o str);

impl References {
    /// By the Ingresses and groups among these objects.
    pub fn of(objects: &Objects) -> Self {
        let mut all = Self::default();
        for ((namespace, _), ingress) in objects.ingresses.iter() {
            all.extend(&namespace, of_ingress(ingress));
        }
        for ((namespace, _), group) in objects.upstream_groups.iter() {
            all.extend(&namespace, of_group(group));
        }
        all
    }

    /// Adds what an object of `namespace` names.
    pub fn extend<'o>(&mut self, namespace: &str, named: impl IntoIterator<Item = Reference<'o>>) {
        for (kind, name) in named {
            match kind {
                CaReferenceKind::Secret => self.secrets.insert(namespace, name, ()),
                CaReferenceKind::ConfigMap => self.config_maps.insert(namespace, name, ()),
            };
        }
    }

    /// Adds what others name.
    pub fn add(&mut self, others: &Self) {
        for (all, others) in [(&mut self.secrets, &others.secrets), (&mut self.config_maps, &others.config_maps)] {
            for ((namespace, name), ()) in others.iter() {
                all.insert(&namespace, &name, ());
            }
        }
    }

    /// Whether any of what an object of `namespace` names is among these.
    pub fn has_any<'o>(&self, namespace: &str, named: impl IntoIterator<Item = Reference<'o>>) -> bool {
        named.into_iter().any(|(kind, name)| {
            let all = match kind {
                CaReferenceKind::Secret => &self.secrets,
                CaReferenceKind::ConfigMap => &self.config_maps,
            };
            all.find(namespace, name).is_some()
        })
    }

    /// Whether nothing is named.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.config_maps.is_empty()
    }
}

/// What a group names: the certificate it shows, the authorities it believes.
pub fn of_group(group: &UpstreamGroup) -> Vec<Reference<'_>> {
    let tls = group.spec.tls.as_ref();
    let shown = tls.and_then(|tls| tls.client_certificate_ref.as_ref());
    let authorities = tls.and_then(|tls| tls.ca_certificate_ref.as_ref());
    let shown = shown.map(|shown| (CaReferenceKind::Secret, shown.name.as_str()));
    shown.into_iter().chain(authorities.map(|authorities| (authorities.kind, authorities.name.as_str()))).collect()
}

/// What an Ingress names: the certificates of its hosts.
pub fn of_ingress(ingress: &Ingress) -> Vec<Reference<'_>> {
    let entries = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
    let named = entries.filter_map(|entry| entry.secret_name.as_deref()).filter(|name| !name.is_empty());
    named.map(|name| (CaReferenceKind::Secret, name)).collect()
}
