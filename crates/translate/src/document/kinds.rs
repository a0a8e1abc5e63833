//! The kinds of objects that are read, and how a document says which it is.

use std::sync::LazyLock;

use super::builtin;
use super::schema::Schema;

/// A kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    UpstreamGroup,
    Ingress,
    IngressClass,
    Secret,
    ConfigMap,
    Service,
    EndpointSlice,
}

/// What a document says it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// An object that is read.
    Known(Kind),
    /// A kind that is read, in a version or group it is not read of.
    Misplaced(Kind),
    /// No kind of its group that is known here, but likely this one with a slip in its name.
    Misspelled(Kind),
    /// The name of a kind that is read, in a group that nobody here knows: another's, or a slip in the group.
    Doubtful(Kind),
    /// An object that concerns others.
    Foreign,
}

/// What names of a kind may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    /// RFC 1123 subdomain.
    Subdomain,
    /// RFC 1123 label.
    Label,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::UpstreamGroup,
        Self::Ingress,
        Self::IngressClass,
        Self::Secret,
        Self::ConfigMap,
        Self::Service,
        Self::EndpointSlice,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::UpstreamGroup => api::KIND,
            Self::Ingress => "Ingress",
            Self::IngressClass => "IngressClass",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        }
    }

    /// The API group, empty for the core, and the version.
    pub const fn group_version(self) -> (&'static str, &'static str) {
        match self {
            Self::UpstreamGroup => (api::GROUP, api::VERSION),
            Self::Ingress | Self::IngressClass => ("networking.k8s.io", "v1"),
            Self::Secret | Self::ConfigMap | Self::Service => ("", "v1"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1"),
        }
    }

    pub const fn is_namespaced(self) -> bool {
        match self {
            Self::IngressClass => false,
            Self::UpstreamGroup
            | Self::Ingress
            | Self::Secret
            | Self::ConfigMap
            | Self::Service
            | Self::EndpointSlice => true,
        }
    }

    pub const fn name_rule(self) -> NameRule {
        match self {
            Self::Service => NameRule::Label,
            Self::UpstreamGroup
            | Self::Ingress
            | Self::IngressClass
            | Self::Secret
            | Self::ConfigMap
            | Self::EndpointSlice => NameRule::Subdomain,
        }
    }

    /// What the whole object must be like.
    pub fn schema(self) -> &'static Schema {
        static SCHEMAS: LazyLock<[Schema; 7]> =
            LazyLock::new(|| Kind::ALL.map(|kind| Schema::read(&builtin::schema(kind))));
        &SCHEMAS[self as usize]
    }

    /// The `apiVersion` of its documents.
    pub fn api_version(self) -> String {
        match self.group_version() {
            ("", version) => version.to_owned(),
            (group, version) => format!("{group}/{version}"),
        }
    }
}

/// What a document with this `apiVersion` and `kind` is. In the groups that are read, a name like one of ours is a slip and
/// no business of others, and would be missed silently; in our own group every name is.
pub(super) fn identify(api_version: &str, kind: &str) -> Identity {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let named = |name: &str| Kind::ALL.into_iter().find(|known| known.name() == name);
    if !Kind::ALL.iter().any(|known| known.group_version().0 == group) {
        return match named(kind) {
            Some(known) if is_slip(group, known) => Identity::Doubtful(known),
            Some(_) | None => Identity::Foreign,
        };
    }
    if let Some(known) = named(kind) {
        let is_read = known.group_version() == (group, version);
        return if is_read { Identity::Known(known) } else { Identity::Misplaced(known) };
    }
    match config::nearest(kind, Kind::ALL.iter().map(|known| known.name())).and_then(named) {
        Some(known) => Identity::Misspelled(known),
        None if group == api::GROUP => Identity::Misspelled(Kind::UpstreamGroup),
        None => Identity::Foreign,
    }
}

/// Whether an unknown group was likely meant to be that of this kind. Others have an `Ingress` and a `Service`, too.
fn is_slip(group: &str, kind: Kind) -> bool {
    match kind {
        Kind::UpstreamGroup => true,
        // Where Ingress was until Kubernetes 1.22.
        Kind::Ingress if group == "extensions" => true,
        Kind::Ingress | Kind::IngressClass | Kind::EndpointSlice => {
            let whole = kind.group_version().0;
            let part = whole.split_once('.').map_or(whole, |(first, _)| first);
            config::nearest(group, [whole, part]).is_some() || whole.starts_with(group)
        }
        Kind::Secret | Kind::ConfigMap | Kind::Service => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_say_what_they_are() {
        for (api_version, kind, expected) in [
            ("forebay.dev/v1alpha1", "UpstreamGroup", Identity::Known(Kind::UpstreamGroup)),
            ("v1", "Service", Identity::Known(Kind::Service)),
            ("networking.k8s.io/v1beta1", "Ingress", Identity::Misplaced(Kind::Ingress)),
            ("forebay.dev/v2", "UpstreamGroup", Identity::Misplaced(Kind::UpstreamGroup)),
            ("v1", "Ingress", Identity::Misplaced(Kind::Ingress)),
            ("networking.k8s.io/v1", "Ingres", Identity::Misspelled(Kind::Ingress)),
            ("networking.k8s.io/v1", "ingressclass", Identity::Misspelled(Kind::IngressClass)),
            ("v1", "Services", Identity::Misspelled(Kind::Service)),
            ("forebay.dev/v1alpha1", "Upstream", Identity::Misspelled(Kind::UpstreamGroup)),
            ("networking.k8s.io/v1", "NetworkPolicy", Identity::Foreign),
            ("networking.k8s.io/v1", "IPAddress", Identity::Foreign),
            ("v1", "Event", Identity::Foreign),
            ("v1", "Endpoints", Identity::Foreign),
            ("serving.knative.dev/v1", "Service", Identity::Foreign),
            ("networking.internal.knative.dev/v1alpha1", "Ingress", Identity::Foreign),
            ("config.openshift.io/v1", "Ingress", Identity::Foreign),
            ("gateway.networking.k8s.io/v1", "HTTPRoute", Identity::Foreign),
            ("forebay.io/v1alpha1", "UpstreamGroup", Identity::Doubtful(Kind::UpstreamGroup)),
            ("extensions/v1beta1", "Ingress", Identity::Doubtful(Kind::Ingress)),
            ("networking.k8s/v1", "Ingress", Identity::Doubtful(Kind::Ingress)),
            ("networking.k8s.oi/v1", "IngressClass", Identity::Doubtful(Kind::IngressClass)),
            ("apps/v1", "Deployment", Identity::Foreign),
        ] {
            assert_eq!(identify(api_version, kind), expected, "{api_version} {kind}");
        }
    }

    #[test]
    fn schemas_stand_in_the_order_of_their_kinds() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }
}
