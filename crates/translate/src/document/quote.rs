//! A text as the API server quotes it: Go's `strconv.Quote`.

use std::fmt::Write as _;

/// `text` in quotes, on one line.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            '\x07' => write!(quoted, "\\a"),
            '\x08' => write!(quoted, "\\b"),
            '\x0b' => write!(quoted, "\\v"),
            '\x0c' => write!(quoted, "\\f"),
            '\n' | '\r' | '\t' => write!(quoted, "{}", c.escape_debug()),
            '\0'..' ' | '\x7f' => write!(quoted, "\\x{:02x}", u32::from(c)),
            // Rust and Go agree on what is printable but for the marks that join the letter before them.
            _ if c == '\'' || c.escape_debug().count() == 1 => write!(quoted, "{c}"),
            '\0'..='\u{ffff}' => write!(quoted, "\\u{:04x}", u32::from(c)),
            _ => write!(quoted, "\\U{:08x}", u32::from(c)),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn as_go_quotes() {
        for (text, quoted) in [
            ("a'b", r#""a'b""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("a\0b\x07\x1b\x7f\r\n\t", r#""a\x00b\a\x1b\x7f\r\n\t""#),
            ("é\u{a0}\u{200b}\u{e0001}", r#""é\u00a0\u200b\U000e0001""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
