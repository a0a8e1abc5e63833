//! Everything together, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{Config, Millis, Revision};
use feed::frames::Leader;
use feed::{Published, ServerOptions, Standing, Subscriber, Versions};

use crate::cluster::{change, is_sound, visible};
use crate::link::{Link, Pipe};
use crate::node::Node;
use crate::random::Random;
use crate::skew::Skew;

/// Names the cluster can ever have: 15 groups, 8 hosts, 2 certificates, and `listener/x`.
const NAMES: usize = 26;

struct Controller {
    options: Arc<ServerOptions>,
    published: Published,
    /// How much of the history it knows.
    known: usize,
    subscribers: BTreeMap<usize, Subscriber>,
}

pub struct World {
    random: Random,
    told: bool,
    now: u64,
    history: Vec<Config>,
    /// The versions of all of it, without certificates, which not everybody sees.
    states: BTreeSet<Revision>,
    controllers: Vec<Controller>,
    nodes: Vec<Node>,
    /// Whether every node can use everything: then what it holds can be compared with the history.
    plain: bool,
}

impl World {
    pub fn new(seed: u64, told: bool) -> Self {
        let mut random = Random::new(seed);
        let plain = seed.is_multiple_of(2);
        let controller = |number: usize, random: &mut Random| Controller {
            options: Arc::new(ServerOptions {
                server: format!("controller-{number}").into(),
                protocol: Versions::new(1, 1 + u32::try_from(random.below(2)).unwrap()).unwrap(),
                ..ServerOptions::default()
            }),
            published: Published::default(),
            known: 0,
            subscribers: BTreeMap::new(),
        };
        let controllers = (0..2 + random.below(2)).map(|number| controller(number, &mut random)).collect();
        let node = |number: usize| {
            let skew = match number % 3 {
                _ if plain => Skew::None,
                0 => Skew::NewerController,
                1 => Skew::NewerDataPlane,
                _ => Skew::None,
            };
            Node::new(number, skew, &mut random)
        };
        let nodes = (0..4).map(node).collect();
        let first = Config::default();
        let states = [public(&first)].into();
        Self { random, told, now: 0, history: vec![first], states, controllers, nodes, plain }
    }

    /// Changes and failures.
    pub fn trouble(&mut self) {
        for _ in 0..250 {
            if self.random.per_mille(300) {
                let mut next = self.history.last().unwrap().clone();
                change(&mut next, &mut self.random, !self.plain);
                assert!(is_sound(&next));
                self.states.insert(public(&next));
                self.history.push(next);
            }
            for number in 0..self.controllers.len() {
                if self.random.per_mille(200) {
                    self.learn(number);
                }
                if self.random.per_mille(5) {
                    self.end_controller(number);
                }
            }
            for number in 0..self.nodes.len() {
                self.misfortune(number);
            }
            self.step();
        }
    }

    /// Nothing changes any more, and everything heals.
    pub fn quiet(&mut self) {
        for number in 0..self.controllers.len() {
            while self.controllers[number].known < self.history.len() {
                self.learn(number);
            }
        }
        let leader = Leader { identity: "controller-0".into(), address: None };
        self.controllers.iter_mut().for_each(|controller| controller.published.lead(Some(leader.clone())));
        for _ in 0..4000 {
            self.step();
            if (0..self.nodes.len()).all(|number| self.is_settled(number)) {
                return;
            }
        }
        panic!("{} steps of quiet were not enough", 4000);
    }

