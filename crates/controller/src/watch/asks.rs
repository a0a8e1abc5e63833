//! What the publisher asks of the watches of kinds that are kept in part: the content of which objects to fetch.

use tokio::sync::watch;

use crate::index::Wishes;

/// Asks.
pub struct Asks {
    secrets: watch::Sender<Option<Wishes>>,
    config_maps: watch::Sender<Option<Wishes>>,
}

/// Is asked; nothing before it is known what is named.
#[derive(Clone)]
pub struct Asked {
    pub(super) secrets: watch::Receiver<Option<Wishes>>,
    pub(super) config_maps: watch::Receiver<Option<Wishes>>,
}

/// Both ends.
pub fn asks() -> (Asks, Asked) {
    let (secrets, secrets_asked) = watch::channel(None);
    let (config_maps, config_maps_asked) = watch::channel(None);
    (Asks { secrets, config_maps }, Asked { secrets: secrets_asked, config_maps: config_maps_asked })
}

impl Asks {
    /// Asks for these Secrets and `ConfigMap`s, and for no others any more.
    pub fn tell(&self, [secrets, config_maps]: [Wishes; 2]) {
        for (asked, wishes) in [(&self.secrets, secrets), (&self.config_maps, config_maps)] {
            asked.send_if_modified(|asked| {
                let wishes = Some(wishes);
                let differs = *asked != wishes;
                *asked = wishes;
                differs
            });
        }
    }
}
