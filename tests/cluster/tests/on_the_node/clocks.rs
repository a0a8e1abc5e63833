//! Replicas whose clocks are two hours apart, and data planes between them.

use std::time::Instant;

use cluster::{NAMESPACE, clock};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::EnvVar;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::objects::App;
use crate::rig::{Rig, answers, load, took};

/// An image that heeds another clock.
const IMAGE: &str = "forebay.test/forebay-clock:1";

/// The replicas, and how far their clocks are off.
const REPLICAS: [(&str, &str); 2] = [("ahead", "+1h"), ("behind", "-1h")];

/// Who leads.
struct Leader {
    /// Its place among the replicas.
    replica: usize,
    identity: String,
}

#[tokio::test]
async fn the_clocks_of_replicas_differ() {
    let Some(rig) = Rig::start().await else { return };
    let files = clock::files(rig.cluster.tools(), "/forebay").expect("the files of an image");
    rig.cluster.load(IMAGE, &files).await.expect("an image");
    rig.install().await;
    rig.apply(&App::new("app", 2).to_string()).await;
    rig.rolled_out("app", "app").await;
    rig.shows_ready("app", "2/2").await;
    let at_rest = rig.at_rest().await;
    let load = load("app.example");
    for (name, clock) in REPLICAS {
        replica(&rig, name, clock).await;
    }
    rig.run(&format!("scale deployment/forebay-controller -n {NAMESPACE} --replicas=0")).await;
    let first = leads(&rig, None, 3).await;
    let second = leads(&rig, Some(&first), 2).await;
    let third = leads(&rig, Some(&second), 3).await;
    assert_eq!(first.replica, third.replica, "each led after the other");
    println!("clocks that differ: {}, none failed", load.end().await);
    rig.is_quiet(&at_rest).await;
}

/// A Deployment of one more controller, with another clock.
async fn replica(rig: &Rig, name: &str, clock: &str) {
    let deployments: Api<Deployment> = rig.seen.api(NAMESPACE);
    let model = deployments.get("forebay-controller").await.expect("the manifests' Deployment");
    let mut spec = model.spec.expect("a spec");
    spec.replicas = Some(1);
    spec.selector.match_labels.get_or_insert_default().insert("clock".to_owned(), name.to_owned());
    let metadata = spec.template.metadata.get_or_insert_default();
    metadata.labels.get_or_insert_default().insert("clock".to_owned(), name.to_owned());
    let container = &mut spec.template.spec.as_mut().expect("a pod").containers[0];
    container.image = Some(IMAGE.to_owned());
    let environment = clock::environment(rig.cluster.tools(), clock);
    let variable =
        |(name, value): (&str, String)| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    container.env.get_or_insert_default().extend(environment.map(variable));
    let name = deployment_of(name);
    let metadata = ObjectMeta { name: Some(name.clone()), labels: model.metadata.labels, ..ObjectMeta::default() };
    let deployment = Deployment { metadata, spec: Some(spec), status: None };
    deployments.create(&PostParams::default(), &deployment).await.expect("a Deployment");
    rig.rolled_out(NAMESPACE, &name).await;
}

fn deployment_of(name: &str) -> String {
    format!("forebay-controller-{name}")
}

/// Waits until a replica leads other than `former`, whose pod is killed and stays away until then; has it follow a change
/// to `replicas` pods of the application.
async fn leads(rig: &Rig, former: Option<&Leader>, replicas: u32) -> Leader {
    let began = Instant::now();
    if let Some(Leader { replica, identity }) = former {
        // Without a word: the others must find out by their own clocks, long after it was started again and is gone for good.
        rig.cluster.kill_container(NAMESPACE, identity.split('_').next().unwrap_or_default());
        rig.run(&format!("scale deployment/{} -n {NAMESPACE} --replicas=0", deployment_of(REPLICAS[*replica].0))).await;
    }
    let leader = |lease: &Lease| {
        let identity = lease.spec.as_ref()?.holder_identity.clone()?;
        let replica = REPLICAS.iter().position(|(name, _)| identity.starts_with(&deployment_of(name)))?;
        (former.is_none_or(|former| former.replica != replica)).then_some(Leader { replica, identity })
    };
    let lease =
        rig.seen.shows(NAMESPACE, "forebay-controller", "another leader", |lease| leader(lease).is_some()).await;
    let leader = leader(&lease).expect("it leads");
    let (name, clock) = REPLICAS[leader.replica];
    took(&format!("clock {clock}: it leads"), began);
    // The API server's clock is right.
    let stored = lease.metadata.managed_fields.iter().flatten().filter_map(|fields| fields.time.as_ref()).max();
    let stored = stored.expect("a stored lease").0.as_second();
    let ahead = lease.spec.and_then(|spec| spec.renew_time).expect("a renewed lease").0.as_second() - stored;
    assert_eq!(ahead > 1800, clock == "+1h", "{name} renewed {ahead} s from when it did");
    assert_eq!(ahead < -1800, clock == "-1h", "{name} renewed {ahead} s from when it did");

    let changed = Instant::now();
    rig.run(&format!("scale deployment/app -n app --replicas={replicas}")).await;
    rig.rolled_out("app", "app").await;
    rig.shows_ready("app", &format!("{replicas}/{replicas}")).await;
    for (pod, _) in rig.app_pods("app").await {
        answers("app.example", 200, &pod).await;
    }
    took(&format!("clock {clock}: its status is right"), changed);
    if let Some(Leader { replica, .. }) = former {
        let deployment = deployment_of(REPLICAS[*replica].0);
        rig.run(&format!("scale deployment/{deployment} -n {NAMESPACE} --replicas=1")).await;
        rig.rolled_out(NAMESPACE, &deployment).await;
    }
    leader
}
