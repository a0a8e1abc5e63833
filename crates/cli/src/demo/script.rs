//! What happens to the backends, and when. Pure: the caller says what time it is.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One step of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everybody is up.
    Healthy,
    /// The first primary's backend stops listening.
    FirstFails(Vec<Arc<str>>),
    /// Those of all other primaries do, too.
    RestFail(Vec<Arc<str>>),
    /// Every backend listens again.
    Recover,
}

/// The story: healthy, one primary fails, then all do, then they recover; again from the start.
#[derive(Debug)]
pub struct Script {
    primaries: Vec<Arc<str>>,
    pending: VecDeque<(Duration, Step)>,
    round: Duration,
}

/// When each step of a round comes. The last leaves time for the servers' `failTimeout` to run out.
const FIRST_FAILS: Duration = Duration::from_secs(3);
const ALL_FAIL: Duration = Duration::from_secs(6);
const ALL_RECOVER: Duration = Duration::from_secs(9);
/// The length of a round.
pub const ROUND: Duration = Duration::from_secs(16);

impl Script {
    /// The story of these primaries.
    pub fn new(primaries: &[Arc<str>]) -> Self {
        Self { primaries: primaries.to_vec(), pending: VecDeque::new(), round: Duration::ZERO }
    }

    /// The next step that is due `at` so long after the start.
    pub fn due(&mut self, at: Duration) -> Option<Step> {
        if self.pending.is_empty() {
            self.write_round();
        }
        let due = self.pending.front().is_some_and(|(when, _)| *when <= at);
        if due { self.pending.pop_front().map(|(_, step)| step) } else { None }
    }

    fn write_round(&mut self) {
        let start = self.round;
        let (first, rest) = match self.primaries.split_first() {
            Some((first, rest)) => (vec![first.clone()], rest.to_vec()),
            None => (Vec::new(), Vec::new()),
        };
        self.pending.push_back((start, Step::Healthy));
        self.pending.push_back((start + FIRST_FAILS, Step::FirstFails(first)));
        self.pending.push_back((start + ALL_FAIL, Step::RestFail(rest)));
        self.pending.push_back((start + ALL_RECOVER, Step::Recover));
        self.round += ROUND;
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("every backend is up"),
            Self::FirstFails(names) | Self::RestFail(names) => {
                write!(f, "the backend of {} stops listening", names.join(" and "))
            }
            Self::Recover => f.write_str("every backend listens again; each is probed once its failTimeout is over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_repeats() {
        let mut script = Script::new(&["one".into(), "two".into()]);
        let mut steps = Vec::new();
        for second in 0..20 {
            while let Some(step) = script.due(Duration::from_secs(second)) {
                steps.push((second, step));
            }
        }
        let expected = [
            (0, Step::Healthy),
            (3, Step::FirstFails(vec!["one".into()])),
            (6, Step::RestFail(vec!["two".into()])),
            (9, Step::Recover),
            (16, Step::Healthy),
            (19, Step::FirstFails(vec!["one".into()])),
        ];
        assert_eq!(steps, expected);
    }
}
