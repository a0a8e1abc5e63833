//! A cluster: its processes, its users, its clients.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::namespaces::Form;
use crate::{Kubectl, Namespaces, PATIENCE, Process, Tools, certificates, node, until};

/// Where the API server listens: the node's address, in namespaces of its own.
pub const ADDRESS: &str = "10.99.0.1";

/// etcd, the API server and what else was asked for, in namespaces that go with this value.
#[derive(Debug)]
pub struct Cluster {
    // Before the namespaces: a process says its last words only while its log is there.
    parts: Mutex<BTreeMap<Part, Process>>,
    tools: Tools,
    namespaces: Namespaces,
}

/// A process of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Containerd,
    Kubelet,
    KubeProxy,
}

/// The users of a cluster: the name of the kubeconfig, that of the user, the groups.
const USERS: [(&str, &str, &str); 5] = [
    ("admin", "admin", "system:masters"),
    ("kubelet", "system:node:forebay-node", "system:nodes"),
    ("kube-proxy", "system:kube-proxy", ""),
    ("kube-scheduler", "system:kube-scheduler", ""),
    ("kube-controller-manager", "system:kube-controller-manager", ""),
];

impl Cluster {
    /// etcd and the API server with RBAC; no controllers: the test is the one who writes `EndpointSlices`. Addresses for
    /// upstreams are put on `lo` ([`Cluster::address`]), because the API server refuses loopback endpoints.
    ///
    /// # Errors
    /// It does not start, with the logs' last words.
    pub async fn light(tools: Tools) -> anyhow::Result<Self> {
        let cluster = Self::prepare(tools, Form::Light)?;
        cluster.start_api_server().await?;
        Ok(cluster)
    }

    /// A whole node besides: pods, Services, DNS. Ready when the node is; its address is [`ADDRESS`], and the calling thread is
    /// [moved](Cluster::enter) outside the cluster, from where its `NodePorts` and the API server are reached.
    ///
    /// # Errors
    /// It does not start, with the logs' last words.
    pub async fn node(tools: Tools) -> anyhow::Result<Self> {
        let root = tools.root().context("a node needs the packages of tests/cluster/build")?.to_owned();
        let cluster = Self::prepare(tools, Form::Node)?;
        node::configure(cluster.namespaces.folder(), &root)?;
        cluster.start(Part::Containerd)?;
        cluster.start_api_server().await?;
        for part in [Part::ControllerManager, Part::Scheduler] {
            cluster.start(part)?;
        }
        for (program, image) in [("pod", node::POD_IMAGE), ("coredns", node::DNS_IMAGE)] {
            cluster.load(image, &[(cluster.tools.program(program), format!("/{program}"))]).await?;
        }
        let proxy = "--clusterrole=system:node-proxier";
        cluster.kubectl().run(&["create", "clusterrolebinding", "kube-proxy", proxy, "--user=system:kube-proxy"]);
        for part in [Part::Kubelet, Part::KubeProxy] {
            cluster.start(part)?;
        }
        cluster.kubectl().apply(include_str!("../coredns/coredns.yaml"));
        until("the node to be ready", async || {
            let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            let said = cluster.kubectl().call(["get", "node", "forebay-node", "-o", ready], "");
            (said.stdout == "True").then_some(())
        })
        .await;
        Ok(cluster)
    }

