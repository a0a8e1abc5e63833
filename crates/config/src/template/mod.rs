//! Texts with nginx variables: `$request_uri`, `${host}:${server_port}`. Parsed once, when the configuration is; a variable
//! that does not exist, or not yet at that moment of a request, is refused with a suggestion.

mod variable;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use variable::{Phase, Variable};

/// A text with variables. Evaluated by the data plane, which knows their values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    source: Arc<str>,
    parts: Arc<[Part]>,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Copied as it is.
    Text(Arc<str>),
    /// Replaced by its value.
    Variable(Variable),
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// nginx: `invalid variable name`.
    #[error("\"$\" at byte {at} is not followed by a variable's name; write $name or ${{name}}")]
    NoName {
        /// Offset of the dollar sign.
        at: usize,
    },
    /// nginx: `the closing bracket in "name" variable is missing`.
    #[error("the closing bracket of \"${{{name}\" is missing")]
    Unclosed {
        /// What was read of the name.
        name: String,
    },
    /// nginx: `unknown "name" variable`.
    #[error("unknown variable \"${name}\"{}", suggestion(.near.as_deref()))]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name that exists.
        near: Option<String>,
    },
    /// The variable exists, but has no value at the moment the template is evaluated.
    #[error("variable \"${name}\" has no value yet when {phase}")]
    TooEarly {
        /// The name.
        name: String,
        /// When the template is evaluated.
        phase: Phase,
    },
}

fn suggestion(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean \"${near}\"?")).unwrap_or_default()
}

impl Template {
    /// Parses a text whose variables are evaluated in `phase`.
    pub fn parse(text: &str, phase: Phase) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal_from = 0;
        let mut at = 0;
        while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
            if literal_from < dollar {
                parts.push(Part::Text(text[literal_from..dollar].into()));
            }
            let (name, end) = variable_name(text, dollar)?;
            parts.push(Part::Variable(Variable::parse(name, phase)?));
            literal_from = end;
            at = end;
        }
        if literal_from < text.len() {
            parts.push(Part::Text(text[literal_from..].into()));
        }
        Ok(Self { source: text.into(), parts: parts.into() })
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text as it was configured.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// The name after the dollar sign at `dollar`, and the offset behind it.
fn variable_name(text: &str, dollar: usize) -> Result<(&str, usize), TemplateError> {
    let rest = &text[dollar + 1..];
    let length = |name: &str| name.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    if let Some(braced) = rest.strip_prefix('{') {
        let len = length(braced);
        if !braced[len..].starts_with('}') {
            return Err(TemplateError::Unclosed { name: braced[..len].to_owned() });
        }
        if len == 0 {
            return Err(TemplateError::NoName { at: dollar });
        }
        return Ok((&braced[..len], dollar + len + 3));
    }
    match length(rest) {
        0 => Err(TemplateError::NoName { at: dollar }),
        len => Ok((&rest[..len], dollar + 1 + len)),
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.source)
    }
}

impl<'de> Deserialize<'de> for Template {
    /// The phase was checked by whoever made the template; on the wire every variable is allowed.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text, Phase::Log).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_text_and_variables() {
        let template = Template::parse("a${host}b$request_uri", Phase::Request).unwrap();
        assert_eq!(
            template.parts(),
            [
                Part::Text("a".into()),
                Part::Variable(Variable::Host),
                Part::Text("b".into()),
                Part::Variable(Variable::RequestUri)
            ]
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text, phase| Template::parse(text, phase).unwrap_err().to_string();
        assert!(error("$request_urii", Phase::Request).contains("did you mean \"$request_uri\"?"));
        assert!(error("$status", Phase::Request).contains("no value yet when a server is chosen"));
        assert!(error("costs 5$", Phase::Request).contains("at byte 7"));
        assert!(error("${host", Phase::Request).contains("closing bracket"));
        assert!(error("${}", Phase::Request).contains("at byte 0"));
    }
}
