//! What data planes tell the leader: counters since they started and the state of their servers.
//!
//! Every number is cumulative and every report says which life of the instance it counts (`epoch`) and its place in that
//! life (`seq`). A report that is lost is made good by the next, one that arrives twice or late changes nothing, and a new
//! leader is complete as soon as it has heard everybody once. Of an instance the later life counts, of each server the report
//! with the greatest number that spoke of it, and a full report says what else there is not.

mod delivered;
mod schedule;
mod server;

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Millis, Revision, Tier};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::scope::{Grant, Scope};
use crate::violation::Violation;

pub use delivered::{Delivered, Groups};
pub use schedule::{MEMORY, Part, Schedule};
pub use server::{Counters, LastFailure, ServerReport, ServerState};

/// One report of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Who reports: the pod's name.
    pub instance: Arc<str>,
    /// When this life of it began, milliseconds since 1970: a later life has a greater one.
    pub epoch: u64,
    /// Counts the reports of this life, from 1.
    pub seq: u64,
    /// Whether servers that are not named do not exist; else they only did not change.
    pub extent: Extent,
    /// The version of the whole configuration in force.
    pub revision: Revision,
    /// How old that configuration may be.
    pub age: Millis,
    /// What it asked for, which tells whether a group that it does not name concerns it.
    #[serde(default)]
    pub scope: Scope,
    /// The zone whose part of each group it uses; none uses all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Arc<str>>,
    /// What it was sent and cannot use, by the resource's name; at most [`limits::PROBLEMS_KEPT`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<String, Rejected>,
    /// What is in force and happened, group by group.
    pub groups: Groups,
}

/// A version of a resource that an instance cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// The version.
    pub version: Revision,
    /// Why, for people.
    pub problem: String,
}

/// How much of the picture a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// All of it.
    Full,
    /// What changed since the last report.
    Changes,
}

/// One group on one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReport {
    /// The version of it in force, where a controller gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Revision>,
    /// The tier that serves; the primaries, too, where nobody can.
    pub active_tier: Tier,
    /// Its servers.
    pub servers: Vec<ServerReport>,
}

/// What a report was good for to who keeps what is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absorbed {
    /// The first of a new life: all counters begin anew.
    NewLife,
    /// It added something.
    News,
    /// Everything in it was known, or is outdated.
    Nothing,
    /// Something in it was left out, because there is no room for more.
    NoRoom,
}

