//! The serving certificate of the feed: signed by a CA that the replicas make and share in a Secret, or read from files.
//!
//! The CA's bundle is published in a ConfigMap, which proxies mount and read again. Every replica signs a certificate of its own,
//! for a day, and keeps its key in memory. When a CA is replaced is [`plan`]; what the Secret holds is [`held`].
//!
//! Replicas race, and nobody's newer state is overwritten: objects are created, or replaced with the `resourceVersion` that was
//! read; after a conflict everything is looked at anew. The ConfigMap is read before the Secret, so that a bundle can only be
//! replaced by one that was made of what the Secret held later. While the API server is out of reach, the CA read last goes
//! on signing.
//!
//! RBAC: `get` and `update` of the two objects by name, and `create` of secrets and configmaps in the own namespace.

mod authority;
mod files;
mod held;
pub mod plan;
#[cfg(test)]
mod simulation;
mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::serve::{Tls, TlsError};
use crate::trouble::Teller;
use authority::Leaf;
use held::{Damage, Held};
use plan::{Step, step};
use store::{Store, StoreError};

pub use authority::Names;
pub use files::{Files, FilesError};

/// Between two looks: a person who deletes the Secret, or another replica that rotated, is followed within this time.
const EVERY: Duration = Duration::from_mins(1);

/// After something failed.
const RETRY: Duration = Duration::from_secs(5);

/// Conflicts in a row after which a look is over; more are no race between replicas.
const CONFLICTS: u32 = 10;

/// What the self-made CA needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where both objects are.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The ConfigMap's.
    pub config_map: String,
    /// What certificates are for.
    pub names: Names,
    /// PEM file, of whom client certificates are taken; read again at every look.
    pub client_ca: Option<PathBuf>,
}

/// Keeps the CA, the bundle and this replica's certificate.
pub struct Keeper {
    store: Store,
    options: Options,
    clock: Clock,
    /// What the Secret held when it was read last.
    held: Option<Held>,
    serving: Option<Serving>,
    /// By what went wrong: its class, or the words.
    teller: Teller<String>,
}

/// The certificate in use, and what it was made with.
struct Serving {
    leaf: plan::Span,
    ca: String,
    client_ca: Option<Vec<u8>>,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum CaTrouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "Secret {name} holds a CA that cannot be used ({damage}); it is not replaced, because proxies may trust it: mend it, or \
         have a new one made with: kubectl -n {namespace} delete secret {name}"
    )]
    Damaged { namespace: String, name: String, damage: Damage },
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    ClientCa(#[from] FilesError),
}

impl Keeper {
    /// Looks at nothing yet.
    pub fn new(client: Client, options: Options, clock: Clock) -> Self {
        let store = Store::new(client, &options.namespace, &options.secret, &options.config_map);
        Self { store, options, clock, held: None, serving: None, teller: Teller::default() }
    }

