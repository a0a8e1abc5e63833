//! YAML text to located trees, one per document. JSON is YAML and comes the same way.
//!
//! The parser gives events with places; here they become trees, duplicate keys, aliases and merge keys (`<<`) included. A
//! document with a fault is still built as far as it goes, so that everything else that is wrong with it can be said too, but
//! it has `faults`. After a syntax error reading goes on at the next `---`.

use std::collections::HashMap;
use std::sync::Arc;

use config::{Code, Diagnostic, Severity};
use serde_saphyr::granit_parser::{self as granit, Event, Marker, Parser, ScalarStyle};

use super::source::Text;
use super::tree::{Entry, Mark, Node, Value};
use super::{codes, scalar};

/// One document of a file.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Its value, as far as it could be built; nothing behind a syntax error.
    pub root: Option<Node>,
    /// Why it does not mean what its author meant.
    pub faults: Vec<Diagnostic>,
}

/// Deeper nesting than any Kubernetes object has; a bound for every recursion over a tree.
const MAX_DEPTH: usize = 100;
/// Nodes that the aliases of one document may stand for. A bound for everything that walks a tree.
const MAX_ALIASED: usize = 100_000;

/// A node that is complete, with what it takes to walk it.
#[derive(Clone)]
struct Built {
    node: Node,
    /// Nodes it consists of, aliases expanded.
    size: usize,
    /// Levels below it.
    height: usize,
}

/// A container under construction.
struct Frame {
    at: Mark,
    anchor: usize,
    size: usize,
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Map),
}

#[derive(Default)]
struct Map {
    entries: Vec<Entry>,
    /// Where each key stands in `entries`.
    index: HashMap<Arc<str>, Slot>,
    /// The key whose value comes next.
    key: Option<Key>,
}

#[derive(Clone, Copy)]
struct Slot {
    at: usize,
    /// Whether the entry came by a merge key, and so gives way.
    merged: bool,
}

struct Key {
    text: Arc<str>,
    at: Mark,
    /// An unquoted `<<`.
    merge: bool,
}

struct Builder<'a> {
    text: &'a Text,
    document: Document,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Built>,
    aliased: usize,
}

