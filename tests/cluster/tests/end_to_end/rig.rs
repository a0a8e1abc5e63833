//! What these tests stand on: an installed cluster with a namespace `shop`, its pods, and clients that never rest.

use std::fmt::Debug;
use std::net::SocketAddr;

use api::{UpstreamGroup, UpstreamGroupStatus};
pub use cluster::Load;
use cluster::forebay::{ADMIN, HTTP};
use cluster::{Answer, Forebay, Installed, Kubectl, Seen, Tools, required, until};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use testkit::{Address, Upstream};

use crate::objects;

/// An installed cluster.
pub struct Rig {
    pub installed: Installed,
    seen: Seen,
}

/// What most of these tests begin with: every data plane serves `app.example` from the first pod of the group `app`.
pub struct Fleet {
    pub controllers: Vec<Forebay>,
    pub data_planes: [Forebay; 2],
    pub pods: [Upstream; 2],
}

impl Rig {
    /// `None` where there is no Kubernetes.
    pub async fn start() -> Option<Self> {
        let installed = Installed::light(required(Tools::find())?).await.expect("a cluster starts");
        installed.kubectl().run(&["create", "namespace", "shop"]);
        installed.kubectl().run(&["create", "serviceaccount", "app", "--namespace", "shop"]);
        let seen = Seen::of(&installed.cluster).await;
        Some(Self { installed, seen })
    }

    /// Two controllers, two data planes and two pods.
    pub async fn fleet(&self) -> Fleet {
        let controllers = vec![self.installed.controller(1), self.installed.controller(2)];
        let data_planes = [self.installed.proxy(1).await, self.installed.proxy(2).await];
        let pods = [self.pod(1).await, self.pod(2).await];
        self.apply(&[&objects::app("app"), &objects::slice("app", &[1])]).await;
        serve(&data_planes.each_ref(), "app.example", "pod-1").await;
        Fleet { controllers, data_planes, pods }
    }

    /// A pod of `shop` that answers with its name, `pod-N`.
    pub async fn pod(&self, n: u8) -> Upstream {
        let address = objects::pod_address(n);
        self.installed.cluster.address(&address).expect("an address for a pod");
        Upstream::at(&format!("pod-{n}"), Address::Tcp(SocketAddr::new(address.parse().unwrap(), 8080))).await
    }

    /// `kubectl apply`, while everything else goes on.
    pub async fn apply(&self, documents: &[&str]) {
        let documents = documents.join("\n---\n");
        self.kubectl(move |kubectl| kubectl.apply(&documents)).await;
    }

    /// `kubectl apply` of what the API server warns of.
    pub async fn apply_doubtful(&self, document: &str) {
        let document = document.to_owned();
        self.kubectl(move |kubectl| kubectl.call(["apply", "--server-side", "-f", "-"], &document).answer()).await;
    }

    /// `kubectl` with these words.
    pub async fn run(&self, words: &str) -> String {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        self.kubectl(move |kubectl| kubectl.call(words, "").answer()).await
    }

    async fn kubectl<T: Send + 'static>(&self, work: impl FnOnce(Kubectl) -> T + Send + 'static) -> T {
        // Its thread is made by this one, and so is in the cluster's network, too.
        let kubectl = self.installed.kubectl();
        tokio::task::spawn_blocking(move || work(kubectl)).await.expect("kubectl")
    }

    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        self.seen.api(namespace)
    }

    /// Waits until an object fits, and returns it. It is asked for at an API server that may be away.
    pub async fn shows<K>(&self, namespace: &str, name: &str, what: &str, fits: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        self.seen.shows(namespace, name, what, fits).await
    }

    /// Waits until the status of a group of `shop` fits.
    pub async fn status(&self, name: &str, what: &str, fits: impl Fn(&UpstreamGroupStatus) -> bool) -> UpstreamGroup {
        self.shows("shop", name, what, |group: &UpstreamGroup| group.status.as_ref().is_some_and(&fits)).await
    }

    /// Waits for an event in `shop` about the object `name`.
    pub async fn event(&self, reason: &str, name: &str) -> String {
        self.seen.event("shop", reason, name).await
    }

    /// Waits until a controller leads other than `former`; its identity.
    pub async fn leader(&self, former: Option<&str>) -> String {
        self.seen.leader(former).await
    }
}

/// The state of a condition, `TYPE=STATUS(REASON)` for each.
pub fn conditions(status: &UpstreamGroupStatus) -> Vec<String> {
    let said = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        format!("{}={}({})", condition.type_, condition.status, condition.reason)
    };
    status.conditions.iter().map(said).collect()
}

pub fn has(status: &UpstreamGroupStatus, condition: &str) -> bool {
    conditions(status).iter().any(|one| one == condition)
}

/// `GET /` of a host at a data plane, on a connection of its own.
pub async fn get(forebay: &Forebay, host: &str) -> Result<Answer, String> {
    cluster::get(forebay.port(HTTP), "/", host).await
}

/// What the admin interface answers.
pub async fn admin(forebay: &Forebay, path: &str) -> Result<Answer, String> {
    cluster::get(forebay.port(ADMIN), path, "admin").await
}

/// Waits until a host is answered so.
pub async fn answers(forebay: &Forebay, host: &str, status: u16, body: &str) {
    until(&format!("{status} {body} of {host}"), async || {
        get(forebay, host).await.ok().filter(|answer| answer.status == status && answer.body.contains(body)).map(drop)
    })
    .await;
}

/// Waits until every data plane serves the host from a pod.
pub async fn serve(data_planes: &[&Forebay], host: &str, pod: &str) {
    for data_plane in data_planes {
        answers(data_plane, host, 200, pod).await;
    }
}
