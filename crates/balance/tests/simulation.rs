//! A group's life under churn, by seed: requests, retries, failures, passing time, changes of configuration, requests that
//! still follow an older one. Two groups live it in step, one that ranks its peers and one that scans them as nginx does:
//! they must make the same picks and show the same state, and after every step the invariants must hold.
//!
//! `FOREBAY_SEED=17 cargo test -p forebay-balance --test simulation` replays one seed;
//! `FOREBAY_SEEDS=5000` lives so many lives.

mod support;

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use balance::{
    Availability, BoundPlan, Group, GroupSpec, Inputs, Method, Now, Outcome, Peer, PeerView, Plan, Request, Rng as _,
    ServerSpec, Slot, Tier, Times,
};
use support::Seeded;

const SEEDS: u64 = 256;
const STEPS: u64 = 250;

#[test]
fn ranking_and_scanning_live_the_same_life() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("FOREBAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FOREBAY_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        // The seed of a panic is named by the thread that panics.
        let life =
            std::thread::Builder::new().name(format!("FOREBAY_SEED={seed}")).spawn(move || World::new(seed).live());
        life.expect("a thread").join().unwrap_or_else(|_| panic!("seed {seed} failed"));
    }
}

/// A configuration, and what both groups made of it.
struct Made {
    spec: GroupSpec,
    plans: [BoundPlan; 2],
}

/// An attempt in progress, in both groups.
struct Lease {
    made: Arc<Made>,
    requests: [Request; 2],
    peers: [Peer; 2],
    moved: bool,
}

/// A server as it was when it was removed.
struct Removed {
    server: ServerSpec,
    since: u64,
    /// Its failures, where no attempt in progress could add to them or take from them.
    fails: Option<u32>,
}

