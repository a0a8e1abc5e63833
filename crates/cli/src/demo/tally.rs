//! What became of the requests, and whether it was as the story says: the demo says so at its end. Pure: the caller says what
//! time it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use balance::Tier;

use super::picture::{Event, Picture};
use super::script::Step;

/// How many requests it may take to show what must happen: one in three is for the lightest server, so the first few do.
const CHANCES: u32 = 10;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests answered with 200, by who answered.
    pub served: BTreeMap<String, u64>,
    /// Requests answered otherwise, or not at all.
    pub lost: u64,
    put_out: Claim,
    stepped_in: Claim,
    returned: Claim,
}

/// Something that must come to pass, each time the story asks for it.
#[derive(Debug, Default)]
struct Claim {
    asked: Option<Asked>,
    kept: bool,
    broken: bool,
}

#[derive(Debug)]
struct Asked {
    /// From when on requests can show it, since the start.
    from: Duration,
    chances: u32,
}

/// Whether what was shown was right, as far as the story came.
#[derive(Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What to tell.
    pub told: String,
    /// What was not as it should be.
    pub wrong: Vec<&'static str>,
}

impl Claim {
    fn ask(&mut self, from: Duration) {
        self.broken |= self.is_overdue();
        self.asked = Some(Asked { from, chances: 0 });
    }

    /// A request was sent `at` so long after the start, and `shows` it or does not.
    fn request(&mut self, at: Duration, shows: bool) {
        let Some(asked) = &mut self.asked else { return };
        asked.chances += u32::from(at >= asked.from);
        if shows {
            self.asked = None;
            self.kept = true;
        }
    }

    fn is_overdue(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.chances >= CHANCES)
    }

    /// `None` while there is nothing to say of it.
    fn stands(&self) -> Option<bool> {
        let is_broken = self.broken || self.is_overdue();
        (is_broken || self.kept).then_some(!is_broken)
    }
}

impl Tally {
    /// The story came to this step; `last` is what was seen before it.
    pub fn reached(&mut self, step: &Step, at: Duration, last: &Picture) {
        match step {
            Step::Healthy => {}
            Step::FirstFails(_) => self.put_out.ask(at),
            Step::RestFail(_) => self.stepped_in.ask(at),
            // Who is out is probed when that is over, and not before.
            Step::Recover => self.returned.ask(at + Duration::from_secs(last.primary_in().unwrap_or_default())),
        }
    }

    /// A request was sent `at` so long after the start and answered by this server; what there was to be seen after it.
    pub fn request(&mut self, at: Duration, server: Option<&str>, picture: &Picture, events: &[Event]) {
        match server {
            Some(name) => *self.served.entry(name.to_owned()).or_default() += 1,
            None => self.lost += 1,
        }
        let by = |tier| server.is_some() && picture.serving == Some(tier);
        self.put_out.request(at, events.iter().any(|event| matches!(event, Event::Ejected { .. })));
        self.stepped_in.request(at, by(Tier::Backup));
        self.returned.request(at, by(Tier::Primary));
    }

    /// The files were changed, and the change is in force: the story may be another one.
    pub fn edited(&mut self) {
        let (served, lost) = (std::mem::take(&mut self.served), self.lost);
        *self = Self { served, lost, ..Self::default() };
    }

    /// How many requests were answered as they should be.
    pub fn answered(&self) -> u64 {
        self.served.values().sum()
    }

    /// What became of it all, unjudged.
    pub fn sum(&self) -> String {
        format!("{} requests answered, {} lost\n", self.answered(), self.lost)
    }