    fn prepare(tools: Tools, form: Form) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("forebay-cluster-").tempdir()?;
        certificates::make(
            folder.path(),
            &["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", "10.98.0.1", ADDRESS],
        )?;
        for (file, ..) in USERS {
            write_kubeconfig(folder.path(), file, &format!("{file}-token"))?;
        }
        let tokens = USERS.map(|(file, user, groups)| format!("{file}-token,{user},{file},{groups}\n"));
        fs::write(folder.path().join("tokens.csv"), tokens.concat())?;
        let namespaces = Namespaces::new(form, folder.path(), tools.root())?;
        // From here on the namespaces remove it.
        let _ = folder.keep();
        Ok(Self { parts: Mutex::default(), tools, namespaces })
    }

    async fn start_api_server(&self) -> anyhow::Result<()> {
        self.start(Part::Etcd)?;
        self.start(Part::ApiServer)?;
        let ready = async {
            while !self.kubectl().call(["get", "--raw=/readyz"], "").success {
                self.check(Part::Etcd)?;
                self.check(Part::ApiServer)?;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            anyhow::Ok(())
        };
        self.enter();
        tokio::time::timeout(PATIENCE, ready).await.context("the API server does not become ready")?
    }

    /// Starts a part, anew if it was killed. It may not be ready yet.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, part: Part) -> anyhow::Result<()> {
        let mut command = self.command(part)?;
        command.args(part.arguments()).env("PATH", self.path());
        if let Some(root) = self.tools.root() {
            command.env("LD_LIBRARY_PATH", libraries(root));
            command.env("XTABLES_LIBDIR", root.join(format!("usr/lib/{}-linux-gnu/xtables", std::env::consts::ARCH)));
        }
        let process = Process::start(&self.namespaces, part.program(), command)?;
        self.parts().insert(part, process);
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&self, part: Part) {
        self.parts().remove(&part).unwrap_or_else(|| panic!("{part:?} does not run")).kill();
    }

    /// What a part printed so far.
    pub fn log(&self, part: Part) -> String {
        self.parts().get(&part).map(Process::log).unwrap_or_default()
    }

    /// The pid of a part, as seen from outside.
    pub fn pid(&self, part: Part) -> Option<u32> {
        self.parts().get(&part).map(Process::pid)
    }

    fn check(&self, part: Part) -> anyhow::Result<()> {
        match self.parts().get_mut(&part) {
            Some(process) => match process.ended() {
                Some(status) => bail!("{} ended: {status}\n{}", part.program(), process.last_words()),
                None => Ok(()),
            },
            None => bail!("{} was not started", part.program()),
        }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<Part, Process>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the calling thread's network to where clients of the cluster are.
    pub fn enter(&self) {
        self.namespaces.enter();
    }

    /// The namespaces, to start more in them.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// Puts another address on `lo`: a place for upstreams that an `EndpointSlice` may name.
    ///
    /// # Errors
    /// `ip` fails.
    pub fn address(&self, address: &str) -> anyhow::Result<()> {
        let mut command = Command::new("ip");
        command.args(["address", "replace", &format!("{address}/32"), "dev", "lo"]);
        let status = self.namespaces.spawn(command)?.wait()?;
        anyhow::ensure!(status.success(), "ip address replace {address}: {status}");
        Ok(())
    }

    /// `kubectl` as the administrator. The calling thread must have [entered](Cluster::enter).
    pub fn kubectl(&self) -> Kubectl {
        self.kubectl_as("admin")
    }

    /// `kubectl` as the user whose kubeconfig was written under this name.
    pub fn kubectl_as(&self, user: &str) -> Kubectl {
        Kubectl::new(self.tools.program("kubectl"), self.kubeconfig(user))
    }

    /// A kubeconfig: `admin`, or one that [`Cluster::service_account`] wrote.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.namespaces.folder().join(format!("{user}.kubeconfig"))
    }

    /// A client as the administrator, for the runtime and the network of the calling thread.
    ///
    /// # Errors
    /// The kubeconfig is unusable.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client(&self.kubeconfig("admin")).await
    }

    /// Asks for a token of a ServiceAccount (`TokenRequest`).
    ///
    /// # Panics
    /// When there is no such ServiceAccount.
    pub fn token(&self, namespace: &str, account: &str, audience: Option<&str>) -> String {
        let mut arguments = vec!["create", "token", account, "--namespace", namespace];
        arguments.extend(audience.into_iter().flat_map(|audience| ["--audience", audience]));
        self.kubectl().run(&arguments).trim().to_owned()
    }

    /// A kubeconfig for a ServiceAccount; its path.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn service_account(&self, namespace: &str, account: &str) -> anyhow::Result<PathBuf> {
        let name = format!("{namespace}-{account}");
        write_kubeconfig(self.namespaces.folder(), &name, &self.token(namespace, account, None))?;
        Ok(self.kubeconfig(&name))
    }

    fn command(&self, part: Part) -> anyhow::Result<Command> {
        let mut command = match (part, self.tools.root()) {
            (Part::Containerd, Some(root)) => Command::new(root.join("usr/bin/containerd")),
            (Part::Containerd, None) => bail!("containerd is not among KUBEBUILDER_ASSETS"),
            _ => Command::new(self.tools.program(part.program())),
        };
        if part == Part::Kubelet {
            // It looks for the mount it is in by the name it was given.
            command.arg("--root-dir").arg(self.namespaces.folder().join("kubelet"));
        }
        Ok(command)
    }

    /// The programs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// The `PATH` of the cluster's processes.
    pub fn path(&self) -> String {
        let inherited = std::env::var("PATH").unwrap_or_default();
        let bin = self.tools.bin().display();
        let Some(root) = self.tools.root().map(Path::display) else { return format!("{bin}:{inherited}") };
        let links = self.namespaces.folder().join("sbin");
        format!("{}:{bin}:{root}/usr/bin:{root}/usr/sbin:{root}/bin:{root}/sbin:{inherited}", links.display())
    }
}

