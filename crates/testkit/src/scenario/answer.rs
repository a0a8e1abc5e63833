//! What an implementation answered, and how two answers are compared.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::Scenario;
use crate::Address;

/// What became of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The servers tried, `s0`, `s1`...; `@` where no peer was live. nginx's `$upstream_addr`.
    pub tried: Vec<String>,
    /// nginx's `$upstream_status`, one per attempt.
    pub upstream_status: Vec<String>,
    /// The status the client got.
    pub status: u16,
    /// The cookie set, if any.
    pub cookie: Option<String>,
}

/// The first step at which two answers differ.
#[derive(Debug)]
pub struct Divergence {
    /// The step.
    pub step: usize,
    /// What each implementation answered up to there.
    pub report: String,
}

/// Reads an access log written in [`LOG_FORMAT`](super::LOG_FORMAT): for every request of `scenario`, by step, what was
/// tried. Cookies are not in the log.
pub fn parse_log(log: &str, scenario: &Scenario, addresses: &[Address]) -> BTreeMap<usize, Answer> {
    let name = |address: &str| match addresses.iter().position(|known| known.to_string() == address) {
        Some(n) => format!("s{n}"),
        None if address.ends_with(&scenario.name()) => "@".to_owned(),
        None => format!("?{address}"),
    };
    let list = |field: &str| field.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let mut answers = BTreeMap::new();
    for line in log.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let [id, tried, upstream_status, status] = fields[..] else { continue };
        let Some((seed, step)) = id.split_once('-') else { continue };
        let (Ok(seed), Ok(step)) = (seed.parse::<u64>(), step.parse()) else { continue };
        if seed == scenario.seed {
            let tried = list(tried).iter().map(|address| name(address)).collect();
            let status = status.parse().unwrap_or(0);
            answers.insert(step, Answer { tried, upstream_status: list(upstream_status), status, cookie: None });
        }
    }
    answers
}

/// Compares `actual` with `expected` at every step that both have.
pub fn compare(
    scenario: &Scenario,
    expected: (&str, &BTreeMap<usize, Answer>),
    actual: (&str, &BTreeMap<usize, Answer>),
) -> Result<(), Divergence> {
    let pairs = expected.1.iter().filter_map(|(step, answer)| Some((*step, answer, actual.1.get(step)?)));
    let Some((step, ..)) = pairs.clone().find(|(_, expected, actual)| expected != actual) else { return Ok(()) };
    let mut report = format!("{scenario}\n  step: {:44} | {}\n", expected.0, actual.0);
    for (n, left, right) in pairs.take_while(|(n, ..)| *n <= step) {
        let mark = if n == step { " <--" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(report, "  {n:4}: {:44} | {right}{mark}", left.to_string());
    }
    Err(Divergence { step, report })
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}] {}", self.tried.join(" "), self.upstream_status.join(" "), self.status)?;
        match &self.cookie {
            Some(cookie) => write!(f, " {cookie}"),
            None => Ok(()),
        }
    }
}