    /// Every data plane holds exactly what it may see of the latest state, and its controller knows.
    pub fn agree(&self) {
        let latest = self.history.last().unwrap();
        for (number, node) in self.nodes.iter().enumerate() {
            let (at, _) = node.link.as_ref().expect("settled");
            let controller = &self.controllers[*at];
            let subscriber = &controller.subscribers[&number];
            let rejected = node.client.rejected();
            let mut expected = visible(latest, |key| subscriber.sees(key));
            assert_eq!(node.client.config(), node.in_force);
            for (key, encoded) in controller.published.resources().filter(|(key, _)| subscriber.sees(key)) {
                let refused = rejected.get(&key.to_string());
                let standing = match refused {
                    Some(rejection) => {
                        assert_eq!(rejection.version, encoded.version());
                        Standing::Refused { version: encoded.version() }
                    }
                    None => Standing::InForce { version: encoded.version() },
                };
                assert_eq!(subscriber.standing(key), standing, "{key}");
                if refused.is_some() {
                    // Whatever could be used last stays in force, or nothing of that name.
                    let id = match &**key {
                        config::ResourceKey::Group(id) => id,
                        other => panic!("{other} was refused"),
                    };
                    match node.in_force.groups.get(id) {
                        Some(kept) => expected.groups.insert(id.clone(), kept.clone()),
                        None => expected.groups.remove(id),
                    };
                    let published = |config: &Config| config.groups.get(id) == expected.groups.get(id);
                    assert!(!expected.groups.contains_key(id) || self.history.iter().any(published));
                }
            }
            assert_eq!(node.in_force, expected, "data plane {number}");
            if self.plain {
                assert!(rejected.is_empty());
                assert_eq!(node.client.revision(), expected.revision());
            }
            assert_eq!(node.client.age(Millis(self.now)), Some(Millis(0)));
        }
    }

    fn learn(&mut self, number: usize) {
        let controller = &mut self.controllers[number];
        let unknown = self.history.len() - controller.known;
        if unknown > 0 {
            controller.known += 1 + self.random.below(unknown);
            let publication = controller.published.replace(&self.history[controller.known - 1]);
            assert!(publication.refused.is_empty());
        }
    }

    /// A controller restarts: it says goodbye, or it does not.
    fn end_controller(&mut self, number: usize) {
        let politely = self.random.per_mille(500);
        self.tell(|| format!("controller {number} ends, politely: {politely}"));
        let controller = &mut self.controllers[number];
        if politely {
            controller.subscribers.values_mut().for_each(|one| one.leave("restarting", Millis(2000)));
        } else {
            controller.published = Published::default();
            controller.known = 0;
            controller.subscribers.clear();
            for node in &mut self.nodes {
                if node.link.as_ref().is_some_and(|(at, _)| *at == number) {
                    let wait = node.backoff.next(self.random.next());
                    node.lose(self.now, wait.0);
                }
            }
        }
    }

    fn misfortune(&mut self, number: usize) {
        let fate = self.random.below(1000);
        let now = self.now;
        match fate {
            0..15 => {
                self.tell(|| format!("data plane {number} loses its stream"));
                self.cut(number);
            }
            15..20 => {
                let until = now + 1000 * (1 + self.random.below(60) as u64);
                self.tell(|| format!("data plane {number} is cut off until {until}"));
                if let Some((_, link)) = &mut self.nodes[number].link {
                    link.stalled_until = until;
                }
            }
            20..23 => {
                let (disk, answers) = (self.random.per_mille(700), self.random.per_mille(500));
                self.tell(|| {
                    format!("data plane {number} restarts, with its disk: {disk}, answered in time: {answers}")
                });
                self.cut(number);
                self.nodes[number].restart(disk, answers, now);
            }
            _ => {}
        }
    }

    fn cut(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        if let Some((at, _)) = &node.link {
            self.controllers[*at].subscribers.remove(&number);
            let wait = node.backoff.next(self.random.next());
            node.lose(self.now, wait.0);
        }
    }

    fn step(&mut self) {
        self.now += 1 + self.random.below(200) as u64;
        for number in 0..self.nodes.len() {
            if self.nodes[number].link.is_some() {
                self.move_bytes(number);
            } else if self.now >= self.nodes[number].wake {
                self.connect(number);
            }
            self.keep_bounds(number);
        }
    }

    fn connect(&mut self, number: usize) {
        let at = self.random.below(self.controllers.len());
        let node = &mut self.nodes[number];
        let (window, speed) = if node.slow { (300, 400) } else { (1 << 16, 1 << 14) };
        let link = Link { down: Pipe::default(), up: Pipe::default(), window, speed, stalled_until: 0 };
        node.client.connect(Millis(self.now));
        node.link = Some((at, link));
        let controller = &mut self.controllers[at];
        let subscriber = Subscriber::new(controller.options.clone(), node.grant.clone(), Millis(self.now));
        controller.subscribers.insert(number, subscriber);
        self.tell(|| format!("data plane {number} connects to controller {at}"));
    }

