//! From two statuses of a group to what happened between them.

use std::sync::Arc;

use api::{ConditionReason, ConditionType, UpstreamGroupStatus};
use config::GroupId;

use super::out::Moved;
use super::{Again, Event, EventReason, Kind, Regarding, list};

/// What happened to a group between two statuses; `moved` are the servers that did.
pub fn of_group(
    id: &GroupId,
    uid: &Arc<str>,
    before: Option<&UpstreamGroupStatus>,
    now: &UpstreamGroupStatus,
    moved: &Moved,
) -> Vec<Event> {
    let mut told = Vec::new();
    let mut tell = |reason, note: String| {
        let (namespace, name, uid) = (id.namespace().into(), id.name().into(), uid.clone());
        let regarding = Regarding { kind: Kind::UpstreamGroup, namespace, name, uid };
        told.push(Event { regarding, reason, note, again: Again::Counts });
    };
    for r#type in ConditionType::ALL {
        let (Some(now), before) = (condition(Some(now), r#type), condition(before, r#type)) else { continue };
        let Some(reason) = transition(r#type, before, now) else { continue };
        tell(reason, now.2.to_owned());
    }
    if !moved.out.is_empty() {
        tell(EventReason::ServersEjected, format!("out after failures: {}", list(&moved.out)));
    }
    if !moved.back.is_empty() {
        tell(EventReason::ServersRestored, format!("take requests again: {}", list(&moved.back)));
    }
    told
}

/// The status, reason and message of a condition.
fn condition(status: Option<&UpstreamGroupStatus>, r#type: ConditionType) -> Option<(&str, &str, &str)> {
    let name = r#type.to_string();
    let found = status?.conditions.iter().find(|condition| condition.type_ == name)?;
    Some((&found.status, &found.reason, &found.message))
}

fn transition(
    r#type: ConditionType,
    before: Option<(&str, &str, &str)>,
    now: (&str, &str, &str),
) -> Option<EventReason> {
    let (was, is) = (before.map(|(status, ..)| status), now.0);
    let (fell, rose) = (is == "False" && was != Some("False"), is == "True" && was == Some("False"));
    let has = |condition: Option<(&str, &str, &str)>, known: ConditionReason| {
        condition.is_some_and(|(_, reason, _)| reason == known.to_string())
    };
    match r#type {
        ConditionType::Accepted if fell => Some(EventReason::Rejected),
        ConditionType::Accepted if rose => Some(EventReason::Accepted),
        ConditionType::ResolvedRefs if fell => Some(EventReason::ReferenceLost),
        ConditionType::ResolvedRefs if rose => Some(EventReason::ReferencesResolved),
        // Of a new group nobody expects yet that it serves.
        ConditionType::Available if fell && was.is_some() => Some(EventReason::GroupDown),
        ConditionType::Available if rose => Some(EventReason::GroupRecovered),
        // That backups fail, too, releases nobody, and that they come back engages nobody anew.
        ConditionType::UsingBackup => {
            let engaged = was == Some("True") || has(before, ConditionReason::BackupServersExhausted);
            let released = engaged && has(Some(now), ConditionReason::PrimaryServers);
            let news = if is == "True" { !engaged } else { released };
            let reason = if is == "True" { EventReason::BackupEngaged } else { EventReason::BackupReleased };
            news.then_some(reason)
        }
        ConditionType::Programmed => {
            let is_new = has(Some(now), ConditionReason::Rejected) && !has(before, ConditionReason::Rejected);
            is_new.then_some(EventReason::DataPlanesRefuse)
        }
        ConditionType::Accepted | ConditionType::ResolvedRefs | ConditionType::Available => None,
    }
}
