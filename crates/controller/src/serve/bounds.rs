//! How much the feed's listener takes from anybody. What a line, a hello or a report may be is `feed::limits`; this is about
//! connections, streams and time. Each bound is far above what a fleet needs.

use std::time::Duration;

use config::Millis;
use feed::Grant;

/// The bounds. The defaults are meant for every installation; tests use smaller ones.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// Connections whose end has not yet proved who it is, of one address.
    pub unproven_per_address: usize,
    /// The same, of all addresses.
    pub unproven: usize,
    /// Connections of one pod.
    pub connections_per_pod: usize,
    /// Connections of one ServiceAccount whose proofs name no pod.
    pub connections_per_account: usize,
    /// Connections of all who proved who they are. Of these, of subscribers and of reports, a quarter is for ingresses alone.
    pub connections: usize,
    /// Requests, streams of the feed included, that run at once on one connection.
    pub streams_per_connection: u32,
    /// Subscribers of one pod: one, and those it has lost and we have not yet.
    pub subscribers_per_pod: usize,
    /// Subscribers of one ServiceAccount whose proofs name no pod.
    pub subscribers_per_account: usize,
    /// Subscribers of all.
    pub subscribers: usize,
    /// Sidecars at once that have a long `hello` (more than [`feed::limits::CLIENT_LINE`]) read or compared with what there is:
    /// up to 10,000 names each, 2.5 MB. The others are asked to come again.
    pub hellos: usize,
    /// Bytes of a request's header list (RFC 9113 section 6.5.2): a token of 16 KiB and as much again.
    pub header_bytes: u32,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the first request that proves who sends it, from the handshake on.
    pub proof: Duration,
    /// Time without a request after which a connection is closed.
    pub idle: Duration,
    /// How long a subscriber may leave a line untaken.
    pub stalled: Millis,
    /// After how much time a subscriber's proof is looked at again.
    pub recheck: Millis,
    /// Bytes a second a subscriber may send once it introduced itself; more is read later.
    pub incoming: u64,
    /// Time for the whole of a report, the wait for room included.
    pub report: Duration,
    /// Bytes of all reports of ingresses that are being read, and of all reports of sidecars: one of the longest each.
    pub reports_bytes: u32,
    /// Time the subscribers have to take their `bye` when the controller leaves.
    pub farewell: Duration,
    /// For each subscriber that must come again elsewhere, the time over which they are spread grows by this.
    pub spread: Millis,
}

impl Bounds {
    /// Of so many in all, those that somebody with this grant may find taken and still be let in.
    pub(super) fn all_for(grant: &Grant, all: usize) -> usize {
        if grant.is_ingress() { all } else { all - all / 4 }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            unproven_per_address: 256,
            unproven: 1024,
            connections_per_pod: 8,
            connections_per_account: 1024,
            connections: 4096,
            streams_per_connection: 16,
            subscribers_per_pod: 4,
            subscribers_per_account: 1024,
            subscribers: 4096,
            hellos: 32,
            header_bytes: 32 << 10,
            handshake: Duration::from_secs(10),
            proof: Duration::from_secs(15),
            idle: Duration::from_mins(1),
            stalled: Millis::from_secs(120),
            recheck: Millis::from_secs(600),
            incoming: 1 << 20,
            report: Duration::from_secs(30),
            reports_bytes: 16 << 20,
            farewell: Duration::from_secs(5),
            spread: Millis(20),
        }
    }
}
