//! Whether a text is of a form that a schema's `format` names.

use jiff::Timestamp;

/// Standard base64 with padding, line breaks allowed, as Go's `encoding/base64` reads a `[]byte`.
pub(super) fn is_base64(text: &str) -> bool {
    let bytes: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let data = bytes.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    bytes.len().is_multiple_of(4)
        && bytes.len() - data <= 2
        && bytes[..data].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// `2006-01-02T15:04:05Z`, with a fraction or an offset if need be.
pub(super) fn is_rfc3339(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64() {
        for good in ["", "YQ==", "YWI=", "YWJj", "YW\nJj"] {
            assert!(is_base64(good), "{good}");
        }
        for bad in ["YQ", "YQ=", "=", "Y===", "YW-j", "YQ==YQ=="] {
            assert!(!is_base64(bad), "{bad}");
        }
    }

    #[test]
    fn date_and_time() {
        assert!(is_rfc3339("2026-03-01T12:00:00Z") && is_rfc3339("2026-03-01T12:00:00.5+02:00"));
        assert!(!is_rfc3339("yesterday") && !is_rfc3339("2026-03-01"));
    }
}
