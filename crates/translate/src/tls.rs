//! The Secrets an Ingress names for TLS: that they exist and hold what a listener would need. Nothing is done with them yet.

use config::{Diagnostic, Severity};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::networking::v1::Ingress;

use crate::codes;
use crate::document::{Located, Objects};
use crate::kind::{Kind as _, name, namespace};
use crate::report::Report;

/// Warns of every Secret that cannot be used.
pub fn check(ingress: &Located<Ingress>, objects: &Objects, report: &mut Report) {
    let tls = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten()).enumerate();
    for (index, secret_name) in tls.filter_map(|(index, tls)| Some((index, tls.secret_name.as_deref()?))) {
        let namespace_name = (namespace(&ingress.metadata), secret_name);
        let secret = objects
            .secrets
            .iter()
            .find(|secret| (namespace(&secret.metadata), name(&secret.metadata)) == namespace_name);
        let (code, message) = match secret {
            None => {
                let is_refused = objects.is_refused(Secret::KIND, namespace_name.0, secret_name);
                let why = if is_refused { "is refused" } else { "does not exist" };
                (codes::SECRET_MISSING, format!("Secret {}/{secret_name} {why}", namespace_name.0))
            }
            Some(secret) => match flaw(secret) {
                None => continue,
                Some(flaw) => (codes::SECRET_UNUSABLE, format!("Secret {}/{secret_name} {flaw}", namespace_name.0)),
            },
        };
        report.say(
            ingress,
            Diagnostic::new(code, Severity::Warning, message)
                .field(format!("spec.tls[{index}].secretName"))
                .hint("kubectl create secret tls makes such a Secret from a certificate and its key"),
        );
    }
}

fn flaw(secret: &Secret) -> Option<String> {
    match secret.type_.as_deref() {
        Some("kubernetes.io/tls") => {
            let filled = |key: &str| {
                let data = secret.data.as_ref().and_then(|data| data.get(key)).is_some_and(|value| !value.0.is_empty());
                let text = secret.string_data.as_ref().and_then(|data| data.get(key));
                data || text.is_some_and(|text| !text.is_empty())
            };
            ["tls.crt", "tls.key"].into_iter().find(|key| !filled(key)).map(|key| format!("has no {key}"))
        }
        other => Some(format!("is of type {}, not kubernetes.io/tls", other.unwrap_or("Opaque"))),
    }
}
