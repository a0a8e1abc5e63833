//! Numbers as a status shows them: two significant digits, so that traffic alone seldom changes an object.

/// To two significant digits, halves up; as the API's integers are signed, at most theirs.
pub fn count(value: u64) -> i64 {
    let mut unit = 1_u64;
    while value / unit >= 100 {
        unit *= 10;
    }
    let rounded = value.saturating_add(unit / 2) / unit * unit;
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

/// A rate, as [`count`]; what is more than nothing is at least one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float becomes an integer by saturation")]
pub fn rate(value: f64) -> i64 {
    if value > 0.0 { count((value.round() as u64).max(1)) } else { 0 }
}

/// `part` of `whole` in percent with two significant digits or two decimals, whichever is shorter; `None` of nothing.
pub fn percent(part: u64, whole: u64) -> Option<String> {
    if whole == 0 {
        return None;
    }
    let hundredths = (u128::from(part) * 10_000 + u128::from(whole) / 2) / u128::from(whole);
    let hundredths = u64::try_from(hundredths).unwrap_or(u64::MAX).min(10_000);
    Some(match hundredths {
        0 if part > 0 => "0.01".into(),
        0 => "0".into(),
        1..100 => format!("0.{hundredths:02}"),
        100..1_000 => format!("{}.{}", hundredths / 100, hundredths % 100 / 10),
        _ => (hundredths / 100).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_kept() {
        for (value, shown) in [
            (0, 0),
            (7, 7),
            (99, 99),
            (100, 100),
            (104, 100),
            (105, 110),
            (999, 1_000),
            (10_449_999, 10_000_000),
            (10_500_000, 11_000_000),
            (u64::MAX, i64::MAX),
        ] {
            assert_eq!(count(value), shown, "{value}");
        }
        assert_eq!([0.0, 0.01, 1.4, 1234.0].map(rate), [0, 1, 1, 1200]);
    }

    #[test]
    fn percents_are_short() {
        for (part, whole, shown) in [
            (0, 10, "0"),
            (1, 1_000_000_000, "0.01"),
            (17, 85_000, "0.02"),
            (1, 3, "33"),
            (1, 40, "2.5"),
            (5, 5, "100"),
            (9, 5, "100"),
        ] {
            assert_eq!(percent(part, whole).as_deref(), Some(shown), "{part} of {whole}");
        }
        assert_eq!(percent(0, 0), None);
    }
}
