//! The CA that replicas make and share: over HTTP with an API server of a few lines, and with clients that trust what is
//! published and nothing else.

#![allow(clippy::disallowed_methods, reason = "what these tests show expires by the wall clock")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use controller::ca::{Files, Keeper, Names, Options};
use controller::clock::Clock;
use controller::serve::Tls;
use feed::Scope;
use http::Method;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use support::apiserver::ApiServer;
use support::client::Trust;
use support::{Feed, group, tokens};

const SECRETS: &str = "/api/v1/namespaces/forebay/secrets";
const SECRET: &str = "/api/v1/namespaces/forebay/secrets/forebay-controller-ca";
const MAP: &str = "/api/v1/namespaces/forebay/configmaps/forebay-ca";
const DAY: Duration = Duration::from_hours(24);

/// A replica's keeper; it stops when the receiver's token is dropped.
fn keep(api: &ApiServer) -> (watch::Receiver<Option<Arc<Tls>>>, tokio_util::sync::DropGuard) {
    let options = Options {
        namespace: "forebay".to_owned(),
        secret: "forebay-controller-ca".to_owned(),
        config_map: "forebay-ca".to_owned(),
        names: Names { dns: vec!["localhost".to_owned()], addresses: vec!["127.0.0.1".parse().unwrap()] },
        client_ca: None,
    };
    let (sender, receiver) = watch::channel(None);
    let stop = CancellationToken::new();
    tokio::spawn(Keeper::new(api.client(), options, Clock::start()).keep(sender, stop.clone()));
    (receiver, stop.drop_guard())
}

async fn certificate(tls: &mut watch::Receiver<Option<Arc<Tls>>>) -> Arc<Tls> {
    tls.wait_for(Option::is_some).await.unwrap().clone().unwrap()
}

fn object(api: &ApiServer, path: &str) -> Value {
    api.state.lock().objects[path].clone()
}

fn secret_text(api: &ApiServer, key: &str) -> String {
    let encoded = object(api, SECRET)["data"][key].as_str().unwrap_or_default().to_owned();
    String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
}

fn bundle(api: &ApiServer) -> Vec<CertificateDer<'static>> {
    let text = object(api, MAP)["data"]["ca.crt"].as_str().unwrap().to_owned();
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().unwrap()
}

/// Writes a Secret whose CA began and ends so many days from now, and perhaps one that was announced.
fn plant(api: &ApiServer, current: (i32, i32), next: Option<(i32, i32)>) {
    let mut data = serde_json::Map::new();
    for (name, (from, until)) in [("tls", current)].into_iter().chain(next.map(|days| ("next", days))) {
        let today = u32::try_from(jiff::Timestamp::now().as_second() / 86_400).unwrap();
        let day = |days: i32| date_time_ymd(1970, 1, 1) + DAY * today.checked_add_signed(days).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (day(from), day(until));
        let key = KeyPair::generate().unwrap();
        data.insert(format!("{name}.crt"), STANDARD.encode(params.self_signed(&key).unwrap().pem()).into());
        data.insert(format!("{name}.key"), STANDARD.encode(key.serialize_pem()).into());
    }
    let secret = json!({"metadata": {"name": "forebay-controller-ca", "resourceVersion": "0"}, "data": data});
    api.state.lock().objects.insert(SECRET.to_owned(), secret);
}

