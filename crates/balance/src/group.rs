//! The mutable part of a group: the slots of its peers, selection and release. Outlives any one plan.

use crate::{
    BoundPlan, Method, NoLivePeers, Now, Obstacle, Outcome, Peer, PeerKey, PeerView, Plan, Released, Request, Rng,
    Tier,
    index::{Index, Load},
    method::{self, least_time},
    slots::{Arrivals, Slots},
    tried::Tried,
    turn::{self, Turn},
    weight::UNIT,
};

/// Picks that scan before the ranking is built again, when a request with an older plan has dissolved it: the two may
/// alternate for a while after a change, and building costs as much as some of them.
const SCANS_AFTER_DISSOLVING: u8 = 16;

/// The live state of one group, shared by every worker of a process (nginx `zone`).
#[derive(Debug, Default)]
pub struct Group {
    slots: Slots,
    /// The ranking of the newest plan's peers; absent until a pick asks for it.
    index: Option<Index>,
    scanning: Scanning,
    /// Picks still to be made by scanning before the ranking is built.
    scans: u8,
    newest: Option<Newest>,
}

/// What is remembered of the newest plan.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// Its identity.
    id: u64,
    method: Method,
    /// Whether it has one server: nginx's `peers->single`.
    is_single: bool,
}

/// How peers are looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Scanning {
    /// By the index where the method has one.
    #[default]
    Indexed,
    /// One by one, as nginx does.
    Plain,
}

impl Group {
    /// A group that knows no peer yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A group that looks at every peer for every pick, as nginx does: what the index is tested and measured against.
    #[must_use]
    pub fn scanning() -> Self {
        Self { scanning: Scanning::Plain, ..Self::default() }
    }

    /// Takes over a new plan: known keys keep their slot and state, new keys get fresh ones, vanished keys are retired
    /// (never selected, still released) and forgotten after a grace period.
    pub fn reconcile(&mut self, plan: Plan, now: Now) -> BoundPlan {
        self.dissolve();
        let (id, arrivals) = match self.newest {
            None => (0, Arrivals::AtOnce),
            Some(newest) => (newest.id + 1, Arrivals::Slowly),
        };
        if self.newest.is_some_and(|newest| newest.method != plan.method()) {
            // The weights of another algorithm mean nothing.
            self.slots.entries_mut().for_each(|entry| entry.state.current = 0);
        }
        self.newest = Some(Newest { id, method: plan.method(), is_single: plan.is_single() });
        self.scans = 0;
        let slots = self.slots.reconcile(&plan, arrivals, now);
        if cfg!(debug_assertions) {
            self.slots.check_invariants();
        }
        BoundPlan::new(plan, slots, id)
    }

    /// Whether `plan` is the one of the last [`Self::reconcile`]. A request pinned to an older plan is still served, by the
    /// peers that the newest one kept.
    #[must_use]
    pub fn is_newest(&self, plan: &BoundPlan) -> bool {
        self.newest.is_some_and(|newest| newest.id == plan.id())
    }

    /// Whether the state of this peer is still there: of a vanished one, until its grace is over.
    #[must_use]
    pub fn remembers(&self, key: &PeerKey) -> bool {
        self.slots.remembers(key)
    }

    /// Picks the next peer for `request` and counts an attempt on it.
    ///
    /// # Errors
    /// [`NoLivePeers`] when neither list has an eligible peer.
    pub fn select(
        &mut self,
        plan: &BoundPlan,
        request: &mut Request,
        now: Now,
        rng: &mut impl Rng,
    ) -> Result<Peer, NoLivePeers> {
        self.prepare_index(plan);
        if plan.is_single() {
            return self.select_single(plan, request, now);
        }
        let mut turn = Turn { plan, slots: &mut self.slots, index: self.index.as_mut(), now };
        let mut pick = method::pick(&mut turn, request, rng);
        if pick.is_none() && request.tier == Tier::Primary && plan.list(Tier::Backup).len() > 0 {
            request.tier = Tier::Backup;
            request.tried.clear();
            pick = method::pick_backup(&mut turn, request);
        }
        let position = pick.ok_or(NoLivePeers)?;
        let slot = plan.slot_at(position);
        let entry = self.slots.entry_mut(slot).ok_or(NoLivePeers)?;
        entry.state.take(plan.server_at(position), now);
        let in_flight = matches!(plan.method(), Method::LeastTime { inflight: true, .. });
        if in_flight {
            entry.state.averages.begin(now);
        }
        let epoch = entry.epoch;
        if let Some(index) = &mut self.index {
            index.refresh(position, plan.server_at(position), &mut entry.state);
        }
        request.tried.insert(position);
        let pinned = request.pinned[request.tier as usize] == Some(position);
        Ok(Peer { position: position as usize, slot, pinned, epoch, began: now, in_flight })
    }

    /// Tells `least_time` that a complete header arrived `millis` after the attempt began and is relayed, as nginx's module is
    /// told while the body is still to come (`ngx_http_upstream_least_time_notify`): what streams is no longer waited for. A
    /// release with times makes up for it.
    pub fn header_received(&mut self, plan: &BoundPlan, peer: &mut Peer, millis: u64) {
        if peer.in_flight
            && plan.is_notified()
            && let Some(entry) = self.slots.entry_mut(peer.slot)
            && entry.epoch == peer.epoch
        {
            entry.state.averages.header(millis);
            entry.state.averages.end(peer.began);
            peer.in_flight = false;
        }
    }

