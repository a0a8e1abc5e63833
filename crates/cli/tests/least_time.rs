//! `least_time` beside a real nginx. Its figure is a mean of measured milliseconds, which no two processes share, so nothing is
//! compared pick by pick: servers differ by so much that there is only one answer.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use testkit::{
    Address, Client, Mode, Rig,
    nginx::{Nginx, Release},
    patiently,
};

/// A group of two, in the words of both.
struct Group {
    measure: &'static str,
    inflight: bool,
    weights: [u32; 2],
}

impl Group {
    async fn rig(&self) -> Rig {
        let measure = if self.measure == "header" { "Header" } else { "LastByte" };
        let method = json!({"type": "LeastTime", "leastTime": {"measure": measure, "inflight": self.inflight}});
        let lines: Vec<Value> = self.weights.iter().map(|w| json!({"weight": w, "failTimeout": "1h"})).collect();
        Rig::of(env!("CARGO_BIN_EXE_forebay")).lines(lines).spec(json!({"method": method})).start().await
    }

    async fn nginx(&self, rig: &Rig) -> Option<Nginx> {
        let binary = Release::Baseline.find()?;
        let inflight = if self.inflight { " inflight" } else { "" };
        let servers: Vec<String> =
            (0..2).map(|n| format!("server {} weight={} fail_timeout=1h;", rig.address(n), self.weights[n])).collect();
        let http = |dir: &Path| {
            format!(
                "access_log off; upstream app {{ least_time {}{inflight}; {} }}\n\
                 server {{ listen unix:{}/app.sock; location / {{ proxy_pass http://app; proxy_buffering off; }} }}",
                self.measure,
                servers.concat(),
                dir.display()
            )
        };
        Some(Nginx::start(&binary, "app.sock", http).await)
    }

    /// What both are asked by.
    async fn targets(&self, rig: &Rig) -> Vec<(&'static str, Address, Option<Nginx>)> {
        let forebay = ("forebay", rig.forebay.http(0).into(), None);
        match self.nginx(rig).await {
            Some(nginx) => vec![("nginx", nginx.socket("app.sock"), Some(nginx)), forebay],
            None => vec![forebay],
        }
    }
}

/// The server that takes the next request.
async fn ask(rig: &Rig, address: &Address) -> usize {
    let seen = |n: usize| rig.upstreams[n].requests().len();
    let before = seen(0);
    assert_eq!(Client::get(address.clone(), "/").await.status, 200);
    usize::from(seen(0) == before)
}

fn streaming(bytes: usize, pause: Duration) -> Mode {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n");
    Mode::SlowBody { head: head.into(), bytes, pause }
}

#[tokio::test]
async fn the_quicker_by_weight_is_preferred_as_by_nginx() {
    let [slow, quick] = [600, 50].map(Duration::from_millis);
    let table = [
        ("header", [1, 1], [Mode::Delay(slow), Mode::Delay(quick)], 1),
        ("last_byte", [2, 1], [Mode::Delay(slow), Mode::Delay(quick)], 1),
        ("header", [20, 1], [Mode::Delay(slow), Mode::Delay(quick)], 0),
        ("header", [1, 1], [streaming(1, slow), Mode::Delay(Duration::from_millis(300))], 0),
        ("last_byte", [1, 1], [streaming(1, slow), Mode::Delay(quick)], 1),
    ];
    for (measure, weights, modes, preferred) in table {
        let group = Group { measure, inflight: false, weights };
        let rig = group.rig().await;
        for (upstream, mode) in rig.upstreams.iter().zip(modes) {
            upstream.set(mode).await;
        }
        for (who, address, _running) in group.targets(&rig).await {
            let mut picks = Vec::new();
            for _ in 0..5 {
                picks.push(ask(&rig, &address).await);
            }
            let expected = [0, 1, preferred, preferred, preferred];
            assert_eq!(picks, expected, "{who}: {measure}, weights {weights:?}");
        }
    }
}

/// `inflight`: a response that streams has shown its header; one that has shown nothing grows old.
#[tokio::test]
async fn what_streams_is_not_waited_for() {
    let group = Group { measure: "header", inflight: true, weights: [1, 1] };
    let rig = group.rig().await;
    for (who, address, _running) in group.targets(&rig).await {
        let mut clients = Vec::new();
        rig.upstreams[0].set(streaming(1000, Duration::from_hours(1))).await;
        rig.upstreams[1].set(Mode::Hang).await;
        for n in [0, 1] {
            let already = rig.upstreams[n].requests().len();
            let mut client = Client::connect(address.clone()).await;
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").await;
            rig.upstreams[n].request(already + 1).await;
            if n == 0 {
                client.some().await.expect("a response header");
            }
            clients.push(client);
        }
        for upstream in &rig.upstreams {
            upstream.set(Mode::Ok).await;
        }
        let mut in_a_row = 0;
        patiently(&format!("{who} to prefer the server that streams"), async {
            while in_a_row < 10 {
                in_a_row = if ask(&rig, &address).await == 0 { in_a_row + 1 } else { 0 };
            }
        })
        .await;
    }
}
