//! Every transition and every problem, with the event that it is or is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{
    ConditionFact, ConditionReason as Reason, ConditionStatus, ConditionType, UpstreamGroupStatus, set_condition,
};
use config::{Code, Diagnostic, GroupId, Severity};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use translate::codes;

use super::out::Moved;
use super::said::{of_ingress, of_service};
use super::transitions::of_group;
use super::{Again, Event, EventReason, Kind, Regarding};
use crate::facts::{IngressFacts, ServiceFacts};
use ConditionStatus::{False, True, Unknown};
use ConditionType::{Accepted, Available, Programmed, ResolvedRefs, UsingBackup};

/// A condition's status and reason.
type Said = (ConditionStatus, Reason);

/// From what to what, and the event.
const TRANSITIONS: &[(ConditionType, Option<Said>, Said, Option<EventReason>)] = &[
    (Accepted, None, (True, Reason::Accepted), None),
    (Accepted, None, (False, Reason::Invalid), Some(EventReason::Rejected)),
    (Accepted, Some((True, Reason::Accepted)), (True, Reason::Accepted), None),
    (Accepted, Some((True, Reason::Accepted)), (False, Reason::Invalid), Some(EventReason::Rejected)),
    (Accepted, Some((True, Reason::Accepted)), (False, Reason::UnsupportedCombination), Some(EventReason::Rejected)),
    (Accepted, Some((False, Reason::UnsupportedCombination)), (False, Reason::Invalid), None),
    (Accepted, Some((False, Reason::Invalid)), (True, Reason::Accepted), Some(EventReason::Accepted)),
    (ResolvedRefs, None, (True, Reason::ResolvedRefs), None),
    (ResolvedRefs, None, (Unknown, Reason::Pending), None),
    (ResolvedRefs, None, (False, Reason::NoEndpoints), Some(EventReason::ReferenceLost)),
    (
        ResolvedRefs,
        Some((True, Reason::ResolvedRefs)),
        (False, Reason::ServiceNotFound),
        Some(EventReason::ReferenceLost),
    ),
    (ResolvedRefs, Some((False, Reason::ServiceNotFound)), (False, Reason::PortNotFound), None),
    (ResolvedRefs, Some((False, Reason::PortNotFound)), (Unknown, Reason::Pending), None),
    (ResolvedRefs, Some((Unknown, Reason::Pending)), (True, Reason::ResolvedRefs), None),
    (
        ResolvedRefs,
        Some((False, Reason::ResolutionFailed)),
        (True, Reason::ResolvedRefs),
        Some(EventReason::ReferencesResolved),
    ),
    (Programmed, None, (True, Reason::Programmed), None),
    (Programmed, None, (False, Reason::Rejected), Some(EventReason::DataPlanesRefuse)),
    (Programmed, Some((True, Reason::Programmed)), (False, Reason::Pending), None),
    (Programmed, Some((False, Reason::Pending)), (False, Reason::Rejected), Some(EventReason::DataPlanesRefuse)),
    (Programmed, Some((False, Reason::Rejected)), (False, Reason::Rejected), None),
    (Programmed, Some((False, Reason::Rejected)), (True, Reason::Programmed), None),
    (Available, None, (False, Reason::NoEligibleServer), None),
    (Available, None, (True, Reason::Available), None),
    (Available, Some((True, Reason::Available)), (False, Reason::NoEligibleServer), Some(EventReason::GroupDown)),
    (Available, Some((Unknown, Reason::Pending)), (False, Reason::NoEligibleServer), Some(EventReason::GroupDown)),
    (Available, Some((False, Reason::NoEligibleServer)), (False, Reason::NoEligibleServer), None),
    (Available, Some((False, Reason::NoEligibleServer)), (Unknown, Reason::Pending), None),
    (Available, Some((Unknown, Reason::Pending)), (True, Reason::Available), None),
    (Available, Some((False, Reason::NoEligibleServer)), (True, Reason::Available), Some(EventReason::GroupRecovered)),
    (UsingBackup, None, (False, Reason::PrimaryServers), None),
    (UsingBackup, None, (True, Reason::BackupServers), Some(EventReason::BackupEngaged)),
    (
        UsingBackup,
        Some((False, Reason::PrimaryServers)),
        (True, Reason::BackupServers),
        Some(EventReason::BackupEngaged),
    ),
    (UsingBackup, Some((False, Reason::PrimaryServers)), (False, Reason::NoServers), None),
    (UsingBackup, Some((False, Reason::NoServers)), (False, Reason::PrimaryServers), None),
    (UsingBackup, Some((False, Reason::NoServers)), (True, Reason::BackupServers), Some(EventReason::BackupEngaged)),
    (UsingBackup, Some((True, Reason::BackupServers)), (True, Reason::BackupServers), None),
    (UsingBackup, Some((True, Reason::BackupServers)), (False, Reason::BackupServersExhausted), None),
    (UsingBackup, Some((False, Reason::BackupServersExhausted)), (True, Reason::BackupServers), None),
    (
        UsingBackup,
        Some((False, Reason::BackupServersExhausted)),
        (False, Reason::PrimaryServers),
        Some(EventReason::BackupReleased),
    ),
    (
        UsingBackup,
        Some((True, Reason::BackupServers)),
        (False, Reason::PrimaryServers),
        Some(EventReason::BackupReleased),
    ),
    (UsingBackup, Some((True, Reason::BackupServers)), (Unknown, Reason::Pending), None),
];

