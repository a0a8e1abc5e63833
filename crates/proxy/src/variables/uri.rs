//! `$uri`: the path as nginx normalises it (`ngx_http_parse_complex_uri`), by which requests are routed, too.
//!
//! Escapes are decoded first, so `%2e` and `%2F` have the meaning of what they stand for; then slashes are merged and dot
//! segments resolved.

use std::borrow::Cow;

/// The decoded, normalised form of a target's path. `None` for what nginx refuses with 400: no slash at its beginning, an
/// escape that is none or stands for NUL, a way above the root.
pub(crate) fn normalise(path: &str) -> Option<Cow<'_, [u8]>> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return None;
    }
    if is_normal(bytes) {
        return Some(Cow::Borrowed(bytes));
    }
    let decoded = percent_decode(bytes).filter(|decoded| !decoded.contains(&0))?;
    let mut out = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|byte| *byte == b'/').peekable();
    // What stands before the first slash: nothing.
    segments.next();
    out.push(b'/');
    while let Some(segment) = segments.next() {
        match segment {
            b"" | b"." => {}
            b".." => {
                // The buffer ends with the slash of the parent; cut back to the slash before it. The root has none.
                let parent = out[..out.len() - 1].iter().rposition(|byte| *byte == b'/')?;
                out.truncate(parent + 1);
            }
            name => {
                out.extend_from_slice(name);
                if segments.peek().is_some() {
                    out.push(b'/');
                }
            }
        }
    }
    Some(Cow::Owned(out))
}

/// Replaces every `%XX` by its byte; `None` if a percent sign begins no escape.
pub(crate) fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(*bytes.next()?)? << 4 | hex(*bytes.next()?)? } else { byte });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Whether there is nothing to do: no escape, no doubled slash, no segment that begins with a dot.
fn is_normal(path: &[u8]) -> bool {
    let mut after_slash = false;
    path.iter().all(|&byte| {
        let plain = byte != b'%' && !(after_slash && matches!(byte, b'/' | b'.'));
        after_slash = byte == b'/';
        plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_nginx_does() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b///c/", "/a/b/c/"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a//..", "/"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/.hidden/..x/...", "/.hidden/..x/..."),
            ("/a%20b", "/a b"),
            ("/a%2Fb", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a%3Fb%23c%25d", "/a?b#c%d"),
            ("/a;/../b", "/b"),
            ("//", "/"),
        ] {
            let normal = normalise(path).unwrap_or_else(|| panic!("{path} is refused"));
            assert_eq!(String::from_utf8_lossy(&normal), expected, "{path}");
        }
    }

    #[test]
    fn refuses_what_nginx_refuses() {
        for path in
            ["", "*", "a/b", "/..", "/../../a", "/a/../../b", "/%2e%2e/x", "/%zz", "/%4", "/%", "/a%00b", "/%+1"]
        {
            assert_eq!(normalise(path), None, "{path}");
        }
    }
}