    fn move_bytes(&mut self, number: usize) {
        let now = Millis(self.now);
        let node = &mut self.nodes[number];
        if node.client.deadline().is_some_and(|deadline| now >= deadline) {
            self.tell(|| format!("data plane {number} hears nothing"));
            return self.cut(number);
        }
        let Some((at, link)) = &mut node.link else { return };
        let controller = &mut self.controllers[*at];
        let Some(subscriber) = controller.subscribers.get_mut(&number) else { return };
        while let Some(line) = node.client.poll() {
            node.skew.up(&line, &mut self.random).iter().for_each(|line| link.up.write(line));
        }
        while link.down.len() < link.window
            && let Some(line) = subscriber.poll(&controller.published, now)
        {
            let twice = line.starts_with(b"{\"put\"") && self.random.per_mille(20);
            for line in node.skew.down(&line, &mut self.random) {
                link.down.write(&line);
                if twice {
                    link.down.write(&line);
                }
            }
        }
        if now.0 < link.stalled_until {
            return;
        }
        let up = link.up.read(link.speed, &mut self.random);
        let down = link.down.read(link.speed, &mut self.random);
        let over = subscriber.is_gone() && link.down.len() == 0;
        subscriber.receive(&up, now).expect("these data planes keep the rules");
        let applied = node.read(&down, now.0, &mut self.random);
        if self.random.per_mille(700) {
            // Putting a configuration in force takes its time.
            node.receipts.drain(..).for_each(|receipt| node.client.applied(receipt));
        }
        if over || node.link.is_none() {
            self.controllers.iter_mut().for_each(|controller| drop(controller.subscribers.remove(&number)));
            if self.nodes[number].link.is_some() {
                self.cut(number);
            }
        }
        for config in &applied {
            self.inspect(number, config);
        }
    }

    /// What every configuration in force must be, however it came about.
    fn inspect(&self, number: usize, config: &Config) {
        let node = &self.nodes[number];
        if !self.plain || node.options.scope != feed::Scope::All {
            return;
        }
        assert!(is_sound(config), "data plane {number} at {} sends requests nowhere", self.now);
        if !node.slow {
            // It reads faster than things change, so that no batch is closed early: each commit is a state there was.
            assert!(self.states.contains(&public(config)), "data plane {number} at {} holds a torn state", self.now);
        }
    }

    fn keep_bounds(&self, number: usize) {
        let node = &self.nodes[number];
        assert!(node.client.entries() <= 4 * NAMES);
        if let Some((at, _)) = &node.link
            && let Some(subscriber) = self.controllers[*at].subscribers.get(&number)
        {
            assert!(subscriber.entries() <= 3 * NAMES);
        }
        assert!(self.controllers.iter().all(|controller| controller.published.logged() <= 1024));
    }

    fn is_settled(&self, number: usize) -> bool {
        let node = &self.nodes[number];
        let Some((at, link)) = &node.link else { return false };
        let controller = &self.controllers[*at];
        let Some(subscriber) = controller.subscribers.get(&number) else { return false };
        let moving = |standing| matches!(standing, Standing::OnItsWay { .. } | Standing::Absent);
        let current = controller.known == self.history.len();
        let seen = controller.published.resources().filter(|(key, _)| subscriber.sees(key));
        current
            && node.client.is_synced()
            && link.down.len() + link.up.len() == 0
            && node.receipts.is_empty()
            && seen.into_iter().all(|(key, encoded)| match subscriber.standing(key) {
                Standing::InForce { version } | Standing::Refused { version } => version == encoded.version(),
                standing => !moving(standing),
            })
    }

    fn tell(&self, what: impl Fn() -> String) {
        if self.told {
            eprintln!("{:>8} ms  {}", self.now, what());
        }
    }
}

fn public(config: &Config) -> Revision {
    visible(config, |key| !key.is_private()).revision()
}
