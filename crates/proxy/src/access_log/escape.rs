//! What a client sent, made harmless for one line of text or one JSON string. Both work on the tail of the output, because
//! nearly every value needs nothing: then it is only looked at.

/// Escapes `out[from..]` as nginx's `escape=default` (`ngx_http_log_escape`): `"`, `\`, control bytes and all from 0x7f on as
/// `\xXX`.
pub(super) fn default(out: &mut Vec<u8>, from: usize) {
    if is_plain(&out[from..]) {
        return;
    }
    for byte in out.split_off(from) {
        if is_special(byte) {
            out.extend_from_slice(b"\\x");
            push_hex(out, byte, b"0123456789ABCDEF");
        } else {
            out.push(byte);
        }
    }
}

/// Escapes `out[from..]` as the inside of a JSON string (RFC 8259 section 7). Bytes that are not UTF-8 become U+FFFD: JSON has
/// no way to say them.
pub(super) fn json(out: &mut Vec<u8>, from: usize) {
    if is_plain(&out[from..]) {
        return;
    }
    let tail = out.split_off(from);
    for chunk in tail.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..=0x1f => {
                    out.extend_from_slice(b"\\u00");
                    push_hex(out, byte, b"0123456789abcdef");
                }
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Whether nothing in `text` needs an escape, in either form. Looks at blocks, so that the compiler compares many bytes at once.
fn is_plain(text: &[u8]) -> bool {
    !text.chunks(16).any(|block| block.iter().fold(false, |found, byte| found | is_special(*byte)))
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f..)
}

fn push_hex(out: &mut Vec<u8>, byte: u8, digits: &[u8; 16]) {
    out.extend_from_slice(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_nginx_s() {
        let mut out = b"\"kept\" ".to_vec();
        let from = out.len();
        out.extend_from_slice(b"a\"b\\c\td\x7f\xc3\xa9 e");
        default(&mut out, from);
        assert_eq!(String::from_utf8(out).unwrap(), "\"kept\" a\\x22b\\x5Cc\\x09d\\x7F\\xC3\\xA9 e");
    }

    #[test]
    fn any_bytes_become_valid_json() {
        let mut out = b"\"".to_vec();
        out.extend(0..=255);
        out.extend_from_slice("é😀".as_bytes());
        json(&mut out, 1);
        out.push(b'"');
        let text: String = serde_json::from_slice(&out).unwrap();
        assert!(text.starts_with("\u{0}\u{1}") && text.ends_with("é😀") && text.contains('\u{fffd}'));
        assert!(!out.contains(&b'\n'), "one line");
    }
}