    /// Ends the attempt that `select` counted. Legal for a retired slot.
    pub fn release(&mut self, plan: &BoundPlan, mut peer: Peer, outcome: Outcome, now: Now) -> Released {
        if let Outcome::Done(Some(times)) = outcome {
            self.header_received(plan, &mut peer, times.header);
        }
        let newest = self.is_newest(plan);
        let Some(entry) = self.slots.entry_mut(peer.slot) else { return Released::default() };
        debug_assert!(entry.state.conns > 0, "a release without its select");
        entry.state.conns = entry.state.conns.saturating_sub(1);
        let mut released = Released::default();
        let server = plan.server(peer.position);
        // The only server of the group as it is now, whatever it was one of when the attempt began.
        let is_alone = entry.position.is_some() && self.newest.is_some_and(|newest| newest.is_single);
        // What `least_time` counted as begun is counted off in any case (`ngx_http_upstream_free_least_time_peer`).
        let same_holder = entry.epoch == peer.epoch;
        if same_holder && let Method::LeastTime { measure, inflight } = plan.method() {
            least_time::settle(&mut entry.state.averages, measure, inflight, &peer, outcome);
        }
        if is_alone {
            entry.state.fails = 0;
        } else if same_holder {
            match outcome {
                Outcome::Failed => released.disabled = entry.state.fail(server, now),
                Outcome::Done(_) | Outcome::Next | Outcome::Abandoned => {
                    released.recovered = entry.state.succeed(server, now);
                }
                Outcome::Unjudged => {}
            }
        }
        if let (Some(index), Some(position)) = (&mut self.index, entry.position) {
            if newest {
                index.refresh(position, server, &mut entry.state);
            } else {
                index.demote(position, &mut entry.state);
            }
        }
        released
    }

    /// The state of every peer of `plan`, by position.
    #[must_use]
    pub fn view(&self, plan: &BoundPlan, now: Now) -> Vec<PeerView> {
        let view = |position| {
            let server = plan.server_at(position);
            let entry = self.slots.entry(plan.slot_at(position));
            let ranked = entry.and_then(|entry| self.index.as_ref()?.current(entry.position?));
            let current = ranked.or(entry.map(|entry| entry.state.current)).unwrap_or_default();
            PeerView {
                position: position as usize,
                tier: server.tier,
                availability: server.availability,
                weight: i64::from(server.weight),
                effective_weight: entry.map_or(0, |entry| entry.state.effective.min(server.full_weight()) / UNIT),
                current_weight: current / UNIT,
                conns: entry.map_or(0, |entry| entry.state.conns),
                fails: entry.map_or(0, |entry| entry.state.fails),
                obstacle: turn::obstacle(plan, &self.slots, &Tried::default(), position, now),
            }
        };
        plan.positions().map(view).collect()
    }

    /// Why `request` cannot pick the server at `position` now, if it cannot.
    #[must_use]
    pub fn obstacle(&self, plan: &BoundPlan, request: &Request, position: usize, now: Now) -> Option<Obstacle> {
        let position = u32::try_from(position).ok()?;
        let tier = plan.server_at(position).tier;
        let pinned = request.pinned[tier as usize] == Some(position) && !plan.is_single();
        turn::obstacle(plan, &self.slots, &request.tried, position, now)
            .filter(|obstacle| !(pinned && obstacle.lets_sessions_pass()))
    }

    /// Panics when the state contradicts itself; `plan` is the newest one. For tests and simulations: it looks at everything.
    pub fn check_invariants(&self, plan: &BoundPlan) {
        self.slots.check_invariants();
        if let Some(index) = &self.index {
            index.check_invariants(plan, &self.slots);
        }
    }

    /// nginx's `peers->single`: no weight, no window, no ejection; only `down` and `max_conns` count
    /// (`ngx_http_upstream_get_round_robin_peer`).
    fn select_single(&mut self, plan: &BoundPlan, request: &Request, now: Now) -> Result<Peer, NoLivePeers> {
        if turn::obstacle(plan, &self.slots, &request.tried, 0, now).is_some() {
            return Err(NoLivePeers);
        }
        let slot = plan.slot_at(0);
        let entry = self.slots.entry_mut(slot).ok_or(NoLivePeers)?;
        entry.state.conns += 1;
        Ok(Peer { position: 0, slot, pinned: false, epoch: entry.epoch, began: now, in_flight: false })
    }

    /// Makes the ranking fit for a pick by `plan`: there for the newest plan, gone for any other.
    fn prepare_index(&mut self, plan: &BoundPlan) {
        if !self.is_newest(plan) {
            self.dissolve();
            self.scans = SCANS_AFTER_DISSOLVING;
        } else if self.index.is_none() && self.scanning == Scanning::Indexed && !plan.is_single() {
            self.scans = self.scans.saturating_sub(1);
            if self.scans == 0 {
                self.index = Load::of(plan.method()).map(|load| Index::build(plan, &self.slots, load));
            }
        }
    }

    /// Gives the current weights back to the slots.
    fn dissolve(&mut self) {
        if let Some(index) = self.index.take() {
            index.dissolve(&mut self.slots);
        }
    }
}