/// What is said against an Ingress, and the event.
const SAID: &[(Code, Severity, Option<EventReason>)] = &[
    (codes::SECRET_MISSING, Severity::Warning, Some(EventReason::SecretUnusable)),
    (codes::SECRET_UNUSABLE, Severity::Warning, Some(EventReason::SecretUnusable)),
    (codes::CERTIFICATE_TIME, Severity::Warning, Some(EventReason::CertificateInvalid)),
    (codes::CERTIFICATE_HOST, Severity::Warning, Some(EventReason::CertificateInvalid)),
    (codes::CONFLICT, Severity::Warning, Some(EventReason::RouteConflict)),
    (codes::TLS_CONFLICT, Severity::Warning, Some(EventReason::RouteConflict)),
    (codes::SERVICE_MISSING, Severity::Warning, Some(EventReason::BackendNotFound)),
    (codes::PORT_MISSING, Severity::Warning, Some(EventReason::BackendNotFound)),
    (codes::EXTERNAL_NAME, Severity::Warning, Some(EventReason::BackendNotFound)),
    (codes::GROUP_MISSING, Severity::Warning, Some(EventReason::BackendNotFound)),
    (codes::PATH, Severity::Error, Some(EventReason::Invalid)),
    (codes::BACKEND, Severity::Error, Some(EventReason::Invalid)),
    (codes::PATH_REGEX, Severity::Warning, Some(EventReason::Misconfigured)),
    (codes::TLS_ADDRESS, Severity::Warning, Some(EventReason::Misconfigured)),
    (codes::APP_PROTOCOL, Severity::Warning, Some(EventReason::Misconfigured)),
    (codes::FOREIGN_ANNOTATIONS, Severity::Note, None),
    (codes::NO_ENDPOINTS, Severity::Note, None),
];

/// What is said against the slices of a Service, and the event.
const SAID_OF_SLICES: &[(Code, Severity, Option<EventReason>)] = &[
    (codes::SLICE_IGNORED, Severity::Warning, Some(EventReason::EndpointsIgnored)),
    (codes::SLICE_IGNORED, Severity::Note, None),
    (codes::ENDPOINT_IGNORED, Severity::Warning, Some(EventReason::EndpointsIgnored)),
];

