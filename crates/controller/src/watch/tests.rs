//! One watch told of errors in virtual time.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kube::core::Status;
use prometheus::Registry;
use testkit::Log;
use tokio::time::Instant;

use crate::trouble::GRACE;

use super::*;

fn watches(scope: WatchScope) -> (Watches, mpsc::Receiver<Step>) {
    // Nobody connects.
    let client = Client::try_from(kube::Config::new("http://192.0.2.1".parse().unwrap())).unwrap();
    let (steps, receiver) = mpsc::channel(64);
    let (_, asked) = asks();
    (Watches::new(client, scope, steps, Metrics::new(&Registry::new()).unwrap(), asked), receiver)
}

fn error(code: u16) -> watcher::Error {
    watcher::Error::WatchError(Box::new(Status { code, ..Status::default() }))
}

/// Tells a watch of `K` errors only, and returns how long each was waited over.
async fn storm<K: Kept>(watches: &Watches, code: u16, errors: usize) -> Vec<Duration> {
    let mut asked = Vec::new();
    {
        let events = stream::iter(0..errors).map(|_| {
            asked.push(Instant::now());
            Err(error(code))
        });
        watches.relay::<K>(Place::Everywhere, events).await;
    }
    asked.push(Instant::now());
    asked.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_errors_is_waited_over_ever_longer() {
    let (watches, mut steps) = watches(WatchScope { namespaces: Vec::new(), classes: Classes::Needed });
    let waits = storm::<Service>(&watches, 500, 100).await;
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(10)), "{waits:?}");
    // Each waits a random part of at most 10 s: that a hundred come to less than a minute is out of the question.
    assert!(waits.iter().sum::<Duration>() > Duration::from_mins(1), "{waits:?}");
    assert!(steps.try_recv().is_err(), "what was known stays");
}

#[tokio::test(start_paused = true)]
async fn what_is_dispensable_is_gone_on_without_after_a_grace() {
    let scope = || WatchScope { namespaces: Vec::new(), classes: Classes::Needed };
    let (watching, mut steps) = watches(scope());
    let mut index = scope().index();
    let secrets = (Secret::KIND, Place::Everywhere);
    storm::<Secret>(&watching, 403, 1).await;
    assert!(steps.try_recv().is_err(), "a role may be bound in a moment");
    let waits = storm::<Secret>(&watching, 403, 60).await;
    assert!(waits.iter().sum::<Duration>() > GRACE);
    while let Ok(step) = steps.try_recv() {
        step.apply(&mut index);
    }
    assert!(!index.awaited().contains(&secrets));
    // To publish that there are none would be an outage.
    storm::<EndpointSlice>(&watching, 403, 60).await;
    assert!(steps.try_recv().is_err());
    // Another reason is another matter.
    storm::<Secret>(&watching, 500, 60).await;
    assert!(steps.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_stays_forbidden_says_the_rule_that_is_missing() {
    let (log, _logging) = Log::of_this_thread();
    let (watching, _steps) = watches(WatchScope { namespaces: Vec::new(), classes: Classes::Needed });
    // As while an API server starts.
    storm::<EndpointSlice>(&watching, 403, 3).await;
    assert_eq!(log.said(""), 0);
    storm::<EndpointSlice>(&watching, 403, 100).await;
    let said = "cannot watch EndpointSlice everywhere: forbidden (); give the controller's ServiceAccount a ClusterRole with \
                the rule apiGroups: [\"discovery.k8s.io\"], resources: [endpointslices], verbs: [list, watch]; what was known \
                stays in force, and it is tried again";
    assert_eq!((log.said(said), log.said("")), (1, 1));
    storm::<EndpointSlice>(&watching, 500, 3).await;
    assert_eq!((log.said("the API server answers: "), log.said("")), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_goes_on_in_silence_is_well_again() {
    let (log, _logging) = Log::of_this_thread();
    let (watching, _steps) = watches(WatchScope { namespaces: Vec::new(), classes: Classes::Needed });
    let refused = || stream::iter([Err(error(500))]);
    // Resumed, nothing happens for an hour.
    let silence = stream::once(tokio::time::sleep(Duration::from_hours(1))).filter_map(|()| std::future::ready(None));
    watching.relay::<Service>(Place::Everywhere, refused().chain(silence).chain(refused())).await;
    assert_eq!((log.said("cannot watch Service everywhere"), log.said("watching Service everywhere again")), (2, 1));
}
