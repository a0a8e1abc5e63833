//! How old a configuration may be. It is current while a controller that said `synced` is heard; from then on it ages, and
//! what was read from disk is as old as it was when written, plus the time since.

use config::Millis;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Freshness {
    /// There is no configuration, or not a whole one.
    #[default]
    Never,
    /// A controller keeps it so.
    Current,
    /// It was `already` old at `since`.
    Stale { since: Millis, already: Millis },
}

impl Freshness {
    pub fn age(self, now: Millis) -> Option<Millis> {
        match self {
            Self::Never => None,
            Self::Current => Some(Millis(0)),
            Self::Stale { since, already } => Some(now.since(since).after(already)),
        }
    }

    /// The stream is lost, and was last heard at `heard`.
    pub fn lost(&mut self, heard: Millis) {
        if *self == Self::Current {
            *self = Self::Stale { since: heard, already: Millis(0) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_from_the_last_word() {
        let mut freshness = Freshness::Current;
        assert_eq!(freshness.age(Millis(50)), Some(Millis(0)));
        freshness.lost(Millis(100));
        freshness.lost(Millis(140));
        assert_eq!(freshness.age(Millis(150)), Some(Millis(50)));
        assert_eq!(Freshness::Never.age(Millis(9)), None);
        let restored = Freshness::Stale { since: Millis(10), already: Millis(5000) };
        assert_eq!(restored.age(Millis(30)), Some(Millis(5020)));
    }
}
