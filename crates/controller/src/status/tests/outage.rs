//! All servers out, one tier after the other, and how it is told.

use super::*;

const BACKUP: Tier = Tier::Backup;
const PRIMARY: Tier = Tier::Primary;

/// A primary and a backup.
fn tiers() -> Vec<Server> {
    let mut servers = servers(2);
    servers[1].tier = BACKUP;
    servers
}

/// As a data plane reports: it names the primaries when nobody can serve.
fn told(seq: u64, primary: (ServerState, u64), backup: (ServerState, u64)) -> Report {
    let mut report = report("p/1", seq, "v1", &[primary, backup]);
    let active_tier = if primary.0 != ServerState::Up && backup.0 == ServerState::Up { BACKUP } else { PRIMARY };
    report.groups.values_mut().for_each(|group| Arc::make_mut(group).active_tier = active_tier);
    report
}

fn using_backup(writes: &[Write]) -> (String, String) {
    let status = group(writes.last().unwrap());
    let found = status.conditions.iter().find(|one| one.type_ == "UsingBackup").unwrap();
    (format!("{} {}", found.status, found.reason), found.message.clone())
}

fn reasons(office: &mut Office) -> Vec<EventReason> {
    let servers = [EventReason::ServersEjected, EventReason::ServersRestored];
    office.events().into_iter().map(|(reason, _)| reason).filter(|reason| !servers.contains(reason)).collect()
}

#[test]
fn a_backup_is_released_when_primaries_take_requests_and_not_before() {
    let mut office = Office::new();
    office.put(facts(1, tiers()));
    office.hear(told(1, UP, UP));
    let primary = ("False PrimaryServers".to_owned(), "primary servers take the requests".to_owned());
    assert_eq!(using_backup(&office.seconds(3)), primary);
    assert_eq!(reasons(&mut office), []);

    office.hear(told(2, OUT, UP));
    assert_eq!(using_backup(&office.seconds(3)).0, "True BackupServers");
    assert_eq!(reasons(&mut office), [EventReason::BackupEngaged]);

    office.hear(told(3, OUT, OUT));
    let writes = office.seconds(3);
    let said = "backup servers took the requests until no server was left; see Available".to_owned();
    assert_eq!(using_backup(&writes), ("False BackupServersExhausted".to_owned(), said));
    assert_eq!(condition(group(&writes[0]), "Available"), ("False", "NoEligibleServer"));
    assert_eq!(reasons(&mut office), [EventReason::GroupDown]);

    // Another replica leads on, and knows.
    let mut next = Office::new();
    next.put(GroupFacts { status: Some(Arc::new(group(&writes[0]).clone())), ..facts(1, tiers()) });
    next.hear(told(3, OUT, OUT));
    assert_eq!(next.seconds(30), []);
    next.hear(told(4, UP, OUT));
    assert_eq!(using_backup(&next.seconds(3)), primary);
    assert_eq!(reasons(&mut next), [EventReason::GroupRecovered, EventReason::BackupReleased]);
}

#[test]
fn backups_that_come_back_are_not_engaged_anew() {
    let mut office = Office::new();
    office.put(facts(1, tiers()));
    for (seq, report) in [(OUT, UP), (OUT, OUT), (OUT, UP)].into_iter().enumerate() {
        office.hear(told(seq as u64 + 1, report.0, report.1));
        office.seconds(3);
    }
    assert_eq!(reasons(&mut office), [EventReason::BackupEngaged, EventReason::GroupDown, EventReason::GroupRecovered]);
}

#[test]
fn an_outage_of_primaries_alone_engages_and_releases_nobody() {
    let mut office = Office::new();
    office.put(facts(1, servers(2)));
    office.hear(told(1, UP, UP));
    office.seconds(3);
    office.hear(report("p/1", 2, "v1", &[OUT, OUT]));
    let said = ("False NoServers".to_owned(), "no server takes requests; see Available".to_owned());
    assert_eq!(using_backup(&office.seconds(3)), said);
    office.hear(report("p/1", 3, "v1", &[UP, UP]));
    assert_eq!(using_backup(&office.seconds(3)).0, "False PrimaryServers");
    assert_eq!(reasons(&mut office), [EventReason::GroupDown, EventReason::GroupRecovered]);
}