fn with(r#type: ConditionType, (status, reason): Said) -> UpstreamGroupStatus {
    let (mut result, message) = (UpstreamGroupStatus::default(), format!("{status}, {reason}"));
    let fact = ConditionFact { r#type, status, reason, message };
    set_condition(&mut result.conditions, fact, 1, Time(Timestamp::UNIX_EPOCH));
    result
}

/// Between two statuses, when these servers moved.
fn between(before: Option<&UpstreamGroupStatus>, now: &UpstreamGroupStatus, moved: &Moved) -> Vec<Event> {
    of_group(&GroupId::new("shop", "app"), &"uid-1".into(), before, now, moved)
}

fn problem((code, severity): (Code, Severity)) -> Diagnostic {
    Diagnostic::new(code, severity, "said").field("spec").hint("mend it")
}

fn against_ingress(diagnostics: Vec<Diagnostic>) -> Vec<Event> {
    let facts = IngressFacts { uid: "uid-2".into(), diagnostics, load_balancer: Vec::new() };
    of_ingress(&("shop".into(), "web".into()), &facts)
}

fn against_service(diagnostics: Vec<Diagnostic>) -> Vec<Event> {
    of_service(&("shop".into(), "api".into()), &ServiceFacts { uid: "uid-3".into(), diagnostics })
}

#[test]
fn every_transition_of_a_group_is_the_event_it_should_be() {
    for (r#type, before, now, expected) in TRANSITIONS {
        let (before, now) = (before.map(|before| with(*r#type, before)), with(*r#type, *now));
        let told = between(before.as_ref(), &now, &Moved::default());
        let regarding =
            Regarding { kind: Kind::UpstreamGroup, namespace: "shop".into(), name: "app".into(), uid: "uid-1".into() };
        let note = now.conditions[0].message.clone();
        let event = |reason| Event { regarding, reason, note, again: Again::Counts };
        assert_eq!(told, Vec::from_iter(expected.map(event)), "{before:?}");
    }
}

#[test]
fn servers_that_move_are_one_event_each_way() {
    let servers: Vec<_> = (0..7).map(|n| format!("s{n} 10.0.0.{n}:80")).collect();
    let moved = Moved { out: servers.clone(), back: servers[..2].to_vec() };
    let told = between(None, &UpstreamGroupStatus::default(), &moved);
    let told: Vec<_> = told.iter().map(|event| (event.reason, event.note.as_str())).collect();
    let out = "out after failures: s0 10.0.0.0:80; s1 10.0.0.1:80; s2 10.0.0.2:80; s3 10.0.0.3:80; s4 10.0.0.4:80; and 2 more";
    let back = "take requests again: s0 10.0.0.0:80; s1 10.0.0.1:80";
    assert_eq!(told, [(EventReason::ServersEjected, out), (EventReason::ServersRestored, back)]);
}

#[test]
fn every_problem_of_an_ingress_is_the_event_it_should_be() {
    for (code, severity, expected) in SAID {
        let told = against_ingress(vec![problem((code, *severity))]);
        let regarding =
            Regarding { kind: Kind::Ingress, namespace: "shop".into(), name: "web".into(), uid: "uid-2".into() };
        let note = format!("spec: said (mend it) [{code}]");
        let event = |reason| Event { regarding, reason, note, again: Again::IsKnown };
        assert_eq!(told, Vec::from_iter(expected.map(event)), "{code}");
    }
    let told = against_ingress(SAID.iter().map(|(code, severity, _)| problem((code, *severity))).collect());
    let reasons: BTreeSet<_> = told.iter().map(|event| event.reason).collect();
    assert_eq!(reasons.len(), told.len(), "one event per reason: {told:?}");
}

#[test]
fn every_problem_of_slices_is_the_event_of_their_service_it_should_be() {
    for (code, severity, expected) in SAID_OF_SLICES {
        let told = against_service(vec![problem((code, *severity))]);
        let regarding =
            Regarding { kind: Kind::Service, namespace: "shop".into(), name: "api".into(), uid: "uid-3".into() };
        let note = format!("EndpointSlices: said (mend it) [{code}]");
        let event = |reason| Event { regarding, reason, note, again: Again::IsKnown };
        assert_eq!(told, Vec::from_iter(expected.map(event)), "{code}");
    }
}

/// Slices come and go, and endpoints in them, while what is wrong stays.
#[test]
fn what_is_wrong_with_many_slices_is_said_once() {
    let said = |slices: &[usize]| {
        let said = slices.iter().map(|n| {
            let said = Diagnostic::new(codes::ENDPOINT_IGNORED, Severity::Warning, "the endpoint has no address");
            said.field(format!("endpoints[{n}].addresses[0]"))
        });
        against_service(said.collect())
    };
    let one = said(&[0]);
    assert_eq!(one[0].note, "EndpointSlices: the endpoint has no address [FB4006]");
    assert_eq!((one.len(), said(&[3, 4, 5, 6, 7, 8, 9])), (1, one));
}

#[test]
fn no_reason_is_left_out() {
    let transitions = TRANSITIONS.iter().filter_map(|(.., expected)| *expected);
    let said = SAID.iter().chain(SAID_OF_SLICES).filter_map(|(.., expected)| *expected);
    let servers = [EventReason::ServersEjected, EventReason::ServersRestored];
    let tested: BTreeSet<_> = transitions.chain(said).chain(servers).collect();
    assert_eq!(tested, BTreeSet::from(EventReason::ALL));
    let kinds: BTreeSet<Arc<str>> = TRANSITIONS.iter().map(|(r#type, ..)| r#type.to_string().into()).collect();
    assert_eq!(kinds.len(), ConditionType::ALL.len());
}
