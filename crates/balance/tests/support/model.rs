//! A second opinion: round robin, `least_conn` and the failure accounting written down from the rules, with whole weights and
//! without any thought of speed, states or plans. It shares no line with the crate.

use balance::{Availability, GroupSpec, Method, Tier};

#[derive(Clone, Debug)]
pub struct ModelPeer {
    pub weight: i64,
    pub max_fails: i64,
    pub fail_timeout: i64,
    pub max_conns: i64,
    pub down: bool,
    pub backup: bool,
    pub eff: i64,
    pub cur: i64,
    pub conns: i64,
    pub fails: i64,
    pub accessed: i64,
    pub checked: i64,
}

/// A group of peers under round robin or `least_conn`.
pub struct Model {
    pub peers: Vec<ModelPeer>,
    least_conn: bool,
}

/// A request's memory.
#[derive(Clone, Debug, Default)]
pub struct ModelRequest {
    pub backup: bool,
    pub tried: Vec<usize>,
}

impl Model {
    pub fn new(spec: &GroupSpec) -> Self {
        let peer = |server: &balance::ServerSpec| ModelPeer {
            weight: server.weight.into(),
            max_fails: server.max_fails.into(),
            fail_timeout: server.fail_timeout.into(),
            max_conns: server.max_conns.into(),
            down: server.availability != Availability::Up,
            backup: server.tier == Tier::Backup,
            eff: server.weight.into(),
            cur: 0,
            conns: 0,
            fails: 0,
            accessed: 0,
            checked: 0,
        };
        Self { peers: spec.servers.iter().map(peer).collect(), least_conn: spec.method == Method::LeastConn }
    }

    pub fn select(&mut self, request: &mut ModelRequest, now: i64) -> Option<usize> {
        if self.peers.len() == 1 && !self.peers[0].backup {
            let peer = &mut self.peers[0];
            let full = peer.max_conns > 0 && peer.conns >= peer.max_conns;
            if peer.down || full {
                return None;
            }
            peer.conns += 1;
            return Some(0);
        }
        let mut best = self.best(request, now);
        if best.is_none() && !request.backup {
            *request = ModelRequest { backup: true, tried: Vec::new() };
            best = self.best(request, now);
        }
        let best = best?;
        let peer = &mut self.peers[best];
        if now - peer.checked > peer.fail_timeout {
            peer.checked = now;
        }
        peer.conns += 1;
        request.tried.push(best);
        Some(best)
    }

    pub fn release(&mut self, at: usize, failed: bool, now: i64) {
        let single = self.peers.len() == 1 && !self.peers[0].backup;
        let peer = &mut self.peers[at];
        peer.conns -= 1;
        if single {
            peer.fails = 0;
        } else if failed {
            peer.fails += 1;
            peer.accessed = now;
            peer.checked = now;
            if peer.max_fails > 0 {
                peer.eff = (peer.eff - peer.weight / peer.max_fails).max(0);
            }
        } else if peer.accessed < peer.checked {
            peer.fails = 0;
        }
    }

    fn best(&mut self, request: &ModelRequest, now: i64) -> Option<usize> {
        let mut eligible: Vec<usize> = (0..self.peers.len()).filter(|&at| self.eligible(request, at, now)).collect();
        if self.least_conn {
            let peers = &self.peers;
            let less = |a: usize, b: usize| peers[a].conns * peers[b].weight < peers[b].conns * peers[a].weight;
            let least: Vec<usize> =
                eligible.iter().copied().filter(|&a| !eligible.iter().any(|&b| less(b, a))).collect();
            if let [lone] = least.as_slice() {
                return Some(*lone);
            }
            eligible = least;
        }
        let mut total = 0;
        let mut best: Option<usize> = None;
        for at in eligible {
            let peer = &mut self.peers[at];
            peer.cur += peer.eff;
            total += peer.eff;
            if peer.eff < peer.weight {
                peer.eff += 1;
            }
            if best.is_none_or(|best| self.peers[at].cur > self.peers[best].cur) {
                best = Some(at);
            }
        }
        self.peers[best?].cur -= total;
        best
    }

    fn eligible(&self, request: &ModelRequest, at: usize, now: i64) -> bool {
        let peer = &self.peers[at];
        let ejected = peer.max_fails > 0 && peer.fails >= peer.max_fails && now - peer.checked <= peer.fail_timeout;
        let full = peer.max_conns > 0 && peer.conns >= peer.max_conns;
        peer.backup == request.backup && !request.tried.contains(&at) && !peer.down && !ejected && !full
    }
}
