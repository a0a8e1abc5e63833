//! What is a text in JSON, read where it lies and written where it goes. A full synchronisation reads tens of thousands of
//! them and a full report as many, so a copy in between (serde's `try_from = "String"`, and its way to an `Arc<str>`) would be
//! half of their allocations.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// Makes a type a text for serde: what its `Display` writes and its `FromStr` reads.
macro_rules! as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer)
            }
        }
    };
}

pub(crate) use as_text;

/// A text.
struct Shared(Arc<str>);

struct Parser<T>(PhantomData<T>);

struct Sharer;

/// Reads a value from its text.
pub(crate) fn parsed<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_str(Parser(PhantomData))
}

/// Reads a text: for `#[serde(deserialize_with = "...")]`.
pub fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    deserializer.deserialize_str(Sharer)
}

/// Reads a text or null; wants `default` beside it, as a member that is missing is null.
pub fn shared_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<str>>, D::Error> {
    Ok(Option::<Shared>::deserialize(deserializer)?.map(|text| text.0))
}

impl<T: FromStr<Err: Display>> Visitor<'_> for Parser<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl Visitor<'_> for Sharer {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Arc<str>, E> {
        Ok(text.into())
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shared(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Address, Group, Pod, Server};

    #[test]
    fn escapes_are_undone_and_made() {
        let address: Address = serde_json::from_str(r#""unix:\/run\u002fa\"b""#).unwrap();
        assert_eq!(address.to_string(), r#"unix:/run/a"b"#);
        assert_eq!(serde_json::to_string(&address).unwrap(), r#""unix:/run/a\"b""#);
        let pod: Pod = serde_json::from_str(r#"{"name":"\u00e9","uid":"\n"}"#).unwrap();
        assert_eq!(pod, Pod { name: "é".into(), uid: Some("\n".into()), zone: None });
    }

    #[test]
    fn what_is_no_text_is_refused_in_words() {
        let problem = serde_json::from_str::<Address>("1").unwrap_err().to_string();
        assert!(problem.starts_with("invalid type: integer `1`, expected a string"), "{problem}");
        let problem = serde_json::from_str::<Address>(r#""web""#).unwrap_err().to_string();
        assert!(problem.starts_with("\"web\" is not an address; write IP:PORT"), "{problem}");
    }

    #[test]
    fn a_group_comes_back() {
        let group = Group::with_defaults(vec![Server::new("a", "10.0.0.1:80".parse().unwrap())]);
        let json = serde_json::to_string(&group).unwrap();
        assert_eq!(serde_json::from_str::<Group>(&json).unwrap(), group);
        // Not only from a text that lies in memory.
        assert_eq!(serde_json::from_reader::<_, Group>(json.as_bytes()).unwrap(), group);
    }
}
