//! From two statuses to what happened between them, and from what was said against an Ingress to what its owner must know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::{ConditionReason, ConditionType, ServerState, ServerStatus, UpstreamGroupStatus};
use config::{Code, Diagnostic, GroupId, Severity};
use translate::codes;

use super::{Again, Event, Kind, Regarding};
use crate::facts::{IngressFacts, ObjectName};

/// Servers and problems that a note names.
const NAMED: usize = 5;

/// Why an event is told: what `kubectl describe` shows as Reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventReason {
    Accepted,
    Rejected,
    ReferenceLost,
    ReferencesResolved,
    GroupDown,
    GroupRecovered,
    BackupEngaged,
    BackupReleased,
    ServersEjected,
    ServersRestored,
    DataPlanesRefuse,
    SecretUnusable,
    CertificateInvalid,
    RouteConflict,
    BackendNotFound,
    Invalid,
    Misconfigured,
}

impl EventReason {
    /// Every reason.
    pub const ALL: [Self; 17] = [
        Self::Accepted,
        Self::Rejected,
        Self::ReferenceLost,
        Self::ReferencesResolved,
        Self::GroupDown,
        Self::GroupRecovered,
        Self::BackupEngaged,
        Self::BackupReleased,
        Self::ServersEjected,
        Self::ServersRestored,
        Self::DataPlanesRefuse,
        Self::SecretUnusable,
        Self::CertificateInvalid,
        Self::RouteConflict,
        Self::BackendNotFound,
        Self::Invalid,
        Self::Misconfigured,
    ];

    /// Whether it is good news.
    pub const fn is_normal(self) -> bool {
        match self {
            Self::Accepted
            | Self::ReferencesResolved
            | Self::GroupRecovered
            | Self::BackupReleased
            | Self::ServersRestored => true,
            Self::Rejected
            | Self::ReferenceLost
            | Self::GroupDown
            | Self::BackupEngaged
            | Self::ServersEjected
            | Self::DataPlanesRefuse
            | Self::SecretUnusable
            | Self::CertificateInvalid
            | Self::RouteConflict
            | Self::BackendNotFound
            | Self::Invalid
            | Self::Misconfigured => false,
        }
    }

    /// What the controller did when it found out (`action`).
    pub const fn action(self) -> &'static str {
        match self {
            Self::Accepted | Self::Rejected | Self::Invalid | Self::Misconfigured => "Translate",
            Self::ReferenceLost
            | Self::ReferencesResolved
            | Self::SecretUnusable
            | Self::CertificateInvalid
            | Self::RouteConflict
            | Self::BackendNotFound => "Resolve",
            Self::DataPlanesRefuse => "Program",
            Self::GroupDown
            | Self::GroupRecovered
            | Self::BackupEngaged
            | Self::BackupReleased
            | Self::ServersEjected
            | Self::ServersRestored => "Observe",
        }
    }

    /// The reason for a problem of an Ingress.
    fn of(code: Code, severity: Severity) -> Self {
        match code {
            codes::SECRET_MISSING | codes::SECRET_UNUSABLE => Self::SecretUnusable,
            codes::CERTIFICATE_TIME | codes::CERTIFICATE_HOST => Self::CertificateInvalid,
            codes::CONFLICT | codes::TLS_CONFLICT => Self::RouteConflict,
            codes::SERVICE_MISSING | codes::PORT_MISSING | codes::EXTERNAL_NAME | codes::GROUP_MISSING => {
                Self::BackendNotFound
            }
            _ if severity == Severity::Error => Self::Invalid,
            _ => Self::Misconfigured,
        }
    }
}

/// What happened to a group between two statuses.
pub fn of_group(
    id: &GroupId,
    uid: &Arc<str>,
    before: Option<&UpstreamGroupStatus>,
    now: &UpstreamGroupStatus,
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
    let ejected = |status: Option<&UpstreamGroupStatus>| names(status, |state| state == ServerState::Unavailable);
    let (were_out, are_out) = (ejected(before), ejected(Some(now)));
    let up = names(Some(now), |state| state == ServerState::Up);
    let out: Vec<_> = are_out.difference(&were_out).collect();
    if !out.is_empty() {
        tell(EventReason::ServersEjected, format!("out after failures: {}", list(&out)));
    }
    let back: Vec<_> = were_out.intersection(&up).collect();
    if !back.is_empty() {
        tell(EventReason::ServersRestored, format!("take requests again: {}", list(&back)));
    }
    told
}

/// What the owner of an Ingress must know: one event per reason.
pub fn of_ingress(name: &ObjectName, facts: &IngressFacts) -> Vec<Event> {
    let mut notes: BTreeMap<EventReason, Vec<String>> = BTreeMap::new();
    for problem in facts.diagnostics.iter().filter(|problem| problem.severity >= Severity::Warning) {
        notes.entry(EventReason::of(problem.code, problem.severity)).or_default().push(sentence(problem));
    }
    let event = |(reason, sentences): (_, Vec<String>)| {
        let (namespace, uid) = (name.0.clone(), facts.uid.clone());
        let regarding = Regarding { kind: Kind::Ingress, namespace, name: name.1.clone(), uid };
        Event { regarding, reason, note: list(&sentences.iter().collect::<Vec<_>>()), again: Again::IsKnown }
    };
    notes.into_iter().map(event).collect()
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
    match r#type {
        ConditionType::Accepted if fell => Some(EventReason::Rejected),
        ConditionType::Accepted if rose => Some(EventReason::Accepted),
        ConditionType::ResolvedRefs if fell => Some(EventReason::ReferenceLost),
        ConditionType::ResolvedRefs if rose => Some(EventReason::ReferencesResolved),
        // Of a new group nobody expects yet that it serves.
        ConditionType::Available if fell && was.is_some() => Some(EventReason::GroupDown),
        ConditionType::Available if rose => Some(EventReason::GroupRecovered),
        ConditionType::UsingBackup if is == "True" && was != Some("True") => Some(EventReason::BackupEngaged),
        ConditionType::UsingBackup if is == "False" && was == Some("True") => Some(EventReason::BackupReleased),
        ConditionType::Programmed => {
            let refused = ConditionReason::Rejected.to_string();
            let is_new = now.1 == refused && before.is_none_or(|(_, reason, _)| reason != refused);
            is_new.then_some(EventReason::DataPlanesRefuse)
        }
        ConditionType::Accepted
        | ConditionType::ResolvedRefs
        | ConditionType::Available
        | ConditionType::UsingBackup => None,
    }
}

fn names(status: Option<&UpstreamGroupStatus>, is: impl Fn(ServerState) -> bool) -> BTreeSet<String> {
    let servers = status.into_iter().flat_map(|status| &status.servers).filter(|server| is(server.state));
    servers.map(|ServerStatus { name, address, .. }| format!("{name} {address}")).collect()
}

fn sentence(problem: &Diagnostic) -> String {
    let field = problem.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
    let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{field}{}{hint} [{}]", problem.message, problem.code)
}

fn list(items: &[&String]) -> String {
    let named = items.iter().take(NAMED).map(|item| item.as_str()).collect::<Vec<_>>().join("; ");
    match items.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}
