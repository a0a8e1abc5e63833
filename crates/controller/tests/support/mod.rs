//! A controller's feed on loopback, with an API server of a few lines behind it that reviews tokens, and clients that speak
//! HTTP/2 as a data plane does.

#![allow(dead_code, reason = "each suite uses what it needs")]

pub mod apiserver;
pub mod client;
pub mod tokens;
pub mod watched;

use std::net::SocketAddr;
use std::sync::Arc;

use config::{Group, GroupId, Millis, Resource};
use controller::clock::Clock;
use controller::fleet::Reports;
use controller::hub::Hub;
use controller::identity::{Policy, Terms, Tokens};
use controller::lease::Leadership;
use controller::serve::{Bounds, Parts, Server, Tls};
use feed::{Change, ServerOptions};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use apiserver::ApiServer;
use client::Trust;

/// A feed that runs.
pub struct Feed {
    pub server: Arc<Server>,
    pub hub: Arc<Hub>,
    pub tokens: Arc<Tokens>,
    pub api: ApiServer,
    pub address: SocketAddr,
    pub ca: Ca,
    pub tls: watch::Sender<Option<Arc<Tls>>>,
    pub leadership: watch::Sender<Leadership>,
    pub reports: Reports,
    pub leaving: CancellationToken,
    pub done: tokio::task::JoinHandle<()>,
}

/// A certification authority of one test.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: CertificateDer<'static>,
    pub pem: String,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    /// A certificate for `name`: `localhost` for a server, a URI for a client.
    pub fn issue(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![if name.contains("://") {
            SanType::URI(name.try_into().unwrap())
        } else {
            SanType::DnsName(name.try_into().unwrap())
        }];
        // With the name of its issuer a certificate would be taken for self-signed.
        params.distinguished_name.push(DnType::CommonName, "a leaf");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub fn tls(&self, client_ca: Option<&Self>) -> Arc<Tls> {
        let (certificate, key) = self.issue("localhost");
        Arc::new(Tls::new(vec![certificate], key, client_ca.map(|ca| ca.pem.as_bytes())).unwrap())
    }
}

impl Feed {
    pub async fn start() -> Self {
        Self::with(Bounds::default(), Terms::default()).await
    }

    pub async fn with(bounds: Bounds, terms: Terms) -> Self {
        Self::with_options(bounds, terms, ServerOptions::default()).await
    }

    /// One that gives a sign of life this often.
    pub async fn beating(beat: Millis) -> Self {
        let options = ServerOptions { beat, ..ServerOptions::default() };
        Self::with_options(Bounds::default(), Terms::default(), options).await
    }

    async fn with_options(bounds: Bounds, terms: Terms, options: ServerOptions) -> Self {
        let api = ApiServer::start().await;
        let clock = Clock::start();
        let policy = Policy::new(["forebay/forebay-proxy".parse().unwrap()]);
        let tokens = Arc::new(Tokens::new(api.client(), policy, terms, clock));
        let hub = Arc::new(Hub::default());
        let reports = Reports::new(clock);
        let ours = Leadership { until: Some(Millis(u64::MAX)), leader: None };
        let (leadership, leads) = watch::channel(ours);
        let options = ServerOptions { server: "controller-0".into(), ..options };
        let server = Server::new(Parts {
            hub: hub.clone(),
            tokens: tokens.clone(),
            reports: reports.clone(),
            leadership: leads,
            clock,
            options,
            bounds,
        });
        let ca = Ca::new();
        let (tls, certificates) = watch::channel(Some(ca.tls(None)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let leaving = CancellationToken::new();
        let done = tokio::spawn(server.clone().run(listener, certificates, leaving.clone()));
        Self { server, hub, tokens, api, address, ca, tls, leadership, reports, leaving, done }
    }

    /// What a data plane needs to come here.
    pub fn trust(&self) -> Trust {
        Trust::new(self.address, &self.ca.certificate)
    }
}

pub fn group(namespace: &str, name: &str, servers: usize) -> Change {
    let server = |n| config::Server::new("a", format!("10.0.0.1:{}", n + 1).parse().unwrap());
    let group = Group::with_defaults((0..servers).map(server).collect());
    Change::Put(Resource::Group(GroupId::new(namespace, name), Arc::new(group)))
}
