//! A cluster listed once: for who wants to know what a controller would publish now, and follows nothing.
//!
//! Whoever asks may be allowed less than a controller. What cannot be listed is gone on without only where that cannot
//! mislead: without Services every reference would seem to lead nowhere, so that is an error, while without Secrets
//! everything but certificates can still be told.

use std::time::Duration;

use api::UpstreamGroup;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::api::ListParams;
use kube::runtime::watcher::Event;
use kube::{Api, Client};
use tokio::time::timeout;
use translate::kind::Kind;
use translate::{Objects, References};

use crate::index::{Index, Kept, Place, Told};
use crate::trouble::{Reason, Trouble};
use crate::watch::{SECRETS, WatchScope, whole};

/// Objects asked for at a time, as `kubectl get` asks.
const PAGE: u32 = 500;
/// How long one page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was listed.
#[derive(Debug)]
pub struct Listing {
    /// The objects, and those that cannot be read.
    pub index: Index,
    /// What could not be listed, and was gone on without.
    pub left_out: Vec<LeftOut>,
}

/// A kind that could not be listed somewhere.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// What is not known for want of it.
    pub part: Part,
    /// Why, with how to mend it.
    pub trouble: Trouble,
}

/// What can be left out without misleading about the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Groups: the cluster does not know the kind, so there are none.
    Groups,
    /// Which Ingresses are ours, unless the class is given by name.
    Classes,
    /// Every route, because some Ingress was not seen.
    Routes,
    /// Certificates and authorities in Secrets.
    Certificates,
    /// Authorities in `ConfigMap`s.
    Authorities,
}

/// Lists what a controller with this scope would watch, each kind once. Of Secrets the content is kept of those alone that
/// the cluster's objects name, or those of `besides`; of `ConfigMap`s no others are asked for.
///
/// # Errors
/// The API server cannot be reached, or does not let us see what cannot be left out.
pub async fn list(client: &Client, scope: &WatchScope, besides: &Objects) -> Result<Listing, Trouble> {
    let mut lister = Lister { client, listing: Listing { index: scope.index(), left_out: Vec::new() } };
    let everything = ListParams::default().limit(PAGE);
    let places = scope.places();
    for place in &places {
        lister.list_in::<UpstreamGroup>(place, &everything).await?;
        lister.list_in::<Service>(place, &everything).await?;
        lister.list_in::<EndpointSlice>(place, &everything).await?;
        lister.list_in::<Ingress>(place, &everything).await?;
    }
    lister.list::<IngressClass>(Api::all(client.clone()), &Place::Everywhere, &everything).await?;
    lister.listing.index.settle(&References::of(besides));
    for place in &places {
        lister.list_in::<Secret>(place, &everything.clone().fields(SECRETS)).await?;
        lister.fetch_config_maps(place).await?;
    }
    Ok(lister.listing)
}

struct Lister<'c> {
    client: &'c Client,
    listing: Listing,
}

impl Lister<'_> {
    async fn list_in<K>(&mut self, place: &Place, params: &ListParams) -> Result<(), Trouble>
    where
        K: Kept + kube::Resource<Scope = NamespaceResourceScope>,
    {
        let api = place.api(self.client);
        self.list::<K>(api, place, params).await
    }

    async fn list<K: Kept>(&mut self, api: Api<Told<K>>, place: &Place, params: &ListParams) -> Result<(), Trouble> {
        let mut params = params.clone();
        self.listing.index.take::<K>(place, Event::Init);
        loop {
            let page = match timeout(PATIENCE, api.list(&params)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => return self.leave_out(K::KIND, Trouble::of_list::<K>(&error, place)),
                Err(_) => return Err(Trouble::of_silence::<K>(place, PATIENCE)),
            };
            for told in page.items {
                self.listing.index.take(place, Event::InitApply(told));
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        self.listing.index.take::<K>(place, Event::InitDone);
        Ok(())
    }

    async fn fetch_config_maps(&mut self, place: &Place) -> Result<(), Trouble> {
        self.listing.index.take::<ConfigMap>(place, Event::Init);
        let wanted = self.listing.index.wanted_config_maps().iter().map(|(name, ())| name);
        let wanted: Vec<_> = wanted.filter(|(namespace, _)| place.holds(namespace)).collect();
        for (namespace, name) in wanted {
            match whole::<ConfigMap>(self.client, &namespace, &name).await {
                Ok(found) => found.into_iter().for_each(|told| self.listing.index.take(place, Event::InitApply(told))),
                Err(error) => return self.leave_out(ConfigMap::KIND, Trouble::of_list::<ConfigMap>(&error, place)),
            }
        }
        self.listing.index.take::<ConfigMap>(place, Event::InitDone);
        Ok(())
    }

    fn leave_out(&mut self, kind: &str, trouble: Trouble) -> Result<(), Trouble> {
        match Part::without(kind, trouble.reason) {
            Some(part) => {
                self.listing.left_out.push(LeftOut { part, trouble });
                Ok(())
            }
            None => Err(trouble),
        }
    }
}

impl Part {
    /// What is left out without this kind; `None` if the rest would mislead.
    fn without(kind: &str, reason: Reason) -> Option<Self> {
        match reason {
            Reason::Missing => (kind == UpstreamGroup::KIND).then_some(Self::Groups),
            Reason::Forbidden if kind == Secret::KIND => Some(Self::Certificates),
            Reason::Forbidden if kind == ConfigMap::KIND => Some(Self::Authorities),
            Reason::Forbidden if kind == IngressClass::KIND => Some(Self::Classes),
            Reason::Forbidden => (kind == Ingress::KIND).then_some(Self::Routes),
            Reason::Unauthorized | Reason::Expired | Reason::Refused | Reason::Broken | Reason::Unreachable => None,
        }
    }
}
