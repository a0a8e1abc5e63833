//! What happens to the servers: when they fail, how, and how long they take.

use std::str::FromStr;

use balance::retry::Failure;
use config::{Group, parse_duration};

use super::ExplainError;

/// `--fail SERVER[@FROM..TO][=HOW]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailRule {
    server: String,
    /// Milliseconds since the start; the end is excluded.
    from: u64,
    to: u64,
    how: Response,
}

/// `--duration [SERVER=]TIME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaceRule {
    server: Option<String>,
    millis: u64,
}

/// What an attempt comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// A complete response header with this status.
    Status(u16),
    /// None.
    Failure(Failure),
}

/// Why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("write SERVER@FROM..TO, for example two@0s..20s, or two@5s.. for ever; add =timeout or =503 for how")]
    Shape,
    #[error("\"{0}\" is not a way to fail; write error, timeout, invalid_header or a status from 400 to 599")]
    How(String),
    #[error("the end is not after the beginning")]
    Backwards,
    #[error(transparent)]
    Duration(#[from] config::DurationError),
}

/// The rules, by server.
#[derive(Clone, Debug)]
pub struct Script {
    servers: Vec<Part>,
}

#[derive(Clone, Debug, Default)]
struct Part {
    fails: Vec<FailRule>,
    millis: u64,
}

impl Script {
    /// Gives every server its part; a rule for a server that the group has not is an error.
    pub fn new(group: &Group, fails: &[FailRule], paces: &[PaceRule]) -> Result<Self, ExplainError> {
        let mut servers = vec![Part::default(); group.servers.len()];
        // What is said of everybody first, so that what is said of one prevails.
        for pace in paces.iter().filter(|pace| pace.server.is_none()) {
            for part in &mut servers {
                part.millis = pace.millis;
            }
        }
        for (name, pace) in paces.iter().filter_map(|pace| Some((pace.server.as_deref()?, pace))) {
            for position in named(group, name)? {
                servers[position].millis = pace.millis;
            }
        }
        for fail in fails {
            for position in named(group, &fail.server)? {
                servers[position].fails.push(fail.clone());
            }
        }
        Ok(Self { servers })
    }

    /// What the server at `position` answers at `millis`; of several rules the last one holds.
    pub fn response(&self, position: usize, millis: u64) -> Response {
        let rules = self.servers.get(position).map(|part| part.fails.as_slice()).unwrap_or_default();
        let rule = rules.iter().rev().find(|rule| (rule.from..rule.to).contains(&millis));
        rule.map_or(Response::Status(200), |rule| rule.how)
    }

    /// How long the server at `position` takes for a response.
    pub fn millis(&self, position: usize) -> u64 {
        self.servers.get(position).map_or(0, |part| part.millis)
    }
}

/// The positions of a line, by its name, or of a server, by its address.
fn named(group: &Group, name: &str) -> Result<Vec<usize>, ExplainError> {
    let is_named = |server: &config::Server| *server.name == *name || server.address.to_string() == name;
    let found: Vec<_> = (0..group.servers.len()).filter(|position| is_named(&group.servers[*position])).collect();
    if found.is_empty() {
        let mut has: Vec<_> = group.servers.iter().map(|server| &*server.name).collect();
        has.dedup();
        return Err(ExplainError::NoServer { name: name.to_owned(), has: has.join(", ") });
    }
    Ok(found)
}

impl FromStr for FailRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (text, how) = match text.rsplit_once('=') {
            Some((text, how)) => (text, parse_how(how)?),
            None => (text, Response::Failure(Failure::Error)),
        };
        let (server, range) = text.split_once('@').unwrap_or((text, "0s.."));
        let (from, to) = range.split_once("..").ok_or(RuleError::Shape)?;
        if server.is_empty() {
            return Err(RuleError::Shape);
        }
        let bound = |text: &str, absent| if text.is_empty() { Ok(absent) } else { parse_duration(text).map(|d| d.0) };
        let (from, to) = (bound(from, 0)?, bound(to, u64::MAX)?);
        if from >= to {
            return Err(RuleError::Backwards);
        }
        Ok(Self { server: server.to_owned(), from, to, how })
    }
}

fn parse_how(text: &str) -> Result<Response, RuleError> {
    match text {
        "error" => Ok(Response::Failure(Failure::Error)),
        "timeout" => Ok(Response::Failure(Failure::Timeout)),
        "invalid_header" => Ok(Response::Failure(Failure::InvalidHeader)),
        status => match status.parse() {
            Ok(status @ 400..=599) => Ok(Response::Status(status)),
            _ => Err(RuleError::How(text.to_owned())),
        },
    }
}

impl FromStr for PaceRule {
    type Err = config::DurationError;

    fn from_str(text: &str) -> Result<Self, config::DurationError> {
        let (server, time) = match text.rsplit_once('=') {
            Some((server, time)) => (Some(server.to_owned()), time),
            None => (None, text),
        };
        Ok(Self { server, millis: parse_duration(time)?.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rule = |text: &str| text.parse::<FailRule>();
        let error = Response::Failure(Failure::Error);
        assert_eq!(rule("a@0s..20s"), Ok(FailRule { server: "a".into(), from: 0, to: 20_000, how: error }));
        assert_eq!(rule("a"), Ok(FailRule { server: "a".into(), from: 0, to: u64::MAX, how: error }));
        assert_eq!(
            rule("[::1]:80@500ms..=503"),
            Ok(FailRule { server: "[::1]:80".into(), from: 500, to: u64::MAX, how: Response::Status(503) })
        );
        assert_eq!(rule("a@..5s=timeout").unwrap().how, Response::Failure(Failure::Timeout));
        for wrong in ["@1s..2s", "a@1s", "a@2s..1s", "a@1s..2s=sometimes", "a@1..2", "a=200"] {
            assert!(rule(wrong).is_err(), "{wrong}");
        }
    }
}
