//! A configuration in pieces that are named, versioned and replaced one by one: what is sent to a data plane, and kept by it.
//! Nothing is lost on the way there and back, except the order of hosts, which has no meaning.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::brief::Brief;
use crate::text::as_text;
use crate::{Certificate, CertificateId, Config, Group, GroupId, HostPattern, HostRoutes, Revision, Routes, Target};

/// The name of a resource: `cert/NAMESPACE/NAME`, `group/NAMESPACE/NAME` or `route/HOST`.
///
/// The order is that of making: what is referred to comes before what refers to it. Breaking goes the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKey {
    /// A certificate with its private key.
    Certificate(CertificateId),
    /// A group.
    Group(GroupId),
    /// The routes of one host pattern.
    Route(HostPattern),
}

/// One piece of a configuration. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A certificate with its private key.
    Certificate(CertificateId, Arc<Certificate>),
    /// A group.
    Group(GroupId, Arc<Group>),
    /// The routes of one host pattern.
    Route(Arc<HostRoutes>),
}

/// The text names no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no resource; known are cert/NAMESPACE/NAME, group/NAMESPACE/NAME and route/HOST")]
pub struct ResourceKeyError(String);

/// Why a text is not the content of the resource it is said to be.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// It does not have the form of its kind, or holds a value this release does not know.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// The routes are for another host than the name says.
    #[error("these are the routes of host \"{0}\"")]
    OtherHost(HostPattern),
}

impl ResourceKey {
    /// Whether the content must stay between those who proved who they are, and off every disk.
    pub const fn is_private(&self) -> bool {
        match self {
            Self::Certificate(_) => true,
            Self::Group(_) | Self::Route(_) => false,
        }
    }
}

impl Resource {
    /// Its name.
    pub fn key(&self) -> ResourceKey {
        match self {
            Self::Certificate(id, _) => ResourceKey::Certificate(id.clone()),
            Self::Group(id, _) => ResourceKey::Group(id.clone()),
            Self::Route(routes) => ResourceKey::Route(routes.host.clone()),
        }
    }

    /// What it refers to, by name; the same name perhaps more than once.
    pub fn references(&self) -> impl Iterator<Item = ResourceKey> + '_ {
        let (host, shown) = match self {
            Self::Route(host) => (Some(host), None),
            Self::Group(_, group) => (None, group.client_certificate()),
            Self::Certificate(..) => (None, None),
        };
        let targets = host.into_iter().flat_map(|host| host.paths.iter().map(|path| &path.target).chain(&host.default));
        let groups = targets.filter_map(|target| match target {
            Target::Group(id) => Some(ResourceKey::Group(id.clone())),
            Target::Unavailable { .. } => None,
        });
        groups.chain(shown.cloned().map(ResourceKey::Certificate))
    }

    /// Its content. Equal values give equal bytes: maps are ordered and numbers are integers.
    pub fn to_json(&self) -> Vec<u8> {
        let json = match self {
            Self::Certificate(_, certificate) => serde_json::to_vec(certificate),
            Self::Group(_, group) => serde_json::to_vec(group),
            Self::Route(routes) => serde_json::to_vec(routes),
        };
        json.expect("our types have string keys and no fallible serializer")
    }

    /// Its content without what is usual: of a group, what [`Group::with_defaults`] and [`Server::new`](crate::Server::new)
    /// have. It is read like the whole, whose version it has. `None` for what has nothing usual.
    pub fn to_brief_json(&self) -> Option<Vec<u8>> {
        match self {
            Self::Group(_, group) => {
                let json = serde_json::to_vec(&Brief(&**group));
                Some(json.expect("our types have string keys and no fallible serializer"))
            }
            Self::Certificate(..) | Self::Route(_) => None,
        }
    }

    /// The version of its content.
    pub fn revision(&self) -> Revision {
        Revision::of(&self.to_json())
    }

    /// Reads the content of the resource `key`. Unknown fields are ignored: they are a newer writer's.
    pub fn from_json(key: &ResourceKey, json: &str) -> Result<Self, ResourceError> {
        match key {
            ResourceKey::Certificate(id) => Ok(Self::Certificate(id.clone(), serde_json::from_str(json)?)),
            ResourceKey::Group(id) => Ok(Self::Group(id.clone(), serde_json::from_str(json)?)),
            ResourceKey::Route(host) => {
                let routes: HostRoutes = serde_json::from_str(json)?;
                if routes.host != *host {
                    return Err(ResourceError::OtherHost(routes.host));
                }
                Ok(Self::Route(Arc::new(routes)))
            }
        }
    }
}

