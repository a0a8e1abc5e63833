//! What operators and persons bring themselves: a certificate for the feed, an address for Ingresses, a token and curl.

use std::fs;
use std::process::Stdio;

use cluster::forebay::{ADMIN, FEED, HTTP};
use cluster::{Forebay, Installed, NAMESPACE};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;
use testkit::Authority;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::objects::{app, slice};
use crate::rig::{Rig, serve};

#[tokio::test]
async fn certificates_and_addresses_may_be_given() {
    let Some(rig) = Rig::start().await else { return };
    let [old, new] = [Authority::new(), Authority::new()];
    let (chain, key) = (rig.installed.folder().join("feed.crt"), rig.installed.folder().join("feed.key"));
    let certify = |authority: &Authority| {
        let pair = authority.issue(&["forebay-controller.forebay.svc"]);
        fs::write(&key, pair.key).unwrap();
        fs::write(&chain, pair.chain).unwrap();
    };
    certify(&old);
    let kubeconfig = rig.installed.cluster.service_account(NAMESPACE, "forebay-controller").unwrap();
    let flags = [
        format!("--feed-certificate={}", chain.display()),
        format!("--feed-key={}", key.display()),
        "--publish-address=192.0.2.1".to_owned(),
        "--publish-address=lb.example".to_owned(),
    ];
    let controller = rig.installed.controller_as(1, &kubeconfig, &flags.each_ref().map(String::as_str));
    let token = rig.installed.folder().join("own.token");
    fs::write(&token, rig.installed.cluster.token(NAMESPACE, "forebay-proxy", Some("forebay.dev"))).unwrap();
    let proxy = |n: u8, authority: &Authority| {
        let address = format!("10.99.2.{n}");
        let arguments = [
            "proxy".to_owned(),
            format!("--controller={}", Installed::url()),
            format!("--controller-ca={}", authority.file().display()),
            format!("--token={}", token.display()),
            format!("--admin={address}:{ADMIN}"),
            format!("--http={address}:{HTTP}"),
        ];
        Forebay::start(&rig.installed.cluster, (NAMESPACE, &format!("own-{n}")), &address, arguments)
    };
    let _pod = rig.pod(1).await;
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    let first = proxy(1, &old);
    serve(&[&first], "app.example", "pod-1").await;
    rig.shows("shop", "app", "the addresses of the Ingress", |ingress: &Ingress| {
        let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.clone());
        let said = balancer.unwrap_or_default().into_iter().map(|at| at.ip.or(at.hostname)).collect::<Vec<_>>();
        said == ["192.0.2.1", "lb.example"].map(|address| Some(address.to_owned()))
    })
    .await;
    let secrets = rig.api::<Secret>(NAMESPACE);
    assert!(secrets.get_opt("forebay-controller-ca").await.unwrap().is_none(), "no authority is made");

    // Renewed under the same names, by another authority.
    let second = proxy(2, &new);
    second.logged("is not signed by an authority in --controller-ca").await;
    certify(&new);
    serve(&[&second, &first], "app.example", "pod-1").await;
    assert!(!controller.log().contains("forebay-controller-ca"), "{}", controller.log());
}

#[tokio::test]
async fn a_person_reads_the_feed_with_curl() {
    let Some(rig) = Rig::start().await else { return };
    let controller = rig.installed.controller(1);
    rig.apply(&[&app("app"), &slice("app", &[1])]).await;
    let authority = rig.installed.authority().await;
    controller.logged("the cluster is known").await;
    let read = async |account: &str, namespace: &str| {
        let token = rig.installed.cluster.token(namespace, account, Some("forebay.dev"));
        let name = "forebay-controller.forebay.svc";
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["-sSN", "--http2", "--noproxy", "*", "--max-time", "60", "--cacert"]).arg(&authority);
        curl.args(["--resolve", &format!("{name}:{FEED}:{}", Installed::controller_address(1))]);
        curl.arg(format!("-HAuthorization: Bearer {token}")).arg(format!("https://{name}:{FEED}/feed/v1"));
        let mut curl = curl.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("curl");
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        let mut keys = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            keys.extend(line["put"]["key"].as_str().map(str::to_owned));
            if line["synced"].is_object() {
                return keys;
            }
        }
        panic!("the feed ended before it was synced: {keys:?}");
    };
    assert_eq!(read("app", "shop").await, ["group/shop/app"]);
    assert_eq!(read("forebay-proxy", NAMESPACE).await, ["group/shop/app", "route/app.example"]);
}
