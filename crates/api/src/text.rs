//! Values that are texts with a grammar: durations, sizes. Held as written; the schema's pattern is the grammar, the same set
//! that the configuration's parsers accept.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// A duration such as 500ms, 30s or 1m30s: the units h, m, s and ms, each at most once and in that order (GEP-2257, narrowed to
/// what nginx reads too).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub struct Duration(String);

/// A duration in whole seconds such as 10s or 1m30s.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub struct Seconds(String);

/// The lifetime of a cookie: a duration in whole seconds, or `max`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub struct CookieLifetime(String);

/// A number of bytes: a whole number, or a text such as 64k or 1Mi (a subset of Kubernetes' resource quantities).
#[derive(Serialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(transparent)]
pub struct Size(String);

macro_rules! text {
    ($name:ident, $pattern:literal) => {
        impl $name {
            /// The texts there are.
            pub const PATTERN: &'static str = $pattern;

            /// The text as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(Duration, "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$");
text!(Seconds, "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$");
text!(CookieLifetime, "^(max|([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?)$");
text!(Size, "^[0-9]{1,10}(k|M|G|Ki|Mi|Gi)?$");

impl Default for Duration {
    fn default() -> Self {
        "0s".into()
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 32,
            "pattern": Duration::PATTERN,
        })
    }
}

impl JsonSchema for Seconds {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 32,
            "pattern": Seconds::PATTERN,
        })
    }
}

impl JsonSchema for CookieLifetime {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "CookieLifetime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "maxLength": 32,
            "pattern": CookieLifetime::PATTERN,
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    /// Takes a number as well as a text, as the schema does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;

        impl de::Visitor<'_> for NumberOrText {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, such as 65536 or \"64Ki\"")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Size, E> {
                Ok(Size(bytes.to_string()))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
                Ok(Size(bytes.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                Ok(text.into())
            }
        }

        deserializer.deserialize_any(NumberOrText)
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maxLength": 12,
            "pattern": Size::PATTERN,
        })
    }
}
