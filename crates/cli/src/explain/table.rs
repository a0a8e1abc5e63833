//! The trace as a page an operator reads: the servers, a line per attempt, the shares.

use std::fmt::Write as _;

use balance::{Availability, Tier};
use config::{LeastTimeMeasure, Method};

use super::trace::{Attempt, Outcome, Request, Share, Trace};

/// Weights are shown for groups up to this size; beyond it a line would be all weights.
const WEIGHTS_SHOWN: usize = 6;
/// Of those who could not be picked, so many are named.
const PASSED_OVER_SHOWN: usize = 6;
/// The longest bar of a share.
const BAR: usize = 40;

/// Whether escape sequences are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    Plain,
    Coloured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Strong,
    Good,
    Bad,
    Faint,
}

/// The method in nginx's words.
pub fn method(method: &Method) -> String {
    match method {
        Method::RoundRobin => "round robin".to_owned(),
        Method::LeastConn => "least_conn".to_owned(),
        Method::IpHash => "ip_hash".to_owned(),
        Method::Hash { key, consistent } => format!("hash {key}{}", if *consistent { " consistent" } else { "" }),
        Method::Random => "random".to_owned(),
        Method::RandomTwo => "random two least_conn".to_owned(),
        Method::LeastTime { measure, inflight } => {
            let measure = match measure {
                LeastTimeMeasure::Header => "header",
                LeastTimeMeasure::LastByte => "last_byte",
            };
            format!("least_time {measure}{}", if *inflight { " inflight" } else { "" })
        }
    }
}

/// The whole page, ending with a newline.
pub fn render(trace: &Trace, ink: Ink) -> String {
    let mut page = Page { ink, text: String::new() };
    page.servers(trace);
    page.requests(trace);
    page.shares(trace);
    page.text
}

struct Page {
    ink: Ink,
    text: String,
}

/// A cell: its text and how it is written.
type Cell = (String, Tone);

impl Page {
    fn servers(&mut self, trace: &Trace) {
        let title = format!("{}: {}, {} server(s)", trace.group, trace.method, trace.servers.len());
        self.line(&[(title, Tone::Strong)]);
        self.text.push('\n');
        let mut rows = vec![heading(&["SERVER", "ADDRESS", "WEIGHT", ""])];
        for server in &trace.servers {
            let tier = match server.tier {
                Tier::Primary => "",
                Tier::Backup => "backup ",
            };
            let availability = match server.availability {
                Availability::Up => "",
                Availability::Down => "down",
                Availability::Drain => "drain",
            };
            let remark = format!("{tier}{availability}");
            rows.push(
                [plain(&server.name), plain(&server.address), plain(&server.weight), faint(remark.trim_end())].into(),
            );
        }
        self.table(&rows);
    }

    fn requests(&mut self, trace: &Trace) {
        let with_weights = trace.servers.len() <= WEIGHTS_SHOWN && uses_weights(trace);
        let several_clients = trace.requests.iter().any(|request| request.client != trace.requests[0].client);
        let mut head = vec!["#", "TIME"];
        if several_clients {
            head.push("CLIENT");
        }
        head.extend(["SERVER", "RESULT"]);
        if with_weights {
            head.push("CURRENT WEIGHTS");
        }
        head.push("WHY");
        let mut rows = vec![heading(&head)];
        for request in &trace.requests {
            for (index, attempt) in request.attempts.iter().enumerate() {
                let mut row = if index == 0 {
                    vec![plain(&request.number), plain(&clock(attempt.choice.at))]
                } else {
                    vec![
                        plain(&""),
                        if attempt.choice.at == request.at { plain(&"") } else { plain(&clock(attempt.choice.at)) },
                    ]
                };
                if several_clients {
                    row.push(if index == 0 { plain(&request.client) } else { plain(&"") });
                }
                row.push(plain(&server_name(trace, attempt)));
                row.push(result(request, attempt));
                if with_weights {
                    row.push(faint(&weights(attempt)));
                }
                row.push(plain(&remarks(trace, attempt)));
                rows.push(row);
            }
        }
        self.text.push('\n');
        self.table(&rows);
    }

    fn shares(&mut self, trace: &Trace) {
        let total: u32 = trace.shares.iter().map(|share| share.answers).sum();
        let mut rows = vec![heading(&["SERVER", "ADDRESS", "ANSWERS", "SHARE", "FAILED", ""])];
        for (server, share) in trace.servers.iter().zip(&trace.shares) {
            let failed = (share.failures.to_string(), if share.failures > 0 { Tone::Bad } else { Tone::Plain });
            let bar = (bar(share, total), Tone::Good);
            let percent = format!("{:.1} %", f64::from(share.answers) * 100.0 / f64::from(total.max(1)));
            rows.push(
                [plain(&server.name), plain(&server.address), plain(&share.answers), plain(&percent), failed, bar]
                    .into(),
            );
        }
        self.text.push('\n');
        self.table(&rows);
        let refused = trace.requests.iter().filter(|request| request.status >= 500).count();
        if refused > 0 {
            let line = format!("{refused} of {} requests were answered with an error", trace.requests.len());
            self.text.push('\n');
            self.line(&[(line, Tone::Bad)]);
        }
    }