struct World {
    rng: Seeded,
    /// The same draws for both groups.
    draws: u64,
    now: u64,
    /// Ranked, scanned.
    groups: [Group; 2],
    spec: GroupSpec,
    /// Newest last.
    made: VecDeque<Arc<Made>>,
    leases: Vec<Lease>,
    /// Seconds of the last probe of an ejected peer.
    probes: HashMap<Slot, u64>,
    /// Servers that were removed, which may return.
    removed: Vec<Removed>,
    ramps: bool,
    /// One in so many requests follows an older configuration. A ranking does not outlive such a request.
    stale: u64,
    names: u32,
    changed: bool,
    reweighted: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Seeded::new(seed);
        let method = Method::ALL[usize::try_from(seed).expect("a small seed") % Method::ALL.len()];
        let ramps = rng.once_in(2);
        let stale = rng.pick(&[5, 300, 300]);
        let size = if rng.once_in(8) { 40 + rng.small(60) } else { 1 + rng.small(7) };
        let mut world = Self {
            rng,
            draws: 0,
            now: 1_000_000_000,
            groups: [Group::new(), Group::scanning()],
            spec: GroupSpec { method, servers: Vec::new(), sticky: seed.is_multiple_of(3) },
            made: VecDeque::new(),
            leases: Vec::new(),
            probes: HashMap::new(),
            removed: Vec::new(),
            ramps,
            stale,
            names: 0,
            changed: false,
            reweighted: false,
        };
        for _ in 0..size {
            let server = world.newcomer();
            world.spec.servers.push(server);
        }
        world.reconcile();
        world
    }

    fn live(mut self) {
        for _ in 0..STEPS {
            match self.rng.below(20) {
                0..8 => self.request(),
                8..11 => self.retry(),
                11..15 => self.release(),
                15 => self.header(),
                16..19 => self.now += self.rng.pick(&[0, 1, 30, 400, 1000, 2000, 5000, 11_000, 40_000]),
                _ => self.change(),
            }
            self.check();
        }
        while !self.leases.is_empty() {
            self.release();
        }
        let newest = self.newest();
        assert!(self.groups[0].view(&newest.plans[0], self.now()).iter().all(|peer| peer.conns == 0), "conns leaked");
    }

    fn request(&mut self) {
        // Now and then a request still follows the configuration before.
        let at = if self.rng.once_in(self.stale) { 0 } else { self.made.len() - 1 };
        let made = Arc::clone(&self.made[at]);
        let plans = &made.plans;
        let key = self.rng.small(12).to_string();
        let client = IpAddr::V4(Ipv4Addr::from(self.rng.small(u32::MAX)));
        let sid = match self.rng.below(4) {
            0 if !plans[0].is_empty() => {
                let position = self.rng.below(plans[0].len() as u64);
                Some(plans[0].sid(usize::try_from(position).expect("a position")).to_owned())
            }
            1 => Some("nonsense".to_owned()),
            _ => None,
        };
        let hash_key = if self.rng.once_in(4) { &b""[..] } else { key.as_bytes() };
        let inputs = Inputs { hash_key, client: Some(client), sid: sid.as_deref() };
        let requests = [Request::new(&plans[0], &inputs), Request::new(&plans[1], &inputs)];
        self.select(made, requests, false);
    }

    fn retry(&mut self) {
        let Some(lease) = self.take_lease() else { return };
        let outcome = self.rng.pick(&[Outcome::Failed, Outcome::Failed, Outcome::Next]);
        self.finish(&lease, outcome);
        self.select(lease.made, lease.requests, lease.moved);
    }

    fn release(&mut self) {
        let Some(lease) = self.take_lease() else { return };
        let times = Times { header: self.rng.below(300), last_byte: 300 + self.rng.below(6000) };
        let outcomes = [
            Outcome::Done(Some(times)),
            Outcome::Done(None),
            Outcome::Abandoned,
            Outcome::Failed,
            Outcome::Next,
            Outcome::Unjudged,
        ];
        let outcome = self.rng.pick(&outcomes);
        self.finish(&lease, outcome);
    }

    /// The response header of an attempt arrives.
    fn header(&mut self) {
        let Some(mut lease) = self.take_lease() else { return };
        let millis = self.rng.below(300);
        for at in [0, 1] {
            self.groups[at].header_received(&lease.made.plans[at], &mut lease.peers[at], millis);
        }
        self.leases.push(lease);
    }

    fn take_lease(&mut self) -> Option<Lease> {
        let count = self.leases.len() as u64;
        (count > 0).then(|| self.leases.swap_remove(usize::try_from(self.rng.below(count)).expect("an index")))
    }

    fn finish(&mut self, lease: &Lease, outcome: Outcome) {
        let now = self.now();
        let released = [0, 1].map(|at| self.groups[at].release(&lease.made.plans[at], lease.peers[at], outcome, now));
        assert_eq!(released[0], released[1]);
    }

    fn select(&mut self, made: Arc<Made>, mut requests: [Request; 2], moved: bool) {
        let plans = &made.plans;
        let now = self.now();
        self.draws += 1;
        let before = self.groups[1].view(&plans[1], now);
        let eligible = |peer: &&PeerView| {
            peer.tier == Tier::Primary && self.groups[1].obstacle(&plans[1], &requests[1], peer.position, now).is_none()
        };
        let primary_eligible = before.iter().filter(eligible).count() > 0;
        let picks =
            [0, 1].map(|at| self.groups[at].select(&plans[at], &mut requests[at], now, &mut Seeded::new(self.draws)));
        let after = self.groups[1].view(&plans[1], now);
        let position = picks[0].map(|peer| (peer.position, peer.pinned));
        assert_eq!(position, picks[1].map(|peer| (peer.position, peer.pinned)), "ranked and scanned picks differ");
        self.check_weights(&before, &after);
        let [Ok(ranked), Ok(scanned)] = picks else {
            assert!(!primary_eligible || moved, "a primary was eligible and nobody was picked");
            return;
        };
        let picked = &before[ranked.position];
        match picked.tier {
            Tier::Primary => {
                assert!(!moved && primary_eligible, "only a request that has not moved on picks primaries");
            }
            Tier::Backup => assert!(moved || !primary_eligible, "a backup was picked while a primary was eligible"),
        }
        let moved = picked.tier == Tier::Backup;
        let newest = &self.newest().plans;
        for (plan, slot) in newest.iter().zip([ranked.slot, scanned.slot]) {
            assert!((0..plan.len()).any(|position| plan.slot(position) == slot), "a retired slot was picked");
        }
        self.check_probe(&made, picked, scanned.slot);
        self.leases.push(Lease { made, requests, peers: [ranked, scanned], moved });
    }

    /// A pick moves weight between the peers of a list and makes none.
    fn check_weights(&self, before: &[PeerView], after: &[PeerView]) {
        if self.ramps || self.reweighted {
            return; // Views round to whole weights; ramps and turns carried over to another weight do not.
        }
        for tier in [Tier::Primary, Tier::Backup] {
            let sum = |views: &[PeerView]| -> i64 {
                views.iter().filter(|peer| peer.tier == tier).map(|peer| peer.current_weight).sum()
            };
            assert_eq!(sum(before), sum(after), "the sum of the current weights of {tier:?}");
            assert!(self.changed || sum(after) == 0, "weights sum to zero until the configuration changes");
        }
    }

    /// An ejected peer is picked at most once per window, whichever configuration a request follows.
    fn check_probe(&mut self, made: &Made, picked: &PeerView, slot: Slot) {
        let line = &made.spec.servers[picked.position];
        if made.plans[1].is_single() || line.max_fails == 0 || picked.fails < line.max_fails {
            return;
        }
        let second = self.now().secs();
        if let Some(last) = self.probes.insert(slot, second) {
            assert!(second - last > u64::from(line.fail_timeout), "two probes of an ejected peer in one window");
        }
    }

    fn check(&self) {
        let newest = &self.newest().plans;
        let now = self.now();
        for (group, plan) in self.groups.iter().zip(newest.iter()) {
            group.check_invariants(plan);
        }
        let views = [0, 1].map(|at| self.groups[at].view(&newest[at], now));
        assert_eq!(views[0], views[1], "ranked and scanned states differ");
        let mut held: HashMap<Slot, u32> = HashMap::new();
        for lease in &self.leases {
            *held.entry(lease.peers[0].slot).or_default() += 1;
        }
        for peer in &views[0] {
            let leases = held.get(&newest[0].slot(peer.position)).copied().unwrap_or_default();
            assert_eq!(peer.conns, leases, "conns are the attempts in progress");
        }
    }

    fn change(&mut self) {
        let count = self.spec.servers.len() as u64;
        let at = usize::try_from(self.rng.below(count.max(1))).expect("an index");
        match self.rng.below(10) {
            0 => {
                let server = self.newcomer();
                let at = usize::try_from(self.rng.below(count + 1)).expect("an index");
                self.spec.servers.insert(at, server);
            }
            1 if count > 0 => self.remove(at),
            2 if count > 0 => {
                self.spec.servers[at].weight = 1 + self.rng.small(6);
                self.reweighted = true;
            }
            3 if count > 0 => self.spec.servers[at].tier = self.rng.pick(&[Tier::Primary, Tier::Backup]),
            4 if count > 0 => {
                let states = [Availability::Up, Availability::Up, Availability::Down, Availability::Drain];
                self.spec.servers[at].availability = self.rng.pick(&states);
            }
            5 if count > 0 => {
                let pod = format!("pod-{}", self.rng.below(3));
                self.spec.servers[at].key.incarnation = Some(Arc::from(pod));
            }
            6 if count > 0 => self.spec.servers[at].max_conns = self.rng.small(3),
            7 => self.spec.method = self.rng.pick(&Method::ALL),
            8 if !self.removed.is_empty() => {
                self.changed = true;
                return self.give_back();
            }
            _ => self.spec.servers.reverse(),
        }
        self.changed = true;
        self.reconcile();
    }

    fn remove(&mut self, at: usize) {
        let peer = self.groups[0].view(&self.newest().plans[0], self.now()).swap_remove(at);
        let fails = (peer.conns == 0).then_some(peer.fails);
        self.removed.push(Removed { server: self.spec.servers.remove(at), since: self.now, fails });
    }

    /// A server returns, perhaps with another pod behind its address: with its failures within the grace, else as a new one.
    fn give_back(&mut self) {
        let at = usize::try_from(self.rng.below(self.removed.len() as u64)).expect("an index");
        let Removed { mut server, since, fails } = self.removed.swap_remove(at);
        let mut is_other = false;
        if self.rng.once_in(3) {
            let pod: Arc<str> = format!("pod-{}", self.rng.below(3)).into();
            is_other = server.key.incarnation.replace(Arc::clone(&pod)).is_some_and(|before| before != pod);
        }
        let grace = 60_000.max(u64::from(server.fail_timeout) * 2000);
        let expected = if is_other || self.now - since >= grace { Some(0) } else { fails };
        self.spec.servers.push(server);
        self.reconcile();
        let newest = self.newest();
        let returned = self.groups[0].view(&newest.plans[0], self.now()).pop().expect("the last");
        assert!(expected.is_none_or(|fails| fails == returned.fails), "returned with {returned:?}, not {expected:?}");
    }

    fn reconcile(&mut self) {
        let now = self.now();
        let before = self.made.back().map(|made| (Arc::clone(made), self.groups[0].view(&made.plans[0], now)));
        let plans = [0, 1].map(|at| self.groups[at].reconcile(Plan::build(&self.spec).expect("a valid group"), now));
        if let Some((old, before)) = before {
            let after = self.groups[0].view(&plans[0], now);
            let kept: HashMap<_, _> = after.iter().map(|peer| (plans[0].slot(peer.position), peer)).collect();
            for peer in &before {
                if let Some(now) = kept.get(&old.plans[0].slot(peer.position)) {
                    assert_eq!(now.conns, peer.conns, "an attempt was lost by a change");
                    let pod = |spec: &GroupSpec, position: usize| spec.servers[position].key.incarnation.clone();
                    let was = pod(&old.spec, peer.position);
                    let is_other = was.is_some() && was != pod(&self.spec, now.position);
                    let expected = if is_other { 0 } else { peer.fails };
                    assert_eq!(now.fails, expected, "a change of attributes is no amnesty, and a new pod has one");
                }
            }
        }
        self.made.push_back(Arc::new(Made { spec: self.spec.clone(), plans }));
        if self.made.len() > 3 {
            self.made.pop_front();
        }
    }

    fn newcomer(&mut self) -> ServerSpec {
        self.names += 1;
        let rng = &mut self.rng;
        ServerSpec {
            weight: rng.pick(&[1, 1, 1, 2, 3, 10]),
            max_fails: rng.small(4),
            fail_timeout: rng.pick(&[0, 2, 10]),
            max_conns: rng.pick(&[0, 0, 0, 1, 2]),
            slow_start: if self.ramps { rng.pick(&[0, 700, 30_000]) } else { 0 },
            tier: rng.pick(&[Tier::Primary, Tier::Primary, Tier::Primary, Tier::Backup]),
            availability: rng.pick(&[Availability::Up, Availability::Up, Availability::Up, Availability::Drain]),
            route: rng.once_in(3).then(|| Arc::from(format!("r{}", self.names % 4))),
            ..support::server(&format!("10.1.{}.{}:80", self.names / 250, self.names % 250))
        }
    }

    fn newest(&self) -> Arc<Made> {
        Arc::clone(self.made.back().expect("a plan since the beginning"))
    }

    fn now(&self) -> Now {
        Now::from_millis(self.now)
    }
}
