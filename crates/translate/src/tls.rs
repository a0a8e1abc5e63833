//! `spec.tls` of Ingresses: which certificate is presented to a client that asks for a host.
//!
//! An entry's hosts get its certificate. A host of the rules that no entry lists gets the first certificate of the Ingress that
//! covers it, as users of ingress-nginx know it; and an entry without hosts, in an Ingress for any host, is the default
//! ("Defaults to the wildcard host setting for the loadbalancer controller", `IngressTLS.hosts`). Where two Ingresses claim a
//! host the older keeps it, as with routes.
//!
//! A Secret of another namespace cannot be named, so none is ever used. An expired certificate is served, as by nginx: whether
//! to go on is the client's decision. One that cannot be used at all is not served, and harms no other host; where the
//! certificate is at hand that the Secret held before ([`crate::Options::held`]), that one is.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Certificate, CertificateId, Diagnostic, HostPattern, PrivateKey, Severity};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{Ingress, IngressTLS};

use crate::Options;
use crate::certificate::Leaf;
use crate::codes;
use crate::document::{Located, Objects};
use crate::keyring::{Keyring, MAKE_PAIR, Pair, Unusable};
use crate::kind::{name, namespace};
use crate::report::{Reading, Report};

/// The certificates that Ingresses ask for, and whose they are.
pub struct Certificates<'o> {
    keyring: Keyring<'o>,
    options: &'o Options,
    /// Every Secret that was asked for, read once.
    read: BTreeMap<CertificateId, Read<'o>>,
    owners: BTreeMap<HostPattern, Owner>,
}

/// What a Secret is good for.
struct Read<'o> {
    /// What is served: what it holds, or held before.
    pair: Option<Pair<'o>>,
    /// What is wrong with what it holds.
    unusable: Option<Unusable>,
}

/// One entry of `spec.tls` whose Secret can be served.
pub struct Entry {
    field: String,
    id: CertificateId,
    hosts: Vec<HostPattern>,
}

/// Whose a host is.
struct Owner {
    id: CertificateId,
    /// The Ingress, for people.
    origin: Arc<str>,
}

impl<'o> Certificates<'o> {
    /// None yet.
    pub fn new(objects: &'o Objects, options: &'o Options) -> Self {
        Self { keyring: Keyring::new(objects), options, read: BTreeMap::new(), owners: BTreeMap::new() }
    }

    /// Reads `spec.tls` and says what is wrong with it. `host` reads one of its hosts.
    pub fn entries(
        &mut self,
        reading: &mut Reading<'_, Ingress>,
        host: impl Fn(&mut Reading<'_, Ingress>, &str, &str) -> Option<HostPattern>,
    ) -> Vec<Entry> {
        let (ingress, now) = (reading.located, self.options.now);
        let mut entries = Vec::new();
        let tls = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten());
        for (index, IngressTLS { hosts, secret_name }) in tls.enumerate() {
            let field = format!("spec.tls[{index}]");
            let named = hosts.iter().flatten().enumerate();
            let hosts: Vec<_> =
                named.filter_map(|(n, text)| host(reading, &format!("{field}.hosts[{n}]"), text)).collect();
            // Without a Secret these hosts have the default certificate, which is what clients get anyway.
            let Some(secret) = secret_name.as_deref().filter(|name| !name.is_empty()) else { continue };
            let id = CertificateId::new(namespace(&ingress.metadata), secret);
            let Read { pair, unusable } = self.read(&id);
            if let Some(unusable) = unusable {
                let mut message = format!("Secret {id} {unusable}");
                if pair.is_some() {
                    message += "; the certificate that it held before is served on";
                }
                reading.say(
                    Diagnostic::new(unusable.code_of_secret(), Severity::Warning, message)
                        .field(format!("{field}.secretName"))
                        .hint(unusable.hint(MAKE_PAIR)),
                );
            }
            if let Some(pair) = pair {
                for diagnostic in doubts(&id, &pair.leaf, now, &hosts, &field) {
                    reading.say(diagnostic);
                }
                entries.push(Entry { field, id, hosts });
            }
        }
        entries
    }

