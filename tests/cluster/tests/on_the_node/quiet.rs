//! What is left when nobody asks: no request, nobody who is taken for a client or a data plane and is none, and no descriptors but
//! those that there were at first.

use std::collections::BTreeMap;

use cluster::{NAMESPACE, until};

use crate::rig::Rig;

/// Descriptors that a process may have more than at first: a stream and a reporter of each data plane that came to this replica,
/// and a connection to the API server made anew before the old one went. A leak by the request, the handshake or the change is more.
const SLACK: usize = 12;

/// The most descriptors that a process of each component had when nobody asked.
pub struct AtRest(BTreeMap<&'static str, usize>);

impl Rig {
    /// Waits until nobody is served, and counts.
    pub async fn at_rest(&self) -> AtRest {
        self.is_idle().await;
        let mut most = BTreeMap::new();
        for component in ["controller", "proxy"] {
            for (pod, _) in self.pods(component).await {
                let open = self.cluster.open_files(NAMESPACE, &pod);
                let most = most.entry(component).or_insert(open);
                *most = open.max(*most);
            }
        }
        println!("at rest: {most:?} descriptors");
        AtRest(most)
    }

    /// Waits until all is as it was `at_rest`: by then idle connections to servers have been closed, too.
    pub async fn is_quiet(&self, at_rest: &AtRest) {
        self.is_idle().await;
        for (component, most) in &at_rest.0 {
            for (pod, _) in self.pods(component).await {
                until(&format!("{pod} to have {most} descriptors open, or a few more"), async || {
                    (self.cluster.open_files(NAMESPACE, &pod) <= most + SLACK).then_some(())
                })
                .await;
            }
        }
    }

    /// Waits until no data plane has a request, a tunnel, a client or an attempt left, and the controllers know of the data planes
    /// that there are and no others.
    async fn is_idle(&self) {
        let proxies = self.pods("proxy").await;
        for (pod, address) in &proxies {
            until(&format!("{pod} to be quiet"), async || {
                let metrics = self.admin(*address, "/metrics").await.ok()?;
                let nothing = ["requests_active", "tunnels_active", "connections_active"]
                    .iter()
                    .all(|name| sum(&metrics, &format!("forebay_{name}")) == Some(0));
                let attempts = sum(&metrics, "forebay_upstream_server_active_requests");
                (nothing && attempts.is_none_or(|count| count == 0)).then_some(())
            })
            .await;
        }
        let controllers = self.pods("controller").await;
        for name in ["forebay_controller_feed_subscribers", "forebay_controller_data_planes"] {
            until(&format!("{name} of all controllers to be {}", proxies.len()), async || {
                let mut total = 0;
                for (_, address) in &controllers {
                    total += sum(&self.admin(*address, "/metrics").await.ok()?, name)?;
                }
                (total == proxies.len()).then_some(())
            })
            .await;
        }
    }
}

/// The sum over the series of a metric whose values are counts.
fn sum(metrics: &str, name: &str) -> Option<usize> {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let values = series.filter(|rest| rest.starts_with([' ', '{'])).map(|rest| rest.rsplit(' ').next()?.parse().ok());
    values.reduce(|one: Option<usize>, other| Some(one? + other?)).flatten()
}
