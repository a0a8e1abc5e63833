//! The reasons there are.

use config::{Code, Severity};
use translate::codes;

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
    EndpointsIgnored,
    Invalid,
    Misconfigured,
}

impl EventReason {
    /// Every reason.
    pub const ALL: [Self; 18] = [
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
        Self::EndpointsIgnored,
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
            | Self::EndpointsIgnored
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
            | Self::BackendNotFound
            | Self::EndpointsIgnored => "Resolve",
            Self::DataPlanesRefuse => "Program",
            Self::GroupDown
            | Self::GroupRecovered
            | Self::BackupEngaged
            | Self::BackupReleased
            | Self::ServersEjected
            | Self::ServersRestored => "Observe",
        }
    }

    /// The reason for a problem of an object that has no conditions.
    pub(super) fn of(code: Code, severity: Severity) -> Self {
        match code {
            codes::SECRET_MISSING | codes::SECRET_UNUSABLE => Self::SecretUnusable,
            codes::CERTIFICATE_TIME | codes::CERTIFICATE_HOST => Self::CertificateInvalid,
            codes::CONFLICT | codes::TLS_CONFLICT => Self::RouteConflict,
            codes::SERVICE_MISSING | codes::PORT_MISSING | codes::EXTERNAL_NAME | codes::GROUP_MISSING => {
                Self::BackendNotFound
            }
            codes::SLICE_IGNORED | codes::ENDPOINT_IGNORED => Self::EndpointsIgnored,
            _ if severity == Severity::Error => Self::Invalid,
            _ => Self::Misconfigured,
        }
    }
}
