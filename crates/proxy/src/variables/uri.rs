//! `$uri`: the path as nginx normalises it (`ngx_http_parse_complex_uri`).
//!
//! Escapes are decoded first, so `%2e` and `%2F` have the meaning of what they stand for; then slashes are merged and dot
//! segments resolved. What nginx refuses with 400 (a bad escape, a path above the root) is kept as it is or stops at the
//! root: by now the request was accepted.

/// Appends the decoded, normalised form of `path`, which begins with a slash or is `*`.
pub fn normalise(path: &str, out: &mut Vec<u8>) {
    let root = out.len();
    let bytes = path.as_bytes();
    if is_normal(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    let decoded = percent_decode(bytes);
    let mut segments = decoded.split(|byte| *byte == b'/').peekable();
    // What stands before the first slash: nothing.
    segments.next();
    out.push(b'/');
    while let Some(segment) = segments.next() {
        match segment {
            b"" | b"." => {}
            b".." => {
                // The buffer ends with the slash of the parent; cut back to the slash before it, never above the root.
                let parent = out[root..out.len() - 1].iter().rposition(|byte| *byte == b'/');
                out.truncate(root + parent.unwrap_or(0) + 1);
            }
            name => {
                out.extend_from_slice(name);
                if segments.peek().is_some() {
                    out.push(b'/');
                }
            }
        }
    }
}

/// Replaces every `%XX` by its byte; a percent sign that begins no escape stays.
pub(crate) fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = match text[at..] {
            [b'%', high, low, ..] => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether there is nothing to do: no escape, no doubled slash, no segment that begins with a dot.
fn is_normal(path: &[u8]) -> bool {
    !path.contains(&b'%') && !path.windows(2).any(|pair| pair == b"//" || pair == b"/.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_nginx_does() {
        for (path, expected) in [
            ("/", "/"),
            ("*", "*"),
            ("/a/b", "/a/b"),
            ("/a//b///c/", "/a/b/c/"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/../../a", "/a"),
            ("/.hidden/..x/...", "/.hidden/..x/..."),
            ("/a%20b", "/a b"),
            ("/a%2Fb", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%3Fb%23c%25d", "/a?b#c%d"),
            ("/%zz%4", "/%zz%4"),
            ("//", "/"),
        ] {
            let mut out = b"kept".to_vec();
            normalise(path, &mut out);
            assert_eq!(String::from_utf8_lossy(&out[4..]), expected, "{path}");
        }
    }
}
