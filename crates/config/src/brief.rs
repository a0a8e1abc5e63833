//! A group without what is usual: a plain server is its name, its address and its pod, and a thousand plain groups are less than
//! half as long, for whoever sends, carries and reads them. What is left out is what [`Server::new`] and
//! [`Group::with_defaults`] have. It is left out for ever: another default would be another meaning, and other readers' mistake.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{Address, Group, Server};

/// Serializes what is unusual, and what names it.
pub(crate) struct Brief<'a, T: ?Sized>(pub &'a T);

static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::new("", Address::Inet(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))));
static GROUP: LazyLock<Group> = LazyLock::new(|| Group::with_defaults(Vec::new()));

/// Members by the names of their fields.
macro_rules! unusual {
    ($map:ident, $usual:ident, $($member:ident)*) => {
        $(if *$member != $usual.$member {
            $map.serialize_entry(stringify!($member), $member)?;
        })*
    };
}

impl Serialize for Brief<'_, Group> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Group {
            method,
            servers,
            keepalive,
            next_upstream,
            timeouts,
            replay_max_bytes,
            sticky,
            protocol,
            request_headers,
        } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("servers", &Brief(&servers[..]))?;
        unusual!(map, GROUP, method keepalive next_upstream timeouts replay_max_bytes sticky protocol request_headers);
        map.end()
    }
}

impl Serialize for Brief<'_, [Server]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Brief))
    }
}

impl Serialize for Brief<'_, Server> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Server {
            name,
            address,
            text,
            weight,
            line_weight,
            max_fails,
            fail_timeout,
            max_conns,
            slow_start,
            tier,
            availability,
            route,
            pod,
            for_zones,
        } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", name)?;
        map.serialize_entry("address", address)?;
        unusual!(map, SERVER, text weight line_weight max_fails fail_timeout max_conns slow_start tier);
        unusual!(map, SERVER, availability route pod for_zones);
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Availability, Keepalive, Method, Millis, Pod, Tier, Timeouts};

    fn brief(group: &Group) -> String {
        let json = serde_json::to_string(&Brief(group)).unwrap();
        assert_eq!(serde_json::from_str::<Group>(&json).unwrap(), *group, "{json}");
        json
    }

    #[test]
    fn what_is_usual_goes_without_saying() {
        assert_eq!(brief(&Group::with_defaults(vec![])), r#"{"servers":[]}"#);
        let pod = Pod { name: "app-1".into(), uid: None, zone: None };
        let server = Server { pod: Some(pod), ..Server::new("app", "10.0.0.1:80".parse().unwrap()) };
        let expected =
            r#"{"servers":[{"name":"app","address":"10.0.0.1:80","pod":{"name":"app-1","uid":null,"zone":null}}]}"#;
        assert_eq!(brief(&Group::with_defaults(vec![server])), expected);
    }

    #[test]
    fn what_is_not_is_said_as_ever() {
        let server = Server {
            text: Some("app:80".into()),
            weight: 2,
            max_fails: 0,
            fail_timeout: 11,
            max_conns: 1,
            slow_start: Millis(1),
            tier: Tier::Backup,
            availability: Availability::Drain,
            route: Some("a".into()),
            for_zones: vec!["z1".into()],
            ..Server::new("app", "10.0.0.1:80".parse().unwrap())
        };
        let group = Group {
            method: Method::LeastConn,
            keepalive: Keepalive { connections: 0, ..Keepalive::default() },
            timeouts: Timeouts { read: Millis(1), ..Timeouts::default() },
            replay_max_bytes: 0,
            ..Group::with_defaults(vec![server])
        };
        let whole = serde_json::to_value(&group).unwrap();
        let brief: serde_json::Value = serde_json::from_str(&brief(&group)).unwrap();
        for (name, member) in brief.as_object().unwrap().iter().filter(|(name, _)| *name != "servers") {
            assert_eq!(whole[name], *member);
        }
        for (name, member) in brief["servers"][0].as_object().unwrap() {
            assert_eq!(whole["servers"][0][name], *member);
        }
    }
}
