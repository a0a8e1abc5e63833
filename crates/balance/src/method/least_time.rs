//! Least expected time per weight (`ngx_http_upstream_least_time_module.c`, nginx 1.31.0).
//!
//! The figure depends on the clock at every look, so this method always scans. Only successful attempts are averaged: a
//! peer that fails fast must not look good.

use crate::{
    Measure, Now, Outcome, Peer, Request, method::least_conn, peer::PeerState, plan::Server, sticky, turn::Turn,
};

/// Beyond this many milliseconds peers are equally bad, and the number of attempts decides.
const SLOWEST: u64 = 5000;
/// Times are rounded up to the next multiple, so that close peers tie and take turns.
const CLUSTER: u64 = 20;

/// The moving averages of one peer, milliseconds; none before the first sample.
#[derive(Clone, Debug, Default)]
pub(crate) struct Averages {
    header: u64,
    last_byte: u64,
    /// Average age of the requests still running, sampled whenever the peer is looked at.
    inflight: u64,
    /// Requests still running, and the sum of the moments they began at.
    running: u32,
    began: u64,
}

impl Averages {
    /// A request began that `inflight` is to weigh.
    pub(crate) fn begin(&mut self, now: Now) {
        self.running += 1;
        self.began += now.millis();
    }

    /// That request has what is measured, or has ended.
    pub(crate) fn end(&mut self, began: Now) {
        self.running = self.running.saturating_sub(1);
        self.began = self.began.saturating_sub(began.millis());
    }

    /// A complete header arrived after `millis`.
    pub(crate) fn header(&mut self, millis: u64) {
        average(&mut self.header, millis);
    }

    /// Requests still running that `inflight` weighs.
    pub(crate) fn running(&self) -> u32 {
        self.running
    }

    fn look(&mut self, now: Now) {
        if self.running > 0 {
            let running = u64::from(self.running);
            let ages = now.millis().saturating_mul(running).saturating_sub(self.began);
            average(&mut self.inflight, ages / running);
        }
    }

    fn of(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Header => self.header,
            Measure::LastByte => self.last_byte,
        }
    }
}

pub(crate) fn pick(turn: &mut Turn<'_>, request: &Request, measure: Measure, inflight: bool) -> Option<u32> {
    if let Some(pinned) = sticky::pinned(turn, request) {
        return Some(pinned);
    }
    let now = turn.now;
    least_conn::least(turn, request, |server, peer| {
        if inflight {
            peer.averages.look(now);
        }
        eta(server, peer, measure, now)
    })
}

/// The end of an attempt (`ngx_http_upstream_free_least_time_peer`).
pub(crate) fn settle(averages: &mut Averages, measure: Measure, inflight: bool, peer: &Peer, outcome: Outcome) {
    if peer.in_flight {
        averages.end(peer.began);
    }
    match outcome {
        Outcome::Done(Some(times)) => {
            average(&mut averages.last_byte, times.last_byte);
            // With both, the header was averaged when it came.
            if !(inflight && measure == Measure::Header) {
                averages.header(times.header);
            }
        }
        Outcome::Done(None) | Outcome::Failed | Outcome::Next | Outcome::Abandoned | Outcome::Unjudged => {}
    }
}

/// `ngx_http_upstream_least_time_eta`: the time it needs to finish what it has and one request more.
fn eta(server: &Server, peer: &PeerState, measure: Measure, now: Now) -> u64 {
    let mut time = peer.averages.of(measure);
    let idle = now.secs().saturating_sub(peer.checked);
    let window = u64::from(server.fail_timeout);
    if idle > window {
        // Halved once per fail_timeout, to give a slow peer another chance; past the width of the type nothing is left.
        time = u32::try_from(idle / (window + 1)).ok().and_then(|halvings| time.checked_shr(halvings)).unwrap_or(0);
    }
    if peer.averages.running > 0 {
        time = time.max(peer.averages.inflight);
    }
    clustered(time) * (1 + u64::from(peer.conns))
}

fn clustered(time: u64) -> u64 {
    if time > SLOWEST { SLOWEST } else { time + CLUSTER - time % CLUSTER }
}

/// `ngx_http_upstream_response_time_avg`: the first sample is taken as it is, then a twentieth of each, rounded.
fn average(average: &mut u64, sample: u64) {
    *average = if *average == 0 { sample } else { (sample.saturating_add(*average * 19) + 10) / 20 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_slowly_and_start_at_once() {
        let mut value = 0;
        average(&mut value, 100);
        assert_eq!(value, 100);
        average(&mut value, 200);
        assert_eq!(value, 105);
        average(&mut value, 106);
        assert_eq!(value, 105);
    }

    #[test]
    fn times_are_raised_to_the_next_cluster_and_capped() {
        let table = [(0, 20), (19, 20), (20, 40), (4999, 5000), (5000, 5020), (5001, 5000), (90_000, 5000)];
        for (time, expected) in table {
            assert_eq!(clustered(time), expected, "{time} ms");
        }
    }

    #[test]
    fn running_requests_age_together() {
        let mut averages = Averages::default();
        averages.begin(Now::from_millis(1000));
        averages.begin(Now::from_millis(1400));
        averages.look(Now::from_millis(2000));
        assert_eq!(averages.inflight, 800);
        averages.end(Now::from_millis(1000));
        assert_eq!((averages.running, averages.began), (1, 1400));
    }
}
