//! The tasks with scripted answers on a paused clock, and the DNS with the one name that every system has.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use super::*;

/// Answers from a script that the test changes, and the questions that were asked.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: HashMap<&'static str, Answer>,
    under_way: usize,
    most: usize,
}

impl Scripted {
    fn set(&self, name: &'static str, answer: Answer) {
        self.0.lock().answers.insert(name, answer);
    }
}

impl LookUp for Scripted {
    async fn look_up(&self, question: &Question) -> Answer {
        {
            let mut script = self.0.lock();
            script.under_way += 1;
            script.most = script.most.max(script.under_way);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut script = self.0.lock();
        script.under_way -= 1;
        script.answers.get(&*question.name).cloned().unwrap_or(Answer::Absent)
    }
}

fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
}

fn found(text: &str) -> Answer {
    Answer::Addresses(ips(text), Millis::from_secs(30))
}

fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn start(look_up: impl LookUp) -> Resolver {
    Resolver::start(look_up, Options { families: vec![Family::Ipv4], valid: None })
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_dns_is_noticed_and_nothing_else_wakes_anybody() {
    let dns = Scripted::default();
    dns.set("app", found("10.0.0.1"));
    let mut resolver = start(dns.clone());
    assert!(resolver.want(names(&["app"])));
    assert!(!resolver.want(names(&["app"])), "nothing new");
    resolver.settled().await;
    let first = resolver.known();
    assert_eq!(first.addresses("app").unwrap(), ips("10.0.0.1"));

    let quiet = timeout(Duration::from_secs(95), resolver.differs_from(&first)).await;
    assert!(quiet.is_err(), "asked three times, with one answer");
    dns.set("app", Answer::Failed("server failure".into()));
    assert!(
        timeout(Duration::from_secs(95), resolver.differs_from(&first)).await.is_err(),
        "a failure keeps the old set"
    );
    dns.set("app", found("10.0.0.2 10.0.0.1"));
    resolver.differs_from(&first).await;
    let second = resolver.known();
    assert_eq!(second.addresses("app").unwrap(), ips("10.0.0.1 10.0.0.2"));
    dns.set("app", Answer::Absent);
    resolver.differs_from(&second).await;
    assert_eq!(resolver.known().addresses("app"), Some(&[][..]));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_so_many_look_ups_are_under_way() {
    let dns = Scripted::default();
    let many: Vec<String> = (0..100).map(|n| format!("app{n}")).collect();
    let many: BTreeSet<Arc<str>> = many.iter().map(|name| Arc::from(name.as_str())).collect();
    let mut resolver = start(dns.clone());
    resolver.want(many.clone());
    resolver.settled().await;
    assert!(many.iter().all(|name| resolver.known().addresses(name) == Some(&[])));
    assert_eq!(dns.0.lock().most, AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_holds_up_nobody_for_long() {
    struct Silent;
    impl LookUp for Silent {
        async fn look_up(&self, _: &Question) -> Answer {
            std::future::pending().await
        }
    }
    let mut resolver = start(Silent);
    resolver.want(names(&["app"]));
    let began = Instant::now();
    resolver.settled().await;
    assert_eq!(began.elapsed(), book::PATIENCE.as_duration());
    assert_eq!(resolver.known().of("app"), translate::Known::GivenUp);
}

#[tokio::test]
async fn every_system_knows_localhost() {
    let question = Question { name: "localhost".into(), family: Family::Ipv4 };
    // Nobody listens there: the name is known without asking.
    let answer = Dns::new(&["127.0.0.1:1".parse().unwrap()]).look_up(&question).await;
    assert!(matches!(&answer, Answer::Addresses(found, _) if *found == ips("127.0.0.1")), "{answer:?}");
}
