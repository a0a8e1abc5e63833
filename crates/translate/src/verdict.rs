//! What became of one `UpstreamGroup`, and what stays in force when a new version of it is refused.
//!
//! The last good *object* is kept and read again as endpoints come and go, so that a typing error does not freeze the
//! servers of a group. Only if even that version no longer reads (its servers have become too many for a ring) does the
//! group stay as it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::UpstreamGroup;
use config::{Diagnostic, Group};

use crate::document::Located;
use crate::report::Report;
use crate::services::Services;
use crate::{Options, dns_names, groups};

/// One object, judged.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The group in force.
    pub group: Option<Arc<Group>>,
    /// What was said against the object.
    pub diagnostics: Vec<Diagnostic>,
    /// The Services of its namespace that it names, in the version judged and in the one in force.
    pub services: BTreeSet<Arc<str>>,
    /// The DNS names in the same versions.
    pub names: BTreeSet<Arc<str>>,
    /// The version of the object that is in force.
    good: Option<Arc<Located<UpstreamGroup>>>,
}

impl Verdict {
    /// Judges `object`; `last` is the verdict before.
    pub fn of(
        object: &Arc<Located<UpstreamGroup>>,
        last: Option<&Self>,
        services: Services<'_>,
        options: &Options,
    ) -> Self {
        let mut report = Report::default();
        let read = |version, report: &mut _| groups::read(version, services, options, report);
        let (group, good) = if let Some(group) = read(object, &mut report) {
            (Some(Arc::new(group)), Some(object.clone()))
        } else {
            let last = last.filter(|last| last.is_of(object));
            let good = last.and_then(|last| last.good.clone());
            // Nothing new is wrong with what was found good.
            let again = good.as_deref().and_then(|good| read(good, &mut Report::default()));
            (again.map(Arc::new).or_else(|| last?.group.clone()), good)
        };
        let versions = [Some(object), good.as_ref()].into_iter().flatten();
        let names = dns_names(versions.clone().map(|version| &version.object));
        let named = versions.flat_map(|version| &version.spec.servers).filter_map(|line| line.service.as_ref());
        let services = named.map(|service| service.name.as_str().into()).collect();
        Self { group, diagnostics: report.finish(), services, names, good }
    }

    /// An object deleted and made again is another.
    fn is_of(&self, object: &UpstreamGroup) -> bool {
        self.good.as_ref().is_some_and(|good| good.metadata.uid == object.metadata.uid)
    }
}
