//! What these tests stand on: a node, the product installed on it, and a place outside of the cluster.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use api::{UpstreamGroup, UpstreamGroupStatus};
use cluster::forebay::{ADMIN, HTTP, static_binary};
use cluster::{Cluster, Connections, Kubectl, Load, NAMESPACE, Seen, Tools, image, required, until};
use rustls::ClientConfig;

/// Where Forebay is reached from outside, once a load balancer was given to its Service.
pub const OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)), 80);

/// The image of `manifests/`, and the same under the names of releases to come.
pub const IMAGE: &str = "ghcr.io/forebay/forebay:0.1.0";

/// The house.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A node.
pub struct Rig {
    pub cluster: Cluster,
    pub seen: Seen,
}

impl Rig {
    /// A node that has our image and nothing of ours running. `None` where there is no Kubernetes.
    pub async fn start() -> Option<Self> {
        let tools = required(Tools::find_node())?;
        let (ours, pod) = (our_image(&tools), tools.program("pod"));
        let began = Instant::now();
        let cluster = Cluster::node(tools).await.expect("a node starts");
        cluster.import(ours).await.expect("our image");
        // What the manifests' examples run, in its place.
        for (name, path) in
            [("docker.io/hashicorp/http-echo:1.0", "/http-echo"), ("docker.io/curlimages/curl:8.16.0", "/bin/sh")]
        {
            cluster.load(name, &[(pod.clone(), path.to_owned())]).await.expect("an image");
        }
        let seen = Seen::of(&cluster).await;
        let rig = Self { cluster, seen };
        rig.rolled_out("kube-system", "coredns").await;
        took("a node with images", began);
        Some(rig)
    }

    /// What the README says first, and what a cloud does then. Waits until all of it is ready.
    pub async fn install(&self) {
        let began = Instant::now();
        self.run(&format!("apply --server-side -k {ROOT}/manifests")).await;
        self.balance_load().await;
        self.ready().await;
        took("installed from nothing, everything is ready", began);
    }

    /// Gives the Service the address of a load balancer.
    pub async fn balance_load(&self) {
        let address = format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{}"}}]}}}}}}"#, OUTSIDE.ip());
        self.run(&format!("patch service forebay -n {NAMESPACE} --subresource=status --type=merge -p {address}")).await;
    }

    /// Waits until both Deployments are rolled out.
    pub async fn ready(&self) {
        for deployment in ["forebay-controller", "forebay-proxy"] {
            self.rolled_out(NAMESPACE, deployment).await;
        }
    }

    /// Waits until the API server answers, as after it was started again.
    pub async fn until_ready(&self) {
        let ready = ["get", "--raw=/readyz", "--request-timeout=5s"];
        let is_ready = async || self.kubectl(move |kubectl| kubectl.call(ready, "").success).await.then_some(());
        until("the API server", is_ready).await;
    }

    /// Waits until a Deployment is rolled out.
    pub async fn rolled_out(&self, namespace: &str, deployment: &str) {
        self.run(&format!("rollout status deployment/{deployment} -n {namespace} --timeout=300s")).await;
    }

    /// `kubectl apply`, while everything else goes on.
    pub async fn apply(&self, documents: &str) {
        let documents = documents.to_owned();
        self.kubectl(move |kubectl| kubectl.apply(&documents)).await;
    }

    /// `kubectl` with these words.
    pub async fn run(&self, words: &str) -> String {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        self.kubectl(move |kubectl| kubectl.call(words, "").answer()).await
    }

