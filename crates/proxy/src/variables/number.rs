//! Numbers into a byte buffer without the machinery of `format!`: the access log writes a dozen per request.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

/// Appends a number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, number: impl Into<u64>) {
    let mut rest = number.into();
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = digit(rest % 10);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[from..]);
}

/// Appends the octets of an address with dots between them, a word at a time: it is written three times per request.
pub(super) fn push_octets(out: &mut Vec<u8>, octets: [u8; 4]) {
    let mut text = [0; 16];
    let mut end = 0;
    for octet in octets {
        let [hundreds, tens, ones] = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| b'0' + digit);
        let (word, length) = match octet {
            0..10 => ([ones, b'.', 0, 0], 2),
            10..100 => ([tens, ones, b'.', 0], 3),
            100.. => ([hundreds, tens, ones, b'.'], 4),
        };
        text[end..end + 4].copy_from_slice(&word);
        end += length;
    }
    out.extend_from_slice(&text[..end - 1]);
}

/// Appends milliseconds as seconds with three decimals, nginx's `%T.%03M`.
pub(crate) fn push_seconds(out: &mut Vec<u8>, millis: u64) {
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    let fraction = [b'.', digit(fraction / 100), digit(fraction / 10 % 10), digit(fraction % 10)];
    if seconds < 10 {
        out.extend_from_slice(&[digit(seconds), fraction[0], fraction[1], fraction[2], fraction[3]]);
    } else {
        push_number(out, seconds);
        out.extend_from_slice(&fraction);
    }
}

/// Appends a duration as seconds with three decimals, rounded down.
pub(super) fn push_duration(out: &mut Vec<u8>, duration: Duration) {
    push_seconds(out, duration.as_secs().saturating_mul(1000) + u64::from(duration.subsec_millis()));
}

/// Appends a status with at least three digits, nginx's `%03ui`.
pub(super) fn push_status(out: &mut Vec<u8>, status: u16) {
    if status < 1000 {
        let number = u64::from(status);
        out.extend_from_slice(&[digit(number / 100), digit(number / 10 % 10), digit(number % 10)]);
    } else {
        push_number(out, status);
    }
}

/// Appends 32 hexadecimal digits.
pub(crate) fn push_hex(out: &mut Vec<u8>, bits: u128) {
    let mut text = [0; 32];
    for (digits, word) in text.chunks_exact_mut(8).zip(bits.to_be_bytes().chunks_exact(4)) {
        let word = word.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
        digits.copy_from_slice(&hex_digits(word));
    }
    out.extend_from_slice(&text);
}

/// Eight digits at once, one per byte of a word: every request has an identifier of 32, in its log line and its header.
fn hex_digits(bits: u32) -> [u8; 8] {
    let spread = u64::from(bits);
    let spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

/// Appends whatever can be displayed.
pub(super) fn push_display(out: &mut Vec<u8>, value: &dyn Display) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

/// The character of a number below 10.
fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_those_of_format() {
        for number in [0, 7, 10, 99, 100, 65_535, u64::MAX] {
            assert_eq!(text(|out| push_number(out, number)), number.to_string());
        }
        for octet in 0..=u8::MAX {
            let octets = [octet, 0, u8::MAX, octet];
            assert_eq!(text(|out| push_octets(out, octets)), std::net::Ipv4Addr::from(octets).to_string());
        }
        for (millis, expected) in [(0, "0.000"), (9, "0.009"), (1_002, "1.002"), (60_010, "60.010")] {
            assert_eq!(text(|out| push_seconds(out, millis)), expected);
        }
        for (status, expected) in [(0, "000"), (9, "009"), (99, "099"), (200, "200")] {
            assert_eq!(text(|out| push_status(out, status)), expected);
        }
        for bits in [0, 0xab, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, u128::MAX] {
            assert_eq!(text(|out| push_hex(out, bits)), format!("{bits:032x}"));
        }
    }
}