/// Every document of `text` that is not empty.
pub(super) fn documents(text: &Text) -> Vec<Document> {
    let options = granit::options! { emit_comments: false, emit_unresolved_aliases: true };
    let mut parser = Parser::new_from_str_with_options(text.as_str(), options);
    let mut documents = Vec::new();
    let mut builder = Builder::new(text);
    while let Some(next) = parser.next() {
        match next {
            Ok((Event::DocumentEnd, _)) => documents.extend(builder.finish()),
            Ok((event, span)) => builder.event(&event, mark(span.start)),
            Err(error) => {
                let at = mark(*error.marker());
                builder.report(codes::SYNTAX, at, format!("this is not YAML: {}", error.info()), syntax_hint(text, at));
                documents.extend(builder.finish());
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    documents
}

fn mark(marker: Marker) -> Mark {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Mark { line: number(marker.line()), column: number(marker.col() + 1) }
}

fn syntax_hint(text: &Text, at: Mark) -> Option<&'static str> {
    let line = text.line(at);
    let indent = &line[..line.len() - line.trim_start().len()];
    indent.contains('\t').then_some("YAML is indented with spaces, not tabs")
}

impl<'a> Builder<'a> {
    fn new(text: &'a Text) -> Self {
        Self { text, document: Document::default(), stack: Vec::new(), anchors: HashMap::new(), aliased: 0 }
    }

    /// The document that ended, unless it was empty; the next one begins.
    fn finish(&mut self) -> Option<Document> {
        let document = std::mem::replace(self, Self::new(self.text)).document;
        let is_empty = document.root.as_ref().is_none_or(|root| matches!(root.value, Value::Null));
        (!is_empty || !document.faults.is_empty()).then_some(document)
    }

    fn report(&mut self, code: Code, at: Mark, message: String, hint: Option<&str>) {
        let mut diagnostic = Diagnostic::new(code, Severity::Error, message).at(self.text.location(at));
        diagnostic.hint = hint.map(str::to_owned);
        self.document.faults.push(diagnostic);
    }

    fn event(&mut self, event: &Event<'_>, at: Mark) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = matches!(style, ScalarStyle::Plain);
                let value = match tag.as_ref().and_then(|tag| tag.core_suffix()) {
                    Some("int" | "float" | "bool" | "null") => scalar::plain(text),
                    None if is_plain => scalar::plain(text),
                    Some(_) | None => Value::Text(text.as_ref().into()),
                };
                if self.takes_key() {
                    return self.key(Key { text: text.as_ref().into(), at, merge: is_plain && text == "<<" });
                }
                self.complete(Built { node: Node { at, value }, size: 1, height: 0 }, *anchor);
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, *anchor, Content::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                self.open(at, *anchor, Content::Map(Map::default()));
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(*id, at),
            Event::UnresolvedAlias(name) => {
                self.report(codes::NOT_JSON, at, format!("no anchor \"&{name}\" stands before this alias"), None);
                self.placeholder(at);
            }
            _ => {}
        }
    }

    /// Whether the next node is the key of a map.
    fn takes_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { content: Content::Map(Map { key: None, .. }), .. }))
    }

    fn key(&mut self, new: Key) {
        let Some(Frame { content: Content::Map(map), .. }) = self.stack.last_mut() else { return };
        let duplicate = !new.merge && map.index.get(&new.text).is_some_and(|slot| !slot.merged);
        let (text, at) = (new.text.clone(), new.at);
        map.key = Some(new);
        if duplicate {
            let hint = Some("a later value would silently replace an earlier one; keep one of them");
            self.report(codes::DUPLICATE_KEY, at, format!("key \"{text}\" is already set in this object"), hint);
        }
    }

    fn open(&mut self, at: Mark, anchor: usize, content: Content) {
        if self.takes_key() {
            let hint = Some("write the key as a text");
            self.report(codes::NOT_JSON, at, "a key is a list or an object".into(), hint);
        }
        if self.stack.len() == MAX_DEPTH {
            self.report(codes::TOO_BIG, at, format!("nested more than {MAX_DEPTH} levels deep"), None);
        }
        self.stack.push(Frame { at, anchor, size: 1, height: 0, content });
    }

    fn close(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let value = match frame.content {
            Content::List(items) => Value::List(Arc::new(items)),
            Content::Map(map) => Value::Map(Arc::new(map.entries)),
        };
        // What is too deep is dropped level by level, before it can be walked.
        let value = if self.stack.len() >= MAX_DEPTH { Value::Null } else { value };
        let node = Node { at: frame.at, value };
        self.complete(Built { node, size: frame.size, height: frame.height }, frame.anchor);
    }

    fn alias(&mut self, id: usize, at: Mark) {
        let Some(target) = self.anchors.get(&id).cloned() else {
            self.report(codes::NOT_JSON, at, "this alias stands inside the value it names".into(), None);
            return self.placeholder(at);
        };
        self.aliased = self.aliased.saturating_add(target.size);
        if self.aliased > MAX_ALIASED || self.stack.len() + target.height >= MAX_DEPTH {
            if !self.document.faults.iter().any(|fault| fault.code == codes::TOO_BIG) {
                let message = format!("aliases expand to more than {MAX_ALIASED} values or {MAX_DEPTH} levels");
                self.report(codes::TOO_BIG, at, message, None);
            }
            return self.placeholder(at);
        }
        if self.takes_key() {
            return match target.node.value {
                Value::Text(text) | Value::Plain(_, text) => self.key(Key { text, at, merge: false }),
                Value::Null | Value::List(_) | Value::Map(_) => {
                    self.report(codes::NOT_JSON, at, "a key is a list or an object".into(), None);
                    self.placeholder(at);
                }
            };
        }
        self.complete(Built { node: Node { at, ..target.node }, ..target }, 0);
    }

    /// Stands for a node that cannot be had.
    fn placeholder(&mut self, at: Mark) {
        self.complete(Built { node: Node { at, value: Value::Null }, size: 1, height: 0 }, 0);
    }

    fn complete(&mut self, built: Built, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, built.clone());
        }
        let Built { node, size, height } = built;
        let Some(frame) = self.stack.last_mut() else {
            self.document.root = Some(node);
            return;
        };
        frame.size = frame.size.saturating_add(size);
        frame.height = frame.height.max(height + 1);
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map(map) => match map.key.take() {
                // A container where a key should be: reported when it opened.
                None => map.key = Some(Key { text: "".into(), at: node.at, merge: false }),
                Some(Key { merge: true, at, .. }) => {
                    if let Err(NotAMap) = map.merge(&node) {
                        let hint = Some("\"<<\" takes an object, usually by an alias");
                        self.report(codes::NOT_JSON, at, "the value of \"<<\" is not an object".into(), hint);
                    }
                }
                Some(Key { text, at, .. }) => map.set(Entry { key: text, at, value: node }),
            },
        }
    }
}

impl Map {
    /// Sets a field that was written; one that was merged in gives way.
    fn set(&mut self, entry: Entry) {
        let end = self.entries.len();
        let slot = self.index.entry(entry.key.clone()).or_insert(Slot { at: end, merged: false });
        slot.merged = false;
        match self.entries.get_mut(slot.at) {
            Some(previous) => *previous = entry,
            None => self.entries.push(entry),
        }
    }

    /// Adds the fields of a map, or of a list of maps, that are not there yet (YAML 1.1 merge keys).
    fn merge(&mut self, node: &Node) -> Result<(), NotAMap> {
        let sources: &[Node] = match &node.value {
            Value::Map(_) => std::slice::from_ref(node),
            Value::List(items) => items,
            Value::Null | Value::Plain(..) | Value::Text(_) => return Err(NotAMap),
        };
        for source in sources {
            let Value::Map(merged) = &source.value else { return Err(NotAMap) };
            for entry in merged.iter() {
                if !self.index.contains_key(&entry.key) {
                    self.index.insert(entry.key.clone(), Slot { at: self.entries.len(), merged: true });
                    self.entries.push(entry.clone());
                }
            }
        }
        Ok(())
    }
}

struct NotAMap;
