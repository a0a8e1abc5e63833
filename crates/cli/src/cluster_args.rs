//! Which cluster is meant: the flags of every command that follows one.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use controller::connect::Access;
use controller::watch::{Classes, WatchScope};

/// Which cluster, and what of it.
#[derive(Clone, Debug, Args)]
pub struct ClusterArgs {
    /// The pod's ServiceAccount and nothing else: `run --in-cluster`.
    #[arg(skip)]
    pub is_pod: bool,

    /// Use this kubeconfig [default: the pod's ServiceAccount, else $KUBECONFIG, else ~/.kube/config]
    #[arg(long, env = "FOREBAY_KUBECONFIG", value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,

    /// Use this context of the kubeconfig
    #[arg(long, env = "FOREBAY_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,

    /// Watch this namespace alone; repeatable; Roles in these namespaces then suffice [default: all namespaces]
    #[arg(long, env = "FOREBAY_WATCH_NAMESPACE", value_name = "NS", value_delimiter = ',')]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub watch_namespace: Vec<String>,
}

impl ClusterArgs {
    /// How to reach the cluster.
    pub fn to_access(&self) -> Access {
        if self.is_pod { Access::Pod } else { Access::given(self.kubeconfig.clone(), self.context.clone()) }
    }

    /// What of it is watched, when only this class of Ingresses is served.
    pub fn scope(&self, ingress_class: Option<&str>) -> WatchScope {
        let namespaces: Vec<Arc<str>> =
            self.watch_namespace.iter().map(|namespace| namespace.as_str().into()).collect();
        let dispensable = ingress_class.is_some() || !namespaces.is_empty();
        WatchScope { namespaces, classes: if dispensable { Classes::Dispensable } else { Classes::Needed } }
    }
}
