//! Who sees what. A scope is what a data plane asks for; a grant is what its identity allows, established by whoever checked
//! the token or the certificate; a view is a scope that a grant covers, and the one predicate that everything sent passes.

use std::collections::BTreeSet;
use std::sync::Arc;

use config::{GroupId, ResourceKey};
use serde::{Deserialize, Serialize};

use crate::limits;

/// What a data plane asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything: an ingress. Certificates are included if the grant allows private keys.
    #[default]
    All,
    /// The groups of these namespaces, and no routes: a sidecar.
    Namespaces(BTreeSet<Arc<str>>),
    /// These groups alone: a sidecar that names them.
    Groups(BTreeSet<GroupId>),
}

/// What an identity allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where it may look.
    pub namespaces: Namespaces,
    /// Whether certificates may be sent: only on a stream whose both ends proved who they are.
    pub private_keys: PrivateKeys,
    /// The instance it speaks for, where the identity says so (the pod a token is bound to); else any.
    pub instance: Option<Arc<str>>,
}

/// The namespaces an identity may look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// All of them: an ingress.
    All,
    /// These: a sidecar's own, as a rule.
    Only(BTreeSet<Arc<str>>),
}

/// Whether private keys may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivateKeys {
    /// To this one they may.
    Allowed,
    /// Certificates do not exist for it.
    Withheld,
}

/// A scope covered by a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    scope: Scope,
    private_keys: PrivateKeys,
}

/// The identity does not cover what is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Everything, while the identity is limited.
    #[error("this identity may not see every namespace; ask for namespaces or groups it may see")]
    Everything,
    /// A namespace that is not among the identity's.
    #[error("this identity may not see namespace \"{0}\"")]
    Namespace(Arc<str>),
    /// Another instance's name.
    #[error("this identity speaks for instance \"{0}\" alone")]
    Instance(Arc<str>),
    /// A list that is too long.
    #[error("a scope lists at most {} namespaces or groups", limits::SCOPE)]
    TooLong,
}

impl Grant {
    /// Whether it may look everywhere: an ingress, which is trusted with every private key, and not a sidecar, of which
    /// anybody may run one.
    pub fn is_ingress(&self) -> bool {
        self.namespaces == Namespaces::All
    }

    /// Whether this identity may speak, and report, for `instance`.
    pub fn speaks_for(&self, instance: &str) -> Result<(), Forbidden> {
        match &self.instance {
            Some(own) if **own != *instance => Err(Forbidden::Instance(own.clone())),
            _ => Ok(()),
        }
    }

    /// The view of `scope`, if this identity covers all of it: half of what was asked would look like an outage.
    pub fn view(&self, scope: Scope) -> Result<View, Forbidden> {
        match &scope {
            Scope::All if self.namespaces != Namespaces::All => return Err(Forbidden::Everything),
            Scope::All => {}
            Scope::Namespaces(asked) => {
                bounded(asked.len())?;
                asked.iter().try_for_each(|namespace| self.covers(namespace))?;
            }
            Scope::Groups(asked) => {
                bounded(asked.len())?;
                asked.iter().try_for_each(|group| self.covers(group.namespace()))?;
            }
        }
        Ok(View { scope, private_keys: self.private_keys })
    }

    /// Whether this identity may see groups of `namespace`.
    pub fn covers(&self, namespace: &str) -> Result<(), Forbidden> {
        match &self.namespaces {
            Namespaces::Only(own) if !own.contains(namespace) => Err(Forbidden::Namespace(namespace.into())),
            Namespaces::All | Namespaces::Only(_) => Ok(()),
        }
    }
}

fn bounded(length: usize) -> Result<(), Forbidden> {
    if length > limits::SCOPE { Err(Forbidden::TooLong) } else { Ok(()) }
}

impl Scope {
    /// Whether the group is among what is asked for.
    pub fn concerns(&self, group: &GroupId) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(namespaces) => namespaces.contains(group.namespace()),
            Self::Groups(groups) => groups.contains(group),
        }
    }
}

impl View {
    /// What was asked for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether the resource exists for this subscriber.
    pub fn sees(&self, key: &ResourceKey) -> bool {
        if key.is_private() && self.private_keys == PrivateKeys::Withheld {
            return false;
        }
        match key {
            ResourceKey::Group(id) => self.scope.concerns(id),
            ResourceKey::Certificate(_) | ResourceKey::Route(_) => self.scope == Scope::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn grant(namespaces: Namespaces, private_keys: PrivateKeys) -> Grant {
        Grant { namespaces, private_keys, instance: None }
    }

    fn seen(view: &View) -> Vec<&'static str> {
        let keys = ["cert/shop/tls", "group/shop/app", "group/shop/web:80", "group/pay/app", "route/a.example"];
        keys.into_iter().filter(|key| view.sees(&key.parse().unwrap())).collect()
    }

    #[test]
    fn everything_is_for_those_who_may_see_everything() {
        let all = grant(Namespaces::All, PrivateKeys::Allowed);
        assert_eq!(seen(&all.view(Scope::All).unwrap()).len(), 5);
        let keyless = grant(Namespaces::All, PrivateKeys::Withheld).view(Scope::All).unwrap();
        assert_eq!(seen(&keyless), ["group/shop/app", "group/shop/web:80", "group/pay/app", "route/a.example"]);
        let shop = grant(Namespaces::Only(set(&["shop"])), PrivateKeys::Allowed);
        assert_eq!(shop.view(Scope::All), Err(Forbidden::Everything));
    }

    #[test]
    fn a_sidecar_sees_groups_of_its_own() {
        let shop = grant(Namespaces::Only(set(&["shop"])), PrivateKeys::Allowed);
        let own = shop.view(Scope::Namespaces(set(&["shop"]))).unwrap();
        assert_eq!(seen(&own), ["group/shop/app", "group/shop/web:80"]);
        let named = shop.view(Scope::Groups([GroupId::new("shop", "app")].into())).unwrap();
        assert_eq!(seen(&named), ["group/shop/app"]);
        assert_eq!(shop.view(Scope::Namespaces(set(&["pay", "shop"]))), Err(Forbidden::Namespace("pay".into())));
        let stolen = Scope::Groups([GroupId::new("pay", "app")].into());
        assert_eq!(shop.view(stolen), Err(Forbidden::Namespace("pay".into())));
    }

    #[test]
    fn long_lists_and_borrowed_names_are_refused() {
        let all = Grant { instance: Some("proxy-1".into()), ..grant(Namespaces::All, PrivateKeys::Withheld) };
        let many = (0..=limits::SCOPE).map(|n| n.to_string().into()).collect();
        assert_eq!(all.view(Scope::Namespaces(many)), Err(Forbidden::TooLong));
        assert_eq!(all.speaks_for("proxy-1"), Ok(()));
        assert_eq!(all.speaks_for("proxy-2"), Err(Forbidden::Instance("proxy-1".into())));
    }
}
