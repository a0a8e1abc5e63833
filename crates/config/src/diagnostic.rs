//! What is wrong with a document, said so that its author can mend it: a stable code, the place, the snippet and a hint.
//! The same value is printed by `forebay check` (several lines, with the snippet), logged ([`Diagnostic::line`]) and, in a cluster,
//! part of a condition or an event ([`Diagnostic::sentence`]).

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

/// How far a problem reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is lost; something may surprise.
    Note,
    /// The object is used, but a part of it leads nowhere (a reference that does not resolve): that part answers 503.
    Warning,
    /// The object is refused.
    Error,
}

/// A stable identifier such as `FB2001`. The first digit says what kind of wrong: 1 syntax, 2 schema, 3 rules between
/// fields, 4 references, 5 routes, 6 files.
pub type Code = &'static str;

/// Which object a problem belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ObjectRef {
    /// `UpstreamGroup`, `Ingress`, ...
    pub kind: Arc<str>,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Location {
    /// The file as it was named.
    pub file: Arc<str>,
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
    /// The text of that line.
    pub snippet: Arc<str>,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable across releases.
    pub code: Code,
    /// How far it reaches.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The object, as far as it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// The path of the field, as the API server writes it: `spec.servers[0].weight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Where it stands, when it came from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
}

impl Diagnostic {
    /// A problem without a place yet.
    pub fn new(code: Code, severity: Severity, message: impl Into<String>) -> Self {
        Self { code, severity, message: message.into(), hint: None, object: None, field: None, location: None }
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds whose problem it is.
    #[must_use]
    pub fn object(mut self, object: ObjectRef) -> Self {
        self.object = Some(object);
        self
    }

    /// Adds the field's path.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// One line of an error log, whose level is the severity. As nginx words it: what, then where; and how to mend it.
    pub fn line(&self) -> String {
        let mut line = String::new();
        // Writing to a String does not fail.
        if let Some(object) = &self.object {
            let _ = write!(line, "{object}: ");
        }
        if let Some(field) = &self.field {
            let _ = write!(line, "{field}: ");
        }
        let _ = write!(line, "{} [{}]", self.message, self.code);
        if let Some(at) = &self.location {
            let _ = write!(line, " in {}:{}:{}", at.file, at.line, at.column);
        }
        if let Some(hint) = &self.hint {
            let _ = write!(line, "; hint: {hint}");
        }
        line
    }

    /// One sentence of what is said about the object, where everybody sees which it is.
    pub fn sentence(&self) -> String {
        let field = self.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
        let hint = self.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{field}{}{hint} [{}]", self.message, self.code)
    }
}

/// `most` of what a message could name, and how many more there are.
pub fn listed(items: &[String], most: usize, separator: &str) -> String {
    let named = items.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(separator);
    match items.len().saturating_sub(most) {
        0 => named,
        more => format!("{named}{separator}and {more} more"),
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Diagnostic {
    /// One problem as several lines, ending without a newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: ", self.severity, self.code)?;
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(at) = &self.location {
            let number = at.line.to_string();
            let gutter = " ".repeat(number.len());
            let caret = " ".repeat(at.column.saturating_sub(1) as usize);
            write!(f, "\n{gutter}--> {}:{}:{}", at.file, at.line, at.column)?;
            write!(f, "\n{number} | {}\n{gutter} | {caret}^", at.snippet)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  = hint: {hint}")?;
        }
        Ok(())
    }
}

/// The number of insertions, deletions and substitutions between two short names (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// What was likely meant by `word`: the candidate that differs from it in case only or by a letter or two, the nearest and then
/// the first by name. Where no letter would be left of the word, it was none of them; and of more than 64 bytes it is no slip, and
/// comparing is dear.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    let distance = |candidate: &str| edit_distance(&lower, &candidate.to_ascii_lowercase());
    let (distance, near) = candidates.into_iter().map(|candidate| (distance(candidate), candidate)).min()?;
    (distance <= 2 && distance < word.chars().count()).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_was_likely_meant() {
        let long = "a".repeat(65);
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            ("wieght", &["height", "weight"], Some("weight")),
            ("Prefix", &["prefix"], Some("prefix")),
            ("aap", &["bap", "app"], Some("app")),
            ("A", &["a"], Some("a")),
            ("a", &["b"], None),
            ("db", &["fe"], None),
            ("db", &["dbs"], Some("dbs")),
            ("weight", &["wait"], None),
            ("app", &[], None),
            (&long[..64], &[&long], Some(&long)),
            (&long, &[&long[..64]], None),
        ];
        for (word, candidates, near) in cases {
            assert_eq!(nearest(word, candidates.iter().copied()), *near, "{word}");
        }
    }

    #[test]
    fn distances() {
        for (a, b, distance) in [("", "abc", 3), ("weigth", "weight", 2), ("same", "same", 0), ("wieght", "weight", 2)]
        {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn a_problem_is_a_line_or_a_sentence() {
        let bare = Diagnostic::new("FB6001", Severity::Error, "app.yaml cannot be read: no such file");
        assert_eq!(bare.line(), "app.yaml cannot be read: no such file [FB6001]");
        assert_eq!(bare.sentence(), bare.line());
        let full = Diagnostic::new("FB2001", Severity::Error, "unknown field \"spec.wieght\"")
            .object(ObjectRef { kind: "UpstreamGroup".into(), namespace: "shop".into(), name: "app".into() })
            .field("spec.wieght")
            .at(Location { file: "app.yaml".into(), line: 10, column: 5, snippet: "    wieght: 3".into() })
            .hint("did you mean \"weight\"?");
        assert_eq!(
            full.line(),
            "UpstreamGroup shop/app: spec.wieght: unknown field \"spec.wieght\" [FB2001] in app.yaml:10:5; hint: did you \
             mean \"weight\"?"
        );
        assert_eq!(full.sentence(), "spec.wieght: unknown field \"spec.wieght\" (did you mean \"weight\"?) [FB2001]");
    }

    #[test]
    fn what_is_not_named_is_counted() {
        let items = ["a", "b", "c"].map(String::from);
        assert_eq!(listed(&items, 3, "; "), "a; b; c");
        assert_eq!(listed(&items, 1, ", "), "a, and 2 more");
    }
}
