//! What a ServiceAccount may see. The accounts of the ingress data planes are listed, and see everything, private keys
//! included. Any other account is a sidecar's: it sees the groups of its own namespace and no key.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use config::Millis;
use feed::{Grant, Namespaces, PrivateKeys};
use k8s_openapi::api::authentication::v1::UserInfo;

use super::Identity;

/// The extra that names the pod a token is bound to (Kubernetes, `k8s.io/apiserver` `serviceaccount.PodNameKey`).
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// The beginning of a ServiceAccount's user name (`serviceaccount.MakeUsername`).
const USER: &str = "system:serviceaccount:";

/// A ServiceAccount, `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// Who may see what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    proxies: BTreeSet<Account>,
}

/// Not a ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Another kind of user.
    #[error("user \"{0}\" is no ServiceAccount; data planes use the token of one")]
    User(String),
    /// Not two names.
    #[error("\"{0}\" is no ServiceAccount; write NAMESPACE/NAME, for example forebay/forebay-proxy")]
    Form(String),
    /// A certificate without the name of a ServiceAccount.
    #[error(
        "the client certificate names no ServiceAccount; it needs exactly one URI among its alternative names, \
         spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME"
    )]
    Certificate,
}

impl Policy {
    /// `proxies` are the accounts of data planes that serve everything.
    pub fn new(proxies: impl IntoIterator<Item = Account>) -> Self {
        Self { proxies: proxies.into_iter().collect() }
    }

    /// The identity of a ServiceAccount, of one of its pods if that is known.
    pub fn identity(&self, account: Account, pod: Option<&str>, ends: Option<Millis>) -> Identity {
        let (namespaces, private_keys) = if self.proxies.contains(&account) {
            (Namespaces::All, PrivateKeys::Allowed)
        } else {
            (Namespaces::Only([account.namespace.clone()].into()), PrivateKeys::Withheld)
        };
        let instance = pod.map(|pod| format!("{}/{pod}", account.namespace).into());
        Identity { account, grant: Grant { namespaces, private_keys, instance }, ends }
    }

    /// The identity of a user whose token the API server accepted.
    pub fn user(&self, user: &UserInfo, ends: Option<Millis>) -> Result<Identity, AccountError> {
        let name = user.username.as_deref().unwrap_or_default();
        let account = Account::of_user(name)?;
        let pod = user.extra.as_ref().and_then(|extra| extra.get(POD_NAME)).and_then(|names| names.first());
        Ok(self.identity(account, pod.map(String::as_str), ends))
    }
}

impl Account {
    /// The account behind a user name, `system:serviceaccount:NAMESPACE:NAME`.
    pub fn of_user(user: &str) -> Result<Self, AccountError> {
        let parts = user.strip_prefix(USER).and_then(|rest| rest.split_once(':'));
        parts.and_then(|(namespace, name)| Self::of(namespace, name)).ok_or_else(|| AccountError::User(user.to_owned()))
    }

    /// Of two names, if they can be names of objects.
    pub(super) fn of(namespace: &str, name: &str) -> Option<Self> {
        let is_name = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            (1..=253).contains(&text.len()) && text.bytes().all(allowed)
        };
        (is_name(namespace) && is_name(name)).then(|| Self { namespace: namespace.into(), name: name.into() })
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let parts = text.split_once('/').and_then(|(namespace, name)| Self::of(namespace, name));
        parts.ok_or_else(|| AccountError::Form(text.to_owned()))
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use feed::Scope;

    use super::*;

    fn user(name: &str, pod: Option<&str>) -> UserInfo {
        let extra = pod.map(|pod| [(POD_NAME.to_owned(), vec![pod.to_owned()])].into());
        UserInfo { username: Some(name.to_owned()), extra, ..UserInfo::default() }
    }

    fn policy() -> Policy {
        Policy::new(["forebay/forebay-proxy".parse().unwrap()])
    }

    #[test]
    fn the_listed_see_everything_and_others_their_namespace() {
        let ingress = policy().user(&user("system:serviceaccount:forebay:forebay-proxy", Some("p-1")), None).unwrap();
        assert_eq!(ingress.grant.namespaces, Namespaces::All);
        assert_eq!(ingress.grant.private_keys, PrivateKeys::Allowed);
        assert_eq!(ingress.grant.instance.as_deref(), Some("forebay/p-1"));
        // The same name elsewhere is another account.
        for name in ["system:serviceaccount:shop:forebay-proxy", "system:serviceaccount:forebay:default"] {
            let sidecar = policy().user(&user(name, None), None).unwrap();
            assert_eq!(sidecar.grant.private_keys, PrivateKeys::Withheld, "{name}");
            assert_eq!(sidecar.grant.instance, None);
            assert!(sidecar.grant.view(Scope::All).is_err());
            let own = Scope::Namespaces([sidecar.account.namespace.clone()].into());
            assert!(sidecar.grant.view(own).is_ok());
            assert!(sidecar.grant.covers("pay").is_err());
        }
    }

    #[test]
    fn only_service_accounts_are_let_in() {
        for name in [
            "",
            "admin",
            "system:node:a",
            "system:serviceaccount:",
            "system:serviceaccount:shop",
            "system:serviceaccount:shop:",
            "system:serviceaccount::web",
            "system:serviceaccount:shop:a:b",
            "system:serviceaccount:Shop:web",
            "system:serviceaccount:shop:we/b",
            "xsystem:serviceaccount:shop:web",
        ] {
            let refused = policy().user(&user(name, None), None);
            assert_eq!(refused, Err(AccountError::User(name.to_owned())), "{name}");
        }
        assert!(policy().user(&UserInfo::default(), None).is_err());
        for text in ["", "a", "a/", "/a", "a/b/c", "A/b"] {
            assert!(text.parse::<Account>().is_err(), "{text}");
        }
    }

    #[test]
    fn nobody_speaks_for_others() {
        let of = |pod| policy().user(&user("system:serviceaccount:shop:web", pod), None).unwrap();
        let bound = of(Some("web-1"));
        assert!(bound.speaks_for("shop/web-1").is_ok());
        assert!(bound.speaks_for("shop/web-2").is_err());
        assert!(bound.speaks_for("laptop").is_err());
        let unbound = of(None);
        assert!(unbound.speaks_for("shop/web-2").is_ok());
        assert!(unbound.speaks_for("shop/laptop").is_ok());
        assert!(unbound.speaks_for("edge-1").is_err(), "an ingress outside the cluster may be called so");
        assert!(unbound.speaks_for("pay/web-1").is_err());
        assert!(unbound.speaks_for("/web-1").is_err());
        let ingress = policy().user(&user("system:serviceaccount:forebay:forebay-proxy", None), None).unwrap();
        assert!(ingress.speaks_for("edge-1").is_ok() && ingress.speaks_for("shop/web-1").is_err());
    }

    #[test]
    fn a_proof_is_looked_at_before_it_ends() {
        let ends = |ends| policy().user(&user("system:serviceaccount:shop:web", None), ends).unwrap();
        let every = Millis::from_secs(600);
        let now = Millis::from_secs(1000);
        for (end, at) in [
            (None, 1600),
            (Some(5000), 1600),
            (Some(1600), 1540),
            (Some(1061), 1001),
            (Some(1060), 1060),
            (Some(1010), 1010),
            (Some(900), 900),
        ] {
            assert_eq!(ends(end.map(Millis::from_secs)).recheck_at(now, every), Millis::from_secs(at), "{end:?}");
        }
    }
}
