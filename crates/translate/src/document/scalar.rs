//! What an unquoted YAML word means. kubectl reads YAML 1.1 as go-yaml v2 does (resolve.go), so `yes` and `Off` are booleans
//! and `0777` is octal; a file must not mean one thing here and another there.

use serde_json::{Number, Value as Json};

use super::tree::Value;

/// The value of an unquoted scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => boolean(true, text),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => boolean(false, text),
        _ => match number(text) {
            Some(number) => Value::Plain(Json::Number(number), text.into()),
            None => Value::Text(text.into()),
        },
    }
}

fn boolean(value: bool, text: &str) -> Value {
    Value::Plain(Json::Bool(value), text.into())
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let text = text.replace('_', "");
    integer(&text).or_else(|| float(&text))
}

/// As Go's `strconv.ParseInt` with base 0: `0x`, `0o`, `0b` and a leading zero choose the base.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative { Some(0i64.checked_sub_unsigned(magnitude)?.into()) } else { Some(magnitude.into()) }
}

/// A decimal fraction or exponent; a whole one is an integer, as it is once Go has written it as JSON.
fn float(text: &str) -> Option<Number> {
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    if !text.chars().all(allowed) || !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // Integers up to 2^53 are exact in a double.
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return format!("{value:.0}").parse::<i64>().ok().map(Number::from);
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn json_of(text: &str) -> Json {
        match plain(text) {
            Value::Null => Json::Null,
            Value::Plain(json, _) => json,
            Value::Text(text) => Json::String(text.to_string()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn words_mean_what_they_mean_to_kubectl() {
        for (text, expected) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("n", json!(false)),
            ("80", json!(80)),
            ("-1", json!(-1)),
            ("+3", json!(3)),
            ("1_000", json!(1000)),
            ("0x1F", json!(31)),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("0b11", json!(3)),
            ("08", json!(8)),
            ("1.5", json!(1.5)),
            ("3.0", json!(3)),
            ("1e3", json!(1000)),
            (".5", json!(0.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("10s", json!("10s")),
            ("1.2.3.4", json!("1.2.3.4")),
            ("10.0.0.1:80", json!("10.0.0.1:80")),
            ("2001-01-01", json!("2001-01-01")),
            (".inf", json!(".inf")),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("--1", json!("--1")),
            ("1e999", json!("1e999")),
            ("truE", json!("truE")),
            ("1é", json!("1é")),
        ] {
            assert_eq!(json_of(text), expected, "{text}");
        }
    }
}
