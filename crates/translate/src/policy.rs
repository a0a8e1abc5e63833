//! Everything an `UpstreamGroup` says besides its servers: method, retries, times, sticky sessions, headers.
//!
//! The CRD's schema and rules have judged most of it already. What only this side can judge is judged here: variables. Every
//! conversion that could fail is nevertheless checked, because an object may come from a cluster whose CRD is older or newer.

use std::fmt;

use api::UpstreamGroup;
use config::{
    CookieLifetime, Diagnostic, Group, Keepalive, Method, Millis, NextUpstream, Phase, Protocol, RequestHeaders,
    SameSite, SetHeader, Severity, Sticky, StickyCookie, StickyLearn, StickyRoute, Template, Timeouts, parse_duration,
    parse_size,
};

use crate::codes;
use crate::report::Reading;

type Reader<'r> = Reading<'r, UpstreamGroup>;

/// The group without its servers and what is spoken to them; `None` when the object is refused.
pub fn read(reading: &mut Reader<'_>) -> Option<Group> {
    let spec = &reading.located.spec;
    let method = method(reading, &spec.method);
    let keepalive = keepalive(reading, &spec.keepalive);
    let next_upstream = next_upstream(reading, &spec.next_upstream);
    let timeouts = timeouts(reading, &spec.timeouts);
    let replay = &spec.request_buffering.max_bytes;
    let replay_max_bytes = reading.value("spec.requestBuffering.maxBytes", parse_size(replay.as_str()));
    let sticky = spec.sticky.as_ref().map(|spec| sticky(reading, spec));
    let request_headers = request_headers(reading, &spec.request_headers);
    Some(Group {
        method: method?,
        servers: Vec::new(),
        keepalive: keepalive?,
        next_upstream: next_upstream?,
        timeouts: timeouts?,
        replay_max_bytes: replay_max_bytes?,
        sticky: match sticky {
            Some(sticky) => Some(sticky?),
            None => None,
        },
        protocol: Protocol::Http1,
        request_headers: request_headers?,
    })
}

/// A duration of a field.
pub fn millis(reading: &mut Reader<'_>, field: &str, text: &str) -> Option<Millis> {
    reading.value(field, parse_duration(text))
}

/// A count that the API holds as a signed number.
pub fn count(reading: &mut Reader<'_>, field: &str, number: i32, least: u32) -> Option<u32> {
    let counted = u32::try_from(number).ok().filter(|number| *number >= least);
    reading.value(field, counted.ok_or_else(|| format!("{number} is less than {least}")))
}

fn template(reading: &mut Reader<'_>, field: &str, text: &str, phase: Phase) -> Option<Template> {
    let parsed = Template::parse(text, phase);
    parsed.map_err(|error| reading.error(codes::TEMPLATE, field, error.to_string(), "")).ok()
}

fn templates(reading: &mut Reader<'_>, field: &str, texts: &[String], phase: Phase) -> Option<Vec<Template>> {
    let parsed: Vec<_> = (texts.iter().enumerate())
        .map(|(index, text)| template(reading, &format!("{field}[{index}]"), text, phase))
        .collect();
    parsed.into_iter().collect()
}

fn method(reading: &mut Reader<'_>, method: &api::Method) -> Option<Method> {
    let missing = |member: &str| format!("{member} is not set, but the method needs it");
    Some(match method.r#type {
        api::MethodType::RoundRobin => Method::RoundRobin,
        api::MethodType::LeastConn => Method::LeastConn,
        api::MethodType::IPHash => Method::IpHash,
        api::MethodType::Hash => {
            let hash = reading.value("spec.method", method.hash.as_ref().ok_or_else(|| missing("hash")))?;
            let key = template(reading, "spec.method.hash.key", &hash.key, Phase::Request)?;
            Method::Hash { key, consistent: hash.consistent }
        }
        api::MethodType::Random => match method.random.clone().unwrap_or_default().choices {
            api::RandomChoices::One => Method::Random,
            api::RandomChoices::Two => Method::RandomTwo,
        },
        api::MethodType::LeastTime => {
            let least = method.least_time.as_ref().ok_or_else(|| missing("leastTime"));
            let least = reading.value("spec.method", least)?;
            let measure = match least.measure {
                api::Measure::Header => config::LeastTimeMeasure::Header,
                api::Measure::LastByte => config::LeastTimeMeasure::LastByte,
            };
            Method::LeastTime { measure, inflight: least.inflight }
        }
    })
}

fn keepalive(reading: &mut Reader<'_>, keepalive: &api::Keepalive) -> Option<Keepalive> {
    let connections = count(reading, "spec.keepalive.connections", keepalive.connections, 0);
    let requests = count(reading, "spec.keepalive.requests", keepalive.requests, 1);
    let time = millis(reading, "spec.keepalive.time", keepalive.time.as_str());
    let timeout = millis(reading, "spec.keepalive.timeout", keepalive.timeout.as_str());
    Some(Keepalive { connections: connections?, requests: requests?, time: time?, timeout: timeout? })
}

fn next_upstream(reading: &mut Reader<'_>, next: &api::NextUpstream) -> Option<NextUpstream> {
    // `off` precedes whatever stands beside it (ngx_http_proxy_module.c, ngx_http_proxy_merge_loc_conf).
    let conditions: Option<Vec<_>> = next.conditions.iter().map(|condition| self::condition(*condition)).collect();
    let mut conditions = conditions.unwrap_or_default();
    conditions.sort_by_key(|condition| *condition as u8);
    conditions.dedup();
    let tries = count(reading, "spec.nextUpstream.tries", next.tries, 0);
    let timeout = millis(reading, "spec.nextUpstream.timeout", next.timeout.as_str());
    Some(NextUpstream { conditions, non_idempotent: next.non_idempotent, tries: tries?, timeout: timeout? })
}

