//! What goes wrong with a watch, in words: what, where, and how to mend it.

use std::fmt;
use std::time::Duration;

use kube::runtime::watcher::Error;

use crate::index::{Kept, Place};

/// Why a kind cannot be watched at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The class it belongs to; one class is said once.
    pub reason: Reason,
    /// The sentence, with how to mend it.
    words: String,
}

/// Classes of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 403
    Forbidden,
    /// 401
    Unauthorized,
    /// 404: the kind is not served.
    Missing,
    /// 410: the history was compacted; all is listed anew.
    Expired,
    /// Another answer of the API server.
    Refused,
    /// An answer that cannot be understood.
    Broken,
    /// No answer.
    Unreachable,
}

impl Reason {
    /// As a label of metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Trouble {
    /// Of a watch of `K`.
    pub fn of<K: Kept>(error: &Error, place: &Place) -> Self {
        let (reason, detail) = classify(error);
        let (kind, plural, group) = (K::KIND, K::plural(&()), K::group(&()));
        let what = format!("cannot watch {kind} {place}: ");
        let hold = "what was known stays in force, and it is tried again";
        let words = match reason {
            Reason::Forbidden => {
                let rule = rule::<K>(place, "[list, watch]");
                format!("{what}forbidden ({detail}); give the controller's ServiceAccount {rule}; {hold}")
            }
            Reason::Unauthorized => {
                format!(
                    "{what}the API server does not accept the credentials ({detail}); check the kubeconfig or the \
                         ServiceAccount's token; {hold}"
                )
            }
            Reason::Missing if &*group == api::GROUP => format!(
                "{what}the cluster does not know the kind; install it: kubectl apply --server-side -f manifests/crd/; {hold}"
            ),
            Reason::Missing => format!("{what}the cluster does not serve {plural}.{group} ({detail}); {hold}"),
            Reason::Expired => format!("the API server forgot where the watch of {kind} {place} stood; listing anew"),
            Reason::Refused => format!("{what}the API server answers: {detail}; {hold}"),
            Reason::Broken => format!("{what}the answer cannot be understood: {detail}; {hold}"),
            Reason::Unreachable => format!("{what}the API server cannot be reached: {detail}; {hold}"),
        };
        Self { reason, words }
    }
}

impl Trouble {
    /// Of a list of `K` that is asked for once.
    pub fn of_list<K: Kept>(error: &kube::Error, place: &Place) -> Self {
        let (reason, detail) = of_client(error);
        let (kind, plural, group) = (K::KIND, K::plural(&()), K::group(&()));
        let what = format!("cannot list {kind} {place}: ");
        let words = match reason {
            Reason::Forbidden => {
                format!("{what}forbidden ({detail}); it takes {}", rule::<K>(place, "[list]"))
            }
            Reason::Unauthorized => {
                format!("{what}the API server does not accept the credentials ({detail}); check the kubeconfig")
            }
            Reason::Missing if &*group == api::GROUP => format!(
                "{what}the cluster does not know the kind; install it: kubectl apply --server-side -f manifests/crd/"
            ),
            Reason::Missing => format!("{what}the cluster does not serve {plural}.{group} ({detail})"),
            Reason::Expired | Reason::Refused => format!("{what}the API server answers: {detail}"),
            Reason::Broken => format!("{what}the answer cannot be understood: {detail}"),
            Reason::Unreachable => format!("{what}the API server cannot be reached: {detail}"),
        };
        Self { reason, words }
    }

    /// Of a list of `K` that is not answered within `patience`.
    pub fn silence<K: Kept>(place: &Place, patience: Duration) -> Self {
        let words = format!("cannot list {} {place}: no answer within {} s", K::KIND, patience.as_secs());
        Self { reason: Reason::Unreachable, words }
    }
}

/// The rule that allows it.
fn rule<K: Kept>(place: &Place, verbs: &str) -> String {
    let role = match place {
        Place::Everywhere => "ClusterRole",
        Place::Namespace(_) => "Role",
    };
    let (plural, group) = (K::plural(&()), K::group(&()));
    format!("a {role} with the rule apiGroups: [\"{group}\"], resources: [{plural}], verbs: {verbs}")
}

impl std::error::Error for Trouble {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

fn classify(error: &Error) -> (Reason, String) {
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            of_client(error)
        }
        Error::WatchError(status) => (of_code(status.code), status.message.clone()),
        Error::NoResourceVersion => (Reason::Broken, "an object has no resourceVersion".to_owned()),
    }
}

fn of_client(error: &kube::Error) -> (Reason, String) {
    match error {
        kube::Error::Api(status) => (of_code(status.code), status.message.clone()),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::LinesCodecMaxLineLengthExceeded => {
            (Reason::Broken, error.to_string())
        }
        other => {
            // The outer error only says that there is one.
            let mut cause: &dyn std::error::Error = other;
            while let Some(inner) = cause.source() {
                cause = inner;
            }
            (Reason::Unreachable, cause.to_string())
        }
    }
}

const fn of_code(code: u16) -> Reason {
    match code {
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 => Reason::Missing,
        410 => Reason::Expired,
        _ => Reason::Refused,
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
        let forbidden = Trouble::of::<EndpointSlice>(&status(403, "no"), &Place::Namespace("shop".into()));
        assert_eq!(forbidden.reason, Reason::Forbidden);
        assert_eq!(
            forbidden.to_string(),
            "cannot watch EndpointSlice in namespace shop: forbidden (no); give the controller's ServiceAccount a Role \
             with the rule apiGroups: [\"discovery.k8s.io\"], resources: [endpointslices], verbs: [list, watch]; what was \
             known stays in force, and it is tried again"
        );
        let missing = Trouble::of::<UpstreamGroup>(&status(404, "not found"), &Place::Everywhere);
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
            assert_eq!(Trouble::of::<UpstreamGroup>(&status(code, ""), &Place::Everywhere).reason, reason, "{code}");
        }
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let unreachable = Error::WatchStartFailed(kube::Error::Service(Box::new(io)));
        let trouble = Trouble::of::<UpstreamGroup>(&unreachable, &Place::Everywhere);
        assert_eq!(trouble.reason, Reason::Unreachable);
        assert!(trouble.to_string().contains("connection refused"), "{trouble}");
    }
}