impl Config {
    /// Every piece, in the order of [`ResourceKey`].
    pub fn resources(&self) -> impl Iterator<Item = Resource> + '_ {
        let certificates = self.certificates.iter().map(|(id, one)| Resource::Certificate(id.clone(), one.clone()));
        let groups = self.groups.iter().map(|(id, group)| Resource::Group(id.clone(), group.clone()));
        let mut hosts: Vec<&Arc<HostRoutes>> = self.routes.hosts.iter().collect();
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        certificates.chain(groups).chain(hosts.into_iter().map(|host| Resource::Route(host.clone())))
    }
}

impl FromIterator<Resource> for Config {
    /// Puts the pieces together; the last of a name counts.
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> Self {
        let mut config = Self::default();
        let mut hosts = BTreeMap::new();
        for resource in resources {
            match resource {
                Resource::Certificate(id, certificate) => {
                    config.certificates.insert(id, certificate);
                }
                Resource::Group(id, group) => {
                    config.groups.insert(id, group);
                }
                Resource::Route(routes) => {
                    hosts.insert(routes.host.clone(), routes);
                }
            }
        }
        let hosts = hosts.into_values().collect();
        config.routes = Arc::new(Routes { hosts });
        config
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(id) => write!(f, "cert/{id}"),
            Self::Group(id) => write!(f, "group/{id}"),
            Self::Route(host) => write!(f, "route/{host}"),
        }
    }
}

impl FromStr for ResourceKey {
    type Err = ResourceKeyError;

    fn from_str(text: &str) -> Result<Self, ResourceKeyError> {
        let key = match text.split_once('/') {
            Some(("cert", id)) => id.parse().ok().map(Self::Certificate),
            Some(("group", id)) => id.parse().ok().map(Self::Group),
            // The empty host is not a name, although it is a pattern.
            Some(("route", host)) if !host.is_empty() => host.parse().ok().map(Self::Route),
            _ => None,
        };
        key.ok_or_else(|| ResourceKeyError(text.to_owned()))
    }
}

