//! The terminal: a picture redrawn in place where there is one, plain lines where there is not.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use balance::Tier;

use super::picture::{Picture, Row, State};
use super::tally::Tally;
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
        let _ = writeln!(text, "\n  {}", tally.sum());
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn row(name: &str, tier: Tier, picks: u64, state: State) -> Row {
        let (address, weight, failures, ejections, fails) = ("127.0.0.1:9001".to_owned(), 2, 3, 1, 1);
        Row { name: name.into(), address, tier, weight, picks, failures, ejections, fails, state }
    }

    #[test]
    fn a_frame_shows_servers_sums_and_the_last_events() {
        let head = "head\n".to_owned();
        let mut screen = Screen { live: true, head, events: VecDeque::new(), last_line: None, reader: Reader::Listens };
        for number in 1..=MEMORY + 1 {
            screen.say(Duration::from_millis(3040), &format!("event {number}"));
        }
        let one = row("one", Tier::Primary, 10, State::Ejected(4));
        let picture = Picture { rows: vec![one, row("spare", Tier::Backup, 5, State::Up)], serving: None };
        let mut tally = Tally::default();
        tally.request(Duration::ZERO, Some("one"), &picture, &[]);
        tally.request(Duration::ZERO, None, &picture, &[]);
        let frame = screen.frame(&picture, &tally);
        let columns = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = frame.lines().map(columns).filter(|line| !line.is_empty()).collect();
        let bars = ["█".repeat(BAR), "█".repeat(BAR / 2)];
        let expected = [
            "head".to_owned(),
            "server address tier weight picks fails ejected state".to_owned(),
            format!("one 127.0.0.1:9001 primary 2 10 3 1 out, 4 s left {}", bars[0]),
            format!("spare 127.0.0.1:9001 backup 2 5 3 1 up {}", bars[1]),
            "1 requests answered, 1 lost".to_owned(),
            "3.0s event 2".to_owned(),
        ];
        assert_eq!(lines[..expected.len()], expected);
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (5 + MEMORY, Some("3.0s event 9")));
    }
}