    /// Sends a certificate as soon as there is one, and each that replaces it, until `stop`.
    pub async fn keep(mut self, tls: watch::Sender<Option<Arc<Tls>>>, stop: CancellationToken) {
        loop {
            let Some(looked) = stop.run_until_cancelled(self.look()).await else { return };
            // Whatever the API server says: a certificate ends when it ends.
            let served = self.serve(&tls);
            let trouble = looked.and(served).err();
            let wait = if trouble.is_some() { RETRY } else { EVERY };
            self.say(trouble.as_ref());
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Brings the Secret, the ConfigMap and what is known of them up to date.
    async fn look(&mut self) -> Result<(), CaTrouble> {
        let mut conflicts = 0;
        loop {
            match self.look_once().await {
                Err(CaTrouble::Store(StoreError::Conflict(_))) if conflicts < CONFLICTS => conflicts += 1,
                Err(trouble) => return Err(trouble),
                Ok(Step::Rest) => return Ok(()),
                // Something was written: what it is now is read like anybody else's.
                Ok(Step::Make | Step::Announce | Step::Promote) => {}
            }
        }
    }

    async fn look_once(&mut self) -> Result<Step, CaTrouble> {
        let published = self.store.config_map().await?;
        let secret = self.store.secret().await?;
        let now = self.clock.wall();
        let held = secret.as_ref().map(|secret| self.read(secret)).transpose()?;
        if let Some(held) = &held {
            self.store.publish(published, held.bundle(now)).await?;
        }
        let step = step(held.as_ref().map(Held::outline), now);
        if step == Step::Rest {
            self.held = held;
            return Ok(step);
        }
        let until = held.as_ref().map(|held| held.current.certificate.span.until);
        let next = match held {
            Some(held) => held.take(step, now)?,
            None => Held::make(now)?,
        };
        self.store.write(secret, &next).await?;
        self.tell(step, until);
        Ok(step)
    }

    fn read(&self, secret: &Secret) -> Result<Held, CaTrouble> {
        let Options { namespace, secret: name, .. } = &self.options;
        let read = Held::read(&secret.data.clone().unwrap_or_default());
        let (held, damages) =
            read.map_err(|damage| CaTrouble::Damaged { namespace: namespace.clone(), name: name.clone(), damage })?;
        for damage in damages {
            tracing::warn!("Secret {name}: {damage}; it is left out");
        }
        Ok(held)
    }

    /// Sends a certificate if the one in use is old, of another CA, or of another trust in clients.
    fn serve(&mut self, tls: &watch::Sender<Option<Arc<Tls>>>) -> Result<(), CaTrouble> {
        let Some(Held { current, .. }) = &self.held else { return Ok(()) };
        let client_ca = self.options.client_ca.as_deref().map(files::client_ca).transpose()?;
        let now = self.clock.wall();
        let ca = &current.certificate.pem;
        let still_good = |serving: &Serving| {
            serving.ca == *ca
                && serving.client_ca == client_ca
                && now < serving.leaf.renewal()
                && now >= serving.leaf.from
        };
        if self.serving.as_ref().is_some_and(still_good) {
            return Ok(());
        }
        let Leaf { chain, key, span } = current.issue(&self.options.names, now)?;
        tls.send_replace(Some(Arc::new(Tls::new(chain, key, client_ca.as_deref())?)));
        tracing::info!("the feed has a new certificate, until {:.0}", span.until);
        self.serving = Some(Serving { leaf: span, ca: ca.clone(), client_ca });
        Ok(())
    }

    /// Says what was done; the CA that signed before ends at `until`.
    fn tell(&self, step: Step, until: Option<Timestamp>) {
        let secret = &self.options.secret;
        match (step, until) {
            (Step::Make, None) if self.held.is_some() => {
                tracing::warn!(
                    "Secret {secret} was deleted: a new CA was made; proxies trust it when they read the bundle again"
                );
            }
            (Step::Make, None) => tracing::info!("there was no Secret {secret}: a CA was made"),
            (Step::Make, Some(until)) => {
                tracing::warn!("the CA in Secret {secret} expired at {until:.0}: a new one was made");
            }
            (Step::Announce, until) => {
                let until = until.unwrap_or_default();
                tracing::info!("the CA in Secret {secret} ends at {until:.0}: the next one is announced");
            }
            (Step::Promote, _) => tracing::info!("the CA that was announced in Secret {secret} signs from now on"),
            (Step::Rest, _) => {}
        }
    }

    /// Says a trouble once, and when it is over.
    fn say(&mut self, trouble: Option<&CaTrouble>) {
        let Some(trouble) = trouble else {
            if self.teller.well().is_some() {
                tracing::info!("the CA in Secret {} is in order again", self.options.secret);
            }
            return;
        };
        let (kind, grace) = match trouble {
            // The API server has words of its own for each try.
            CaTrouble::Store(StoreError::Api(api)) => (api.reason.name().to_owned(), api.reason.grace()),
            other => (other.to_string(), Duration::ZERO),
        };
        if self.teller.hears(kind, grace, Instant::now()) {
            let consequence = if self.serving.is_some() {
                "the certificate in use stays"
            } else {
                "data planes are not served before there is a certificate"
            };
            tracing::error!("{trouble}; {consequence}");
        }
    }
}
