//! The trickle of requests, and what became of them: the demo says at its end whether what it showed was right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use anyhow::bail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::picture::Event;
use super::script::Step;
use crate::stdout;

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
    marks: BTreeSet<Mark>,
}

/// Something that came to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// The files were changed: the story may be another one.
    Edited,
    OneFails,
    AllFail,
    AllRecover,
    Ejected,
    BackupSteppedIn,
    PrimariesReturned,
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

    /// Notes that the files were changed.
    pub fn edited(&mut self) {
        self.marks.insert(Mark::Edited);
    }

    /// Notes that the story came to this step.
    pub fn reached(&mut self, step: &Step) {
        match step {
            Step::Healthy => false,
            Step::Fail(_) if !self.came_to(Mark::OneFails) => self.marks.insert(Mark::OneFails),
            Step::Fail(_) => self.marks.insert(Mark::AllFail),
            Step::Recover => self.marks.insert(Mark::AllRecover),
        };
    }

    /// Notes what the data plane did.
    pub fn saw(&mut self, event: &Event) {
        match event {
            Event::Ejected { .. } => self.marks.insert(Mark::Ejected),
            Event::BackupSteppedIn => self.marks.insert(Mark::BackupSteppedIn),
            Event::PrimariesReturned => self.marks.insert(Mark::PrimariesReturned),
            Event::Recovered { .. } => false,
        };
    }

    fn came_to(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }

    /// Whether what was shown was right, as far as the story came.
    pub fn verdict(&self, ended_by_itself: bool) -> anyhow::Result<()> {
        let answered: u64 = self.served.values().sum();
        let mut told = format!("{answered} requests answered, {} lost\n", self.lost);
        if !ended_by_itself || self.came_to(Mark::Edited) {
            stdout::print(&told)?;
            return Ok(());
        }
        let mut wrong = Vec::new();
        let mut check = |right: bool, what: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(told, "  {} {what}", if right { "ok " } else { "NOT" });
            if !right {
                wrong.push(what.to_owned());
            }
        };
        check(answered > 0 && self.lost == 0, "no client noticed a failure: every request was answered with 200");
        if self.came_to(Mark::OneFails) {
            check(self.came_to(Mark::Ejected), "a server that failed was put out for its failTimeout");
        }
        if self.came_to(Mark::AllFail) && self.came_to(Mark::AllRecover) {
            check(self.came_to(Mark::BackupSteppedIn), "the backup stepped in when no primary was left");
            check(self.came_to(Mark::PrimariesReturned), "the primaries took over again after they recovered");
        }
        stdout::print(&told)?;
        if wrong.is_empty() { Ok(()) } else { bail!("not as it should be: {}", wrong.join("; ")) }
    }
}
