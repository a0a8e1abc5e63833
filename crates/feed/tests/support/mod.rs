//! What several of these tests need.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;

use config::{Config, Group, GroupId, HostRoutes, Millis, Resource, Revision, Server, Target};
use feed::frames::{ClientFrame, Hello};
use feed::{
    Client, ClientOptions, Event, Grant, Namespaces, PrivateKeys, Published, Scope, ServerOptions, Subscriber, Versions,
};

pub const NOW: Millis = Millis(1000);

pub fn group(name: &str, servers: usize) -> Resource {
    let server = |n: usize| Server::new("line", format!("10.{}.{}.1:80", n / 250, n % 250 + 1).parse().unwrap());
    Resource::Group(GroupId::new("shop", name), Arc::new(Group::with_defaults((0..servers).map(server).collect())))
}

pub fn route(host: &str, group: &str) -> Resource {
    let default = Some(Target::Group(GroupId::new("shop", group)));
    Resource::Route(Arc::new(HostRoutes { host: host.parse().unwrap(), paths: Vec::new(), default }))
}

pub fn published(resources: impl IntoIterator<Item = Resource>) -> Published {
    let mut published = Published::default();
    let publication = published.replace(&resources.into_iter().collect::<Config>());
    assert!(publication.refused.is_empty());
    published
}

pub fn anyone() -> Grant {
    Grant { namespaces: Namespaces::All, private_keys: PrivateKeys::Withheld, instance: None }
}

pub fn options() -> Arc<ServerOptions> {
    Arc::new(ServerOptions { server: "controller-0".into(), ..ServerOptions::default() })
}

pub fn subscriber() -> Subscriber {
    Subscriber::new(options(), anyone(), NOW)
}

pub fn client(instance: &str, scope: Scope) -> Client {
    Client::new(ClientOptions {
        instance: instance.into(),
        scope,
        protocol: Versions::OURS,
        silence: Millis(35_000),
        check: |_| Ok(()),
    })
}

pub fn hello(have: impl IntoIterator<Item = (String, Revision)>) -> Vec<u8> {
    hello_of(Versions::OURS, have)
}

pub fn hello_of(protocol: Versions, have: impl IntoIterator<Item = (String, Revision)>) -> Vec<u8> {
    let hello = Hello { protocol, instance: "proxy-1".into(), scope: Scope::All, have: have.into_iter().collect() };
    ClientFrame::Hello(hello).to_line().to_vec()
}

/// Carries lines both ways until both ends are silent; what the client was told, and the lines in order.
pub fn converse(client: &mut Client, subscriber: &mut Subscriber, published: &Published) -> (Vec<Event>, Vec<String>) {
    let (mut events, mut lines) = (Vec::new(), Vec::new());
    loop {
        if let Some(line) = client.poll() {
            lines.push(format!("> {}", String::from_utf8_lossy(&line).trim_end()));
            subscriber.receive(&line, NOW).unwrap();
        } else if let Some(line) = subscriber.poll(published, NOW) {
            lines.push(format!("< {}", String::from_utf8_lossy(&line).trim_end()));
            for event in client.receive(&line, NOW) {
                if let Event::Commit(update) = &event {
                    client.applied(update.receipt);
                }
                events.push(event);
            }
        } else {
            return (events, lines);
        }
    }
}
