//! The content of Secrets and `ConfigMap`s that are named and came without it: of `ConfigMap`s the metadata are watched, as most
//! of them are nobody's business here and may be large, and of Secrets the content was thrown away while nothing named them.
//!
//! It is fetched by a list of one object, which takes no other right than the watch, and no longer however many there are.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, Error};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use translate::Name;

use super::{Relay, Step, Watches};
use crate::connect::SILENCE;
use crate::index::{Kept, Place, Told, Wishes};

/// How long a fetch may take: longer than an API server that cannot be reached is silent, which then is no matter of one object.
const PATIENCE: Duration = Duration::from_secs(SILENCE.as_secs() + 5);
/// Fetches of one kind under way at a time.
const AT_ONCE: usize = 16;

impl Watches {
    /// Fetches what is asked for of one kind, each wish by a task of its own that lasts until it is granted or withdrawn. Returns
    /// when nobody asks any more.
    pub(super) async fn fetch<K>(self: Arc<Self>, mut asked: watch::Receiver<Option<Wishes>>)
    where
        K: Kept + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        let mut begun: BTreeMap<(Name, u64), AbortHandle> = BTreeMap::new();
        loop {
            let wishes = asked.borrow_and_update().clone().unwrap_or_default();
            begun.retain(|(name, round), task| {
                let is_wished = wishes.get(name) == Some(round);
                if !is_wished {
                    task.abort();
                }
                is_wished
            });
            for wish in wishes {
                let (this, room) = (self.clone(), room.clone());
                begun
                    .entry(wish)
                    .or_insert_with_key(|(name, round)| tasks.spawn(this.grant::<K>(name.clone(), *round, room)));
            }
            while tasks.try_join_next().is_some() {}
            if asked.changed().await.is_err() {
                return;
            }
        }
    }

    /// Fetches one object, however often it takes.
    async fn grant<K>(self: Arc<Self>, name: Name, round: u64, room: Arc<Semaphore>)
    where
        K: Kept + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let place = self.scope.places().into_iter().find(|place| place.holds(&name.0)).unwrap_or(Place::Everywhere);
        let mut relay = Relay::new(&self, place);
        loop {
            let found = {
                let _permit = room.acquire().await;
                whole::<K>(&self.client, &name.0, &name.1).await
            };
            match found {
                Ok(told) => {
                    relay.recovered::<K>();
                    let _ = self.steps.send(Step::new(move |index| index.fetched::<K>(&name, round, told))).await;
                    return;
                }
                Err(error) => {
                    let is_excused = relay.trouble::<K>(&watcher::Error::InitialListFailed(error));
                    if is_excused {
                        let name = name.clone();
                        let step = Step::new(move |index| index.give_up::<K>(&name, round));
                        if self.steps.send(step).await.is_err() {
                            return;
                        }
                    }
                    relay.rest().await;
                }
            }
        }
    }
}

/// The object of this name; `None` if there is none.
pub async fn whole<K>(client: &Client, namespace: &str, name: &str) -> Result<Option<Told<K>>, Error>
where
    K: Kept + kube::Resource<Scope = NamespaceResourceScope>,
{
    let api: Api<Told<K>> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let silent = |_| Error::Service(Box::new(io::Error::from(io::ErrorKind::TimedOut)));
    let mut found = timeout(PATIENCE, api.list(&params)).await.map_err(silent)??.items.pop();
    if let Some(Ok(object)) = found.as_mut().map(|told| &mut told.0) {
        object.fill();
    }
    Ok(found)
}
