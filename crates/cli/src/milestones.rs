//! What every data plane says of its life, whoever feeds it: people and scripts wait for these lines.

use config::{Config, Diagnostic, Revision};
use tracing::{info, warn};

use crate::problems;

/// What was said of the configurations that came into force.
#[derive(Debug, Default)]
pub struct Told {
    last: Option<Last>,
}

/// What the next configuration is compared with.
#[derive(Debug)]
struct Last {
    source: Option<String>,
    unbound: Vec<Diagnostic>,
    groups: usize,
    hosts: usize,
}

impl Told {
    /// Tells of a configuration that is in force now, and of the first that requests are answered.
    ///
    /// Of files (no `source`) each is told, since somebody edited them; of a source that is followed the first, and of later ones
    /// the metrics tell. What is wrong with it is told when that is new: listeners of missing groups (`unbound`), and all being
    /// gone of what there was.
    pub fn tell(&mut self, revision: Revision, config: &Config, source: Option<&str>, unbound: Vec<Diagnostic>) {
        let (groups, hosts) = (config.groups.len(), config.routes.hosts.len());
        let last = self.last.take();
        if last.as_ref().map_or(&[][..], |last| &last.unbound) != unbound {
            problems::log(&unbound);
        }
        if source.is_none() || last.as_ref().is_none_or(|last| last.source.as_deref() != source) {
            let from = source.map(|source| format!("; from {source}")).unwrap_or_default();
            info!("configuration {revision} in force: {groups} group(s), {hosts} host(s){from}");
        }
        if let Some(last) = &last {
            let hint = if source.is_none() { "; is a file missing or empty?" } else { "" };
            for (now, before, what) in [(groups, last.groups, "group(s)"), (hosts, last.hosts, "host(s) with routes")] {
                if now == 0 && before > 0 {
                    warn!("all {what} are gone: there were {before}{hint}");
                }
            }
        } else {
            info!("ready");
        }
        self.last = Some(Last { source: source.map(str::to_owned), unbound, groups, hosts });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use config::{Group, GroupId, Severity};

    use super::*;
    use crate::logging::{Level, tests::logged};

    fn config(groups: &[&str]) -> Config {
        let group = |name: &&str| (GroupId::new("shop", name), Arc::new(Group::with_defaults(Vec::new())));
        Config { groups: groups.iter().map(group).collect(), ..Config::default() }
    }

    fn unbound(message: &str) -> Vec<Diagnostic> {
        vec![Diagnostic::new("FB4011", Severity::Warning, message)]
    }

    /// The lines of these configurations, with their listeners' missing groups, that come from `source` one after the other.
    fn said(source: Option<&str>, configs: &[(&[&str], &str)]) -> Vec<String> {
        let mut told = Told::default();
        logged(Level::Notice, || {
            for (groups, missing) in configs {
                let missing = if missing.is_empty() { Vec::new() } else { unbound(missing) };
                told.tell(Revision::of(b"1"), &config(groups), source, missing);
            }
        })
    }

    #[test]
    fn a_missing_group_is_told_whenever_it_begins_to_be_missed() {
        let configs: [(&[&str], &str); 5] =
            [(&["a"], "b"), (&["a", "c"], "b"), (&["a", "b"], ""), (&["a"], "b"), (&["a"], "b")];
        for source in [None, Some("the cluster")] {
            let said = said(source, &configs);
            assert_eq!(said.iter().filter(|line| *line == "[warn] b [FB4011]").count(), 2, "{said:?}");
        }
    }

    #[test]
    fn a_source_that_is_followed_is_told_once() {
        let revision = Revision::of(b"1");
        let in_force =
            |groups, from| format!("[notice] configuration {revision} in force: {groups} group(s), 0 host(s){from}");
        let configs: [(&[&str], &str); 3] = [(&["a"], ""), (&["a", "b"], ""), (&[], "")];
        let gone = "[warn] all group(s) are gone: there were 2";
        let expected = [in_force(1, "; from the cluster"), "[notice] ready".into(), gone.into()];
        assert_eq!(said(Some("the cluster"), &configs), expected);
        let hint = format!("{gone}; is a file missing or empty?");
        let expected = [in_force(1, ""), "[notice] ready".into(), in_force(2, ""), in_force(0, ""), hint];
        assert_eq!(said(None, &configs), expected);
    }
}
