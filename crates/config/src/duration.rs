//! Durations as nginx and the Gateway API (GEP-2257) both spell them: `500ms`, `30s`, `1m30s`, `1h`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration in whole milliseconds: the resolution of nginx's timeouts (`ngx_parse_time`, `is_sec = 0`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1000)
    }

    /// As the standard library's type.
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The moment so long after `moment`, both counted from one beginning; the last there is if it would be later.
    #[must_use]
    pub const fn after(self, moment: Self) -> Self {
        Self(self.0.saturating_add(moment.0))
    }

    /// The time from `moment` to this one; zero if it is not earlier.
    #[must_use]
    pub const fn since(self, moment: Self) -> Self {
        Self(self.0.saturating_sub(moment.0))
    }

    /// Whether the duration is zero, which nginx often takes as "none".
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Whole milliseconds of it; the longest there is if it is longer.
impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0s"),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1000 == 0 => write!(f, "{}s", ms / 1000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a duration; write a whole number with h, m, s or ms, units in that order, for example 1m30s")]
pub struct DurationError(String);

const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Parses `1h30m`, `10s`, `500ms`: each unit at most once, larger before smaller, at most 5 digits each (GEP-2257).
pub fn parse_duration(text: &str) -> Result<Millis, DurationError> {
    let refuse = || DurationError(text.to_owned());
    let mut rest = text;
    let mut total = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 5 {
            return Err(refuse());
        }
        let number: u64 = rest[..digits].parse().map_err(|_| refuse())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = UNITS[next_unit..].iter().position(|(name, _)| *name == &rest[..letters]).ok_or_else(refuse)?;
        total += number * UNITS[next_unit + unit].1;
        next_unit += unit + 1;
        rest = &rest[letters..];
    }
    if next_unit == 0 { Err(refuse()) } else { Ok(Millis(total)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_nginx_and_gep_2257_share() {
        for (text, millis) in [("0s", 0), ("10s", 10_000), ("1m30s", 90_000), ("500ms", 500), ("1h2m3s4ms", 3_723_004)]
        {
            assert_eq!(parse_duration(text), Ok(Millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "10", "1.5s", "s", "1s1s", "1s1m", "-1s", "1d", "123456s", " 1s", "1é"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_have_a_first_and_a_last() {
        let (early, late) = (Millis(10), Millis(u64::MAX));
        assert_eq!((Millis(5).after(early), Millis(5).after(late)), (Millis(15), late));
        assert_eq!((Millis(15).since(early), early.since(late)), (Millis(5), Millis(0)));
        assert_eq!((Millis::from(Duration::from_micros(1999)), Millis::from(Duration::MAX)), (Millis(1), late));
    }

    #[test]
    fn prints_what_it_parses() {
        for text in ["0s", "10s", "90s", "2m", "1h", "1500ms"] {
            let millis = parse_duration(text).unwrap();
            assert_eq!(parse_duration(&millis.to_string()), Ok(millis));
        }
    }
}
