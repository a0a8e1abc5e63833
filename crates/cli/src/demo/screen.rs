//! The terminal: a picture redrawn in place where there is one, plain lines where there is not.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use balance::Tier;

use super::picture::{Picture, Row, State};
use super::traffic::Tally;
use crate::stdout::{self, Reader};

/// Events kept in sight.
const MEMORY: usize = 8;
const BAR: usize = 30;

/// Where the demo is shown.
pub struct Screen {
    live: bool,
    head: String,
    events: VecDeque<String>,
    last_line: Option<u64>,
    reader: Reader,
}

impl Screen {
    /// `live` redraws in place; else plain lines are printed.
    pub fn new(live: bool, address: SocketAddr, path: &Path) -> Self {
        let head = format!(
            "forebay demo   try:   curl http://{address}/\n               edit:  {}   (picked up at once)\n",
            path.display()
        );
        let mut screen = Self { live, head, events: VecDeque::new(), last_line: None, reader: Reader::Listens };
        if live {
            // The alternate screen, cursor hidden: the shell's own lines come back at the end.
            screen.print("\x1b[?1049h\x1b[?25l");
        } else {
            screen.print(&screen.head.clone());
        }
        screen
    }

    /// Tells what happened.
    pub fn say(&mut self, at: Duration, event: &str) {
        let line = format!("{:5.1}s  {event}", at.as_secs_f64());
        if self.live {
            self.events.push_back(line);
            if self.events.len() > MEMORY {
                self.events.pop_front();
            }
        } else {
            self.print(&format!("{line}\n"));
        }
    }

    /// Shows the group: redrawn when live, else once a second.
    pub fn show(&mut self, at: Duration, picture: &Picture, tally: &Tally) {
        if self.live {
            let frame = self.frame(picture, tally);
            self.print(&format!("\x1b[H\x1b[2J{frame}"));
        } else if self.last_line != Some(at.as_secs()) {
            self.last_line = Some(at.as_secs());
            let rows = picture.rows.iter().map(|row| format!("{} {} {}", row.name, row.picks, word(row)));
            self.print(&format!("{:5.1}s  {}\n", at.as_secs_f64(), rows.collect::<Vec<_>>().join("   ")));
        }
    }

    /// Gives the terminal back.
    pub fn close(&mut self) {
        if self.live {
            self.print("\x1b[?25h\x1b[?1049l");
        }
    }

    /// Whether nobody watches any more: there is no one to play for.
    pub fn is_left(&self) -> bool {
        self.reader == Reader::Left
    }

    fn print(&mut self, text: &str) {
        // Whatever else keeps it from being shown (a full disk) is no reason to stop: the loop ends by signal or time.
        self.reader = stdout::print(text).unwrap_or(Reader::Listens);
    }

    fn frame(&self, picture: &Picture, tally: &Tally) -> String {
        let mut text = format!("{}\n", self.head);
        let _ = writeln!(
            text,
            "  {:<10} {:<20} {:<8} {:>6} {:>6} {:>6} {:>8}  state",
            "server", "address", "tier", "weight", "picks", "fails", "ejected"
        );
        let most = picture.rows.iter().map(|row| row.picks).max().unwrap_or(0).max(1);
        for row in &picture.rows {
            let bar = "█".repeat(usize::try_from(row.picks * BAR as u64 / most).unwrap_or(0));
            let tier = match row.tier {
                Tier::Primary => "primary",
                Tier::Backup => "backup",
            };
            let _ = writeln!(
                text,
                "  {:<10} {:<20} {tier:<8} {:>6} {:>6} {:>6} {:>8}  {:<16} {bar}",
                row.name,
                row.address,
                row.weight,
                row.picks,
                row.failures,
                row.ejections,
                word(row)
            );
        }
        let answered: u64 = tally.served.values().sum();
        let _ = writeln!(text, "\n  {answered} requests answered, {} lost\n", tally.lost);
        for event in &self.events {
            let _ = writeln!(text, "  {event}");
        }
        text
    }
}

fn word(row: &Row) -> String {
    match row.state {
        State::Up => "up".to_owned(),
        State::Ejected(secs) => format!("out, {secs} s left"),
        State::Out => "out".to_owned(),
    }
}
