//! The cluster, the controller in it, the data planes, and what is done to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use api::UpstreamGroup;
use cluster::forebay::{ADMIN, FEED, HTTP};
use cluster::{Forebay, Installed, NAMESPACE, Part, Tools};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Client;
use kube::api::PostParams;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use testkit::Upstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::Size;
use crate::gauge::{Metrics, Spread, Watched, say};
use crate::objects::{self, Addresses, Endpoints};
use crate::plane::{self, Common, Seen, Wanted};
use crate::reporter::{Reports, Shared};
use crate::stored::patched;

/// More than anything may take on a machine that is not broken.
const PATIENCE: Duration = Duration::from_mins(2);

pub struct Scene {
    pub(crate) size: Size,
    pub(crate) installed: Arc<Installed>,
    pub(crate) client: Option<Client>,
    controller: Option<(Forebay, Watched)>,
    pub(crate) addresses: Addresses,
    pub(crate) small: Vec<Endpoints>,
    pub(crate) large: Option<Endpoints>,
    wanted: watch::Sender<(u64, Wanted)>,
    seen: mpsc::UnboundedReceiver<Seen>,
    give: mpsc::UnboundedSender<Seen>,
    common: Option<Arc<Common>>,
    planes: JoinSet<()>,
    pub(crate) live: Option<(Forebay, [Upstream; 2])>,
}