impl Report {
    /// The report as it is sent.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("reports have string keys and no fallible serializer")
    }

    /// Reads a report of at most [`limits::REPORT`] bytes and [`limits::REPORTED_SERVERS`] servers, from someone whose
    /// identity allows `grant`: nobody reports for another instance, or on a group it may not see.
    pub fn from_json(bytes: &[u8], grant: &Grant) -> Result<Self, Violation> {
        if bytes.len() > limits::REPORT {
            return Err(Violation::LineTooLong { max: limits::REPORT });
        }
        let report: Self = serde_json::from_slice(bytes).map_err(|problem| Violation::malformed(&problem, bytes))?;
        report.check()?;
        grant.speaks_for(&report.instance)?;
        grant.view(report.scope.clone())?;
        report.groups.keys().try_for_each(|id| grant.covers(id.namespace()))?;
        Ok(report)
    }

    fn check(&self) -> Result<(), Violation> {
        let place = |rule| Violation::OutOfPlace { frame: "report", rule };
        let name = self.instance.as_bytes();
        if !(1..=limits::NAME).contains(&name.len()) || !name.iter().all(u8::is_ascii_graphic) {
            return Err(place("instance is the name of a pod"));
        }
        if self.zone.as_ref().is_some_and(|zone| zone.len() > limits::NAME) {
            return Err(place("zone is the name of one"));
        }
        if self.seq == 0 {
            return Err(place("reports are counted from 1"));
        }
        let servers: usize = self.groups.values().map(|group| group.servers.len()).sum();
        if self.rejected.len() > limits::PROBLEMS_KEPT
            || self.rejected.values().any(|one| one.problem.len() > limits::PROBLEM)
        {
            return Err(place("rejected resources are few and their problems short"));
        }
        if servers > limits::REPORTED_SERVERS || self.groups.len() > limits::RESOURCES {
            return Err(Violation::TooManyResources { max: limits::REPORTED_SERVERS });
        }
        let short = |text: &str| text.len() <= limits::REASON;
        let fits = |server: &ServerReport| {
            server.name.len() <= limits::NAME
                && server.counters.failures.len() <= limits::REASONS
                && server.counters.failures.keys().all(|reason| short(reason))
                && server.last_failure.as_ref().is_none_or(|last| short(&last.reason))
        };
        if self.groups.values().flat_map(|group| &group.servers).all(fits) {
            Ok(())
        } else {
            Err(place("names and reasons of failures are few and short"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::{Forbidden, Namespaces, PrivateKeys};

    fn anyone() -> Grant {
        Grant { namespaces: Namespaces::All, private_keys: PrivateKeys::Withheld, instance: None }
    }

    fn json(state: &str, instance: &str) -> String {
        format!(
            r#"{{"instance":"{instance}","epoch":1,"seq":2,"extent":"changes","revision":"{}","age":0,"novel":{{}},
            "scope":{{"namespaces":["shop"]}},"groups":
            {{"shop/app":{{"active_tier":"Primary","servers":[{{"name":"a","address":"10.0.0.1:80","state":"{state}",
            "requests":7,"failures":{{"connect":2,"novel":1}},"novel":1}}]}}}}}}"#,
            Revision::of(b"")
        )
    }

    #[test]
    fn a_newer_report_is_read_as_far_as_it_is_known() {
        let report = Report::from_json(json("sleeping", "proxy-1").as_bytes(), &anyone()).unwrap();
        let server = &report.groups.values().next().unwrap().servers[0];
        assert_eq!((server.state, server.counters.requests, server.counters.failed()), (ServerState::Unknown, 7, 3));
        assert_eq!(Report::from_json(&report.to_json(), &anyone()).unwrap(), report);
    }

    #[test]
    fn zeros_are_left_out_and_read_as_zeros() {
        let text =
            json("up", "proxy-1").replace("\"requests\":7", "\"requests\":0").replace("\"connect\":2,\"novel\":1", "");
        let report = Report::from_json(text.as_bytes(), &anyone()).unwrap();
        let written = String::from_utf8(report.to_json()).unwrap();
        assert!(written.ends_with(r#""servers":[{"name":"a","address":"10.0.0.1:80","state":"up"}]}}}"#), "{written}");
        assert_eq!(Report::from_json(written.as_bytes(), &anyone()).unwrap(), report);
    }

    #[test]
    fn nonsense_is_refused() {
        let read = |text: &str| Report::from_json(text.as_bytes(), &anyone());
        assert!(read("{}").is_err());
        for instance in ["", "a b", r"a\u001b", &"x".repeat(limits::NAME + 1)] {
            assert!(read(&json("up", instance)).is_err(), "{instance}");
        }
        let report = json("up", "proxy-1");
        assert!(read(&report.replace("\"seq\":2", "\"seq\":0")).is_err());
        assert!(read(&report.replace("connect", &"x".repeat(limits::REASON + 1))).is_err());
        assert!(read(&" ".repeat(limits::REPORT + 1)).is_err());
    }

    #[test]
    fn nobody_reports_for_others() {
        let namespaces = |name: &str| Namespaces::Only([name.into()].into());
        let report = json("up", "proxy-1");
        let read = |grant| Report::from_json(report.as_bytes(), &grant);
        assert!(read(Grant { namespaces: namespaces("shop"), ..anyone() }).is_ok());
        let elsewhere = read(Grant { namespaces: namespaces("pay"), ..anyone() });
        assert_eq!(elsewhere, Err(Forbidden::Namespace("shop".into()).into()));
        let another = read(Grant { instance: Some("proxy-2".into()), ..anyone() });
        assert_eq!(another, Err(Forbidden::Instance("proxy-2".into()).into()));
    }

    #[test]
    fn sums_do_not_overflow() {
        let mut sum = Counters { requests: u64::MAX, failures: [("connect".into(), 1)].into(), ..Counters::default() };
        let other =
            Counters { requests: 1, failures: [("connect".into(), u64::MAX)].into(), responses: 3, ..sum.clone() };
        sum.add(&other);
        assert_eq!((sum.requests, sum.failed(), sum.responses), (u64::MAX, u64::MAX, 3));
    }
}
