//! What these tests stand on: an installed cluster with a namespace `shop`, its pods, and clients that never rest.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use api::{UpstreamGroup, UpstreamGroupStatus};
use cluster::forebay::{ADMIN, HTTP};
use cluster::{Forebay, Installed, Kubectl, NAMESPACE, Tools, required, until};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use testkit::{Address, Upstream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::objects;

/// An installed cluster.
pub struct Rig {
    pub installed: Installed,
    client: Client,
}

/// Clients that send one request after the other.
pub struct Load {
    stop: watch::Sender<bool>,
    clients: Vec<JoinHandle<(usize, Vec<String>)>>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Rig {
    /// `None` where there is no Kubernetes.
    pub async fn start() -> Option<Self> {
        let installed = Installed::light(required(Tools::find())?).await.expect("a cluster starts");
        installed.kubectl().run(&["create", "namespace", "shop"]);
        installed.kubectl().run(&["create", "serviceaccount", "app", "--namespace", "shop"]);
        let client = installed.cluster.client().await.expect("a client");
        Some(Self { installed, client })
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
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Waits until an object fits, and returns it. It is asked for at an API server that may be away.
    pub async fn shows<K>(&self, namespace: &str, name: &str, what: &str, fits: impl Fn(&K) -> bool) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = self.api(namespace);
        let seen = std::cell::RefCell::new(None);
        let waiting = until(what, async || {
            let object = api.get(name).await.ok();
            let fit = object.clone().filter(|object| fits(object));
            seen.replace(object);
            fit
        });
        let guard = Said(what, &seen);
        let found = waiting.await;
        drop(guard);
        found
    }

    /// Waits until the status of a group of `shop` fits.
    pub async fn status(&self, name: &str, what: &str, fits: impl Fn(&UpstreamGroupStatus) -> bool) -> UpstreamGroup {
        self.shows("shop", name, what, |group: &UpstreamGroup| group.status.as_ref().is_some_and(&fits)).await
    }

    /// Waits for an event in `shop` about the object `name`.
    pub async fn event(&self, reason: &str, name: &str) -> String {
        let events: Api<Event> = self.api("shop");
        until(&format!("an event {reason} of {name}"), async || {
            let events = events.list(&kube::api::ListParams::default()).await.ok()?;
            let is_it = |event: &&Event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|regarding| regarding.name.as_deref()) == Some(name)
            };
            events.iter().find(is_it).and_then(|event| event.note.clone())
        })
        .await
    }

    /// Waits until a controller leads other than `former`; its identity.
    pub async fn leader(&self, former: Option<&str>) -> String {
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        let is_new = |lease: &Lease| holder(lease).is_some_and(|holder| !holder.is_empty() && Some(&*holder) != former);
        let lease = self.shows(NAMESPACE, "forebay-controller", "a leader", is_new).await;
        holder(&lease).expect("it was just there")
    }
}

/// Says what was seen last of what a test waited for in vain.
struct Said<'s, T: Debug>(&'s str, &'s std::cell::RefCell<Option<T>>);

impl<T: Debug> Drop for Said<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- instead of {} ----\n{:?}", self.0, self.1.borrow());
        }
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
    request(forebay.port(HTTP), "/", host).await
}

/// What the admin interface answers.
pub async fn admin(forebay: &Forebay, path: &str) -> Result<Answer, String> {
    request(forebay.port(ADMIN), path, "admin").await
}

async fn request(address: SocketAddr, path: &str, host: &str) -> Result<Answer, String> {
    let asking = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&said).into_owned())
    };
    let said = tokio::time::timeout(Duration::from_secs(30), asking).await.map_err(|_| "no answer in 30 s")?;
    let said = said.map_err(|error| error.to_string())?;
    let (head, body) = said.split_once("\r\n\r\n").ok_or_else(|| format!("cut: {said:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(head)?;
    Ok(Answer { status, body: body.trim().to_owned() })
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

impl Load {
    /// Two clients for each data plane.
    pub fn start(data_planes: &[&Forebay], host: &'static str) -> Self {
        let (stop, stopped) = watch::channel(false);
        let addresses = data_planes.iter().flat_map(|one| [one.port(HTTP); 2]);
        let clients = addresses.map(|address| tokio::spawn(client(address, host, stopped.clone()))).collect();
        Self { stop, clients }
    }

    /// Ends it; every request had a 200. How many there were.
    pub async fn end(self) -> usize {
        self.stop.send_replace(true);
        let mut total = 0;
        for client in self.clients {
            let (requests, failed) = client.await.expect("a client");
            assert!(failed.is_empty(), "{} of {requests} failed: {:?}", failed.len(), &failed[..failed.len().min(5)]);
            assert!(requests > 0, "nothing was asked");
            total += requests;
        }
        total
    }
}

async fn client(address: SocketAddr, host: &str, stopped: watch::Receiver<bool>) -> (usize, Vec<String>) {
    let (mut requests, mut failed) = (0, Vec::new());
    let began = Instant::now();
    while !*stopped.borrow() {
        requests += 1;
        match request(address, "/", host).await {
            Ok(answer) if answer.status == 200 => {}
            other => failed.push(format!("{:?} after {:?}", other, began.elapsed())),
        }
        // Enough to be seen, and not all of the machine.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (requests, failed)
}