#[tokio::test]
async fn a_client_that_trusts_the_bundle_reaches_the_feed() {
    let feed = Feed::start().await;
    let (mut tls, _stop) = keep(&feed.api);
    feed.tls.send_replace(Some(certificate(&mut tls).await));
    feed.hub.publish([group("shop", "app", 1)]);
    let trusted = bundle(&feed.api);
    assert_eq!(trusted.len(), 1);
    let token = tokens::of_pod("forebay", "forebay-proxy", "p-1");
    let trust = Trust::new(feed.address, &trusted[0]);
    trust.subscribe(Some(&token), "forebay/p-1", Scope::All).await.synced().await;
    assert_eq!(object(&feed.api, SECRET)["type"], "kubernetes.io/tls");
    assert!(secret_text(&feed.api, "tls.key").contains("PRIVATE KEY"));
    assert!(!object(&feed.api, MAP).to_string().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn replicas_that_start_together_share_one_ca() {
    let feed = Feed::start().await;
    let mut replicas: Vec<_> = (0..5).map(|_| keep(&feed.api)).collect();
    for (tls, _) in &mut replicas {
        feed.tls.send_replace(Some(certificate(tls).await));
        Trust::new(feed.address, &bundle(&feed.api)[0]).tls().await.unwrap();
    }
    assert_eq!(bundle(&feed.api).len(), 1);
    let state = feed.api.state.lock();
    let replaced = state.requests.iter().any(|(method, path, _)| *method == Method::PUT && path.starts_with(SECRET));
    assert!(!replaced, "nobody replaces a CA that another made");
}

#[tokio::test]
async fn a_ca_that_ends_soon_is_announced_before_it_is_replaced() {
    let api = ApiServer::start().await;
    plant(&api, (-300, 65), None);
    let old = secret_text(&api, "tls.crt");
    certificate(&mut keep(&api).0).await;
    assert_eq!(secret_text(&api, "tls.crt"), old, "it goes on signing");
    assert!(secret_text(&api, "next.key").contains("PRIVATE KEY"));
    assert_eq!(bundle(&api).len(), 2, "and both are trusted");
    // Another replica comes a moment later: nothing is left to do.
    let version = api.state.lock().version;
    certificate(&mut keep(&api).0).await;
    assert_eq!(api.state.lock().version, version);
}

#[tokio::test]
async fn a_ca_that_was_announced_for_a_week_signs() {
    let feed = Feed::start().await;
    plant(&feed.api, (-310, 55), Some((-8, 357)));
    let (old, next) = (secret_text(&feed.api, "tls.crt"), secret_text(&feed.api, "next.crt"));
    let (mut tls, _stop) = keep(&feed.api);
    feed.tls.send_replace(Some(certificate(&mut tls).await));
    assert_eq!(secret_text(&feed.api, "tls.crt"), next);
    assert_eq!(secret_text(&feed.api, "previous.crt"), old);
    assert_eq!(object(&feed.api, SECRET)["data"].get("next.key"), None, "the old key is forgotten");
    let trusted = bundle(&feed.api);
    assert_eq!(trusted.len(), 2);
    Trust::new(feed.address, &trusted[0]).tls().await.unwrap();
    Trust::new(feed.address, &trusted[1]).tls().await.expect_err("the old one signs no longer");
    // The bundle held both before anybody signed with the new one.
    let state = feed.api.state.lock();
    let writes: Vec<_> = state.requests.iter().filter(|(method, ..)| *method != Method::GET).collect();
    assert!(writes[0].1.contains("configmaps") && writes[1].1.starts_with(SECRET), "{writes:?}");
}

#[tokio::test]
async fn a_ca_without_a_final_newline_hides_no_other() {
    let feed = Feed::start().await;
    plant(&feed.api, (-310, 55), Some((-8, 357)));
    // As `kubectl create secret --from-literal` leaves them.
    for key in ["tls.crt", "next.crt"] {
        let bare = secret_text(&feed.api, key).trim_end().to_owned();
        feed.api.state.lock().objects.get_mut(SECRET).unwrap()["data"][key] = STANDARD.encode(bare).into();
    }
    let (mut tls, _stop) = keep(&feed.api);
    feed.tls.send_replace(Some(certificate(&mut tls).await));
    let trusted = bundle(&feed.api);
    assert_eq!(trusted.len(), 2);
    Trust::new(feed.address, &trusted[0]).tls().await.unwrap();
}

#[tokio::test]
async fn a_damaged_secret_is_refused_and_left_alone() {
    let api = ApiServer::start().await;
    plant(&api, (-1, 364), None);
    api.state.lock().objects.get_mut(SECRET).unwrap()["data"]["tls.key"] = STANDARD.encode("nonsense").into();
    let (tls, _stop) = keep(&api);
    // Two looks: it does not change its mind.
    api.arrived(2).await;
    assert!(tls.borrow().is_none());
    let state = api.state.lock();
    assert!(state.requests.iter().all(|(method, ..)| *method == Method::GET), "{:?}", state.requests);
    assert_eq!(state.objects.get(SECRETS), None);
}

#[tokio::test]
async fn files_of_ones_own_are_used_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let files = Files { certificate: path("tls.crt"), key: path("tls.key"), client_ca: None };
    let said = files.read().unwrap_err().to_string();
    assert!(said.contains("tls.crt: cannot be read: No such file"), "{said}");
    let write = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(path("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    };
    let first = write();
    let feed = Feed::start().await;
    feed.tls.send_replace(Some(files.read().unwrap()));
    Trust::new(feed.address, &first).tls().await.unwrap();
    std::fs::write(path("tls.key"), "nonsense").unwrap();
    let said = files.read().unwrap_err().to_string();
    assert!(said.contains("tls.key: the serving certificate cannot be used"), "{said}");
    let second = write();
    feed.tls.send_replace(Some(files.read().unwrap()));
    Trust::new(feed.address, &second).tls().await.unwrap();
}
