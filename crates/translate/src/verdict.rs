//! What became of one `UpstreamGroup`, and what stays in force when a new version of it is refused.
//!
//! The last good *object* is kept and read again as endpoints come and go, so that a typing error does not freeze the
//! servers of a group. Only if even that version no longer reads (its servers have become too many for a ring) does the
//! group stay as it is. The same holds while a new version waits for a DNS name.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{CaReferenceKind, UpstreamGroup};
use config::{CertificateId, Diagnostic, Group};

use crate::document::{Located, Objects};
use crate::report::Report;
use crate::server_tls::{Found, Sources};
use crate::services::Services;
use crate::{Known, Options, Unanswered, dns_names, groups, references};

/// One object, judged.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The group in force.
    pub group: Option<Arc<Group>>,
    /// Whether the object is sound and waits for the answer to a DNS name.
    pub waits: bool,
    /// There is no group in force, and whether an earlier controller had one nobody here knows.
    pub is_unknown: bool,
    /// What was said against the object.
    pub diagnostics: Vec<Diagnostic>,
    /// The Services of its namespace that it names, in the version judged and in the one in force.
    pub services: BTreeSet<Arc<str>>,
    /// The DNS names in the same versions.
    pub names: BTreeSet<Arc<str>>,
    /// The Secrets and `ConfigMap`s likewise.
    pub secrets: BTreeSet<Arc<str>>,
    pub config_maps: BTreeSet<Arc<str>>,
    /// What its references to certificates led to, in the version in force.
    pub found: Found,
    /// The version of the object that is in force.
    good: Option<Arc<Located<UpstreamGroup>>>,
}

impl Verdict {
    /// Judges `object`; `last` is the verdict before.
    pub fn of(
        object: &Arc<Located<UpstreamGroup>>,
        last: Option<&Self>,
        objects: &Objects,
        services: Services<'_>,
        options: &Options,
    ) -> Self {
        let mut report = Report::default();
        let last = last.filter(|last| last.is_of(object));
        let sources = Sources { objects, last: last.map(|last| &last.found), now: options.now };
        let read = |version, report: &mut _| {
            let (group, found) = groups::read(version, services, sources, options, report)?;
            Some((Some(Arc::new(group)), found))
        };
        let next = read(object, &mut report);
        let is_first = last.is_none_or(|last| last.group.is_none());
        let waits = next.as_ref().is_some_and(|(group, _)| waits(object, group.as_deref(), is_first, options));
        let ((group, found), good) = if let Some(next) = next.filter(|_| !waits) {
            (next, Some(object.clone()))
        } else {
            let good = last.and_then(|last| last.good.clone());
            // Nothing new is wrong with what was found good.
            let again = good.as_deref().and_then(|good| read(good, &mut Report::default()));
            let again = again.or_else(|| last.map(|last| (last.group.clone(), last.found.clone())));
            (again.unwrap_or_default(), good)
        };
        let versions = [Some(object), good.as_ref()].into_iter().flatten();
        let names = dns_names(versions.clone().map(|version| &version.object));
        let named = versions.clone().flat_map(|version| &version.spec.servers).filter_map(|line| line.service.as_ref());
        let services = named.map(|service| service.name.as_str().into()).collect();
        let [mut secrets, mut config_maps] = <[BTreeSet<Arc<str>>; 2]>::default();
        for (kind, name) in versions.flat_map(|version| references::of_group(version)) {
            let named = match kind {
                CaReferenceKind::Secret => &mut secrets,
                CaReferenceKind::ConfigMap => &mut config_maps,
            };
            named.insert(name.into());
        }
        let diagnostics = report.finish();
        Self { group, waits, is_unknown: false, diagnostics, services, names, secrets, config_maps, found, good }
    }

    /// Whether no version can be used for what is wrong with it.
    pub fn is_refused(&self) -> bool {
        self.group.is_none() && !self.waits
    }

    /// Certificates that a group shows of which nothing is known: what they are is not known either.
    pub fn unknown(&self, namespace: &str) -> impl Iterator<Item = CertificateId> {
        let named = self.is_unknown.then_some(&self.secrets);
        named.into_iter().flatten().map(move |name| CertificateId::new(namespace, name))
    }

    /// An object deleted and made again is another.
    fn is_of(&self, object: &UpstreamGroup) -> bool {
        self.good.as_ref().is_some_and(|good| good.metadata.uid == object.metadata.uid)
    }
}

/// Whether a version that reads well as `group` is not to be used yet. The `first` one is not used without any server either,
/// for want of an answer, after others have given up: it would take the servers from data planes that have them.
fn waits(object: &UpstreamGroup, group: Option<&Group>, first: bool, options: &Options) -> bool {
    let names = dns_names([object]);
    let any = |known| names.iter().any(|name| options.names.of(name) == known);
    let is_empty = group.is_none_or(|group| group.servers.is_empty());
    options.unanswered == Unanswered::Wait && (any(Known::Awaited) || (first && is_empty && any(Known::GivenUp)))
}
