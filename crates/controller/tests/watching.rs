//! The watches before an API server that plays its part move by move: whatever it does, nothing is emptied, nothing is
//! missed, and what is wrong is said once.

mod support;

use std::time::Duration;

use api::{CaReferenceKind, UpstreamGroup};
use controller::index::{Index, Place};
use controller::metrics::Metrics;
use controller::watch::{Asks, Classes, Step, WatchScope, Watches, asks};
use k8s_openapi::api::core::v1::Secret;
use prometheus::Registry;
use serde_json::{Value, json};
use support::watched::Played;
use testkit::Log;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use translate::References;
use translate::kind::Kind as _;

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_mins(1);

/// Watches and the index that they tell.
struct World {
    api: Played,
    index: Index,
    steps: mpsc::Receiver<Step>,
    registry: Registry,
    log: Log,
    asks: Asks,
    _tasks: JoinSet<()>,
    _logging: tracing::subscriber::DefaultGuard,
}

impl World {
    async fn start(plural: &'static str) -> Self {
        let (log, logging) = Log::of_this_thread();
        let api = Played::start(plural).await;
        let scope = WatchScope { namespaces: Vec::new(), classes: Classes::Needed };
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let (sender, steps) = mpsc::channel(64);
        let (asks, asked) = asks();
        let index = scope.index();
        let tasks = Watches::new(api.client.clone(), scope, sender, metrics, asked).start(None);
        Self { api, index, steps, registry, log, asks, _tasks: tasks, _logging: logging }
    }

    /// Takes steps until `is_so`.
    async fn until(&mut self, is_so: impl Fn(&Index) -> bool) {
        let wait = async {
            while !is_so(&self.index) {
                self.steps.recv().await.expect("watches go on").apply(&mut self.index);
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "waited in vain; there are {:?}, requests {}", groups(&self.index), self.api.count());
    }

    async fn has(&mut self, names: &[&str]) {
        self.until(|index| groups(index) == names).await;
    }

    /// Waits for the `nth` request, takes every step there is, and returns the request's query.
    async fn asked(&mut self, nth: usize) -> String {
        let asked = tokio::time::timeout(PATIENCE, self.api.asked(nth)).await.expect("another request");
        while let Ok(step) = self.steps.try_recv() {
            step.apply(&mut self.index);
        }
        asked
    }

    /// Lets this time pass, in which nobody hears anything.
    async fn silence(&self, time: Duration) {
        // Whoever has taken what came last goes to wait for more.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// Asks for what these name, as the publisher does.
    fn ask(&mut self, references: &References) {
        self.index.settle(references);
        self.asks.tell(self.index.wishes());
    }

    fn groups(&self) -> Vec<String> {
        groups(&self.index)
    }

    /// How many lines of the log contain `text`.
    fn said(&self, text: &str) -> usize {
        self.log.said(text)
    }

    /// Waits until the log has so many lines that contain `text`.
    async fn hears(&self, text: &str, times: usize) {
        self.log.hears(text, times).await;
    }

    /// Errors of watches that were counted for this reason.
    fn counted(&self, reason: &str) -> u64 {
        let families = self.registry.gather();
        let errors = families.iter().filter(|family| family.name() == "forebay_controller_watch_errors_total");
        let metrics = errors.flat_map(prometheus::proto::MetricFamily::get_metric);
        let of_reason = metrics.filter(|metric| metric.get_label().iter().any(|label| label.value() == reason));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are small and whole")]
        let count = of_reason.map(|metric| metric.get_counter().get_value()).sum::<f64>() as u64;
        count
    }
}

fn groups(index: &Index) -> Vec<String> {
    index.objects().upstream_groups.iter().map(|((_, name), _)| name.to_string()).collect()
}

fn group(name: &str, version: u64) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
        "metadata": {
            "namespace": "shop", "name": name, "uid": name, "generation": 1, "resourceVersion": version.to_string(),
        },
        "spec": {"servers": [{"name": "a", "address": "10.0.0.1:80"}]},
    })
}

/// One that an older or newer release wrote.
fn unreadable(name: &str, version: u64) -> Value {
    let mut group = group(name, version);
    group["spec"]["servers"] = "many".into();
    group
}

