//! The names: every family with its kind, labels and meaning. `docs/metrics.md` shows this table, and a test compares them.

use std::collections::HashMap;

use prometheus::core::Desc;
use prometheus::proto::MetricType;

/// A family of series.
#[derive(Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The labels its series may have; one that would be empty is left out.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// What a family's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; falls to 0 with its subject.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution: `_bucket`, `_sum`, `_count`.
    Histogram,
    /// A sum and a number: `_sum`, `_count`.
    Summary,
}

impl Kind {
    /// The word of the text format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
        }
    }

    pub(super) const fn as_proto(self) -> MetricType {
        match self {
            Self::Counter => MetricType::COUNTER,
            Self::Gauge => MetricType::GAUGE,
            Self::Histogram => MetricType::HISTOGRAM,
            Self::Summary => MetricType::SUMMARY,
        }
    }
}

impl Family {
    pub(super) fn description(&self) -> Result<Desc, prometheus::Error> {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }
}

macro_rules! families {
    ($($(#[$doc:meta])* $constant:ident = $kind:ident $name:literal [$($label:ident),*] $help:literal;)*) => {
        $(pub(super) const $constant: Family = Family {
            name: $name,
            kind: Kind::$kind,
            labels: &[$(stringify!($label)),*],
            help: $help,
        };)*

        /// Every family of ours.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    BUILD_INFO = Gauge "forebay_build_info" [version, nginx]
        "1; the version of Forebay and the nginx whose behaviour it has.";
    DRAINING = Gauge "forebay_draining" []
        "1 from SIGTERM on: not ready, finishing what is in flight.";
    CONNECTIONS_ACCEPTED = Counter "forebay_connections_accepted_total" []
        "Client connections accepted.";
    ACCEPT_FAILURES = Counter "forebay_accept_failures_total" []
        "Times that a connection could not be accepted, most often for want of descriptors.";
    CONNECTIONS_ACTIVE = Gauge "forebay_connections_active" []
        "Client connections open now, upgraded ones included.";
    REQUESTS_ACTIVE = Gauge "forebay_requests_active" []
        "Requests between their header and the end of their response.";
    TUNNELS_ACTIVE = Gauge "forebay_tunnels_active" []
        "Upgraded connections (WebSocket) open now.";
    REQUESTS = Counter "forebay_requests_total" [code_class]
        "Requests finished, by the class of the status sent.";
    RECEIVED_BYTES = Counter "forebay_received_bytes_total" []
        "Bytes of request bodies received from clients.";
    SENT_BYTES = Counter "forebay_sent_bytes_total" []
        "Bytes of response headers and bodies sent to clients.";
    NO_ROUTE = Counter "forebay_requests_without_route_total" []
        "Requests that no route matched: answered with 404.";
    BAD_REQUESTS = Counter "forebay_bad_requests_total" []
        "Requests refused for the client's fault before a route was looked for.";
    TLS_HANDSHAKES = Counter "forebay_tls_handshakes_total" [result]
        "TLS handshakes with clients, by what they came to: full, resumed or failed.";
    LOST_LINES = Counter "forebay_access_log_lost_lines_total" []
        "Access log lines lost to a full disk or a blocked pipe.";
    CONFIG_INFO = Gauge "forebay_config_info" [revision]
        "1; the content version of the configuration in force.";
    CONFIG_APPLIED = Gauge "forebay_config_applied_timestamp_seconds" []
        "When the configuration in force was applied, seconds since the epoch.";
    CONFIG_AGE = Gauge "forebay_config_age_seconds" []
        "How old the configuration in force may be: 0 while files or a controller keep it current, else the time since.";
    CONFIG_RELOADS = Counter "forebay_config_reloads_total" [result]
        "Sets of documents read or commits received, by what became of them: applied or refused.";
    CONFIG_LAST_SUCCESSFUL = Gauge "forebay_config_last_reload_successful" []
        "1 if the last of them was applied, 0 if it was refused.";
    CERTIFICATE_EXPIRY = Gauge "forebay_certificate_expiry_timestamp_seconds" [namespace, name]
        "When a certificate expires, seconds since the epoch; by its Secret: those that TLS listeners present and, where there are such, those shown to servers.";
    FEED_CONTROLLER_INFO = Gauge "forebay_feed_controller_info" [controller, address]
        "1; the controller that is connected, as --controller names it, and the one of its addresses.";
    FEED_SYNCED = Gauge "forebay_feed_synced" []
        "1 while a controller keeps the configuration current.";
    FEED_SYNCHRONISATIONS = Counter "forebay_feed_synchronisations_total" []
        "Times that a controller brought this data plane up to date after a connect.";
    FEED_FAILURES = Counter "forebay_feed_failures_total" [reason]
        "Times that a controller could not be used or was lost.";
    FEED_REJECTED = Gauge "forebay_feed_rejected_resources" []
        "Resources of the present controller that this data plane cannot use.";
    FEED_REPORTS = Counter "forebay_feed_reports_total" [result]
        "Reports to the leader: delivered or failed.";
    LAST_GOOD_WRITES = Counter "forebay_last_good_writes_total" [result]
        "Times that the last good configuration was written, or could not be: written or failed.";
    LAST_GOOD_CURRENT = Gauge "forebay_last_good_current_timestamp_seconds" []
        "When the configuration on disk was current last, seconds since the epoch.";
    GROUP_INFO = Gauge "forebay_upstream_info" [namespace, group, method]
        "1; the balancing method of a group.";
    GROUP_REQUESTS = Counter "forebay_upstream_requests_total" [namespace, group, code_class]
        "Requests finished, by the class of the status sent to the client.";
    GROUP_DURATION = Histogram "forebay_upstream_request_duration_seconds" [namespace, group]
        "From the header of a request to the end of its response, all attempts included.";
    GROUP_RETRIES = Counter "forebay_upstream_retries_total" [namespace, group, reason]
        "Attempts after the first, by the nextUpstream condition that allowed them.";
    GROUP_NO_LIVE = Counter "forebay_upstream_no_live_total" [namespace, group]
        "Requests that found no eligible server: no live upstreams.";
    GROUP_ACTIVE_TIER = Gauge "forebay_upstream_active_tier" [namespace, group, tier]
        "1 for the tier that serves fresh requests now: Primary, Backup or None.";
    GROUP_SERVERS = Gauge "forebay_upstream_servers" [namespace, group, state]
        "Servers by state: Up, Ejected, Down, Draining or Full.";
    SERVER_INFO = Gauge "forebay_upstream_server_info" [namespace, group, server, address, pod, zone, tier]
        "1; the tier of a server.";
    SERVER_REQUESTS = Counter "forebay_upstream_server_requests_total"
        [namespace, group, server, address, pod, zone, code_class]
        "Attempts at a server, by the class of the status it sent; none when it sent no response header.";
    SERVER_FAILURES = Counter "forebay_upstream_server_failures_total"
        [namespace, group, server, address, pod, zone, kind]
        "Attempts charged to a server, by what went wrong.";
    SERVER_EJECTIONS = Counter "forebay_upstream_server_ejections_total" [namespace, group, server, address, pod, zone]
        "Failures at or past maxFails, each of which puts the server out for failTimeout.";
    SERVER_EJECTED = Gauge "forebay_upstream_server_ejected" [namespace, group, server, address, pod, zone]
        "1 while a server is out on failures.";
    SERVER_WEIGHT = Gauge "forebay_upstream_server_weight" [namespace, group, server, address, pod, zone]
        "The configured weight.";
    SERVER_EFFECTIVE_WEIGHT = Gauge "forebay_upstream_server_effective_weight"
        [namespace, group, server, address, pod, zone]
        "The weight that failures have lowered and successes are restoring.";
    SERVER_ACTIVE_REQUESTS = Gauge "forebay_upstream_server_active_requests"
        [namespace, group, server, address, pod, zone]
        "Attempts in progress, tunnels included: what maxConns limits.";
    SERVER_RESPONSE = Summary "forebay_upstream_server_response_seconds" [namespace, group, server, address, pod, zone]
        "Time of the attempts that brought a response, from the pick to its last byte.";
}
