//! Lines into frames. serde's own enums refuse a variant they do not know; here it is a frame that is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use config::Revision;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{ClientFrame, ServerFrame};
use crate::limits;
use crate::violation::Violation;

/// A set of kinds of frames.
trait Kinds<'de>: Sized {
    /// Reads the value of the member `kind`.
    fn read<A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error>;
}

struct OneMember<F>(PhantomData<F>);

struct HaveVisitor;

impl<'a> ServerFrame<'a> {
    /// Reads a line without its newline.
    pub fn from_line(line: &'a [u8]) -> Result<Self, Violation> {
        serde_json::from_slice(line).map_err(|problem| Violation::malformed(&problem, line))
    }
}

impl ClientFrame {
    /// Reads a line without its newline.
    pub fn from_line(line: &[u8]) -> Result<Self, Violation> {
        serde_json::from_slice(line).map_err(|problem| Violation::malformed(&problem, line))
    }
}

impl<'de: 'a, 'a> Kinds<'de> for ServerFrame<'a> {
    fn read<A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error> {
        Ok(match kind {
            "welcome" => Self::Welcome(map.next_value()?),
            "put" => Self::Put(map.next_value()?),
            "del" => Self::Del(map.next_value()?),
            "commit" => Self::Commit(map.next_value()?),
            "synced" => Self::Synced(map.next_value()?),
            "beat" => Self::Beat(map.next_value()?),
            "bye" => Self::Bye(map.next_value()?),
            _ => {
                map.next_value::<IgnoredAny>()?;
                Self::Unknown
            }
        })
    }
}

impl<'de> Kinds<'de> for ClientFrame {
    fn read<A: MapAccess<'de>>(kind: &str, map: &mut A) -> Result<Self, A::Error> {
        Ok(match kind {
            "hello" => Self::Hello(map.next_value()?),
            "ack" => Self::Ack(map.next_value()?),
            "nack" => Self::Nack(map.next_value()?),
            _ => {
                map.next_value::<IgnoredAny>()?;
                Self::Unknown
            }
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ServerFrame<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneMember(PhantomData))
    }
}

impl<'de> Deserialize<'de> for ClientFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneMember(PhantomData))
    }
}

impl<'de, F: Kinds<'de>> Visitor<'de> for OneMember<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one member, the kind of frame")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<F, A::Error> {
        let Some(kind) = map.next_key::<String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        let frame = F::read(&kind, &mut map)?;
        match map.next_key::<IgnoredAny>()? {
            Some(_) => Err(A::Error::invalid_length(2, &self)),
            None => Ok(frame),
        }
    }
}

/// Names and versions, counted while they are read: the count decides how much memory they take, not the bytes.
pub(super) fn have<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Revision>, D::Error> {
    deserializer.deserialize_map(HaveVisitor)
}

impl<'de> Visitor<'de> for HaveVisitor {
    type Value = BTreeMap<String, Revision>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} names of at most {} bytes with versions", limits::RESOURCES, limits::KEY)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut have = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if have.len() == limits::RESOURCES {
                return Err(A::Error::invalid_length(limits::RESOURCES + 1, &self));
            }
            if key.len() > limits::KEY {
                return Err(A::Error::invalid_length(key.len(), &self));
            }
            have.insert(key, map.next_value()?);
        }
        Ok(have)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_peer_adds_is_passed_over() {
        let frame = ServerFrame::from_line(br#"{"commit":{"seq":7,"novel":[1,{"x":null}]}}"#).unwrap();
        assert!(matches!(frame, ServerFrame::Commit(commit) if commit.seq == 7));
        assert!(matches!(ServerFrame::from_line(br#"{"hint":{"x":[1]}}"#), Ok(ServerFrame::Unknown)));
        assert!(matches!(ClientFrame::from_line(br#"{"mood":"fine"}"#), Ok(ClientFrame::Unknown)));
        assert!(matches!(ServerFrame::from_line(br#" {"synced":{}} "#), Ok(ServerFrame::Synced(_))));
    }

    #[test]
    fn what_is_not_a_frame_is_refused_with_its_beginning() {
        for line in [
            "",
            " ",
            "[]",
            "1",
            "null",
            "{}",
            "{",
            r#"{"commit":{}}"#,
            r#"{"commit":{"seq":-1}}"#,
            r#"{"commit":null}"#,
            r#"{"commit":{"seq":1},"synced":{}}"#,
            r#"{"commit":{"seq":1}} x"#,
            r#"{"put":{"key":"a","value":1}}"#,
            r#"{"put":{"key":"a","version":"zz","value":1}}"#,
            r#"{"commit":{"seq":1,"seq":2}}"#,
        ] {
            let violation = ServerFrame::from_line(line.as_bytes()).unwrap_err();
            assert!(matches!(violation, Violation::Malformed { .. }), "{line}: {violation}");
        }
        let violation = ServerFrame::from_line(b"GET / HTTP/1.1").unwrap_err();
        assert!(violation.to_string().ends_with(r#"the line begins with "GET / HTTP/1.1""#), "{violation}");
    }

    #[test]
    fn nesting_and_numbers_have_an_end() {
        let deep = format!(r#"{{"hint":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let _ = ServerFrame::from_line(deep.as_bytes());
        let long = format!(r#"{{"commit":{{"seq":{}}}}}"#, "9".repeat(10_000));
        assert!(ServerFrame::from_line(long.as_bytes()).is_err());
    }
}
