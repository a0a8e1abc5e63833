//! What every data plane says of its life, whoever feeds it: people and scripts wait for these lines.

use config::{Config, Revision};
use tracing::info;

/// A configuration is in force; where it came from, unless that goes without saying.
pub fn in_force(revision: Revision, config: &Config, source: Option<&str>) {
    let (groups, hosts) = (config.groups.len(), config.routes.hosts.len());
    let from = source.map(|source| format!("; from {source}")).unwrap_or_default();
    info!("configuration {revision} in force: {groups} group(s), {hosts} host(s){from}");
}

/// Requests are answered by a configuration.
pub fn ready() {
    info!("ready");
}
