//! Who writes status, and what: the flags of every command that stands for election.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use controller::lease;
use controller::runtime::LeadOptions;

use crate::environment::{hostname, set};
use crate::options::duration;

/// Who writes, and what.
#[derive(Clone, Debug, Args)]
pub struct LeadArgs {
    /// The name of this replica; a random suffix is added [default: `POD_NAME`, else the host's name]
    #[arg(long, env = "FOREBAY_IDENTITY", value_name = "NAME")]
    identity: Option<String>,

    /// The Lease that says which replica writes status
    #[arg(long, env = "FOREBAY_LEASE", value_name = "NAME", default_value = "forebay-controller")]
    lease: String,

    /// The Service whose addresses are written into the status of Ingresses
    #[arg(long, env = "FOREBAY_PUBLISH_SERVICE", value_name = "NS/NAME", value_parser = namespaced)]
    pub publish_service: Option<(String, String)>,

    /// An address that is written there instead; repeatable
    #[arg(long, env = "FOREBAY_PUBLISH_ADDRESS", value_name = "ADDR", value_delimiter = ',')]
    publish_address: Vec<String>,

    /// Between two writes of one object's status that only change counters
    #[arg(long, env = "FOREBAY_STATUS_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = duration)]
    status_interval: Duration,
}

impl LeadArgs {
    /// A candidate for the Lease in `namespace`, whose feed, if it has one, is reached at `advertise`.
    pub fn into_options(self, namespace: String, advertise: Option<Arc<str>>) -> LeadOptions {
        LeadOptions {
            identity: lease::identity(&self.name()),
            namespace,
            lease: self.lease,
            advertise,
            publish_addresses: self.publish_address,
            status_interval: self.status_interval.into(),
        }
    }

    /// What this replica is called.
    pub fn name(&self) -> String {
        let name = self.identity.clone().or_else(|| set("POD_NAME")).or_else(hostname);
        name.unwrap_or_else(|| "controller".to_owned())
    }
}

fn namespaced(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err(format!("\"{text}\" names no Service; write NAMESPACE/NAME, for example forebay/forebay")),
    }
}