    /// Lets an Ingress, with these hosts in its rules, have its certificates. The older comes first.
    pub fn claim(
        &mut self,
        ingress: &Located<Ingress>,
        entries: Vec<Entry>,
        rule_hosts: &[&HostPattern],
        report: &mut Report,
    ) {
        let origin: Arc<str> = format!("ingress {}/{}", namespace(&ingress.metadata), name(&ingress.metadata)).into();
        let mut wishes = Vec::new();
        let is_listed = |host: &HostPattern| entries.iter().any(|entry| entry.hosts.contains(host));
        for host in rule_hosts.iter().filter(|host| ***host != HostPattern::Any && !is_listed(host)) {
            if let Some(entry) = entries.iter().find(|entry| self.covers(&entry.id, host)) {
                wishes.push(((*host).clone(), entry.id.clone(), entry.field.clone()));
            }
        }
        let is_for_any = rule_hosts.is_empty() || rule_hosts.contains(&&HostPattern::Any);
        for Entry { field, id, hosts } in entries {
            let default = (hosts.is_empty() && is_for_any).then_some(HostPattern::Any);
            wishes.extend(hosts.into_iter().chain(default).map(|host| (host, id.clone(), field.clone())));
        }
        for (host, id, field) in wishes {
            match self.owners.get(&host) {
                None => drop(self.owners.insert(host, Owner { id, origin: origin.clone() })),
                Some(owner) if owner.id == id => {}
                Some(owner) => {
                    let place = match &host {
                        HostPattern::Any => "the default certificate".to_owned(),
                        HostPattern::Exact(_) | HostPattern::Wildcard(_) => format!("the certificate of {host}"),
                    };
                    let message =
                        format!("{place} is already Secret {}, by {}; {id} is not used for it", owner.id, owner.origin);
                    report.say(ingress, Diagnostic::new(codes::TLS_CONFLICT, Severity::Warning, message).field(field));
                }
            }
        }
    }

    /// The next moment at which one of them becomes valid or expires, and something else is said.
    pub fn until(&self) -> Option<Timestamp> {
        let pairs = self.read.values().filter_map(|read| read.pair.as_ref());
        pairs.filter_map(|pair| pair.leaf.changes_after(self.options.now)).min()
    }

    /// Every certificate that a host got.
    pub fn finish(self) -> BTreeMap<CertificateId, Arc<Certificate>> {
        let mut hosts: BTreeMap<CertificateId, Vec<HostPattern>> = BTreeMap::new();
        for (host, Owner { id, .. }) in self.owners {
            hosts.entry(id).or_default().push(host);
        }
        let certificates = hosts.into_iter().filter_map(|(id, hosts)| {
            let pair = self.read.get(&id)?.pair.as_ref()?;
            let certificate = Certificate { chain: pair.chain.into(), key: PrivateKey::new(pair.key), hosts };
            Some((id, Arc::new(certificate)))
        });
        certificates.collect()
    }

    fn read(&mut self, id: &CertificateId) -> &Read<'o> {
        let options = self.options;
        let Self { keyring, read, .. } = self;
        read.entry(id.clone()).or_insert_with(|| match keyring.pair(id.namespace(), id.name()) {
            Ok(pair) => Read { pair: Some(pair), unusable: None },
            Err(unusable) => {
                let held = options.held.get(id).and_then(|held| keyring.pair_of(held).ok());
                Read { pair: held, unusable: Some(unusable) }
            }
        })
    }

    fn covers(&self, id: &CertificateId, host: &HostPattern) -> bool {
        self.read.get(id).and_then(|read| read.pair.as_ref()).is_some_and(|pair| pair.leaf.covers(host))
    }
}

/// What is doubtful about a certificate that is served all the same.
fn doubts(id: &CertificateId, leaf: &Leaf, now: Timestamp, hosts: &[HostPattern], field: &str) -> Vec<Diagnostic> {
    let mut doubts = Vec::new();
    let doubt = leaf.validity(now).doubt(id, "it is served, and clients will refuse it");
    doubts.extend(doubt.map(|doubt| doubt.field(format!("{field}.secretName"))));
    for (n, host) in hosts.iter().enumerate().filter(|(_, host)| !leaf.covers(host)) {
        let names = if leaf.names().is_empty() { "no DNS name".to_owned() } else { leaf.names().join(", ") };
        let message = format!("the certificate of Secret {id} is not for {host}; it is for {names}");
        doubts.push(
            Diagnostic::new(codes::CERTIFICATE_HOST, Severity::Warning, message)
                .field(format!("{field}.hosts[{n}]"))
                .hint("only the subject alternative names count, not the common name (RFC 6125)"),
        );
    }
    doubts
}
