//! `ConfigMap`s, watched by their metadata.

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{PartialObjectMeta, WatchParams};
use kube::core::{DeserializeGuard, Request};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Error, Resource as _};

use super::lasting;
use crate::index::{Place, Told};

/// The events of `ConfigMap`s in a place, none of them with its content.
pub fn config_maps(client: Client, place: &Place) -> impl Stream<Item = watcher::Result<Event<Told<ConfigMap>>>> {
    let api: Api<PartialObjectMeta<ConfigMap>> = place.api(&client);
    let place = place.clone();
    watcher(api, lasting()).then(move |event| {
        let (client, place) = (client.clone(), place.clone());
        async move {
            match event {
                Ok(event) => Ok(bare(event)),
                Err(error) => Err(in_words(&client, &place, error).await),
            }
        }
    })
}

fn bare(event: Event<PartialObjectMeta<ConfigMap>>) -> Event<Told<ConfigMap>> {
    let bare = |of: PartialObjectMeta<ConfigMap>| {
        DeserializeGuard(Ok(ConfigMap { metadata: of.metadata, ..ConfigMap::default() }))
    };
    match event {
        Event::Init => Event::Init,
        Event::InitApply(one) => Event::InitApply(bare(one)),
        Event::InitDone => Event::InitDone,
        Event::Apply(one) => Event::Apply(bare(one)),
        Event::Delete(one) => Event::Delete(bare(one)),
    }
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
