//! A cluster with `manifests/` applied, in which controllers and data planes are started as the manifests start them: under the
//! ServiceAccounts and rules of `rbac.yaml`, with tokens that are bound to pods, believing the authority of `forebay-ca`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::forebay::{ADMIN, FEED, Forebay, HTTP, HTTPS};
use crate::{Cluster, Kubectl, Tools, clock, until};

/// The namespace of the manifests.
pub const NAMESPACE: &str = "forebay";

/// The headless Service of the controllers.
const SERVICE: &str = "forebay-controller.forebay.svc";

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests");

/// A light cluster with the manifests.
#[derive(Debug)]
pub struct Installed {
    /// The cluster.
    pub cluster: Cluster,
}

impl Installed {
    /// Starts the cluster, moves the calling thread there, and applies the manifests.
    ///
    /// # Errors
    /// The cluster does not start.
    ///
    /// # Panics
    /// When the API server refuses the manifests.
    pub async fn light(tools: Tools) -> anyhow::Result<Self> {
        // Before anything waits for it.
        crate::forebay::binary();
        let cluster = Cluster::light(tools).await?;
        cluster.enter();
        cluster.kubectl().run(&["apply", "--server-side", "-k", MANIFESTS]);
        let installed = Self { cluster };
        installed.resolve_service()?;
        Ok(installed)
    }

    /// Has the name of the headless Service lead to two controllers, in the cluster's own `/etc/hosts`.
    fn resolve_service(&self) -> anyhow::Result<()> {
        let hosts = self.folder().join("hosts");
        let line = |n| format!("{} {SERVICE}\n", Self::controller_address(n));
        fs::write(&hosts, [1, 2].map(line).concat())?;
        let mut command = Command::new("mount");
        command.arg("--bind").arg(&hosts).arg("/etc/hosts");
        let status = self.cluster.namespaces().spawn(command)?.wait()?;
        anyhow::ensure!(status.success(), "mount --bind over /etc/hosts: {status}");
        Ok(())
    }

    /// Where the `n`th controller is reached.
    pub fn controller_address(n: u8) -> String {
        format!("10.99.1.{n}")
    }

    /// What data planes are given.
    pub fn url() -> String {
        format!("https://{SERVICE}:{FEED}")
    }

