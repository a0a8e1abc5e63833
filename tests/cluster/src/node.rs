//! The node of a cluster: what its processes are told. Every setting that is not a matter of taste has its reason beside it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Writes the configuration of containerd, its network, the kubelet and kube-proxy into `run`; `root` is where the packages
/// are.
pub(crate) fn configure(run: &Path, root: &Path) -> anyhow::Result<()> {
    let group = run.file_name().unwrap_or_default().to_string_lossy();
    fs::write(run.join("containerd.toml"), containerd(run, root))?;
    fs::create_dir(run.join("cni"))?;
    fs::write(run.join("cni/10-bridge.conflist"), network(run).to_string())?;
    fs::write(run.join("kubelet.yaml"), kubelet(run, &group).to_string())?;
    fs::write(run.join("kube-proxy.yaml"), kube_proxy(run).to_string())?;
    fs::write(run.join("resolv.conf"), "nameserver 10.98.0.10\n")?;
    Ok(())
}

/// Where containerd listens, in a /run of the node's own.
pub(crate) const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// The image of a pod's sandbox, and of the applications of the tests: `pod/main.go`.
pub const POD_IMAGE: &str = "forebay.test/pod:1";

/// The image of the cluster's DNS server.
pub(crate) const DNS_IMAGE: &str = "forebay.test/coredns:1";

fn containerd(run: &Path, root: &Path) -> String {
    let (run, root) = (run.display(), root.display());
    // Without CAP_SYS_RESOURCE nobody's OOM score can be lowered.
    format!(
        r#"version = 2
root = "{run}/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{POD_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{root}/usr/lib/cni"
    conf_dir = "{run}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = "{root}/usr/sbin/runc"
      SystemdCgroup = false
"#
    )
}

fn network(run: &Path) -> Value {
    // A link for each pod: on a bridge, whoever spoke with the last pod of an address would look for it at its old place.
    json!({"cniVersion": "0.4.0", "name": "pods", "plugins": [
        {"type": "ptp", "ipMasq": false, "ipam": {
            "type": "host-local", "dataDir": run.join("ipam"),
            "ranges": [[{"subnet": "10.97.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}],
        }},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]})
}

fn kubelet(run: &Path, group: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false}, "webhook": {"enabled": true},
            "x509": {"clientCAFile": run.join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD}"),
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("/{group}"),
        // Hosts of either version will do.
        "failCgroupV1": false, "failSwapOn": false,
        "oomScoreAdj": 0, "maxOpenFiles": 20000,
        "clusterDNS": ["10.98.0.10"], "clusterDomain": "cluster.local", "resolvConf": run.join("resolv.conf"),
        "readOnlyPort": 0, "healthzPort": 10248,
        "podLogsDir": "/var/log/pods", "volumePluginDir": run.join("volumeplugins"),
        // The disk is the host's, and its fill is none of a test's business.
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        "nodeStatusUpdateFrequency": "4s", "syncFrequency": "5s",
    })
}

fn kube_proxy(run: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": run.join("kube-proxy.kubeconfig")},
        "mode": "nftables",
        // Its lag must not be in the figures.
        "nftables": {"minSyncPeriod": "50ms", "syncPeriod": "30s"},
        "clusterCIDR": "10.97.0.0/24", "hostnameOverride": "forebay-node", "oomScoreAdj": 0,
        // The host's limits stay as they are.
        "conntrack": {
            "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s", "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
    })
}
