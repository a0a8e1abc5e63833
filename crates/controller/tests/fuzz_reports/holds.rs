//! What holds whatever a leader is reported. This test and a target of `fuzz/` share it.

use config::Millis;
use controller::fleet::Fleet;
use feed::report::{Absorbed, Report};
use feed::{Grant, Namespaces, PrivateKeys};

/// A leader is reported these bytes, twice.
pub fn as_report(bytes: &[u8]) {
    let anyone = Grant { namespaces: Namespaces::All, private_keys: PrivateKeys::Withheld, instance: None };
    let Ok(report) = Report::from_json(bytes, &anyone) else { return };
    assert_eq!(Report::from_json(&report.to_json(), &anyone).as_ref(), Ok(&report));
    let mut fleet = Fleet::default();
    assert_eq!(fleet.absorb(report.clone(), Millis(0)), Absorbed::NewLife, "there is room for one");
    for id in report.groups.keys() {
        let view = fleet.view(id);
        let told: usize = report.groups.values().map(|group| group.servers.len()).sum();
        assert!(view.servers().count() <= told && view.standings.len() <= 1);
    }
    // Numbers beyond what is kept of them are those of nobody: one report a second for a hundred years.
    if u32::try_from(report.seq).is_ok() {
        assert_eq!(fleet.absorb(report, Millis(1)), Absorbed::Nothing);
    }
}
