//! What each condition says and why, in sentences a person can act on: which server, which Service, which field, what to do.

use api::ConditionReason as Reason;
use api::ConditionStatus::{False, True, Unknown};
use api::{ConditionFact, ConditionReason, ConditionStatus, ConditionType, ServerState, ServerStatus, Summary};
use config::{Diagnostic, Severity, Tier};
use translate::codes;

use super::render::{Hearing, Known, Publication};
use crate::fleet::Standing;

/// Problems and data planes that a message names; the others are counted.
const NAMED: usize = 3;

/// Every condition. `summary` and `servers`, all of them, are what else is to be said of the fleet. A condition that is left out
/// stays as it was.
pub fn all(known: Known<'_>, summary: Option<&Summary>, servers: &[ServerStatus]) -> Vec<ConditionFact> {
    let mut facts = vec![accepted(known), resolved_refs(known)];
    if known.hearing == Hearing::Done {
        facts.extend(programmed(known));
        let available = available(known, summary, servers);
        let using_backup = using_backup(known, available.status);
        facts.extend([available, using_backup]);
    } else {
        let heard = |r#type: ConditionType| {
            let name = r#type.to_string();
            known.previous.is_some_and(|previous| previous.conditions.iter().any(|one| one.type_ == name))
        };
        let new = [ConditionType::Programmed, ConditionType::Available, ConditionType::UsingBackup];
        let new = new.into_iter().filter(|r#type| !heard(*r#type));
        facts.extend(new.map(|r#type| fact(r#type, Unknown, Reason::Pending, "waiting for the data planes' reports")));
    }
    facts
}

/// Whether nothing of this generation was refused.
fn is_accepted(known: Known<'_>) -> bool {
    known.facts.diagnostics.iter().all(|problem| problem.severity != Severity::Error)
}

/// Whether this generation is not in use yet, because a DNS name of it was not answered yet.
fn waits(known: Known<'_>) -> bool {
    let is_awaited = |said: &Diagnostic| said.code == codes::NO_ADDRESSES && said.severity == Severity::Note;
    known.facts.diagnostics.iter().any(is_awaited)
}

fn accepted(known: Known<'_>) -> ConditionFact {
    let accepted = |status, reason, message: String| fact(ConditionType::Accepted, status, reason, message);
    let problems = &known.facts.diagnostics;
    let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    if errors.is_empty() {
        let warnings = problems.iter().filter(|one| one.severity == Severity::Warning && reference(one).is_none());
        let warnings: Vec<_> = warnings.map(Diagnostic::sentence).collect();
        let message = match known.facts.published {
            _ if !warnings.is_empty() => listed(&warnings),
            Some(_) if !waits(known) => "the spec is in use".into(),
            Some(_) | None => "the spec is sound and waits for its DNS names; see ResolvedRefs".into(),
        };
        return accepted(True, Reason::Accepted, message);
    }
    let unsupported = errors.iter().all(|error| error.code == codes::NOT_YET);
    let reason = if unsupported { Reason::UnsupportedCombination } else { Reason::Invalid };
    let serving = match known.facts.published {
        Some(_) => "the last good version keeps serving",
        None if holders(known) > 0 => "the version that data planes have from before keeps serving",
        None => "nothing is served for this group",
    };
    let errors: Vec<_> = errors.into_iter().map(Diagnostic::sentence).collect();
    accepted(False, reason, format!("{}; {serving}", listed(&errors)))
}

fn resolved_refs(known: Known<'_>) -> ConditionFact {
    let resolved = |status, reason, message: String| fact(ConditionType::ResolvedRefs, status, reason, message);
    let problems = &known.facts.diagnostics;
    let mut lost: Vec<_> = problems.iter().filter_map(|problem| Some((reference(problem)?, problem))).collect();
    lost.sort_by_key(|(reason, _)| ConditionType::ResolvedRefs.reasons().iter().position(|one| one == reason));
    let messages: Vec<_> = lost.iter().map(|(_, problem)| problem.sentence()).collect();
    match lost.first() {
        Some((reason, _)) => resolved(False, *reason, listed(&messages)),
        None if is_accepted(known) => resolved(True, Reason::ResolvedRefs, "every reference leads to servers".into()),
        None => resolved(Unknown, Reason::Pending, "references are looked at once the spec is accepted".into()),
    }
}

/// The reason for which a problem with a reference is one.
fn reference(problem: &Diagnostic) -> Option<ConditionReason> {
    match problem.code {
        codes::SERVICE_MISSING => Some(Reason::ServiceNotFound),
        codes::PORT_MISSING => Some(Reason::PortNotFound),
        codes::EXTERNAL_NAME | codes::ADDRESS_IGNORED => Some(Reason::RefNotPermitted),
        codes::NO_ENDPOINTS => Some(Reason::NoEndpoints),
        codes::NO_ADDRESSES
        | codes::SECRET_MISSING
        | codes::SECRET_UNUSABLE
        | codes::CONFIG_MAP_MISSING
        | codes::CONFIG_MAP_UNUSABLE => Some(Reason::ResolutionFailed),
        _ => None,
    }
}

/// `None` while the condition is to stay as it is.
fn programmed(known: Known<'_>) -> Option<ConditionFact> {
    let programmed = |status, reason, message| Some(fact(ConditionType::Programmed, status, reason, message));
    let standings = &known.view.standings;
    let count = standings.len();
    let Some(published) = &known.facts.published else {
        let holders = holders(known);
        let (why, see) =
            if is_accepted(known) { ("waits for its DNS names", "ResolvedRefs") } else { ("is refused", "Accepted") };
        if holders > 0 {
            let message = format!(
                "this generation {why}; {} the version from before this controller started; see {see}",
                match holders {
                    1 => format!("1 of {count} data planes has"),
                    _ => format!("{holders} of {count} data planes have"),
                }
            );
            return programmed(False, Reason::Stale, message);
        }
        return programmed(False, Reason::Stale, format!("data planes were told nothing of this group; see {see}"));
    };
    if standings.is_empty() {
        let message = "no data plane that serves this group is connected; check the pods of forebay-proxy".into();
        return programmed(Unknown, Reason::Pending, message);
    }
    let runs = |standing: &&Standing<'_>| standing.version == Some(published.version);
    let refused = |standing: &Standing<'_>| {
        let rejected = standing.rejected.filter(|rejected| rejected.version == published.version)?;
        Some(format!("{}: {}", standing.instance, rejected.problem))
    };
    let nacks: Vec<_> = standings.iter().filter_map(refused).collect();
    if !nacks.is_empty() {
        let message = format!(
            "{} of {count} data planes {} this version and keep what they had: {}",
            nacks.len(),
            if nacks.len() == 1 { "refuses" } else { "refuse" },
            listed(&nacks)
        );
        return programmed(False, Reason::Rejected, message);
    }
    let waiting: Vec<_> = standings.iter().filter(|one| !runs(one)).map(|one| one.instance.to_string()).collect();
    if !waiting.is_empty() {
        if known.publication == Publication::Fresh && was_programmed(known) {
            return None;
        }
        let message = format!(
            "{} of {count} data planes run this version; waiting for {}",
            count - waiting.len(),
            listed(&waiting)
        );
        return programmed(False, Reason::Pending, message);
    }
    if !is_accepted(known) {
        let message = "this generation is refused, so data planes run the last good one; see Accepted";
        return programmed(False, Reason::Stale, message.into());
    }
    if waits(known) {
        let message = "this generation waits for its DNS names, so data planes run the one before; see ResolvedRefs";
        return programmed(False, Reason::Stale, message.into());
    }
    programmed(True, Reason::Programmed, format!("every data plane runs this version ({count} of {count})"))
}

/// Data planes that have something of a group of which nothing is published: they keep it.
fn holders(known: Known<'_>) -> usize {
    match known.facts.published {
        Some(_) => 0,
        None => known.view.standings.iter().filter(|standing| standing.version.is_some()).count(),
    }
}

/// Whether the condition was true of this very generation: endpoints come and go without flapping it.
fn was_programmed(known: Known<'_>) -> bool {
    let name = ConditionType::Programmed.to_string();
    let conditions = known.previous.map(|previous| previous.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|one| {
        one.type_ == name && one.status == True.to_string() && one.observed_generation == Some(known.facts.generation)
    })
}

fn available(known: Known<'_>, summary: Option<&Summary>, servers: &[ServerStatus]) -> ConditionFact {
    let available = |status, reason, message: String| fact(ConditionType::Available, status, reason, message);
    let Some(summary) = summary else {
        if holders(known) > 0 {
            let message = "data planes serve a version that this controller does not know; see Accepted";
            return available(Unknown, Reason::Pending, message.into());
        }
        return available(False, Reason::NoEligibleServer, "nothing is served for this group; see Accepted".into());
    };
    if summary.servers == 0 {
        return available(False, Reason::NoEligibleServer, "the group has no server; see ResolvedRefs".into());
    }
    if summary.available > 0 {
        return available(
            True,
            Reason::Available,
            format!("{} servers take requests", of(summary.available, summary.servers)),
        );
    }
    if servers.iter().all(|server| server.state == ServerState::Unknown) {
        let message = if known.view.standings.is_empty() {
            "no data plane that serves this group is connected"
        } else {
            "no data plane reported on the servers yet"
        };
        return available(Unknown, Reason::Pending, message.into());
    }
    let words = [
        (ServerState::Unavailable, "out after failures"),
        (ServerState::Full, "at maxConns"),
        (ServerState::Down, "down by configuration"),
        (ServerState::Draining, "draining"),
        (ServerState::Unknown, "not reported on"),
    ];
    let parts: Vec<_> = words
        .into_iter()
        .filter_map(|(state, words)| {
            let names = servers.iter().filter(|server| server.state == state);
            let names: Vec<_> = names.map(|server| format!("{} {}", server.name, server.address)).collect();
            (!names.is_empty()).then(|| format!("{words}: {}", config::listed(&names, NAMED, ", ")))
        })
        .collect();
    available(False, Reason::NoEligibleServer, format!("no server takes requests; {}", parts.join("; ")))
}

/// Data planes name the primaries when nobody can serve there, so who takes requests is only asked where somebody does.
fn using_backup(known: Known<'_>, available: ConditionStatus) -> ConditionFact {
    let using = |status, reason, message: String| fact(ConditionType::UsingBackup, status, reason, message);
    let tiers: Vec<_> = known.view.standings.iter().filter_map(|standing| standing.tier).collect();
    let on_backup = tiers.iter().filter(|tier| **tier == Tier::Backup).count();
    match available {
        False if backups_were_the_last(known) => {
            let message = "backup servers took the requests until no server was left; see Available";
            using(False, Reason::BackupServersExhausted, message.into())
        }
        False => using(False, Reason::NoServers, "no server takes requests; see Available".into()),
        True | Unknown if on_backup > 0 => {
            let message = format!("no primary server can be picked on {on_backup} of {} data planes", tiers.len());
            using(True, Reason::BackupServers, message)
        }
        True if !tiers.is_empty() => using(False, Reason::PrimaryServers, "primary servers take the requests".into()),
        True | Unknown => using(Unknown, Reason::Pending, "no data plane reported on this group yet".into()),
    }
}

/// Whether backups took the requests when somebody last did. That is kept in the status, so that a controller that takes over
/// knows it, too.
fn backups_were_the_last(known: Known<'_>) -> bool {
    let (name, exhausted) = (ConditionType::UsingBackup.to_string(), Reason::BackupServersExhausted.to_string());
    let conditions = known.previous.map(|previous| previous.conditions.as_slice()).unwrap_or_default();
    let before = conditions.iter().find(|one| one.type_ == name);
    before.is_some_and(|before| before.status == True.to_string() || before.reason == exhausted)
}

fn fact(
    r#type: ConditionType,
    status: ConditionStatus,
    reason: ConditionReason,
    message: impl Into<String>,
) -> ConditionFact {
    ConditionFact { r#type, status, reason, message: message.into() }
}

fn of(part: i32, whole: i32) -> String {
    if part == whole { format!("all {whole}") } else { format!("{part} of {whole}") }
}

fn listed(items: &[String]) -> String {
    config::listed(items, NAMED, "; ")
}