fn bookmark(version: u64) -> Value {
    json!({
        "apiVersion": "forebay.dev/v1alpha1", "kind": "UpstreamGroup",
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null}, "spec": {"servers": []},
    })
}

#[tokio::test]
async fn a_bookmark_is_where_the_next_watch_begins() {
    let mut world = World::start("upstreamgroups").await;
    world.api.list(10, [group("a", 9)], None);
    let mut first = world.api.watch();
    world.has(&["a"]).await;
    assert!(!world.asked(0).await.contains("watch=true"));
    assert!(world.asked(1).await.contains("resourceVersion=10"));
    first.tell("ADDED", &group("b", 11)).await;
    world.has(&["a", "b"]).await;
    first.tell("BOOKMARK", &bookmark(20)).await;
    first.end();
    let asked = world.asked(2).await;
    assert!(asked.contains("watch=true") && asked.contains("resourceVersion=20"), "{asked}");
    let mut second = world.api.watch();
    second.tell("DELETED", &group("a", 21)).await;
    world.has(&["b"]).await;
}

#[tokio::test]
async fn a_history_that_was_forgotten_is_listed_anew_and_nothing_is_emptied_meanwhile() {
    let mut world = World::start("upstreamgroups").await;
    world.api.list(10, [group("a", 9), group("b", 9)], None);
    let mut first = world.api.watch();
    world.has(&["a", "b"]).await;
    first.expire().await;
    let asked = world.asked(2).await;
    assert!(!asked.contains("watch=true"), "{asked}");
    assert_eq!(world.groups(), ["a", "b"]);
    world.api.list(30, [group("a", 9)], Some("more"));
    assert!(world.asked(3).await.contains("continue=more"));
    assert_eq!(world.groups(), ["a", "b"], "half a list is none");
    world.api.list(30, [group("c", 29)], None);
    world.has(&["a", "c"]).await;
    assert!(world.asked(4).await.contains("resourceVersion=30"));
    assert_eq!((world.counted("expired"), world.said("listing anew")), (1, 1));
}

#[tokio::test]
async fn a_watch_that_breaks_off_goes_on_where_it_was() {
    let mut world = World::start("upstreamgroups").await;
    world.api.list(10, [group("a", 9)], None);
    let mut first = world.api.watch();
    first.tell("ADDED", &group("b", 11)).await;
    world.has(&["a", "b"]).await;
    first.cut();
    let asked = world.asked(2).await;
    assert!(asked.contains("watch=true") && asked.contains("resourceVersion=11"), "{asked}");
    assert_eq!(world.groups(), ["a", "b"]);
    let mut second = world.api.watch();
    second.tell("MODIFIED", &group("b", 12)).await;
    second.tell("DELETED", &group("a", 13)).await;
    world.has(&["b"]).await;
}

