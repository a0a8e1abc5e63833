//! Where things stand in a text.

use std::sync::Arc;

use config::Location;

use super::path::{Segment, segments};
use super::tree::{Mark, Node};

/// A file's name, as it is to be shown, and its text.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// As the user named it.
    pub name: Arc<str>,
    /// The whole text.
    pub text: String,
}

/// The place of every field of one object.
#[derive(Debug)]
pub struct SourceMap {
    text: Arc<Text>,
    root: Node,
}

/// A file with its lines found.
#[derive(Debug)]
pub(super) struct Text {
    name: Arc<str>,
    content: Arc<str>,
    /// The byte at which each line starts.
    lines: Vec<usize>,
}

/// No snippet is longer, whatever stands in one line.
const MAX_SNIPPET: usize = 500;
/// What is shown of a long line behind the place.
const SNIPPET_TAIL: usize = 80;

impl SourceMap {
    pub(super) fn new(text: Arc<Text>, root: Node) -> Self {
        Self { text, root }
    }

    /// Where the field `path` stands, such as `spec.servers[0].weight`, or else the nearest object around it that does. An
    /// object or a list is found at its key.
    pub fn locate(&self, path: &str) -> Location {
        self.text.location(self.way(path).map(|(at, _)| at).last().unwrap_or(self.root.at))
    }

    /// The value of the field `path`, if it was written.
    pub(super) fn find<'a>(&'a self, path: &'a str) -> Option<&'a Node> {
        let way: Vec<_> = self.way(path).collect();
        let node = way.last().map_or(&self.root, |(_, node)| node);
        (way.len() == segments(path).count()).then_some(node)
    }

    /// The values along `path`, as far as they were written, and where to point for each.
    fn way<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (Mark, &'a Node)> {
        segments(path).scan(&self.root, |node, segment| {
            let (at, child) = match segment {
                Segment::Field(name) => node.entry(name).map(|entry| (entry.place(), &entry.value)),
                Segment::Index(index) => node.items().get(index).map(|item| (item.at, item)),
            }?;
            *node = child;
            Some((at, child))
        })
    }
}

impl Text {
    pub(super) fn new(file: &SourceFile) -> Self {
        let bytes = file.text.as_bytes();
        // The line breaks of YAML 1.2: LF, CR LF, CR.
        let breaks = (0..bytes.len()).filter(|at| match bytes[*at] {
            b'\n' => true,
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self {
            name: file.name.clone(),
            content: file.text.as_str().into(),
            lines: std::iter::once(0).chain(breaks.map(|at| at + 1)).collect(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.content
    }

    pub(super) fn location(&self, at: Mark) -> Location {
        Location { file: self.name.clone(), line: at.line, column: at.column, snippet: self.snippet(at) }
    }

    /// The whole line of `at`, without its end.
    pub(super) fn line(&self, at: Mark) -> &str {
        let start_of = |line: usize| self.lines.get(line).copied().unwrap_or(self.content.len());
        let index = (at.line as usize).saturating_sub(1);
        self.content.get(start_of(index)..start_of(index + 1)).unwrap_or_default().trim_end()
    }

    /// The line of `at`: one character per column, so that a caret below it points right, and nothing a terminal obeys.
    fn snippet(&self, at: Mark) -> Arc<str> {
        let line = self.line(at);
        let length = (at.column as usize + SNIPPET_TAIL).min(MAX_SNIPPET);
        let shown = line.chars().take(length);
        shown.map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
    }
}
