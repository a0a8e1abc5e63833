//! The frame that makes up nearly all of a stream, written and cut by hand: a value that is encoded already is copied, not
//! encoded twice, and one that is about to be read is not read once before just to find its end.

use bytes::Bytes;
use config::{ResourceKey, Revision};

/// What stands before, between and behind the parts of a `put` as [`put_line`] writes it.
const MARKS: [&str; 4] = [r#"{"put":{"key":""#, r#"","version":""#, r#"","value":"#, "}}"];

/// A `put` as [`put_line`] writes it, cut into its parts. It is one if `value` is JSON: whoever cannot read that must ask
/// [`ServerFrame::from_line`](super::ServerFrame::from_line), which also knows every other way to write it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    pub key: &'a str,
    pub version: Revision,
    pub value: &'a str,
}

/// A `put` with its newline.
pub(crate) fn put_line(key: &ResourceKey, version: Revision, value: &[u8]) -> Bytes {
    let key = serde_json::to_string(key).expect("a text has no fallible serializer");
    let head = format!(r#"{{"put":{{"key":{key},"version":"{version}","value":"#);
    [head.as_bytes(), value, b"}}\n"].concat().into()
}

impl<'a> Cut<'a> {
    /// `None`: it is written in another way, or something else.
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let [before, between, then, behind] = MARKS;
        let line = str::from_utf8(line).ok()?.strip_prefix(before)?;
        let (key, rest) = line.split_at(line.find('"')?);
        let (version, rest) = rest.strip_prefix(between)?.split_at_checked(Revision::DIGITS)?;
        let value = rest.strip_prefix(then)?.strip_suffix(behind)?;
        // JSON would have to be undone, or is none.
        let is_plain = key.bytes().all(|byte| byte >= b' ' && byte != b'\\');
        let version = version.parse().ok()?;
        is_plain.then_some(Self { key, version, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::ServerFrame;

    #[test]
    fn what_is_written_is_cut_into_what_the_other_reader_reads() {
        for (key, value) in [("group/shop/app", r#"{"a":"}}"}"#), ("route/*", "1"), ("group/é/\u{7f}", "null")] {
            let line = put_line(&key.parse().unwrap(), Revision::of(value.as_bytes()), value.as_bytes());
            let line = line.strip_suffix(b"\n").unwrap();
            let cut = Cut::of(line).unwrap();
            let Ok(ServerFrame::Put(put)) = ServerFrame::from_line(line) else { panic!("{line:?}") };
            assert_eq!((cut.key, cut.version, cut.value), (&*put.key, put.version, put.value.get()));
        }
    }

    #[test]
    fn nothing_else_is_cut() {
        let line = put_line(&"group/a/b".parse().unwrap(), Revision::of(b""), b"1");
        let line = str::from_utf8(&line).unwrap().trim_end();
        assert!(Cut::of(line.as_bytes()).is_some());
        for (from, to) in [
            ("put", "del"),
            ("{\"put", "{ \"put"),
            ("\"version\"", "\"novel\":0,\"version\""),
            ("a/b", r"a/\u0062"),
            ("a/b", r"a\/b"),
            ("a/b", "a/\u{1}"),
            ("\"value\":1", "\"value\":1,\"novel\":1}"),
            ("}}", "}"),
            ("}}", "}} "),
        ] {
            let other = line.replacen(from, to, 1);
            let cut = Cut::of(other.as_bytes());
            let is_json = cut.is_some_and(|cut| serde_json::from_str::<serde::de::IgnoredAny>(cut.value).is_ok());
            assert!(!is_json, "{other}");
        }
        assert_eq!(Cut::of(&line.as_bytes()[..60]), None);
        assert_eq!(Cut::of(&[line.as_bytes(), b"\xff"].concat()), None);
    }
}
