//! What happens to the backends, and when. Pure: the caller says what time it is.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One step of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everybody is up.
    Healthy,
    /// The backends of one primary stop listening.
    FirstFails(Arc<str>),
    /// Those of all other primaries do, too.
    RestFail(Vec<Arc<str>>),
    /// Every backend listens again.
    Recover,
}

/// Who plays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cast {
    /// The names of the primaries that take requests, each once, in order.
    pub primaries: Vec<Arc<str>>,
    /// Whether a backup does.
    pub has_backup: bool,
}

/// The story: healthy, one primary fails, then all do, then they recover; again from the start. Nobody fails whom nobody can
/// stand in for, and a round begins when everybody takes requests again.
#[derive(Debug, Default)]
pub struct Script {
    /// When this round began, if one did.
    begun: Option<Duration>,
    /// The next of [`CUES`]; past the last, another round is to begin.
    next: usize,
    /// Who answered in this round.
    answered: BTreeSet<Arc<str>>,
    /// Who failed in this round.
    failed: Vec<Arc<str>>,
}

/// When one primary fails, the rest does, and all recover, after the beginning of a round.
const CUES: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(6), Duration::from_secs(9)];
/// The shortest round.
const ROUND: Duration = Duration::from_secs(16);

impl Script {
    /// The next step that is due `at` so long after the start; `settled` is whether no server is out on failures.
    pub fn due(&mut self, at: Duration, cast: &Cast, settled: bool) -> Option<Step> {
        loop {
            let step = match (self.begun, CUES.get(self.next)) {
                (Some(begun), Some(cue)) if at < begun + *cue => return None,
                (Some(_), Some(_)) => {
                    self.next += 1;
                    self.step(self.next, cast)
                }
                (Some(begun), None) if at < begun + ROUND || !settled => return None,
                (Some(_) | None, _) => {
                    // On a whole second, so that the cues come on one.
                    *self = Self { begun: Some(Duration::from_secs(at.as_secs())), ..Self::default() };
                    Some(Step::Healthy)
                }
            };
            if step.is_some() {
                return step;
            }
        }
    }

    /// A primary answered.
    pub fn answered(&mut self, name: &str) {
        if !self.answered.contains(name) {
            self.answered.insert(name.into());
        }
    }

    /// What happens at a cue, counted from 1; nothing if there is nobody for it.
    fn step(&mut self, cue: usize, cast: &Cast) -> Option<Step> {
        let Cast { primaries, has_backup } = cast;
        match cue {
            1 => {
                // Where requests are hashed, nobody would notice that another fails.
                let asked = primaries.iter().find(|name| self.answered.contains(*name));
                let first = asked.or(primaries.first()).filter(|_| primaries.len() > 1 || *has_backup)?;
                self.failed.push(first.clone());
                Some(Step::FirstFails(first.clone()))
            }
            2 => {
                let rest: Vec<_> = primaries.iter().filter(|name| !self.failed.contains(name)).cloned().collect();
                (*has_backup && !rest.is_empty()).then(|| {
                    self.failed.extend_from_slice(&rest);
                    Step::RestFail(rest)
                })
            }
            _ => (!self.failed.is_empty()).then_some(Step::Recover),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("every backend is up"),
            Self::FirstFails(name) => write!(f, "the backend of {name} stops listening"),
            Self::RestFail(names) => write!(f, "the backend of {} stops listening", names.join(" and of ")),
            Self::Recover => f.write_str("every backend listens again; each is probed once its failTimeout is over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{iter, ops::Range};

    use super::*;

    fn cast(primaries: &[&str], has_backup: bool) -> Cast {
        Cast { primaries: primaries.iter().map(|name| Arc::from(*name)).collect(), has_backup }
    }

    /// The steps of these seconds, and when each came.
    fn steps(script: &mut Script, seconds: Range<u64>, cast: &Cast) -> Vec<(u64, Step)> {
        let mut due = |second| script.due(Duration::from_secs(second), cast, true).map(|step| (second, step));
        seconds.flat_map(|second| iter::from_fn(|| due(second)).collect::<Vec<_>>()).collect()
    }

    fn first(name: &str) -> Step {
        Step::FirstFails(name.into())
    }

    fn rest(names: &[&str]) -> Step {
        Step::RestFail(names.iter().map(|name| Arc::from(*name)).collect())
    }

    #[test]
    fn the_story_repeats() {
        let expected = [
            (0, Step::Healthy),
            (3, first("one")),
            (6, rest(&["two"])),
            (9, Step::Recover),
            (16, Step::Healthy),
            (19, first("one")),
        ];
        assert_eq!(steps(&mut Script::default(), 0..20, &cast(&["one", "two"], true)), expected);
    }

    #[test]
    fn nobody_fails_whom_nobody_can_stand_in_for() {
        let told = |cast| steps(&mut Script::default(), 0..16, &cast);
        assert_eq!(told(cast(&["one"], false)), [(0, Step::Healthy)]);
        assert_eq!(told(cast(&[], true)), [(0, Step::Healthy)]);
        let one = [(0, Step::Healthy), (3, first("one")), (9, Step::Recover)];
        assert_eq!(told(cast(&["one", "two"], false)), one);
        assert_eq!(told(cast(&["one"], true)), one, "the rest is nobody");
    }

    #[test]
    fn who_is_asked_fails_first() {
        let (mut script, both) = (Script::default(), cast(&["one", "two"], false));
        for (round, name) in [(0, "two"), (16, "one")] {
            steps(&mut script, round..round + 1, &both);
            script.answered(name);
            assert_eq!(steps(&mut script, round + 1..round + 4, &both), [(round + 3, first(name))]);
            steps(&mut script, round + 4..round + 16, &both);
        }
    }

    #[test]
    fn a_round_begins_when_everybody_is_in_again() {
        let (mut script, both) = (Script::default(), cast(&["one", "two"], true));
        steps(&mut script, 0..10, &both);
        assert_eq!(script.due(Duration::from_secs(30), &both, false), None);
        let expected = [(31, Step::Healthy), (34, first("one"))];
        assert_eq!(steps(&mut script, 31..35, &both), expected);
    }

    #[test]
    fn who_came_by_an_edit_fails_with_the_rest() {
        let mut script = Script::default();
        steps(&mut script, 0..4, &cast(&["one", "two"], true));
        let edited = cast(&["zero", "one", "two"], true);
        assert_eq!(steps(&mut script, 4..7, &edited), [(6, rest(&["zero", "two"]))]);
    }
}