as_text!(ResourceKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PathMatch, PathRoute, PrivateKey, Protocol, Server, ServerTls, Trust};

    fn sample() -> Config {
        let group = Group::with_defaults(vec![Server::new("a", "10.0.0.1:80".parse().unwrap())]);
        let route = |host: &str| {
            Arc::new(HostRoutes {
                host: host.parse().unwrap(),
                paths: Vec::new(),
                default: Some(Target::Group(GroupId::new("shop", "app"))),
            })
        };
        let certificate =
            Certificate { chain: "chain".into(), key: PrivateKey::new("key"), hosts: vec![HostPattern::Any] };
        Config {
            groups: [
                (GroupId::new("shop", "app"), Arc::new(group.clone())),
                (GroupId::for_service("shop", "web", "http"), Arc::new(group)),
            ]
            .into(),
            routes: Arc::new(Routes { hosts: ["a.example", "b.example", "*.example", "*"].map(route).into() }),
            certificates: [(CertificateId::new("shop", "tls"), Arc::new(certificate))].into(),
        }
    }

    #[test]
    fn nothing_is_lost_in_pieces() {
        let config = sample();
        assert_eq!(config.resources().collect::<Config>(), config);
        let reversed: Vec<_> = config.resources().collect();
        assert_eq!(reversed.into_iter().rev().collect::<Config>(), config);
        for resource in config.resources() {
            let key: ResourceKey = resource.key().to_string().parse().unwrap();
            assert_eq!(key, resource.key());
            let json = String::from_utf8(resource.to_json()).unwrap();
            assert_eq!(Resource::from_json(&key, &json).unwrap(), resource);
        }
    }

    #[test]
    fn pieces_come_in_the_order_of_making() {
        let keys: Vec<_> = sample().resources().map(|resource| resource.key()).collect();
        assert!(keys.is_sorted());
        let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "cert/shop/tls",
                "group/shop/app",
                "group/shop/web:http",
                "route/a.example",
                "route/b.example",
                "route/*.example",
                "route/*",
            ]
        );
    }

    #[test]
    fn the_order_of_hosts_is_no_content() {
        let config = sample();
        let mut turned = config.clone();
        Arc::make_mut(&mut turned.routes).hosts.reverse();
        assert_eq!(turned.revision(), config.revision());
        assert_ne!(Config::default().revision(), config.revision());
    }

    #[test]
    fn routes_refer_to_groups() {
        let path = |target| PathRoute { path: PathMatch::Exact("/".into()), target, origin: "ingress a/b".into() };
        let group = |name| Target::Group(GroupId::new("shop", name));
        let route = Resource::Route(Arc::new(HostRoutes {
            host: HostPattern::Any,
            paths: vec![path(group("a")), path(Target::Unavailable { reason: "why".into() }), path(group("b"))],
            default: Some(group("c")),
        }));
        let names: Vec<_> = route.references().map(|key| key.to_string()).collect();
        assert_eq!(names, ["group/shop/a", "group/shop/b", "group/shop/c"]);
    }

    #[test]
    fn groups_refer_to_what_they_show_their_servers() {
        let id = CertificateId::new("shop", "client");
        let tls = ServerTls { server_name: None, trust: Trust::System, client_certificate: Some(id.clone()) };
        let group = Group { protocol: Protocol::Https(tls), ..Group::with_defaults(vec![]) };
        let resource = Resource::Group(GroupId::new("shop", "app"), Arc::new(group));
        assert_eq!(resource.references().collect::<Vec<_>>(), [ResourceKey::Certificate(id)]);
        let json = String::from_utf8(resource.to_json()).unwrap();
        assert!(
            json.contains(r#""protocol":{"Https":{"trust":"System","client_certificate":"shop/client"}}"#),
            "{json}"
        );
        assert_eq!(Resource::from_json(&resource.key(), &json).unwrap(), resource);
    }

    #[test]
    fn refuses_names_of_nothing() {
        for text in ["", "group", "group/", "group/a", "group/a/b/c", "route/", "route/UPPER", "listener/a", "cert/a"] {
            assert!(text.parse::<ResourceKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_values_refused() {
        let key: ResourceKey = "route/a.example".parse().unwrap();
        let json = r#"{"host":"a.example","paths":[],"default":null,"novel":{"x":1}}"#;
        assert!(Resource::from_json(&key, json).is_ok());
        let key: ResourceKey = "cert/shop/tls".parse().unwrap();
        assert!(Resource::from_json(&key, r#"{"chain":"c","key":"k"}"#).is_ok(), "an older writer names no hosts");
        let key: ResourceKey = "route/a.example".parse().unwrap();
        let json = r#"{"host":"a.example","paths":[],"default":{"Teleport":"x"}}"#;
        assert!(matches!(Resource::from_json(&key, json), Err(ResourceError::Form(_))));
        let json = r#"{"host":"b.example","paths":[],"default":null}"#;
        assert!(matches!(Resource::from_json(&key, json), Err(ResourceError::OtherHost(_))));
    }
}
