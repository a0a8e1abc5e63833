//! `ConfigMap`s: their metadata are watched, as most of them are nobody's business here and may be large, and the content of
//! those that are named is fetched whenever their metadata change.
//!
//! It is fetched by a list of one object, which takes no other right than the watch.

use std::io;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PartialObjectMeta, WatchParams};
use kube::core::{DeserializeGuard, Request};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Error, Resource as _};
use tokio::sync::watch;
use tokio::time::timeout;
use translate::ByName;
use translate::kind::{name, namespace};

use super::lasting;
use crate::index::{Place, Told};

/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(30);

type Metadata = Event<PartialObjectMeta<ConfigMap>>;

/// The events of `ConfigMap`s in a place, with the content of those that are wanted. After an error the event that it was of
/// comes again.
pub fn config_maps(
    client: Client,
    place: &Place,
    wanted: watch::Receiver<ByName<()>>,
) -> impl Stream<Item = watcher::Result<Event<Told<ConfigMap>>>> {
    let api: Api<PartialObjectMeta<ConfigMap>> = match place {
        Place::Everywhere => Api::all(client.clone()),
        Place::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
    };
    let metadata = Box::pin(watcher(api, lasting()));
    let place = place.clone();
    stream::unfold((metadata, None::<Metadata>), move |(mut metadata, left)| {
        let (client, wanted, place) = (client.clone(), wanted.clone(), place.clone());
        async move {
            let event = match left {
                Some(event) => event,
                None => match metadata.next().await? {
                    Ok(event) => event,
                    Err(error) => return Some((Err(in_words(&client, &place, error).await), (metadata, None))),
                },
            };
            match fill(&client, &wanted, &event).await {
                Ok(told) => Some((Ok(told), (metadata, None))),
                Err(error) => Some((Err(watcher::Error::InitialListFailed(error)), (metadata, Some(event)))),
            }
        }
    })
}

/// What an error is that could not be read. The API server writes its refusal of a watch of metadata over many lines, and the
/// library reads a watch line by line; asked for once, the answer is read as a whole.
async fn in_words(client: &Client, place: &Place, error: watcher::Error) -> watcher::Error {
    let (watcher::Error::WatchStartFailed(Error::SerdeError(_)) | watcher::Error::WatchFailed(Error::SerdeError(_))) =
        &error
    else {
        return error;
    };
    let namespace = match place {
        Place::Everywhere => None,
        Place::Namespace(namespace) => Some(&**namespace),
    };
    let params = WatchParams::default().timeout(1).disable_bookmarks();
    let Ok(request) = Request::new(ConfigMap::url_path(&(), namespace)).watch(&params, "0") else { return error };
    match client.request_text(request).await {
        Err(refused @ Error::Api(_)) => watcher::Error::WatchFailed(refused),
        Ok(_) | Err(_) => error,
    }
}

async fn fill(
    client: &Client,
    wanted: &watch::Receiver<ByName<()>>,
    event: &Metadata,
) -> Result<Event<Told<ConfigMap>>, Error> {
    let bare = |of: &PartialObjectMeta<ConfigMap>| {
        DeserializeGuard(Ok(ConfigMap { metadata: of.metadata.clone(), ..ConfigMap::default() }))
    };
    let is_wanted =
        |of: &PartialObjectMeta<ConfigMap>| wanted.borrow().find(namespace(&of.metadata), name(&of.metadata)).is_some();
    Ok(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::Delete(gone) => Event::Delete(bare(gone)),
        Event::InitApply(one) if is_wanted(one) => match fetch(client, one).await? {
            Some(whole) => Event::InitApply(whole),
            None => Event::Delete(bare(one)),
        },
        Event::Apply(one) if is_wanted(one) => match fetch(client, one).await? {
            Some(whole) => Event::Apply(whole),
            None => Event::Delete(bare(one)),
        },
        Event::InitApply(one) => Event::InitApply(bare(one)),
        Event::Apply(one) => Event::Apply(bare(one)),
    })
}

/// The whole object; `None` if it is gone.
async fn fetch(client: &Client, of: &PartialObjectMeta<ConfigMap>) -> Result<Option<Told<ConfigMap>>, Error> {
    whole(client, namespace(&of.metadata), name(&of.metadata)).await
}

/// The `ConfigMap` of this name; `None` if there is none.
pub async fn whole(client: &Client, namespace: &str, name: &str) -> Result<Option<Told<ConfigMap>>, Error> {
    let api: Api<Told<ConfigMap>> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let silent = |_| Error::Service(Box::new(io::Error::from(io::ErrorKind::TimedOut)));
    let mut found = timeout(PATIENCE, api.list(&params)).await.map_err(silent)??.items.pop();
    if let Some(DeserializeGuard(Ok(map))) = &mut found {
        // One without any is not one whose content was not fetched.
        map.data.get_or_insert_default();
    }
    Ok(found)
}
