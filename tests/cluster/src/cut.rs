//! Partitions of a node's network: packets between two sides lead nowhere, and neither side is told.

use std::net::Ipv4Addr;
use std::process::Command;

use anyhow::Context;

use crate::Cluster;
use crate::cluster::libraries;

impl Cluster {
    /// Drops every packet between the two sides, those of connections that stand included, until [`Cluster::mend`]. The node
    /// itself is [`crate::ADDRESS`]; its probes come from another address.
    ///
    /// # Errors
    /// nft refuses it, or there is a cut already.
    pub fn cut(&self, one: &[Ipv4Addr], other: &[Ipv4Addr]) -> anyhow::Result<()> {
        let set = |side: &[Ipv4Addr]| side.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ");
        let (one, other) = (set(one), set(other));
        let drop = format!(
            "ip saddr {{ {one} }} ip daddr {{ {other} }} drop; ip saddr {{ {other} }} ip daddr {{ {one} }} drop;"
        );
        // After addresses of Services were replaced by those of endpoints, which is done on the way in.
        let chain = |hook: &str| format!("chain {hook} {{ type filter hook {hook} priority filter; {drop} }}");
        let chains = ["input", "forward", "output"].map(chain).join("; ");
        self.nft(&format!("create table inet cut; table inet cut {{ {chains}; }}"))
    }

    /// Undoes [`Cluster::cut`].
    ///
    /// # Errors
    /// There is none.
    pub fn mend(&self) -> anyhow::Result<()> {
        self.nft("delete table inet cut")
    }

    fn nft(&self, rules: &str) -> anyhow::Result<()> {
        let root = self.tools().root().context("a node has packages")?;
        let mut command = Command::new(root.join("usr/sbin/nft"));
        command.arg(rules).env("LD_LIBRARY_PATH", libraries(root));
        let status = self.namespaces().spawn(command)?.wait()?;
        anyhow::ensure!(status.success(), "nft {rules}: {status}");
        Ok(())
    }
}
