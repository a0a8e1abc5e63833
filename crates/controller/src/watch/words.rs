//! What goes wrong with a watch, or with a list that is asked for once, in words.

use std::time::Duration;

use kube::runtime::watcher::Error;

use crate::index::{Kept, Place};
use crate::trouble::{Reason, Rule, Trouble};

/// What a watch takes.
const WATCH: &[&str] = &["list", "watch"];
/// What a list takes.
const LIST: &[&str] = &["list"];

impl Trouble {
    /// Of a watch of `K`.
    pub fn of_watch<K: Kept>(error: &Error, place: &Place) -> Self {
        let (reason, detail) = classify(error);
        let what = format!("cannot watch {} {place}", K::KIND);
        let hold = "what was known stays in force, and it is tried again";
        match reason {
            Reason::Missing => missing::<K>(&what, &detail).and(hold),
            Reason::Expired => {
                let words = format!("the API server forgot where the watch of {} {place} stood; listing anew", K::KIND);
                Self::new(reason, words)
            }
            _ => with_rule::<K, _>(place, WATCH, |rule| Self::told(&what, reason, &detail, rule)).and(hold),
        }
    }

    /// Of a list of `K` that is asked for once, by a person.
    pub fn of_list<K: Kept>(error: &kube::Error, place: &Place) -> Self {
        let (reason, detail) = Reason::of(error);
        let what = cannot_list::<K>(place);
        match reason {
            Reason::Missing => missing::<K>(&what, &detail),
            Reason::Forbidden => with_rule::<K, _>(place, LIST, |rule| {
                Self::new(reason, format!("{what}: forbidden ({detail}); it takes {rule}"))
            }),
            Reason::Unauthorized => Self::new(
                reason,
                format!("{what}: the API server does not accept the credentials ({detail}); check the kubeconfig"),
            ),
            _ => with_rule::<K, _>(place, LIST, |rule| Self::told(&what, reason, &detail, rule)),
        }
    }

    /// Of a list of `K` that is not answered within `patience`.
    pub fn of_silence<K: Kept>(place: &Place, patience: Duration) -> Self {
        Self::silence(&cannot_list::<K>(place), patience)
    }
}

fn cannot_list<K: Kept>(place: &Place) -> String {
    format!("cannot list {} {place}", K::KIND)
}

fn missing<K: Kept>(what: &str, detail: &str) -> Trouble {
    let (plural, group) = (K::plural(&()), K::group(&()));
    Trouble::new(
        Reason::Missing,
        if &*group == api::GROUP {
            format!(
                "{what}: the cluster does not know the kind; install it: kubectl apply --server-side -f manifests/crd/"
            )
        } else {
            format!("{what}: the cluster does not serve {plural}.{group} ({detail})")
        },
    )
}

/// Says something of the rule that allows it.
fn with_rule<K: Kept, R>(place: &Place, verbs: &[&str], say: impl FnOnce(&Rule<'_>) -> R) -> R {
    let role = match place {
        Place::Everywhere => "ClusterRole",
        Place::Namespace(_) => "Role",
    };
    say(&Rule { role, group: &K::group(&()), resource: &K::plural(&()), name: None, verbs })
}

fn classify(error: &Error) -> (Reason, String) {
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            Reason::of(error)
        }
        Error::WatchError(status) => (Reason::of_code(status.code), status.message.clone()),
        Error::NoResourceVersion => (Reason::Broken, "an object has no resourceVersion".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use api::UpstreamGroup;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use kube::core::Status;

    use super::*;

    fn status(code: u16, message: &str) -> Error {
        let status = Status { code, message: message.into(), ..Status::default() };
        Error::InitialListFailed(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn words_say_how_to_mend_it() {
        let forbidden = Trouble::of_watch::<EndpointSlice>(&status(403, "no"), &Place::Namespace("shop".into()));
        assert_eq!(forbidden.reason, Reason::Forbidden);
        assert_eq!(
            forbidden.to_string(),
            "cannot watch EndpointSlice in namespace shop: forbidden (no); give the controller's ServiceAccount a Role \
             with the rule apiGroups: [\"discovery.k8s.io\"], resources: [endpointslices], verbs: [list, watch]; what was \
             known stays in force, and it is tried again"
        );
        let missing = Trouble::of_watch::<UpstreamGroup>(&status(404, "not found"), &Place::Everywhere);
        assert!(missing.to_string().contains("kubectl apply --server-side -f manifests/crd/"), "{missing}");
    }

    #[test]
    fn answers_fall_into_classes() {
        for (code, reason) in [
            (401, Reason::Unauthorized),
            (403, Reason::Forbidden),
            (404, Reason::Missing),
            (410, Reason::Expired),
            (429, Reason::Refused),
            (500, Reason::Refused),
        ] {
            assert_eq!(
                Trouble::of_watch::<UpstreamGroup>(&status(code, ""), &Place::Everywhere).reason,
                reason,
                "{code}"
            );
        }
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let broken = Error::WatchFailed(kube::Error::ReadEvents(reset));
        let trouble = Trouble::of_watch::<UpstreamGroup>(&broken, &Place::Everywhere);
        assert_eq!(trouble.reason, Reason::Broken);
        assert!(trouble.to_string().contains("connection reset"), "{trouble}");
    }
}