    /// The `n`th controller, with the rights of `rbac.yaml`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn controller(&self, n: u8) -> Forebay {
        let kubeconfig = self.cluster.service_account(NAMESPACE, "forebay-controller").expect("a kubeconfig");
        self.controller_as(n, &kubeconfig, &["--publish-service=forebay/forebay"])
    }

    /// The `n`th controller, whose clock is wrong by so much (`+1h`); it still goes as fast as any.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn controller_at(&self, n: u8, clock: &str) -> Forebay {
        let kubeconfig = self.cluster.service_account(NAMESPACE, "forebay-controller").expect("a kubeconfig");
        let environment = clock::environment(self.cluster.tools(), clock);
        let environment: Vec<(&str, &OsStr)> =
            environment.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        self.start_controller(n, &kubeconfig, &[], &environment)
    }

    /// The `n`th controller as another user, with more arguments.
    pub fn controller_as(&self, n: u8, kubeconfig: &Path, more: &[&str]) -> Forebay {
        self.start_controller(n, kubeconfig, more, &[])
    }

    fn start_controller(&self, n: u8, kubeconfig: &Path, more: &[&str], environment: &[(&str, &OsStr)]) -> Forebay {
        let address = Self::controller_address(n);
        let mut arguments = vec![
            "controller".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--feed={address}:{FEED}"),
            format!("--admin={address}:{ADMIN}"),
        ];
        arguments.extend(more.iter().map(|&one| one.to_owned()));
        let pod = (NAMESPACE, &*format!("controller-{n}"));
        Forebay::start_with(&self.cluster, pod, &address, arguments, environment)
    }

    /// The `n`th data plane of the cluster's Ingresses, fed by the controllers 1 and 2. Started again, it has the state of the one
    /// before.
    pub async fn proxy(&self, n: u8) -> Forebay {
        self.proxy_with(n, &[]).await
    }

    /// The same with more arguments.
    pub async fn proxy_with(&self, n: u8, more: &[&str]) -> Forebay {
        let (name, address) = (format!("proxy-{n}"), format!("10.99.2.{n}"));
        self.pod(NAMESPACE, &name, "forebay-proxy");
        let mut arguments = vec![
            format!("--state-dir={}", self.folder().join(format!("{name}.state")).display()),
            format!("--http={address}:{HTTP}"),
            format!("--https={address}:{HTTPS}"),
            "--workers=1".to_owned(),
        ];
        arguments.extend(more.iter().map(|&one| one.to_owned()));
        self.data_plane((NAMESPACE, &name), &address, "forebay-proxy", &arguments).await
    }

    /// A sidecar of a pod of `namespace`, under the account `app` there, that asks for these groups. It listens at the pod's
    /// address.
    ///
    /// # Panics
    /// When the account is not there.
    pub async fn sidecar(&self, namespace: &str, n: u8, groups: &str) -> Forebay {
        let first = groups.split(',').next().unwrap_or(groups);
        self.sidecar_with(namespace, n, groups, &[format!("--http=10.99.4.{n}:{HTTP}={first}")]).await
    }

    /// The same with these arguments besides: without any, as `manifests/sidecar` starts one.
    pub async fn sidecar_with(&self, namespace: &str, n: u8, groups: &str, more: &[String]) -> Forebay {
        let name = format!("sidecar-{n}");
        self.pod(namespace, &name, "app");
        let arguments = [&[format!("--group={groups}")], more].concat();
        self.data_plane((namespace, &name), &format!("10.99.4.{n}"), "app", &arguments).await
    }

    async fn data_plane(
        &self,
        (namespace, name): (&str, &str),
        address: &str,
        account: &str,
        more: &[String],
    ) -> Forebay {
        let token = self.folder().join(format!("{name}.token"));
        fs::write(&token, self.pod_token(namespace, name, account)).expect("the token can be written");
        let mut arguments = vec![
            "proxy".to_owned(),
            format!("--controller={}", Self::url()),
            format!("--controller-ca={}", self.authority().await.display()),
            format!("--token={}", token.display()),
            format!("--admin={address}:{ADMIN}"),
            "--access-log=off".to_owned(),
        ];
        arguments.extend_from_slice(more);
        Forebay::start(&self.cluster, (namespace, name), address, arguments)
    }

    /// The file with what `forebay-ca` holds, once it is there: what a pod would have mounted.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn authority(&self) -> PathBuf {
        let path = self.folder().join("forebay-ca.crt");
        let bundle = until("the ConfigMap forebay-ca", async || {
            let arguments = ["get", "configmap", "forebay-ca", "-n", NAMESPACE, "-o", "jsonpath={.data.ca\\.crt}"];
            Some(self.kubectl().call(arguments, "").stdout).filter(|bundle| !bundle.is_empty())
        });
        fs::write(&path, bundle.await).expect("the bundle can be written");
        path
    }

    /// A token for the feed that is bound to a pod, as the kubelet projects it.
    pub fn pod_token(&self, namespace: &str, pod: &str, account: &str) -> String {
        let bound = ["--bound-object-kind=Pod", "--bound-object-name", pod];
        let of = ["create", "token", account, "--namespace", namespace, "--audience=forebay.dev"];
        self.kubectl().run(&[&of[..], &bound].concat()).trim().to_owned()
    }

    /// Stores a pod that nobody runs: what a token is bound to.
    pub fn pod(&self, namespace: &str, name: &str, account: &str) {
        self.kubectl().apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  serviceAccountName: {account}
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: forebay
    image: forebay
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"
        ));
    }

    /// Has packets for `address` lead nowhere, until [`Cluster::address`] puts it back.
    ///
    /// # Panics
    /// When it is not there.
    pub fn cut(&self, address: &str) {
        let mut command = Command::new("ip");
        command.args(["address", "delete", &format!("{address}/32"), "dev", "lo"]);
        let ended = self.cluster.namespaces().spawn(command).and_then(|mut child| Ok(child.wait()?));
        assert!(ended.is_ok_and(|status| status.success()), "cannot take {address} away");
    }

    /// Waits until the API server is ready, as after it was started again.
    pub async fn until_ready(&self) {
        let ready = ["get", "--raw=/readyz", "--request-timeout=5s"];
        until("the API server", async || self.kubectl().call(ready, "").success.then_some(())).await;
    }

    /// `kubectl` as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl()
    }

    /// Where files of the run are.
    pub fn folder(&self) -> &Path {
        self.cluster.namespaces().folder()
    }
}