impl Scene {
    /// A cluster with the manifests.
    pub fn start(size: Size) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let tools = Tools::find().expect("Kubernetes is built");
        let installed = runtime.block_on(Installed::light(tools)).expect("a cluster starts");
        installed.kubectl().run(&["create", "namespace", objects::NAMESPACE]);
        let (wanted, _) = watch::channel((0, Wanted::Synced));
        let (give, seen) = mpsc::unbounded_channel();
        Self {
            size,
            installed: Arc::new(installed),
            client: None,
            controller: None,
            addresses: Addresses::default(),
            small: Vec::new(),
            large: None,
            wanted,
            seen,
            give,
            common: None,
            planes: JoinSet::new(),
            live: None,
        }
    }

    /// A runtime whose threads are in the cluster's network.
    pub fn runtime(&self) -> Runtime {
        let installed = self.installed.clone();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let enter = move || installed.cluster.enter();
        builder.worker_threads(2).enable_all().on_thread_start(enter).build().expect("a runtime")
    }

    pub fn memory(&self, when: &str) {
        let (resident, peak) = self.watched().memory();
        say(&format!("memory of the controller, {when}"), &format!("{resident} MiB, at most {peak} MiB"));
    }

    pub fn forget_peak(&self) {
        self.watched().forget_peak();
    }

    pub async fn metrics(&self) -> Metrics {
        let address = SocketAddr::new(Installed::controller_address(1).parse().expect("an address"), ADMIN);
        Metrics::parse(&get(address, "/metrics", "admin").await.unwrap_or_default())
    }

    /// The processes that share the machine.
    pub fn processes(&self) -> Vec<(&'static str, Watched)> {
        let part = |part| Watched(self.installed.cluster.pid(part).unwrap_or_default());
        vec![
            ("controller", self.watched()),
            ("API server", part(Part::ApiServer)),
            ("etcd", part(Part::Etcd)),
            ("the data planes and this program", Watched(std::process::id())),
        ]
    }

    /// Taken, refused, bytes.
    pub fn reports(&self) -> (u64, u64, u64) {
        self.common.as_ref().map_or((0, 0, 0), |common| {
            let read = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
            (read(&common.reports.taken), read(&common.reports.refused), read(&common.reports.bytes))
        })
    }

    fn watched(&self) -> Watched {
        self.controller.as_ref().map_or(Watched(0), |(_, watched)| *watched)
    }

    /// The time to `/readyz`.
    pub async fn start_controller(&mut self) -> Duration {
        let began = Instant::now();
        let mut controller = self.installed.controller(1);
        let watched = Watched(controller.process().pid());
        let admin = controller.port(ADMIN);
        self.controller = Some((controller, watched));
        while get(admin, "/readyz", "admin").await.is_none() {
            assert!(began.elapsed() < PATIENCE, "the controller does not become ready");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }

    /// A token for each data plane, and what they share.
    pub async fn tokens(&mut self) -> Vec<(String, String)> {
        let names: Vec<_> = (0..self.size.planes).map(|n| format!("proxy-{n}")).collect();
        if self.common.is_none() {
            self.store::<Pod>(NAMESPACE, names.iter().map(|name| objects::pod(name))).await;
        }
        let accounts = self.api::<ServiceAccount>(NAMESPACE);
        let mut tokens = Vec::new();
        for name in names {
            let request: TokenRequest = serde_json::from_value(json!({"spec": {
                "audiences": ["forebay.dev"], "expirationSeconds": 7200,
                "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": name},
            }}))
            .expect("a request");
            let made = accounts.create_token_request("forebay-proxy", &PostParams::default(), &request).await;
            let token = made.expect("a token").status.expect("a status").token;
            tokens.push((format!("{NAMESPACE}/{name}"), token));
        }
        let authority = std::fs::read(self.installed.authority().await).expect("an authority");
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&authority) {
            roots.add(certificate.expect("PEM")).expect("a certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("TLS 1.3");
        let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        self.common = Some(Arc::new(Common {
            controller: SocketAddr::new(Installed::controller_address(1).parse().expect("an address"), FEED),
            host: "forebay-controller.forebay.svc".to_owned(),
            tls: Arc::new(tls),
            began: Instant::now(),
            one_busy_of: self.size.one_busy_of,
            wanted: self.wanted.subscribe(),
            seen: self.give.clone(),
            reports: Reports::default(),
            picture: Shared::default(),
        }));
        tokens
    }

    pub fn connect(&mut self, tokens: Vec<(String, String)>) {
        let common = self.common.as_ref().expect("tokens were made");
        for (instance, token) in tokens {
            self.planes.spawn(plane::live(common.clone(), instance, token));
        }
    }

    /// Ends the data planes.
    pub async fn disconnect(&mut self) {
        self.planes.shutdown().await;
    }

    /// From now on this is waited for; its number.
    pub fn want(&mut self, wanted: Wanted) -> (Instant, u64) {
        while self.seen.try_recv().is_ok() {}
        self.wanted.send_modify(|(number, last)| (*number, *last) = (*number + 1, wanted));
        (Instant::now(), self.wanted.borrow().0)
    }

    /// Waits until every data plane has what is wanted: the times from `stored` to the last line read, and to the commit.
    pub async fn everybody(&mut self, number: u64, stored: Instant) -> (Spread, Spread) {
        let (mut arrived, mut committed) = (Spread::default(), Spread::default());
        while committed.len() < self.size.planes {
            tokio::select! {
                Some(seen) = self.seen.recv() => if seen.number == number {
                    arrived.add(seen.arrived.saturating_duration_since(stored));
                    committed.add(seen.committed.saturating_duration_since(stored));
                },
                Some(ended) = self.planes.join_next() => panic!("a data plane ended: {ended:?}"),
                () = tokio::time::sleep(PATIENCE) => panic!("{} of {} have it", committed.len(), self.size.planes),
            }
        }
        (arrived, committed)
    }

    /// Who has it by now, without waiting.
    pub fn drain(&mut self, number: u64, stored: Instant, spread: &mut Spread) -> usize {
        let mut count = 0;
        while let Ok(seen) = self.seen.try_recv() {
            if seen.number == number {
                spread.add(seen.committed.saturating_duration_since(stored));
                count += 1;
            }
        }
        count
    }

    /// A real data plane, and a group `live` of two pods, of which one is an endpoint; the time to its first answer.
    /// `None` if it runs already.
    pub async fn start_proxy(&mut self) -> Option<Duration> {
        if self.live.is_some() {
            return None;
        }
        let mut pods = Vec::new();
        for n in [1, 2] {
            self.installed.cluster.address(&live_pod(n)).expect("an address");
            let address = SocketAddr::new(live_pod(n).parse().expect("an address"), 8080);
            pods.push(Upstream::at(&format!("pod-{n}"), testkit::Address::Tcp(address)).await);
        }
        self.store::<Service>(objects::NAMESPACE, [objects::service("live")]).await;
        self.store::<UpstreamGroup>(objects::NAMESPACE, [objects::group("live")]).await;
        self.store::<Ingress>(objects::NAMESPACE, [objects::ingress("live", "live")]).await;
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "live", "labels": {"kubernetes.io/service-name": "live"}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [live_pod(2)], "conditions": {"ready": true}}],
        });
        self.store::<EndpointSlice>(objects::NAMESPACE, [slice]).await;
        let began = Instant::now();
        let proxy = self.installed.proxy(200).await;
        while get(proxy.port(HTTP), "/", "live.example").await.is_none() {
            assert!(began.elapsed() < PATIENCE, "the data plane does not serve");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let took = began.elapsed();
        self.live = pods.try_into().ok().map(|pods| (proxy, pods));
        Some(took)
    }

    /// From a stored slice that names the other pod to the first request that it answers.
    pub async fn first_request(&mut self, first: bool) -> Duration {
        let n = if first { 1 } else { 2 };
        let change = json!({"endpoints": [{"addresses": [live_pod(n)], "conditions": {"ready": true}}]});
        let stored = patched(self.api(objects::NAMESPACE), "live".to_owned(), change).await;
        let address = self.live.as_ref().expect("it was started").0.port(HTTP);
        let wanted = format!("pod-{n}");
        while get(address, "/", "live.example").await.is_none_or(|body| body.trim() != wanted) {
            assert!(stored.elapsed() < PATIENCE, "the traffic does not follow");
        }
        stored.elapsed()
    }
}

fn live_pod(n: u8) -> String {
    format!("10.99.3.{n}")
}

/// The body of a 200.
async fn get(address: SocketAddr, path: &str, host: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.ok()?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let (head, body) = said.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}