/// `None` is `off`.
fn condition(condition: api::NextUpstreamCondition) -> Option<config::Condition> {
    use api::NextUpstreamCondition as Api;
    use config::Condition;
    match condition {
        Api::Error => Some(Condition::Error),
        Api::Timeout => Some(Condition::Timeout),
        Api::InvalidHeader => Some(Condition::InvalidHeader),
        Api::Http500 => Some(Condition::Http500),
        Api::Http502 => Some(Condition::Http502),
        Api::Http503 => Some(Condition::Http503),
        Api::Http504 => Some(Condition::Http504),
        Api::Http403 => Some(Condition::Http403),
        Api::Http404 => Some(Condition::Http404),
        Api::Http429 => Some(Condition::Http429),
        Api::Off => None,
    }
}

fn timeouts(reading: &mut Reader<'_>, timeouts: &api::Timeouts) -> Option<Timeouts> {
    let connect = millis(reading, "spec.timeouts.connect", timeouts.connect.as_str());
    let send = millis(reading, "spec.timeouts.send", timeouts.send.as_str());
    let read = millis(reading, "spec.timeouts.read", timeouts.read.as_str());
    let tunnel = match &timeouts.tunnel {
        Some(tunnel) => millis(reading, "spec.timeouts.tunnel", tunnel.as_str()),
        None => read,
    };
    Some(Timeouts { connect: connect?, send: send?, read: read?, tunnel: tunnel? })
}

fn sticky(reading: &mut Reader<'_>, sticky: &api::Sticky) -> Option<Sticky> {
    match (&sticky.cookie, &sticky.route, &sticky.learn) {
        (Some(cookie), None, None) => sticky_cookie(reading, cookie).map(Sticky::Cookie),
        (None, Some(route), None) => {
            let keys = templates(reading, "spec.sticky.route.keys", &route.keys, Phase::Request);
            keys.map(|keys| Sticky::Route(StickyRoute { keys }))
        }
        (None, None, Some(learn)) => sticky_learn(reading, learn).map(Sticky::Learn),
        _ => reading.value("spec.sticky", Err("exactly one of cookie, route or learn must be set")),
    }
}

fn sticky_cookie(reading: &mut Reader<'_>, cookie: &api::StickyCookie) -> Option<StickyCookie> {
    let expires = cookie.expires.as_ref().map(|text| match text.as_str() {
        "max" => Some(CookieLifetime::Max),
        text => millis(reading, "spec.sticky.cookie.expires", text).map(CookieLifetime::After),
    });
    Some(StickyCookie {
        name: cookie.name.as_str().into(),
        expires: match expires {
            Some(expires) => Some(expires?),
            None => None,
        },
        domain: cookie.domain.as_deref().map(Into::into),
        path: cookie.path.as_deref().map(Into::into),
        http_only: cookie.http_only,
        secure: cookie.secure,
        same_site: cookie.same_site.map(|same_site| match same_site {
            api::SameSite::Strict => SameSite::Strict,
            api::SameSite::Lax => SameSite::Lax,
            api::SameSite::None => SameSite::None,
        }),
    })
}

fn sticky_learn(reading: &mut Reader<'_>, learn: &api::StickyLearn) -> Option<StickyLearn> {
    // nginx evaluates `create` on a response, where a request's variables still have their values.
    let create = templates(reading, "spec.sticky.learn.create", &learn.create, Phase::Response);
    let lookup = templates(reading, "spec.sticky.learn.lookup", &learn.lookup, Phase::Request);
    let timeout = millis(reading, "spec.sticky.learn.timeout", learn.timeout.as_str());
    let max_sessions = count(reading, "spec.sticky.learn.maxSessions", learn.max_sessions, 1);
    let (create, lookup, timeout, max_sessions) = (create?, lookup?, timeout?, max_sessions?);
    Some(StickyLearn { create, lookup, timeout, on_header: learn.on_header, max_sessions })
}

fn request_headers(reading: &mut Reader<'_>, headers: &api::RequestHeaders) -> Option<RequestHeaders> {
    let set: Vec<_> = (headers.set.iter().enumerate())
        .map(|(index, header)| {
            let field = format!("spec.requestHeaders.set[{index}].name");
            if ["content-length", "transfer-encoding"].iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
                let message = format!("{} is not set: it follows from the body", header.name);
                let said = Diagnostic::new(codes::HEADER_NOT_SET, Severity::Warning, message).field(field.as_str());
                reading.say(said.hint("remove it"));
            }
            let name = header_name(reading, field, &header.name);
            let field = format!("spec.requestHeaders.set[{index}].value");
            let value = template(reading, &field, &header.value, Phase::Request);
            Some(SetHeader { name: name?, value: value? })
        })
        .collect();
    let remove: Vec<_> = (headers.remove.iter().enumerate())
        .map(|(index, name)| header_name(reading, format!("spec.requestHeaders.remove[{index}]"), name))
        .collect();
    Some(RequestHeaders {
        set: set.into_iter().collect::<Option<_>>()?,
        remove: remove.into_iter().collect::<Option<_>>()?,
    })
}

fn header_name<N: std::str::FromStr<Err: fmt::Display>>(
    reading: &mut Reader<'_>,
    field: String,
    name: &str,
) -> Option<N> {
    reading.value(field, name.parse().map_err(|error| format!("\"{name}\": {error}")))
}
