//! Lives of three replicas with clocks of different speeds, an API server that answers late, twice as late or not at all,
//! partitions and crashes. `LEASE_SEED=17 cargo test -p forebay-controller lease::simulation` replays one.

use std::sync::Arc;

use config::Millis;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Act, Answer, Elector, FEED_ADDRESS, Timing};

const STEP: usize = 20;
const LIVES: u64 = 100;

/// What the API server does with a Lease.
#[derive(Default)]
struct Store {
    lease: Option<Lease>,
    version: u64,
}

struct Replica {
    elector: Elector,
    /// Its clock: where it started and, in thousandths, how fast it goes.
    zero: u64,
    speed: u64,
    /// Cut off from the API server until then.
    cut_until: u64,
    request: Option<Request>,
    lives: u32,
}

struct Request {
    act: Option<Act>,
    asked: Millis,
    arrives: u64,
    answer: Option<Answer>,
    /// `None` if the answer is lost.
    answered: Option<u64>,
}

/// Requests that their sender has given up and that arrive all the same.
type Stray = (u64, Act);

impl Store {
    fn perform(&mut self, act: Act) -> Answer {
        match act {
            Act::Read => self.lease.clone().map_or(Answer::Absent, |lease| Answer::Found(Box::new(lease))),
            Act::Write(mut lease) => {
                let now = self.lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
                if lease.metadata.resource_version != now {
                    return Answer::Conflict;
                }
                self.version += 1;
                lease.metadata.resource_version = Some(self.version.to_string());
                self.lease = Some((*lease).clone());
                Answer::Written(lease)
            }
        }
    }
}

impl Replica {
    fn new(index: usize, lives: u32, rng: &mut StdRng) -> Self {
        let identity = format!("controller-{index}_{lives}");
        let address = Some(format!("10.0.0.{index}:9902").into());
        let elector = Elector::new(Timing::DEFAULT, identity.into(), address, "forebay", "controller");
        let (zero, speed) = (rng.random_range(0..1_000_000_000), rng.random_range(920..1080));
        Self { elector, zero, speed, cut_until: 0, request: None, lives }
    }

    fn now(&self, time: u64) -> Millis {
        Millis(self.zero + time * self.speed / 1000)
    }

    fn leads(&self, time: u64) -> bool {
        self.elector.leadership(self.now(time)).leads(self.now(time))
    }

    fn step(&mut self, time: u64, store: &mut Store, strays: &mut Vec<Stray>, rng: &mut StdRng) {
        let now = self.now(time);
        if let Some(request) = &mut self.request {
            if time >= request.arrives
                && let Some(act) = request.act.take()
            {
                request.answer = Some(store.perform(act));
            }
            let answer = match request.answered {
                Some(at) if time >= at => request.answer.take(),
                _ => None,
            };
            if let Some(answer) = answer {
                self.elector.heard(answer, request.asked, now);
            } else if now.0 - request.asked.0 >= self.elector.patience().0 {
                strays.extend(request.act.take().map(|act| (request.arrives, act)));
                self.elector.heard(Answer::Failed, request.asked, now);
            } else {
                return;
            }
            self.request = None;
        }
        if let Some(act) = self.elector.act(now, Timestamp::UNIX_EPOCH) {
            let cut = time < self.cut_until;
            let way = if rng.random_ratio(1, 20) { rng.random_range(0..20_000) } else { rng.random_range(0..300) };
            let arrives = if cut { u64::MAX } else { time + way };
            let lost = cut || rng.random_ratio(1, 20);
            let answered = (!lost).then(|| arrives + rng.random_range(0..300));
            self.request = Some(Request { act: Some(act), asked: now, arrives, answer: None, answered });
        }
    }
}

