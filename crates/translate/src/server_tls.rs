//! `protocol` and `tls` of `UpstreamGroup`s: what is spoken to the servers, whom they are believed to be, what they are shown.
//!
//! What a reference led to last stays in force while it leads nowhere, or to something that cannot be used: a certificate
//! that is deleted by mistake must not take a group down, nor let it speak to anybody. Of a reference that never led anywhere
//! nothing is known, so the group is refused.

use std::fmt;
use std::sync::Arc;

use api::{CaReference, CaReferenceKind, SecretReference, UpstreamGroup};
use config::{Certificate, CertificateId, Diagnostic, PrivateKey, Protocol, ServerTls, Severity, Trust};
use jiff::{SignedDuration, Timestamp};

use crate::codes;
use crate::document::Objects;
use crate::keyring::{Keyring, MAKE_PAIR, Unusable};
use crate::kind::namespace;
use crate::report::Reading;

type Reader<'r> = Reading<'r, UpstreamGroup>;

/// What references of a group led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    authorities: Option<(CaReference, Arc<str>)>,
    shown: Option<(CertificateId, Arc<Certificate>)>,
    /// When the validity of one of them changes, and with it what is said.
    pub until: Option<Timestamp>,
}

/// Where references are looked up.
#[derive(Clone, Copy)]
pub struct Sources<'s> {
    /// Where they lead to.
    pub objects: &'s Objects,
    /// What they led to last.
    pub last: Option<&'s Found>,
    /// The present.
    pub now: Timestamp,
}

impl Found {
    /// The certificate that is shown to servers.
    pub fn shown(&self) -> Option<&(CertificateId, Arc<Certificate>)> {
        self.shown.as_ref()
    }
}

/// What a group speaks to its servers, and what its references led to; `None` when it is refused.
pub fn read(reading: &mut Reader<'_>, sources: Sources<'_>) -> Option<(Protocol, Found)> {
    let spec = &reading.located.spec;
    let plain = Some((Protocol::Http1, Found::default()));
    match spec.protocol {
        api::Protocol::HTTP1 if spec.tls.is_some() => {
            // A rule of the CRD, which is broken at `spec`.
            reading.error(codes::VALUE, "spec", "tls may only be set when protocol is HTTPS or H2", "remove tls");
            return None;
        }
        api::Protocol::HTTP1 => return plain,
        // Refused, rather than something else done in its place.
        other @ (api::Protocol::H2C | api::Protocol::H2) => {
            let message = format!("{other:?} is not spoken to servers by this release");
            reading.error(codes::NOT_YET, "spec.protocol", message, "use HTTP1, which is the default, or HTTPS");
            return None;
        }
        api::Protocol::HTTPS => {}
    }
    let tls = spec.tls.clone().unwrap_or_default();
    let mut found = Found::default();
    let server_name = tls.server_name.map(|name| reading.value("spec.tls.serverName", name.parse()));
    let trust = match &tls.ca_certificate_ref {
        Some(_) if tls.insecure_skip_verify => {
            reading.value("spec.tls", Err("insecureSkipVerify and caCertificateRef exclude each other"))
        }
        None if tls.insecure_skip_verify => Some(Trust::Anybody),
        None => Some(Trust::System),
        Some(reference) => authorities(reading, reference, sources, &mut found).map(Trust::Authorities),
    };
    let client_certificate = match &tls.client_certificate_ref {
        None => Some(None),
        Some(reference) => shown(reading, reference, sources, &mut found).map(Some),
    };
    let server_name = match server_name {
        Some(name) => Some(name?),
        None => None,
    };
    let tls = ServerTls { server_name, trust: trust?, client_certificate: client_certificate? };
    Some((Protocol::Https(tls), found))
}

