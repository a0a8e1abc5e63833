//! What the publisher asks of the watches of kinds that are kept in part: to list anew, and which `ConfigMap`s to fetch.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tokio::sync::watch;
use translate::ByName;
use translate::kind::Kind as _;

/// Asks.
pub struct Asks {
    secrets: watch::Sender<()>,
    config_maps: watch::Sender<ByName<()>>,
}

/// Is asked.
#[derive(Clone)]
pub struct Asked {
    pub(super) secrets: watch::Receiver<()>,
    /// Those whose content is wanted; a change is to be noticed only when it takes a new list.
    pub(super) config_maps: watch::Receiver<ByName<()>>,
}

/// Both ends.
pub fn asks() -> (Asks, Asked) {
    let (secrets, secrets_asked) = watch::channel(());
    let (config_maps, config_maps_asked) = watch::channel(ByName::default());
    (Asks { secrets, config_maps }, Asked { secrets: secrets_asked, config_maps: config_maps_asked })
}

impl Asks {
    /// Says which `ConfigMap`s are wanted, and which kinds are to be listed anew.
    pub fn tell(&self, config_maps: &ByName<()>, anew: &BTreeSet<&'static str>) {
        self.config_maps.send_if_modified(|wanted| {
            if wanted != config_maps {
                wanted.clone_from(config_maps);
            }
            anew.contains(ConfigMap::KIND)
        });
        if anew.contains(Secret::KIND) {
            self.secrets.send_replace(());
        }
    }
}