    async fn kubectl<T: Send + 'static>(&self, work: impl FnOnce(Kubectl) -> T + Send + 'static) -> T {
        // Its thread is made by this one, and so is outside of the cluster, too.
        let kubectl = self.cluster.kubectl();
        tokio::task::spawn_blocking(move || work(kubectl)).await.expect("kubectl")
    }

    /// A command as a person types it in the house, with kubectl in PATH.
    pub async fn shell(&self, line: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(Path::new(ROOT));
        command.env("PATH", self.cluster.path()).env("KUBECONFIG", self.cluster.kubeconfig("admin"));
        let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a task").expect("sh");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{line}\n{}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    /// Waits until the status of a group fits.
    pub async fn status(
        &self,
        namespace: &str,
        name: &str,
        what: &str,
        fits: impl Fn(&UpstreamGroupStatus) -> bool,
    ) -> UpstreamGroupStatus {
        let fits = |group: &UpstreamGroup| group.status.as_ref().is_some_and(&fits);
        self.seen.shows(namespace, name, what, fits).await.status.expect("it fits")
    }

    /// The lines that a JSON path yields for each item.
    async fn lines(&self, what: &str, path: &str) -> Vec<String> {
        let mut words: Vec<_> = format!("get {what}").split(' ').map(str::to_owned).collect();
        words.extend(["-o".to_owned(), format!(r#"jsonpath={{range .items[*]}}{path}{{"\n"}}{{end}}"#)]);
        let said = self.kubectl(move |kubectl| kubectl.call(words, "").answer()).await;
        said.lines().map(str::to_owned).collect()
    }

    /// The pods with a label that are not leaving, each with its address.
    async fn labelled(&self, namespace: &str, label: &str) -> Vec<(String, IpAddr)> {
        let what = format!("pods -n {namespace} -l {label}");
        let lines =
            self.lines(&what, "{.metadata.name},{.status.podIP},{.metadata.deletionTimestamp}{.status.reason}").await;
        let pod = |line: &String| {
            let [name, address, ""] = line.split(',').collect::<Vec<_>>()[..] else { return None };
            Some((name.to_owned(), address.parse().ok()?))
        };
        lines.iter().filter_map(pod).collect()
    }

    /// Our own pods: `controller` or `proxy`.
    pub async fn pods(&self, component: &str) -> Vec<(String, IpAddr)> {
        self.labelled(NAMESPACE, &format!("app.kubernetes.io/component={component}")).await
    }

    /// The pods of an application, and where they listen.
    pub async fn app_pods(&self, app: &str) -> Vec<(String, SocketAddr)> {
        let pods = self.labelled(app, &format!("app={app}")).await;
        pods.into_iter().map(|(name, address)| (name, SocketAddr::new(address, HTTP))).collect()
    }

    /// Waits until the group of an application says `ready`, servers that are up of all, on every data plane.
    pub async fn shows_ready(&self, app: &str, ready: &str) -> UpstreamGroupStatus {
        self.status(app, app, &format!("{ready} servers of {app}"), |status| {
            status.summary.as_ref().is_some_and(|summary| summary.ready == ready)
                && status.data_planes.as_ref().is_some_and(|planes| planes.ready == "3/3")
                && status.servers.iter().all(|server| server.up_on == "3/3")
        })
        .await
    }

    /// Waits until the servers of an application's group are its pods, neither more nor less.
    pub async fn shows_its_pods(&self, app: &str) {
        let pods: BTreeSet<_> = self.app_pods(app).await.into_iter().map(|(pod, _)| pod).collect();
        self.status(app, app, &format!("{pods:?}"), |status| {
            status.servers.iter().filter_map(|server| server.pod.clone()).collect::<BTreeSet<_>>() == pods
        })
        .await;
    }

    /// Waits until so many endpoints of an application are ready.
    pub async fn ready_endpoints(&self, app: &str, count: usize) {
        until(&format!("{count} ready endpoints of {app}"), async || {
            let what = format!("endpointslices -n {app} -l kubernetes.io/service-name={app}");
            let lines = self.lines(&what, "{.endpoints[*].conditions.ready}").await;
            let ready = lines.iter().flat_map(|line| line.split(' ')).filter(|&ready| ready == "true").count();
            (ready == count).then_some(())
        })
        .await;
    }

    /// Waits until one of our containers was started a second time.
    pub async fn restarted(&self, pod: &str) {
        let what = format!("{pod} to be started again");
        let (pods, path) =
            (format!("pods -n {NAMESPACE}"), "{.metadata.name} {.status.containerStatuses[0].restartCount}");
        let again = format!("{pod} 1");
        until(&what, async || self.lines(&pods, path).await.contains(&again).then_some(())).await;
    }

    /// How often each of our containers was started again.
    pub async fn restarts(&self) -> Vec<String> {
        self.lines(&format!("pods -n {NAMESPACE}"), "{.status.containerStatuses[0].restartCount}").await
    }

    /// Has the next pod get this address, once the pod that had it is gone.
    pub async fn free(&self, address: SocketAddr) {
        let IpAddr::V4(address) = address.ip() else { panic!("{address} is not of the node") };
        let taken = self.cluster.namespaces().folder().join("ipam/pods");
        until(&format!("{address} to be free"), async || (!taken.join(address.to_string()).exists()).then_some(()))
            .await;
        let before = Ipv4Addr::from_bits(address.to_bits() - 1);
        std::fs::write(taken.join("last_reserved_ip.0"), before.to_string()).expect("the plugin's memory");
    }

    /// What the admin interface of a pod answers.
    pub async fn admin(&self, pod: IpAddr, path: &str) -> Result<String, String> {
        Ok(cluster::get(SocketAddr::new(pod, ADMIN), path, "admin").await?.body)
    }

    /// Waits until every data plane serves a host: the one that the load balancer asked is not yet all of them.
    pub async fn serves(&self, host: &str) {
        for (pod, address) in self.pods("proxy").await {
            until(&format!("{pod} to serve {host}"), async || {
                let answer = cluster::get(SocketAddr::new(address, HTTP), "/", host).await.ok()?;
                (answer.status == 200).then_some(())
            })
            .await;
        }
    }

    /// Waits until no data plane has a series in which `text` occurs.
    pub async fn no_series(&self, text: &str) {
        for (pod, address) in self.pods("proxy").await {
            let what = format!("the metrics of {pod} to be rid of {text}");
            until(&what, async || {
                let metrics = self.admin(address, "/metrics").await.ok()?;
                (metrics.contains("forebay_build_info") && !metrics.contains(text)).then_some(())
            })
            .await;
        }
    }
}

/// The image that the Dockerfile makes of the static binary, made once.
fn our_image(tools: &Tools) -> &'static Path {
    static ARCHIVE: OnceLock<PathBuf> = OnceLock::new();
    ARCHIVE.get_or_init(|| {
        let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("forebay-image.tar");
        let dockerfile = std::fs::read_to_string(format!("{ROOT}/Dockerfile")).expect("the Dockerfile");
        image::of_dockerfile(tools, &dockerfile, &archive, IMAGE, static_binary()).expect("an image");
        archive
    })
}

/// Clients outside of the cluster.
pub fn load(host: &'static str) -> Load {
    load_on(&[OUTSIDE; 2], host)
}

/// Two clients of each of these: one connects for every request, the other keeps its connection.
pub fn load_on(addresses: &[SocketAddr], host: &'static str) -> Load {
    Load::of(of_both_kinds(addresses), host, REST)
}

/// The same clients outside of the cluster, over TLS.
pub fn load_over_tls(tls: &Arc<ClientConfig>, host: &'static str) -> Load {
    Load::over_tls(of_both_kinds(&[SocketAddr::new(OUTSIDE.ip(), 443); 2]), tls, host, REST)
}

const REST: Duration = Duration::from_millis(20);

fn of_both_kinds(addresses: &[SocketAddr]) -> impl Iterator<Item = (SocketAddr, Connections)> {
    addresses.iter().flat_map(|&address| [Connections::New, Connections::Kept].map(|kind| (address, kind)))
}

/// Waits until a host is answered so, from outside.
pub async fn answers(host: &str, status: u16, body: &str) {
    until(&format!("{status} {body} of {host}"), async || {
        let answer = cluster::get(OUTSIDE, "/", host).await.ok()?;
        (answer.status == status && answer.body.starts_with(body)).then_some(())
    })
    .await;
}

/// Says how long something took.
pub fn took(what: &str, since: Instant) {
    println!("{what}: {:.1} s", since.elapsed().as_secs_f32());
}
