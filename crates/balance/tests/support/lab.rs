//! One group, one plan and a clock, for tests that tell a story.

use balance::{
    BoundPlan, Group, GroupSpec, Inputs, NoLivePeers, Now, Outcome, Peer, PeerView, Plan, Released, Request,
};

use super::Seeded;

pub struct Lab {
    pub group: Group,
    pub plan: BoundPlan,
    /// Milliseconds.
    pub now: u64,
    pub rng: Seeded,
}

impl Lab {
    /// Begins at a round second far from zero, as a wall clock would.
    pub fn new(spec: &GroupSpec) -> Self {
        Self::on(Group::new(), spec)
    }

    pub fn on(mut group: Group, spec: &GroupSpec) -> Self {
        let now = 1_000_000_000;
        let plan = group.reconcile(Plan::build(spec).expect("a valid group"), Now::from_millis(now));
        Self { group, plan, now, rng: Seeded::new(1) }
    }

    pub fn now(&self) -> Now {
        Now::from_millis(self.now)
    }

    /// Moves the clock to `second` after the beginning.
    pub fn at(&mut self, second: u64) {
        self.now = 1_000_000_000 + second * 1000;
    }

    pub fn change(&mut self, spec: &GroupSpec) {
        let plan = Plan::build(spec).expect("a valid group");
        self.plan = self.group.reconcile(plan, self.now());
    }

    pub fn request(&self) -> Request {
        Request::new(&self.plan, &Inputs::default())
    }

    pub fn select(&mut self, request: &mut Request) -> Result<Peer, NoLivePeers> {
        let peer = self.group.select(&self.plan, request, Now::from_millis(self.now), &mut self.rng);
        self.group.check_invariants(&self.plan);
        peer
    }

    pub fn release(&mut self, peer: Peer, outcome: Outcome) -> Released {
        let released = self.group.release(&self.plan, peer, outcome, Now::from_millis(self.now));
        self.group.check_invariants(&self.plan);
        released
    }

    /// A request that stays in progress.
    pub fn open(&mut self) -> Peer {
        let mut request = self.request();
        self.select(&mut request).expect("a live peer")
    }

    /// A request that succeeds: the position that took it, or none.
    pub fn ok(&mut self) -> Option<usize> {
        self.with(&Inputs::default(), Outcome::Done(None))
    }

    /// A request whose first attempt fails and is not retried.
    pub fn fail(&mut self) -> Option<usize> {
        self.with(&Inputs::default(), Outcome::Failed)
    }

    pub fn with(&mut self, inputs: &Inputs<'_>, outcome: Outcome) -> Option<usize> {
        let mut request = Request::new(&self.plan, inputs);
        let peer = self.select(&mut request).ok()?;
        self.release(peer, outcome);
        Some(peer.position)
    }

    /// The letters of the servers that take `count` requests; `-` for nobody.
    pub fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| self.ok().map_or('-', letter)).collect()
    }

    pub fn view(&self) -> Vec<PeerView> {
        self.group.view(&self.plan, self.now())
    }

    pub fn fails(&self) -> Vec<u32> {
        self.view().iter().map(|peer| peer.fails).collect()
    }

    pub fn current(&self) -> Vec<i64> {
        self.view().iter().map(|peer| peer.current_weight).collect()
    }
}

pub fn letter(position: usize) -> char {
    char::from(b'a' + u8::try_from(position).expect("few servers"))
}
