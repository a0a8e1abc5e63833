//! A data plane: its machine, what it put in force, and the stream it has, if it has one.

use std::collections::BTreeSet;
use std::sync::Arc;

use config::{Config, GroupId, Millis};
use feed::{Backoff, Client, ClientOptions, Event, Grant, LastGood, Namespaces, PrivateKeys, Receipt, Scope, Versions};

use crate::cluster::{NAMESPACES, check};
use crate::link::Link;
use crate::random::Random;
use crate::skew::Skew;

pub struct Node {
    pub client: Client,
    pub options: ClientOptions,
    pub grant: Grant,
    pub skew: Skew,
    pub slow: bool,
    pub in_force: Config,
    /// Which controller, and the way there.
    pub link: Option<(usize, Link)>,
    pub backoff: Backoff,
    pub wake: u64,
    /// What is in force and not yet acknowledged.
    pub receipts: Vec<Receipt>,
}

impl Node {
    pub fn new(number: usize, skew: Skew, random: &mut Random) -> Self {
        let own: BTreeSet<Arc<str>> = [(*random.pick(&NAMESPACES).unwrap()).into()].into();
        let (scope, namespaces) = match random.below(4) {
            0 => (Scope::Namespaces(own.clone()), Namespaces::Only(own)),
            1 => {
                (Scope::Groups([GroupId::new("shop", "app"), GroupId::new("pay", "web:http")].into()), Namespaces::All)
            }
            _ => (Scope::All, Namespaces::All),
        };
        let private_keys = if random.per_mille(500) { PrivateKeys::Allowed } else { PrivateKeys::Withheld };
        let instance: Arc<str> = format!("proxy-{number}").into();
        let protocol = Versions::new(1, 1 + u32::try_from(random.below(3)).unwrap()).unwrap();
        let options =
            ClientOptions { instance: instance.clone(), scope, protocol, silence: Millis::from_secs(35), check };
        Self {
            client: Client::new(options.clone()),
            options,
            grant: Grant { namespaces, private_keys, instance: Some(instance) },
            skew,
            slow: random.per_mille(300),
            in_force: Config::default(),
            link: None,
            backoff: Backoff::default(),
            wake: 0,
            receipts: Vec::new(),
        }
    }

    /// The process ends and begins, with or without its disk, which is used at once if nobody `answers`.
    pub fn restart(&mut self, disk: bool, answers: bool, now: u64) {
        let file = LastGood::encode(self.client.resources(), Millis(now));
        let age = self.client.age(Millis(now));
        self.client = Client::new(self.options.clone());
        self.in_force = Config::default();
        if let (true, Some(age)) = (disk, age) {
            let last = LastGood::decode(&file).expect("what was just written");
            assert_eq!((last.current_at, &last.skipped[..]), (Millis(now), &[][..]));
            self.client.remember(last.resources);
            assert!(self.client.config().certificates.is_empty(), "private keys were on the disk");
            assert_eq!(self.client.age(Millis(now)), None);
            if !answers {
                self.in_force = Config::clone(&self.client.restore(age, Millis(now)).config);
                assert_eq!(self.client.age(Millis(now)), Some(age));
            }
        }
        self.lose(now, 0);
    }

    /// The stream is gone.
    pub fn lose(&mut self, now: u64, wait: u64) {
        self.client.disconnect();
        self.link = None;
        self.receipts.clear();
        self.wake = now + wait;
    }

    /// Reads some bytes; the configurations it put in force, in order.
    pub fn read(&mut self, bytes: &[u8], now: u64, random: &mut Random) -> Vec<Config> {
        let mut applied = Vec::new();
        for event in self.client.receive(bytes, Millis(now)) {
            match event {
                Event::Commit(update) => {
                    self.in_force = Config::clone(&update.config);
                    applied.push(self.in_force.clone());
                    self.receipts.push(update.receipt);
                }
                Event::Synced => self.backoff.reset(),
                Event::Bye { within, .. } => {
                    let wait = Backoff::after_bye(within, random.next());
                    self.lose(now, wait.0);
                }
                Event::Violated(violation) => panic!("{violation}"),
                Event::Welcomed { .. } | Event::Leads(_) => {}
            }
        }
        applied
    }
}