    /// Columns as wide as their widest cell.
    fn table(&mut self, rows: &[Vec<Cell>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|(text, _)| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in rows {
            let cells: Vec<Cell> =
                (row.iter().zip(&widths)).map(|((text, tone), width)| (format!("{text:width$}"), *tone)).collect();
            self.line(&cells);
        }
    }

    fn line(&mut self, cells: &[Cell]) {
        let mut line = String::new();
        for (index, (text, tone)) in cells.iter().enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            match (self.ink, code(*tone)) {
                (Ink::Coloured, Some(code)) if !text.trim().is_empty() => {
                    let _ = write!(line, "\x1b[{code}m{text}\x1b[0m");
                }
                _ => line.push_str(text),
            }
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

fn code(tone: Tone) -> Option<u8> {
    match tone {
        Tone::Plain => None,
        Tone::Strong => Some(1),
        Tone::Faint => Some(2),
        Tone::Bad => Some(31),
        Tone::Good => Some(32),
    }
}

fn plain(text: &impl ToString) -> Cell {
    (text.to_string(), Tone::Plain)
}

fn faint(text: &str) -> Cell {
    (text.to_owned(), Tone::Faint)
}

fn heading(names: &[&str]) -> Vec<Cell> {
    names.iter().map(|name| ((*name).to_owned(), Tone::Strong)).collect()
}

/// Whether the method turns by weights at all: the hash methods and `random` leave them alone.
fn uses_weights(trace: &Trace) -> bool {
    let attempts = trace.requests.iter().flat_map(|request| &request.attempts);
    attempts.flat_map(|attempt| &attempt.choice.weights).any(|weights| weights.before != 0 || weights.after != 0)
}

/// The name, with the address when several servers have that name.
fn server_name(trace: &Trace, attempt: &Attempt) -> String {
    let Some(server) = attempt.choice.server.and_then(|index| trace.servers.get(index)) else { return "-".to_owned() };
    label(trace, server)
}

fn label(trace: &Trace, server: &super::trace::Server) -> String {
    let namesakes = trace.servers.iter().filter(|other| other.name == server.name).count();
    if namesakes > 1 { format!("{} {}", server.name, server.address) } else { server.name.clone() }
}

fn result(request: &Request, attempt: &Attempt) -> Cell {
    match &attempt.outcome {
        Outcome::Answered(status) if *status < 500 => (status.to_string(), Tone::Good),
        Outcome::Answered(status) => (status.to_string(), Tone::Bad),
        Outcome::Retried(how) => (format!("{how}, next"), Tone::Bad),
        Outcome::GivenUp(how) => (format!("{how}: {}", request.status), Tone::Bad),
        Outcome::NoLiveUpstreams => (request.status.to_string(), Tone::Bad),
    }
}

/// `0 0 0 -> -2 1 1`: nginx's current weights, in the order of the servers.
fn weights(attempt: &Attempt) -> String {
    let join = |numbers: Vec<String>| numbers.join(" ");
    let before = join(attempt.choice.weights.iter().map(|weights| weights.before.to_string()).collect());
    let after = join(attempt.choice.weights.iter().map(|weights| weights.after.to_string()).collect());
    if before == after { before } else { format!("{before} -> {after}") }
}

fn remarks(trace: &Trace, attempt: &Attempt) -> String {
    let mut remarks = vec![attempt.choice.why.clone()];
    let (shown, more) = attempt.choice.passed_over.split_at(attempt.choice.passed_over.len().min(PASSED_OVER_SHOWN));
    for alike in shown.chunk_by(|a, b| a.reason == b.reason) {
        let names: Vec<_> = alike.iter().map(|over| label(trace, &trace.servers[over.server])).collect();
        remarks.push(format!("{}: {}", names.join(", "), alike[0].reason));
    }
    if !more.is_empty() {
        remarks.push(format!("and {} more passed over", more.len()));
    }
    if let Some(until) = attempt.out_until {
        remarks.push(format!("now out until {until}s"));
    }
    if attempt.recovered {
        remarks.push("back in service".to_owned());
    }
    remarks.join("; ")
}

/// Seconds since the start.
fn clock(millis: u64) -> String {
    match millis % 1000 {
        0 => format!("{}s", millis / 1000),
        part => format!("{}.{part:03}s", millis / 1000),
    }
}

fn bar(share: &Share, total: u32) -> String {
    let length = share.answers as usize * BAR / total.max(1) as usize;
    "#".repeat(length)
}