fn live(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut store, mut strays) = (Store::default(), Vec::<Stray>::new());
    let mut replicas: Vec<_> = (0..3).map(|index| Replica::new(index, 0, &mut rng)).collect();
    let mut led = 0;
    // Three minutes of trouble, then peace for as long as a Lease and a round of attempts take.
    for time in (0..215_000).step_by(STEP) {
        for (index, replica) in replicas.iter_mut().enumerate() {
            if time < 180_000 && rng.random_ratio(1, 1500) {
                match rng.random_range(0..3) {
                    0 => replica.cut_until = time + rng.random_range(0..40_000),
                    1 => *replica = Replica::new(index, replica.lives + 1, &mut rng),
                    _ => {
                        let now = replica.now(time);
                        if let Some(lease) = replica.elector.release(now, Timestamp::UNIX_EPOCH) {
                            strays.push((time + rng.random_range(0..300), Act::Write(lease)));
                        }
                        *replica = Replica::new(index, replica.lives + 1, &mut rng);
                    }
                }
            } else if time == 180_000 {
                replica.cut_until = 0;
            }
            replica.step(time, &mut store, &mut strays, &mut rng);
        }
        strays.retain(|(arrives, act)| {
            let due = time >= *arrives;
            if due {
                store.perform(act.clone());
            }
            !due
        });
        let leaders = replicas.iter().filter(|replica| replica.leads(time)).count();
        assert!(leaders <= 1, "seed {seed}: {leaders} lead at {time} ms");
        led += leaders;
    }
    assert!(led > 0, "seed {seed}: nobody ever led");
    // One answer may still be lost at the very end; the lease must be somebody's who renews it.
    let leaders: Vec<Arc<str>> = replicas
        .iter()
        .filter_map(|replica| replica.elector.leadership(replica.now(215_000)).leader)
        .map(|leader| leader.identity)
        .collect();
    assert!(!leaders.is_empty(), "seed {seed}: nobody leads after the trouble");
}

#[test]
fn never_two_lead_and_someone_does() {
    if let Some(seed) = std::env::var("LEASE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return live(seed);
    }
    (0..LIVES).for_each(live);
}

fn elector(name: &str) -> Elector {
    let address = Some(format!("{name}:9902").into());
    Elector::new(Timing::DEFAULT, name.into(), address, "forebay", "controller")
}

fn round(elector: &mut Elector, store: &mut Store, now: Millis) {
    while let Some(act) = elector.act(now, Timestamp::UNIX_EPOCH) {
        let answer = store.perform(act);
        elector.heard(answer, now, now);
    }
}

#[test]
fn a_lease_given_back_is_taken_at_once() {
    let (mut store, mut first, mut second) = (Store::default(), elector("first"), elector("second"));
    round(&mut first, &mut store, Millis(0));
    round(&mut second, &mut store, Millis(1_000));
    assert!(first.leadership(Millis(1_000)).leads(Millis(1_000)));
    let told = second.leadership(Millis(1_000)).leader.unwrap();
    assert_eq!((&*told.identity, told.address.as_deref()), ("first", Some("first:9902")));

    let released = first.release(Millis(2_000), Timestamp::UNIX_EPOCH).unwrap();
    assert!(!released.metadata.annotations.as_ref().unwrap().contains_key(FEED_ADDRESS));
    assert!(!first.leadership(Millis(2_000)).leads(Millis(2_000)));
    store.perform(Act::Write(released));
    round(&mut second, &mut store, Millis(3_000));
    assert!(second.leadership(Millis(3_000)).leads(Millis(3_000)));
    let spec = store.lease.unwrap().spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("second"), Some(1)));
}

#[test]
fn leading_ends_before_anybody_else_may_begin() {
    let (mut store, mut first, mut second) = (Store::default(), elector("first"), elector("second"));
    round(&mut first, &mut store, Millis(0));
    round(&mut second, &mut store, Millis(10));
    let leads = |elector: &Elector, at: u64| elector.leadership(Millis(at)).leads(Millis(at));
    assert!(leads(&first, 9_999) && !leads(&first, 10_000));
    assert_eq!(first.leadership(Millis(10_000)).leader, None, "nobody is named who does not believe to lead");
    assert_eq!(first.due(Millis(9_000)), Millis(9_000).min(Millis(2_000)), "a renewal is overdue");
    for at in (2_010..15_010).step_by(2_000) {
        round(&mut second, &mut store, Millis(at));
        assert!(!leads(&second, at));
    }
    round(&mut second, &mut store, Millis(16_010));
    assert!(leads(&second, 16_010));
    round(&mut first, &mut store, Millis(16_100));
    assert!(!leads(&first, 16_100), "its renewal met another version");
}

#[test]
fn a_foreign_edit_and_a_deletion_do_no_harm() {
    let (mut store, mut first) = (Store::default(), elector("first"));
    round(&mut first, &mut store, Millis(0));
    let mut edited = store.lease.clone().unwrap();
    edited.metadata.labels = Some([("team".to_owned(), "edge".to_owned())].into());
    store.perform(Act::Write(Box::new(edited)));
    round(&mut first, &mut store, Millis(2_000));
    round(&mut first, &mut store, Millis(4_000));
    assert_eq!(first.leadership(Millis(4_000)).until, Some(Millis(14_000)));
    assert!(store.lease.as_ref().unwrap().metadata.labels.is_some(), "what others wrote stays");

    store.lease = None;
    round(&mut first, &mut store, Millis(6_000));
    round(&mut first, &mut store, Millis(8_000));
    assert_eq!(first.leadership(Millis(8_000)).until, Some(Millis(18_000)));
}