#[tokio::test]
async fn half_a_list_is_thrown_away() {
    let mut world = World::start("upstreamgroups").await;
    world.api.list(10, [group("a", 9)], Some("more"));
    assert!(world.asked(1).await.contains("continue=more"));
    world.api.refuse(500, "etcdserver: leader changed");
    let asked = world.asked(2).await;
    assert!(!asked.contains("continue"), "{asked}");
    assert_eq!(world.groups(), Vec::<String>::new());
    assert!(world.index.awaited().contains(&(UpstreamGroup::KIND, Place::Everywhere)));
    world.api.list(12, [group("b", 11)], None);
    world.has(&["b"]).await;
    assert!(!world.index.awaited().contains(&(UpstreamGroup::KIND, Place::Everywhere)));
    let said = "cannot watch UpstreamGroup everywhere: the API server answers: etcdserver: leader changed";
    assert_eq!((world.counted("refused"), world.said(said)), (1, 1));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_hurts_nobody_else_and_keeps_its_last_version() {
    let mut world = World::start("upstreamgroups").await;
    world.api.list(10, [unreadable("a", 8), group("b", 9)], None);
    let mut first = world.api.watch();
    world.has(&["b"]).await;
    assert_eq!(world.index.unread().len(), 1);
    first.tell("MODIFIED", &unreadable("b", 11)).await;
    world.until(|index| index.unread().len() == 2).await;
    assert_eq!(world.groups(), ["b"], "its last readable version");
    first.tell("MODIFIED", &unreadable("b", 12)).await;
    first.tell("MODIFIED", &group("a", 13)).await;
    world.has(&["a", "b"]).await;
    first.tell("MODIFIED", &group("b", 14)).await;
    world.until(|index| index.unread().is_empty()).await;
    assert_eq!(world.said("UpstreamGroup shop/a: the object cannot be read: "), 1);
    assert_eq!(world.said("UpstreamGroup shop/b: the object cannot be read: "), 1);
}

#[tokio::test]
async fn a_token_that_expired_for_a_moment_is_nothing_to_say_and_nothing_is_lost() {
    let mut world = World::start("upstreamgroups").await;
    world.api.list(10, [group("a", 9)], None);
    let first = world.api.watch();
    world.has(&["a"]).await;
    world.api.refuse(401, "Unauthorized");
    world.api.refuse(401, "Unauthorized");
    first.end();
    let asked = world.asked(4).await;
    assert!(asked.contains("watch=true") && asked.contains("resourceVersion=10"), "{asked}");
    assert_eq!(world.groups(), ["a"]);
    let mut second = world.api.watch();
    second.tell("ADDED", &group("b", 11)).await;
    world.has(&["a", "b"]).await;
    assert_eq!(world.counted("unauthorized"), 2);
    assert_eq!((world.said("does not accept the credentials"), world.said("UpstreamGroup everywhere again")), (0, 0));
}

#[tokio::test]
async fn what_is_forbidden_for_a_moment_is_nothing_to_say_and_is_waited_for() {
    let mut world = World::start("secrets").await;
    world.ask(&References::default());
    world.api.refuse(403, "secrets is forbidden");
    world.api.refuse(403, "secrets is forbidden");
    world.asked(2).await;
    assert!(world.index.awaited().contains(&(Secret::KIND, Place::Everywhere)), "a role may be bound in a moment");
    world.api.list(10, [], None);
    world.until(|index| index.awaited().is_empty()).await;
    assert_eq!((world.counted("forbidden"), world.said("forbidden"), world.said("again")), (2, 0, 0));
}

#[tokio::test]
async fn an_api_server_that_is_busy_is_asked_again_by_us_alone() {
    let mut world = World::start("upstreamgroups").await;
    world.api.refuse(429, "TooManyRequests");
    world.api.list(10, [group("a", 9)], None);
    let first = world.api.watch();
    world.has(&["a"]).await;
    for (code, reason) in [(429, "TooManyRequests"), (503, "ServiceUnavailable"), (504, "Timeout")] {
        world.api.refuse(code, reason);
    }
    first.end();
    let asked = world.asked(6).await;
    assert!(asked.contains("watch=true") && asked.contains("resourceVersion=10"), "{asked}");
    let mut second = world.api.watch();
    second.tell("ADDED", &group("b", 11)).await;
    world.has(&["a", "b"]).await;
    assert_eq!((world.counted("refused"), world.api.count()), (4, 7), "each refusal was heard of");
}

#[tokio::test]
async fn a_watch_that_is_not_ended_is_taken_for_lost() {
    let mut world = World::start("upstreamgroups").await;
    world.api.list(10, [group("a", 9)], None);
    let mut first = world.api.watch();
    assert!(world.asked(1).await.contains("timeoutSeconds=30"));
    first.tell("ADDED", &group("b", 11)).await;
    world.has(&["a", "b"]).await;
    world.silence(Duration::from_secs(36)).await;
    let asked = world.asked(2).await;
    assert!(asked.contains("watch=true") && asked.contains("resourceVersion=11"), "{asked}");
    let mut second = world.api.watch();
    second.tell("ADDED", &group("c", 12)).await;
    world.has(&["a", "b", "c"]).await;
}

#[tokio::test]
async fn a_list_that_is_not_answered_is_asked_for_again() {
    let mut world = World::start("upstreamgroups").await;
    world.ask(&References::default());
    world.until(|index| index.awaited().iter().all(|(kind, _)| *kind == UpstreamGroup::KIND)).await;
    world.silence(Duration::from_secs(41)).await;
    assert!(!world.asked(1).await.contains("watch=true"));
    // Everything else was answered since.
    assert_ne!(world.counted("broken"), 0);
    assert_eq!(world.said("the API server cannot be reached"), 0);
    // Nobody waits for the first answer any more.
    world.api.list(10, [group("a", 9)], None);
    world.has(&["a"]).await;
}

#[tokio::test]
async fn an_api_server_that_is_away_is_one_line_each_time_and_so_is_that_it_is_back() {
    let mut world = World::start("upstreamgroups").await;
    world.ask(&References::default());
    world.api.list(10, [group("a", 9)], None);
    let _first = world.api.watch();
    world.until(|index| index.awaited().is_empty()).await;
    // In all kinds but the one that is played the watches are resumed, and nothing happens.
    for times in 1..=3 {
        world.api.leave().await;
        world.hears("the API server cannot be reached: ", times).await;
        world.api.come_back().await;
        world.hears("the API server can be reached again", times).await;
    }
    assert_eq!((world.said("the API server can"), world.said("watch")), (6, 0));
    assert_eq!(world.groups(), ["a"]);
}

fn naming(kind: CaReferenceKind, names: &[&str]) -> References {
    let mut references = References::default();
    references.extend("shop", names.iter().map(|name| (kind, *name)));
    references
}

fn secret(name: &str, version: u64) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"namespace": "shop", "name": name, "uid": name, "resourceVersion": version.to_string()},
        "data": {"tls.crt": "YQ==", "tls.key": "Yg=="},
    })
}