impl Part {
    /// The program's name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
        }
    }

    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Etcd => &[
                "--data-dir=etcd",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--unsafe-no-fsync",
            ],
            Self::ApiServer => &[
                "--etcd-servers=http://127.0.0.1:2379",
                "--secure-port=6443",
                "--bind-address=0.0.0.0",
                "--advertise-address=10.99.0.1",
                "--tls-cert-file=api.crt",
                "--tls-private-key-file=api.key",
                "--client-ca-file=ca.crt",
                "--kubelet-client-certificate=kubelet-client.crt",
                "--kubelet-client-key=kubelet-client.key",
                "--kubelet-preferred-address-types=InternalIP",
                "--service-account-key-file=sa.pub",
                "--service-account-signing-key-file=sa.key",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--token-auth-file=tokens.csv",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--service-cluster-ip-range=10.98.0.0/16",
                "--allow-privileged",
            ],
            Self::ControllerManager => &[
                "--kubeconfig=kube-controller-manager.kubeconfig",
                "--leader-elect=false",
                "--node-monitor-period=1s",
                "--use-service-account-credentials=true",
                "--service-account-private-key-file=sa.key",
                "--root-ca-file=ca.crt",
                "--cluster-signing-cert-file=ca.crt",
                "--cluster-signing-key-file=ca.key",
                "--secure-port=0",
            ],
            Self::Scheduler => &["--kubeconfig=kube-scheduler.kubeconfig", "--leader-elect=false", "--secure-port=0"],
            Self::Containerd => &["--config=containerd.toml"],
            Self::Kubelet => &[
                "--config=kubelet.yaml",
                "--kubeconfig=kubelet.kubeconfig",
                "--cert-dir=kubelet-pki",
                "--node-ip=10.99.0.1",
                "--hostname-override=forebay-node",
            ],
            Self::KubeProxy => &["--config=kube-proxy.yaml"],
        }
    }
}

/// Where the unpacked packages have their libraries.
pub(crate) fn libraries(root: &Path) -> String {
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    format!("{0}/usr/lib/{triple}:{0}/lib/{triple}", root.display())
}

/// A client for the user of a kubeconfig.
///
/// # Errors
/// The kubeconfig is unusable.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn write_kubeconfig(folder: &Path, name: &str, token: &str) -> anyhow::Result<()> {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://{ADDRESS}:6443"), "certificate-authority": folder.join("ca.crt"),
        }}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "current-context": "test",
    });
    fs::write(folder.join(format!("{name}.kubeconfig")), config.to_string())?;
    Ok(())
}
