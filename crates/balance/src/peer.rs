//! The state of one peer and what a pick and an outcome do to it (`ngx_http_upstream_round_robin.c`:
//! `ngx_http_upstream_get_peer` and `ngx_http_upstream_free_round_robin_peer`).
//!
//! It knows the limits of its `server` line only as a parameter: two plans may run over one state for a while, so every
//! reader clamps what it reads by its own line and nobody stores a limit here.

use crate::{
    Now,
    method::least_time::Averages,
    plan::Server,
    weight::{UNIT, ramped},
};

/// nginx's `ngx_http_upstream_rr_peer_t`, without its configuration. Weights are in [`UNIT`]s.
#[derive(Clone, Debug)]
pub(crate) struct PeerState {
    /// nginx `current_weight`. While the peer is ranked by the index, the index holds it instead.
    pub(crate) current: i64,
    /// nginx `effective_weight`.
    pub(crate) effective: i64,
    /// Attempts in progress.
    pub(crate) conns: u32,
    /// nginx `fails`.
    pub(crate) fails: u32,
    /// Second of the last failure.
    pub(crate) accessed: u64,
    /// Second of the last failure, or of the pick that opened a newer window.
    pub(crate) checked: u64,
    /// Millisecond at which a slow start began.
    pub(crate) ramp: Option<u64>,
    /// What `least_time` averages.
    pub(crate) averages: Averages,
}

impl PeerState {
    /// A peer nobody has picked: nginx starts every weight state at zero.
    pub(crate) fn new(weight: i64) -> Self {
        Self {
            current: 0,
            effective: weight,
            conns: 0,
            fails: 0,
            accessed: 0,
            checked: 0,
            ramp: None,
            averages: Averages::default(),
        }
    }

    /// Whether its failures keep it out now. The comparison is strict and in whole seconds, so an ejection lasts more than
    /// `fail_timeout` and less than `fail_timeout` + 1 s.
    pub(crate) fn ejected(&self, server: &Server, now: Now) -> bool {
        self.failed_enough(server) && !self.window_over(server, now)
    }

    /// The first second in which its failures no longer keep it out.
    pub(crate) fn ejected_until(&self, server: &Server) -> u64 {
        self.checked + u64::from(server.fail_timeout) + 1
    }

    /// Whether `max_fails` is reached, whatever time has passed since.
    pub(crate) fn failed_enough(&self, server: &Server) -> bool {
        server.max_fails > 0 && self.fails >= server.max_fails
    }

    /// Whether `max_conns` is reached.
    pub(crate) fn full(&self, server: &Server) -> bool {
        server.max_conns > 0 && self.conns >= server.max_conns
    }

    /// The weight that ratios are taken with: the configured one, less while it starts slowly.
    pub(crate) fn weight(&self, server: &Server, now: Now) -> i64 {
        match self.ramp {
            None => server.full_weight(),
            Some(since) => ramped(server.full_weight(), now.millis().saturating_sub(since), server.slow_start),
        }
    }

    /// One round of smooth weighting in which this peer is eligible: `cur += eff`, and `eff` recovers by one after its old
    /// value was used. Returns what it adds to the round's total.
    pub(crate) fn gain(&mut self, server: &Server, now: Now) -> i64 {
        let full = server.full_weight();
        let gained = self.effective.min(self.weight(server, now));
        if self.ramp.is_some() && self.weight(server, now) == full {
            self.ramp = None;
        }
        self.current += gained;
        if self.effective < full {
            self.effective += UNIT;
        }
        gained
    }

    /// What every method does to the peer it picked: opens a new window when the last one is over (which marks the probe
    /// of an ejected peer), and counts the attempt.
    pub(crate) fn take(&mut self, server: &Server, now: Now) {
        if self.window_over(server, now) {
            self.checked = now.secs();
        }
        self.conns += 1;
    }

    /// `NGX_PEER_FAILED`. Returns whether the failure reached or passed `max_fails`.
    pub(crate) fn fail(&mut self, server: &Server, now: Now) -> bool {
        self.fails = self.fails.saturating_add(1);
        self.accessed = now.secs();
        self.checked = now.secs();
        // Whole weights are divided, as nginx does, and only then scaled: W=1 max_fails=3 loses nothing.
        if let Some(penalty) = server.weight.checked_div(server.max_fails) {
            self.effective = (self.effective.min(server.full_weight()) - i64::from(penalty) * UNIT).max(0);
        }
        self.failed_enough(server)
    }

    /// Any other outcome. It clears the failures only when a pick later than `fail_timeout` opened a new window. Returns
    /// whether it brought an ejected peer back.
    pub(crate) fn succeed(&mut self, server: &Server, now: Now) -> bool {
        if self.accessed >= self.checked {
            return false;
        }
        let recovered = self.failed_enough(server);
        self.fails = 0;
        if recovered && server.slow_start > 0 {
            self.ramp = Some(now.millis());
        }
        recovered
    }

    fn window_over(&self, server: &Server, now: Now) -> bool {
        now.secs().saturating_sub(self.checked) > u64::from(server.fail_timeout)
    }
}