/// Which Secrets are here with their content.
fn whole(index: &Index) -> Vec<String> {
    let whole = index.objects().secrets.iter().filter(|(_, secret)| secret.data.is_some());
    whole.map(|((_, name), _)| name.to_string()).collect()
}

#[tokio::test]
async fn secrets_are_listed_when_it_is_known_which_are_named_and_fetched_by_name_from_then_on() {
    let mut world = World::start("secrets").await;
    world.until(|index| index.awaited().iter().all(|(kind, _)| *kind == Secret::KIND)).await;
    assert_eq!(world.api.count(), 0, "to be thrown away");
    world.ask(&naming(CaReferenceKind::Secret, &["a"]));
    world.api.list(10, ["a", "b", "c"].map(|name| secret(name, 9)), None);
    let _first = world.api.watch();
    world.until(|index| whole(index) == ["a"]).await;
    assert!(world.asked(1).await.contains("watch=true"));

    world.ask(&naming(CaReferenceKind::Secret, &["a", "b"]));
    let asked = world.asked(2).await;
    assert!(asked.contains("fieldSelector=metadata.name%3Db") && !asked.contains("watch=true"), "{asked}");
    // Another name is fetched beside it, and what is on its way is not begun anew.
    world.ask(&naming(CaReferenceKind::Secret, &["a", "b", "c"]));
    assert!(world.asked(3).await.contains("fieldSelector=metadata.name%3Dc"));
    world.api.list(20, [secret("b", 9)], None);
    world.until(|index| whole(index) == ["a", "b"]).await;
    world.ask(&naming(CaReferenceKind::Secret, &["a", "b", "c"]));
    world.api.refuse(500, "etcdserver: leader changed");
    world.api.list(21, [secret("c", 9)], None);
    world.until(|index| whole(index) == ["a", "b", "c"]).await;
    assert_eq!((world.api.count(), world.counted("refused")), (5, 1));
}

#[tokio::test]
async fn a_secret_that_stays_forbidden_is_waited_for_no_longer_and_taken_when_it_comes() {
    let mut world = World::start("secrets").await;
    world.ask(&References::default());
    world.api.list(10, [secret("a", 9)], None);
    let _first = world.api.watch();
    world.until(|index| index.awaited().is_empty()).await;
    let named = naming(CaReferenceKind::Secret, &["a"]);
    world.ask(&named);
    let is_awaited = |world: &World| !world.index.objects().fetching.is_empty();
    world.asked(2).await;
    assert!(is_awaited(&world));
    world.api.refuse(403, "secrets is forbidden");
    let mut nth = 3;
    while is_awaited(&world) {
        world.silence(Duration::from_secs(10)).await;
        world.asked(nth).await;
        world.api.refuse(403, "secrets is forbidden");
        world.index.settle(&named);
        nth += 1;
    }
    assert!(nth > 3, "a role may be bound in a moment");
    world.silence(Duration::from_secs(10)).await;
    world.api.list(11, [secret("a", 9)], None);
    world.until(|index| whole(index) == ["a"]).await;
}
