//! The trickle of requests, and what became of them: the demo says at its end whether what it showed was right.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use anyhow::bail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::picture::Event;
use super::script::Step;

/// One answer, as its client saw it.
pub struct Reply {
    status: u16,
    served_by: Option<String>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests answered with 200, by who answered.
    pub served: BTreeMap<String, u64>,
    /// Requests answered otherwise, or not at all.
    pub lost: u64,
    /// The files were changed meanwhile: the story may be another one.
    pub edited: bool,
    failed: bool,
    all_failed: bool,
    recovered: bool,
    ejections: u64,
    backup_stepped_in: bool,
    returned: bool,
}

/// Sends one request.
pub async fn request(address: SocketAddr) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: demo.example\r\nConnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("x-served-by").then(|| value.trim().to_owned())
    };
    Ok(Reply { status, served_by: text.lines().find_map(header) })
}

impl Tally {
    /// Counts an answer.
    pub fn count(&mut self, reply: io::Result<Reply>) {
        match reply {
            Ok(Reply { status: 200, served_by: Some(name) }) => *self.served.entry(name).or_default() += 1,
            Ok(_) | Err(_) => self.lost += 1,
        }
    }

    /// Notes that the story came to this step.
    pub fn reached(&mut self, step: &Step) {
        match step {
            Step::Healthy => {}
            Step::Fail(_) if !self.failed => self.failed = true,
            Step::Fail(_) => self.all_failed = true,
            Step::Recover => self.recovered = true,
        }
    }

    /// Notes what the data plane did.
    pub fn saw(&mut self, event: &Event) {
        match event {
            Event::Ejected { .. } => self.ejections += 1,
            Event::BackupSteppedIn => self.backup_stepped_in = true,
            Event::PrimariesReturned => self.returned = true,
            Event::Recovered { .. } => {}
        }
    }

    /// Whether what was shown was right, as far as the story came.
    pub fn verdict(&self, ended_by_itself: bool) -> anyhow::Result<()> {
        let answered: u64 = self.served.values().sum();
        println!("{answered} requests answered, {} lost", self.lost);
        if !ended_by_itself || self.edited {
            return Ok(());
        }
        let mut wrong = Vec::new();
        let mut check = |right: bool, what: &str| {
            println!("  {} {what}", if right { "ok " } else { "NOT" });
            if !right {
                wrong.push(what.to_owned());
            }
        };
        check(answered > 0 && self.lost == 0, "no client noticed a failure: every request was answered with 200");
        if self.failed {
            check(self.ejections > 0, "a server that failed was put out for its failTimeout");
        }
        if self.recovered && self.all_failed {
            check(self.backup_stepped_in, "the backup stepped in when no primary was left");
            check(self.returned, "the primaries took over again after they recovered");
        }
        if wrong.is_empty() { Ok(()) } else { bail!("not as it should be: {}", wrong.join("; ")) }
    }
}
