//! Servers by DNS name: followed as their records change, without losing what is known of a server that stays.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use testkit::rig::Documents;
use testkit::{Address, Client, Dns, Forebay, Records, Upstream, patiently};

const NAME: &str = "app.example";

/// A group of one DNS name, a scripted DNS, and an upstream at 127.0.0.2 alone: what is sent to another address is refused.
struct Named {
    forebay: Forebay,
    dns: Dns,
    upstream: Upstream,
    documents: Documents,
}

fn ips(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
}

fn found(text: &str) -> Records {
    Records::Addresses(ips(text), 300)
}

impl Named {
    async fn start(records: Records, flags: &[&str]) -> Self {
        let upstream = Upstream::at("a", Address::Tcp("127.0.0.2:0".parse().unwrap())).await;
        let dns = Dns::start().await;
        dns.set(NAME, records);
        let documents = Documents::new();
        let line = json!({"name": "a", "dns": {"name": NAME, "port": port(&upstream)}, "failTimeout": "10m"});
        documents.write(
            "group.yaml",
            &[json!({
                "apiVersion": "forebay.dev/v1alpha1",
                "kind": "UpstreamGroup",
                "metadata": {"name": "app", "namespace": "default"},
                "spec": {"servers": [line]},
            })],
        );
        let resolver = dns.address().to_string();
        let forebay = Forebay::run(env!("CARGO_BIN_EXE_forebay"), documents.path()).bind("default/app");
        let forebay = forebay.args(["--workers", "1", "--resolver", &resolver, "--resolver-valid", "1s"]);
        let forebay = forebay.args(flags).start().await;
        Self { forebay, dns, upstream, documents }
    }

    /// Each server's address without its port, and the failures that count against it.
    async fn servers(&self) -> Vec<(String, u64)> {
        let picture = self.forebay.admin_get("/api/v1/groups").await.json();
        let servers = picture["groups"][0]["servers"].as_array().unwrap_or_else(|| panic!("{picture}"));
        let server = |server: &serde_json::Value| {
            let address: SocketAddr = server["address"].as_str().unwrap().parse().unwrap();
            (address.ip().to_string(), server["fails"].as_u64().unwrap_or_else(|| panic!("{server}")))
        };
        servers.iter().map(server).collect()
    }

    async fn until(&self, servers: &[(&str, u64)]) {
        let expected: Vec<_> = servers.iter().map(|(ip, fails)| ((*ip).to_owned(), *fails)).collect();
        let mut poll = tokio::time::interval(Duration::from_millis(10));
        patiently(&format!("the servers to be {expected:?}"), async {
            while self.servers().await != expected {
                poll.tick().await;
            }
        })
        .await;
    }

    async fn status(&self) -> u16 {
        Client::get(self.forebay.http(0), "/").await.status
    }
}

fn port(upstream: &Upstream) -> u16 {
    let Address::Tcp(address) = upstream.address() else { unreachable!("it was asked for TCP") };
    address.port()
}

#[tokio::test]
async fn what_is_known_of_an_address_outlives_the_changes_of_its_name() {
    let named = Named::start(found("127.0.0.3 127.0.0.2"), &[]).await;
    // Ready means that the name was asked for.
    named.until(&[("127.0.0.2", 0), ("127.0.0.3", 0)]).await;
    for _ in 0..2 {
        assert_eq!(named.status().await, 200);
    }
    named.until(&[("127.0.0.2", 0), ("127.0.0.3", 1)]).await;
    named.dns.set(NAME, found("127.0.0.4 127.0.0.3 127.0.0.2"));
    named.until(&[("127.0.0.2", 0), ("127.0.0.3", 1), ("127.0.0.4", 0)]).await;
    named.dns.set(NAME, found("127.0.0.2"));
    named.until(&[("127.0.0.2", 0)]).await;
    named.dns.set(NAME, found("127.0.0.3 127.0.0.2"));
    named.until(&[("127.0.0.2", 0), ("127.0.0.3", 1)]).await;
    assert_eq!(named.upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_failure_of_the_dns_keeps_the_servers_and_absence_takes_them() {
    let named = Named::start(found("127.0.0.2"), &[]).await;
    assert_eq!(named.status().await, 200);
    named.dns.set(NAME, Records::Failure);
    named.forebay.logged("app.example could not be resolved").await;
    named.dns.asked_again(NAME, 2).await;
    assert_eq!(named.status().await, 200);
    named.dns.set(NAME, Records::Missing);
    named.until(&[]).await;
    assert_eq!(named.status().await, 503);
    named.dns.set(NAME, found("127.0.0.2"));
    named.until(&[("127.0.0.2", 0)]).await;
    assert_eq!(named.status().await, 200);
}

#[tokio::test]
async fn names_are_followed_while_a_newer_set_is_refused() {
    let named = Named::start(found("127.0.0.2"), &[]).await;
    named.documents.write_text("bad.yaml", "kind: [");
    named.forebay.logged("the last good one keeps serving").await;
    named.dns.set(NAME, found("127.0.0.2 127.0.0.5"));
    named.until(&[("127.0.0.2", 0), ("127.0.0.5", 0)]).await;
    let status = named.forebay.admin_get("/api/v1/config").await.json();
    assert!(status.to_string().contains("bad.yaml"), "what is refused is still said: {status}");
}

#[tokio::test]
async fn ipv6_addresses_are_asked_for_unless_that_is_switched_off() {
    let both = "127.0.0.2 ::1";
    let named = Named::start(found(both), &[]).await;
    named.until(&[("127.0.0.2", 0), ("::1", 0)]).await;
    let named = Named::start(found(both), &["--resolver-ipv6", "off"]).await;
    named.dns.asked_again(NAME, 1).await;
    named.until(&[("127.0.0.2", 0)]).await;
}
