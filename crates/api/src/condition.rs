//! The conditions of a group's status. Positive polarity, at most eight; the transition time moves only when the status does
//! (Kubernetes API conventions, "Typical status properties").

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// The spec is understood and used.
    Accepted,
    /// Every reference leads somewhere.
    ResolvedRefs,
    /// Every connected data plane runs this generation.
    Programmed,
    /// At least one server can be picked.
    Available,
    /// Backup servers take the requests.
    UsingBackup,
}

/// Why a condition has its status; for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionReason {
    Accepted,
    Invalid,
    UnsupportedCombination,
    ResolvedRefs,
    ServiceNotFound,
    PortNotFound,
    RefNotPermitted,
    NoEndpoints,
    ResolutionFailed,
    Programmed,
    Pending,
    Rejected,
    Stale,
    Available,
    NoEligibleServer,
    PrimaryServers,
    BackupServers,
    NoServers,
    BackupServersExhausted,
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionStatus {
    True,
    False,
    Unknown,
}

/// What is to be said in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionFact {
    /// What it is about.
    pub r#type: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for machines.
    pub reason: ConditionReason,
    /// Why, for people.
    pub message: String,
}

/// Writes `fact` into `conditions`; `now` becomes the transition time only if the status changes. An older generation never
/// replaces what a newer one said.
pub fn set_condition(conditions: &mut Vec<Condition>, fact: ConditionFact, generation: i64, now: Time) {
    let ConditionFact { r#type, status, reason, message } = fact;
    let (type_, status) = (r#type.to_string(), status.to_string());
    let previous = conditions.iter_mut().find(|condition| condition.type_ == type_);
    if previous.as_ref().is_some_and(|previous| previous.observed_generation.is_some_and(|seen| seen > generation)) {
        return;
    }
    let last_transition_time = match &previous {
        Some(previous) if previous.status == status => previous.last_transition_time.clone(),
        _ => now,
    };
    let condition = Condition {
        last_transition_time,
        message,
        observed_generation: Some(generation),
        reason: reason.to_string(),
        status,
        type_,
    };
    match previous {
        Some(previous) => *previous = condition,
        None => conditions.push(condition),
    }
}

impl ConditionType {
    /// Every type, in the order in which a status lists them.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::ResolvedRefs, Self::Programmed, Self::Available, Self::UsingBackup];

    /// The reasons it is given for.
    pub const fn reasons(self) -> &'static [ConditionReason] {
        use ConditionReason as Reason;
        match self {
            Self::Accepted => &[Reason::Accepted, Reason::Invalid, Reason::UnsupportedCombination],
            Self::ResolvedRefs => &[
                Reason::ResolvedRefs,
                Reason::ServiceNotFound,
                Reason::PortNotFound,
                Reason::RefNotPermitted,
                Reason::NoEndpoints,
                Reason::ResolutionFailed,
                Reason::Pending,
            ],
            Self::Programmed => &[Reason::Programmed, Reason::Pending, Reason::Rejected, Reason::Stale],
            Self::Available => &[Reason::Available, Reason::NoEligibleServer, Reason::Pending],
            Self::UsingBackup => &[
                Reason::PrimaryServers,
                Reason::BackupServers,
                Reason::NoServers,
                Reason::BackupServersExhausted,
                Reason::Pending,
            ],
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(k8s_openapi::jiff::Timestamp::from_second(second).unwrap())
    }

    fn accepted(status: ConditionStatus, reason: ConditionReason) -> ConditionFact {
        ConditionFact { r#type: ConditionType::Accepted, status, reason, message: String::new() }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Vec::new();
        set_condition(&mut conditions, accepted(ConditionStatus::True, ConditionReason::Accepted), 1, at(1));
        set_condition(&mut conditions, accepted(ConditionStatus::True, ConditionReason::Accepted), 2, at(2));
        assert_eq!((conditions.len(), &conditions[0].last_transition_time), (1, &at(1)));
        assert_eq!(conditions[0].observed_generation, Some(2));

        set_condition(&mut conditions, accepted(ConditionStatus::False, ConditionReason::Invalid), 3, at(3));
        assert_eq!(conditions[0].last_transition_time, at(3));
        assert_eq!(conditions[0].reason, "Invalid");
    }

    #[test]
    fn an_older_generation_says_nothing() {
        let mut conditions = Vec::new();
        set_condition(&mut conditions, accepted(ConditionStatus::True, ConditionReason::Accepted), 2, at(1));
        set_condition(&mut conditions, accepted(ConditionStatus::False, ConditionReason::Invalid), 1, at(2));
        assert_eq!(conditions[0].status, "True");
    }
}