    /// Judges.
    pub fn verdict(&self) -> Verdict {
        let whole = self.answered() > 0 && self.lost == 0;
        let claims = [
            (Some(whole), "no client noticed a failure: every request was answered with 200"),
            (self.put_out.stands(), "a server that failed was put out for its failTimeout"),
            (self.stepped_in.stands(), "the backup stepped in when no primary was left"),
            (self.returned.stands(), "the primaries took over again after they recovered"),
        ];
        let mut verdict = Verdict { told: self.sum(), wrong: Vec::new() };
        for (right, what) in claims.into_iter().filter_map(|(right, what)| Some((right?, what))) {
            // Writing to a String does not fail.
            let _ = writeln!(verdict.told, "  {} {what}", if right { "ok " } else { "NOT" });
            if !right {
                verdict.wrong.push(what);
            }
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::picture::{Row, State};

    const PACE: Duration = Duration::from_millis(200);
    const WHOLE: &str = "  ok  no client noticed a failure: every request was answered with 200\n";

    /// Requests that are sent five in a second, and what is seen after each.
    struct Play {
        tally: Tally,
        at: Duration,
        primary: State,
    }

    impl Play {
        fn new() -> Self {
            Self { tally: Tally::default(), at: Duration::ZERO, primary: State::Up }
        }

        fn picture(&self, serving: Option<Tier>) -> Picture {
            let (address, state) = (String::new(), self.primary);
            let (weight, picks, failures, ejections, fails) = (1, 0, 0, 0, 0);
            let (name, tier) = ("one".into(), Tier::Primary);
            let row = Row { name, address, tier, weight, picks, failures, ejections, fails, state };
            Picture { rows: vec![row], serving }
        }

        fn reach(&mut self, step: &Step) {
            self.tally.reached(step, self.at, &self.picture(None));
        }

        /// So many requests that this tier answers.
        fn requests(&mut self, count: u32, tier: Tier, events: &[Event]) {
            for _ in 0..count {
                self.tally.request(self.at, Some("name"), &self.picture(Some(tier)), events);
                self.at += PACE;
            }
        }

        fn wrong(&self) -> Vec<&'static str> {
            self.tally.verdict().wrong
        }
    }

    fn first_fails() -> Step {
        Step::FirstFails("one".into())
    }

    fn ejected() -> [Event; 1] {
        [Event::Ejected { name: "one".into(), secs: 4 }]
    }

    /// Up to the recovery, with the primaries out for two seconds from then on.
    fn until_recovery() -> Play {
        let mut play = Play::new();
        play.requests(2, Tier::Primary, &[]);
        play.reach(&first_fails());
        play.requests(1, Tier::Primary, &ejected());
        play.reach(&Step::RestFail(vec!["two".into()]));
        play.requests(3, Tier::Backup, &[]);
        play.primary = State::Ejected(2);
        play.reach(&Step::Recover);
        play
    }

    #[test]
    fn the_whole_story_is_told_and_right() {
        let mut play = until_recovery();
        play.requests(9, Tier::Backup, &[]);
        play.requests(1, Tier::Primary, &[]);
        let told = format!(
            "16 requests answered, 0 lost\n{WHOLE}  ok  a server that failed was put out for its failTimeout\n  ok  the \
             backup stepped in when no primary was left\n  ok  the primaries took over again after they recovered\n"
        );
        assert_eq!(play.tally.verdict(), Verdict { told, wrong: Vec::new() });
    }

    /// Two seconds, which are ten requests, and the ten that may show it.
    #[test]
    fn primaries_have_until_their_ejection_ends_to_return() {
        let mut play = until_recovery();
        play.requests(19, Tier::Backup, &[]);
        assert!(!play.tally.verdict().told.contains("the primaries"), "an end at that time says nothing of it");
        assert_eq!(play.wrong(), [""; 0]);
        play.requests(1, Tier::Backup, &[]);
        assert_eq!(play.wrong(), ["the primaries took over again after they recovered"]);
    }

    #[test]
    fn primaries_that_are_in_again_by_then_return_at_once() {
        let mut play = until_recovery();
        play.primary = State::Up;
        play.reach(&Step::Recover);
        play.requests(10, Tier::Backup, &[]);
        assert_eq!(play.wrong().len(), 1);
    }

    #[test]
    fn a_lost_request_is_wrong_and_so_is_silence() {
        let lost = "no client noticed a failure: every request was answered with 200";
        assert_eq!(Play::new().wrong(), [lost]);
        let mut play = until_recovery();
        assert_eq!(play.wrong(), [""; 0]);
        play.tally.request(play.at, None, &play.picture(Some(Tier::Primary)), &[]);
        assert_eq!(play.wrong(), [lost]);
        assert!(!play.tally.verdict().told.contains("took over"), "a lost request shows nothing");
    }

    #[test]
    fn a_failed_server_that_stays_in_is_wrong() {
        let mut play = Play::new();
        play.reach(&first_fails());
        play.requests(CHANCES - 1, Tier::Primary, &[]);
        assert_eq!(play.wrong(), [""; 0]);
        play.requests(1, Tier::Primary, &[]);
        assert_eq!(play.wrong(), ["a server that failed was put out for its failTimeout"]);
    }

    #[test]
    fn a_backup_that_does_not_step_in_is_wrong() {
        let mut play = Play::new();
        play.reach(&Step::RestFail(vec!["two".into()]));
        play.requests(CHANCES, Tier::Primary, &[]);
        assert_eq!(play.wrong(), ["the backup stepped in when no primary was left"]);
    }

    /// The next round asks anew: what was kept once is no excuse, and what was broken stays so.
    #[test]
    fn every_round_counts() {
        let mut play = Play::new();
        play.reach(&first_fails());
        play.requests(1, Tier::Primary, &ejected());
        play.reach(&first_fails());
        play.requests(CHANCES, Tier::Primary, &[]);
        assert_eq!(play.wrong().len(), 1);
        play.reach(&first_fails());
        play.requests(1, Tier::Primary, &ejected());
        assert_eq!(play.wrong().len(), 1);
    }

    #[test]
    fn an_edit_changes_the_story_and_excuses_no_loss() {
        let mut play = Play::new();
        play.reach(&first_fails());
        play.requests(CHANCES, Tier::Primary, &[]);
        play.tally.edited();
        assert_eq!(play.tally.verdict().told, format!("10 requests answered, 0 lost\n{WHOLE}"));
        play.tally.request(play.at, None, &play.picture(None), &[]);
        play.tally.edited();
        assert_eq!(play.wrong().len(), 1);
    }
}