fn authorities(
    reading: &mut Reader<'_>,
    reference: &CaReference,
    sources: Sources<'_>,
    found: &mut Found,
) -> Option<Arc<str>> {
    let field = "spec.tls.caCertificateRef";
    let namespace = namespace(&reading.located.metadata).to_owned();
    let keyring = Keyring::new(sources.objects);
    let (kind, read) = match reference.kind {
        CaReferenceKind::Secret => ("Secret", keyring.authorities_of_secret(&namespace, &reference.name)),
        CaReferenceKind::ConfigMap => ("ConfigMap", keyring.authorities_of_config_map(&namespace, &reference.name)),
    };
    let what = format!("{kind} {namespace}/{}", reference.name);
    let pem = match read {
        Ok(authorities) => {
            if authorities.until < sources.now {
                let message = format!("every authority of {what} has expired, the last at {}", authorities.until);
                reading.say(
                    Diagnostic::new(codes::CERTIFICATE_TIME, Severity::Warning, message)
                        .field(format!("{field}.name"))
                        .hint("what they signed is believed all the same; put the new authority beside the old one"),
                );
            } else {
                found.until = after(authorities.until);
            }
            authorities.pem
        }
        Err(unusable) => {
            let code = match reference.kind {
                CaReferenceKind::Secret => unusable.code_of_secret(),
                CaReferenceKind::ConfigMap => unusable.code_of_config_map(),
            };
            let make = format!(
                "kubectl create {} NAME --from-file=ca.crt makes such an object",
                match reference.kind {
                    CaReferenceKind::Secret => "secret generic",
                    CaReferenceKind::ConfigMap => "configmap",
                }
            );
            let last = sources.last.and_then(|last| last.authorities.as_ref());
            let last = last.filter(|(led, _)| led == reference).map(|(_, pem)| pem.clone());
            lost(reading, (code, &format!("{field}.name")), &what, &unusable, last.is_some(), &make);
            last?
        }
    };
    found.authorities = Some((reference.clone(), pem.clone()));
    Some(pem)
}

fn shown(
    reading: &mut Reader<'_>,
    reference: &SecretReference,
    sources: Sources<'_>,
    found: &mut Found,
) -> Option<CertificateId> {
    let field = "spec.tls.clientCertificateRef.name";
    let id = CertificateId::new(namespace(&reading.located.metadata), &reference.name);
    let certificate = match Keyring::new(sources.objects).pair(id.namespace(), id.name()) {
        Ok(pair) => {
            found.until = found.until.into_iter().chain(pair.leaf.changes_after(sources.now)).min();
            let validity = pair.leaf.validity(sources.now);
            if let Some(doubt) = validity.doubt(&id, "it is shown, and servers will refuse it") {
                reading.say(doubt.field(field));
            }
            Arc::new(Certificate { chain: pair.chain.into(), key: PrivateKey::new(pair.key), hosts: Vec::new() })
        }
        Err(unusable) => {
            let last = sources.last.and_then(Found::shown);
            let last = last.filter(|(led, _)| *led == id).map(|(_, certificate)| certificate.clone());
            let what = format!("Secret {id}");
            lost(reading, (unusable.code_of_secret(), field), &what, &unusable, last.is_some(), MAKE_PAIR);
            last?
        }
    };
    found.shown = Some((id.clone(), certificate));
    Some(id)
}

/// A reference leads nowhere. Without something that it led to before, that refuses the group.
fn lost(
    reading: &mut Reader<'_>,
    (code, field): (config::Code, &str),
    what: &dyn fmt::Display,
    unusable: &Unusable,
    is_known: bool,
    make: &str,
) {
    let hint = unusable.hint(make);
    if is_known {
        let message = format!("{what} {unusable}; what it held before stays in force");
        reading.say(Diagnostic::new(code, Severity::Warning, message).field(field).hint(hint));
    } else {
        reading.error(code, field, format!("{what} {unusable}"), &hint);
    }
}

/// The second after one (RFC 5280 section 4.1.2.5: valid through that second).
fn after(until: Timestamp) -> Option<Timestamp> {
    until.checked_add(SignedDuration::from_secs(1)).ok()
}
