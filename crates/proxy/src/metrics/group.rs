//! The series of one group and its servers.

use balance::Tier;
use balance::retry::Condition;

use super::MAX_SERVERS;
use super::families as family;
use super::sheet::{Label, Sheet, float};
use crate::clock::Moment;
use crate::picture::{GroupPicture, ServerPicture, State, method_name, tier_name};
use crate::record::FailureReason;
use crate::snapshot::GroupView;
use crate::stats::{CodeClass, Counter, ServerStats};

/// How one server stands, or several together.
#[derive(Default)]
struct Standing {
    ejected: u64,
    weight: u64,
    effective_weight: u64,
    active: u64,
}

pub(super) fn collect(sheet: &mut Sheet, view: &GroupView, now: Moment) {
    let picture = GroupPicture::take(view, now);
    let group = [("namespace", view.id.namespace()), ("group", view.id.name())];
    collect_group(sheet, &picture, &group);

    let (shown, others) = picture.servers.split_at(picture.servers.len().min(MAX_SERVERS));
    for server in shown {
        let address = server.address();
        let pod = server.pod.map_or("", |pod| &pod.name);
        let zone = server.pod.and_then(|pod| pod.zone.as_deref()).unwrap_or_default();
        let own = [("server", &*server.view.name), ("address", &address), ("pod", pod), ("zone", zone)];
        let tier = [("tier", tier_name(Some(server.peer.tier)))];
        sheet.gauge(&family::SERVER_INFO, &[&group, &own, &tier], 1.0);
        collect_counters(sheet, &server.view.stats, &[&group, &own]);
        Standing::of(std::slice::from_ref(server)).collect(sheet, &[&group, &own]);
    }
    // Whoever they are changes with the configuration: a sum of their counters would fall and jump.
    if !others.is_empty() {
        Standing::of(others).collect(sheet, &[&group, &[("server", "other")]]);
    }
}

fn collect_group(sheet: &mut Sheet, picture: &GroupPicture<'_>, group: &[Label<'_>]) {
    let stats = &picture.view.cell.stats;
    sheet.gauge(&family::GROUP_INFO, &[group, &[("method", method_name(&picture.view.config.method))]], 1.0);
    for class in CodeClass::ALL {
        let count = stats.requests[class.index()].value();
        sheet.counter(&family::GROUP_REQUESTS, &[group, &[("code_class", class.label())]], count);
    }
    sheet.histogram(&family::GROUP_DURATION, &[group], &stats.duration);
    for condition in Condition::ALL {
        let count = stats.retries[condition.index()].value();
        sheet.counter(&family::GROUP_RETRIES, &[group, &[("reason", condition.name())]], count);
    }
    sheet.counter(&family::GROUP_NO_LIVE, &[group], stats.no_live.value());
    let active = picture.active_tier();
    for tier in [Some(Tier::Primary), Some(Tier::Backup), None] {
        let value = f64::from(u8::from(tier == active));
        sheet.gauge(&family::GROUP_ACTIVE_TIER, &[group, &[("tier", tier_name(tier))]], value);
    }
    for state in State::NAMES {
        let count = picture.servers.iter().filter(|server| server.state.name() == state).count();
        sheet.gauge(&family::GROUP_SERVERS, &[group, &[("state", state)]], float(count as u64));
    }
}

fn collect_counters(sheet: &mut Sheet, stats: &ServerStats, labels: &[&[Label<'_>]; 2]) {
    let [group, own] = *labels;
    for (class, count) in CodeClass::ALL.iter().zip(&stats.requests) {
        sheet.counter(&family::SERVER_REQUESTS, &[group, own, &[("code_class", class.label())]], count.value());
    }
    // Most servers are not spoken to over TLS, and have no series of it.
    let is_shown = |(reason, count): &(&FailureReason, &Counter)| **reason != FailureReason::Tls || count.value() > 0;
    for (reason, count) in FailureReason::ALL.iter().zip(&stats.failures).filter(is_shown) {
        sheet.counter(&family::SERVER_FAILURES, &[group, own, &[("kind", reason.name())]], count.value());
    }
    sheet.counter(&family::SERVER_EJECTIONS, labels, stats.ejections.value());
    sheet.summary(&family::SERVER_RESPONSE, labels, stats.response_micros.value(), stats.responses.value());
}

impl Standing {
    fn of(servers: &[ServerPicture<'_>]) -> Self {
        let positive = |weight: i64| u64::try_from(weight).unwrap_or(0);
        let mut all = Self::default();
        for server in servers {
            all.ejected += u64::from(matches!(server.state, State::Ejected { .. }));
            all.weight += positive(server.peer.weight);
            all.effective_weight += positive(server.peer.effective_weight);
            all.active += u64::from(server.peer.conns);
        }
        all
    }

    fn collect(&self, sheet: &mut Sheet, labels: &[&[Label<'_>]; 2]) {
        for (family, value) in [
            (&family::SERVER_EJECTED, self.ejected),
            (&family::SERVER_WEIGHT, self.weight),
            (&family::SERVER_EFFECTIVE_WEIGHT, self.effective_weight),
            (&family::SERVER_ACTIVE_REQUESTS, self.active),
        ] {
            sheet.gauge(family, labels, float(value));
        }
    }
}
