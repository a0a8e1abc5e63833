//! Document by document: which kind it is, what is wrong with it, and the typed object as far as it can be read.

use std::collections::{BTreeMap, HashMap, hash_map};
use std::sync::Arc;

use config::{Code, Diagnostic, Location, ObjectRef, Severity};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::kinds::{Identity, Kind, identify};
use super::mend::mend;
use super::quote::quote;
use super::source::Text;
use super::tree::{Entry, Mark, Node, Value};
use super::validate::{Unknown, validate};
use super::yaml::{self, Document};
use super::{Documents, Located, Objects, SourceFile, SourceMap, Store, advice, codes, rfc1123};
use crate::kind;

/// Reads files one after the other.
pub(super) struct Reader {
    documents: Documents,
    /// Of objects that name none.
    namespace: Arc<str>,
    /// Where each object was read first, and how often.
    seen: HashMap<(Kind, String, String), (Location, usize)>,
}

/// The documents of one file that concern others: by `apiVersion` and kind, how many and where the first stands.
type Skipped = BTreeMap<(String, String), (usize, Mark)>;

/// An object as it was found.
#[derive(Clone)]
struct Draft<'a> {
    kind: Kind,
    name: &'a ObjectRef,
    json: Json,
    source: &'a Arc<SourceMap>,
    /// The fields in which an error was found.
    wrong: Vec<String>,
}

/// What will surprise about an object that was filed, or why it was not.
type Kept = Result<Vec<Diagnostic>, serde_json::Error>;

/// What a `List` says about its items, which may leave it out.
#[derive(Clone, Copy, Default)]
struct Inherited<'a> {
    api_version: Option<&'a str>,
    kind: Option<&'a str>,
}

impl Reader {
    pub fn new(namespace: &str) -> Self {
        Self { documents: Documents::default(), namespace: namespace.into(), seen: HashMap::new() }
    }

    pub fn read(&mut self, file: &SourceFile) {
        let text = Arc::new(Text::new(file));
        let mut skipped = Skipped::new();
        let before = self.documents.diagnostics.len();
        for Document { root, faults } in yaml::documents(&text) {
            let sound = faults.is_empty();
            self.documents.diagnostics.extend(faults);
            if let Some(root) = root {
                self.document(&text, &root, sound, Inherited::default(), &mut skipped);
            }
        }
        for ((api_version, kind), (count, at)) in skipped {
            let objects = if count == 1 { "object is" } else { "objects are" };
            let message = format!("{count} {kind} ({api_version}) {objects} skipped: not a kind that Forebay reads");
            let note = Diagnostic::new(codes::SKIPPED_KIND, Severity::Note, message).at(text.location(at));
            self.documents.diagnostics.push(note);
        }
        self.documents.diagnostics[before..].iter_mut().for_each(make_printable);
    }

    pub fn finish(self) -> Documents {
        self.documents
    }

    fn document(&mut self, text: &Arc<Text>, root: &Node, sound: bool, list: Inherited<'_>, skipped: &mut Skipped) {
        if !matches!(root.value, Value::Map(_)) {
            let message = format!("a document must be an object, not of type {}", root.type_name());
            let hint = Some("begin with apiVersion and kind".to_owned());
            return self.error(codes::NOT_AN_OBJECT, text, root.at, None, message, hint);
        }
        let api_version = root.text("apiVersion").or(list.api_version);
        let kind = root.text("kind").or(list.kind);
        let (Some(api_version), Some(kind)) = (api_version, kind) else {
            let missing = if kind.is_none() { "kind" } else { "apiVersion" };
            return self.error(codes::REQUIRED, text, root.at, Some(missing), "Required value".into(), None);
        };
        if let Some(items) = root.entry("items").filter(|_| kind.ends_with("List")) {
            let of = kind.strip_suffix("List").filter(|of| !of.is_empty());
            let inherited = Inherited { api_version: of.map(|_| api_version), kind: of };
            for item in items.value.items() {
                self.document(text, item, sound, inherited, skipped);
            }
            return;
        }
        match identify(api_version, kind) {
            Identity::Known(known) => self.object(known, text, root, sound),
            Identity::Misplaced(known) => {
                let hint = format!("this release reads {} {}", known.api_version(), known.name());
                self.no_match(text, root, (api_version, kind), "apiVersion", hint);
            }
            Identity::Misspelled(known) => {
                let hint = format!("did you mean \"{}\"?", known.name());
                self.no_match(text, root, (api_version, kind), "kind", hint);
            }
            Identity::Doubtful(known) => {
                let at = root.entry("apiVersion").map_or(root.at, Entry::place);
                let message = format!("{kind} ({api_version}) is skipped: its API group is none that Forebay reads");
                let hint = format!("if it is meant for Forebay, write apiVersion: {}", known.api_version());
                let doubt = Diagnostic::new(codes::DOUBTFUL_GROUP, Severity::Warning, message).field("apiVersion");
                self.documents.diagnostics.push(doubt.at(text.location(at)).hint(hint));
            }
            Identity::Foreign => {
                skipped.entry((api_version.to_owned(), kind.to_owned())).or_insert((0, root.at)).0 += 1;
            }
        }
    }

    fn error(&mut self, code: Code, text: &Text, at: Mark, field: Option<&str>, message: String, hint: Option<String>) {
        let mut diagnostic = Diagnostic::new(code, Severity::Error, message).at(text.location(at));
        diagnostic.field = field.map(str::to_owned);
        diagnostic.hint = hint;
        self.documents.diagnostics.push(diagnostic);
    }

    /// `field` is the one to mend.
    fn no_match(&mut self, text: &Text, root: &Node, (version, kind): (&str, &str), field: &str, hint: String) {
        let at = root.entry(field).map_or(root.at, Entry::place);
        let message = format!("no matches for kind {kind:?} in version {version:?}");
        self.error(codes::VERSION, text, at, Some(field), message, Some(hint));
    }

    fn object(&mut self, kind: Kind, text: &Arc<Text>, root: &Node, sound: bool) {
        let root = without_noise(root);
        let source = Arc::new(SourceMap::new(Arc::clone(text), root.clone()));
        let mut faults = validate(&root, kind.schema(), text, unknown_fields(kind, &root));
        faults.extend(name_faults(kind, &root, &source));

        let mut json = root.to_json();
        complete(&mut json, kind, &self.namespace);
        if kind == Kind::UpstreamGroup {
            json = api::apply_defaults(&json);
            faults.extend(rule_faults(&json, &source, &faults));
        }

        let object = reference(kind, &json);
        let (nth, duplicate) = self.count(kind, &object, &source);
        faults.extend(duplicate);
        if !object.name.is_empty() {
            let wrong: Vec<_> = (faults.iter())
                .filter(|fault| fault.severity == Severity::Error)
                .map(|fault| fault.field.clone().unwrap_or_default())
                .collect();
            if sound {
                faults.extend(self.file(Draft { kind, name: &object, json, source: &source, wrong }, nth));
            } else if nth == 0 {
                self.documents.objects.refused.insert(object.clone());
            }
        }
        let place = |fault: &Diagnostic| fault.location.as_ref().map(|at| (at.line, at.column));
        faults.sort_by_key(|fault| (fault.severity == Severity::Note, place(fault)));
        let named = (!object.name.is_empty()).then_some(object);
        let faults = faults.into_iter().map(|fault| Diagnostic { object: named.clone(), ..fault });
        self.documents.diagnostics.extend(faults);
    }

    /// How many objects of this kind and name were read before, and what is wrong if any was.
    fn count(&mut self, kind: Kind, object: &ObjectRef, source: &SourceMap) -> (usize, Option<Diagnostic>) {
        if object.name.is_empty() {
            return (0, None);
        }
        let here = source.locate("metadata.name");
        match self.seen.entry((kind, object.namespace.to_string(), object.name.to_string())) {
            hash_map::Entry::Vacant(new) => {
                new.insert((here, 1));
                (0, None)
            }
            hash_map::Entry::Occupied(mut seen) => {
                let (first, count) = seen.get_mut();
                let hint = format!("the first is at {}:{}; keep one of them", first.file, first.line);
                let message = format!("{object} already exists");
                let duplicate = Diagnostic::new(codes::DUPLICATE_OBJECT, Severity::Error, message);
                *count += 1;
                (*count - 1, Some(duplicate.field("metadata.name").at(here).hint(hint)))
            }
        }
    }

    /// Files an object in spite of its faults: with the others if it can be read, or else apart, as far as it can be; apart
    /// also if there are `nth` of its name. Returns what will surprise about it, or why it cannot be read.
    fn file(&mut self, mut draft: Draft<'_>, nth: usize) -> Vec<Diagnostic> {
        if nth == 0 {
            match draft.clone().keep(&mut self.documents.objects) {
                Ok(advice) => return advice,
                Err(error) => {
                    self.documents.objects.refused.insert(draft.name.clone());
                    if draft.wrong.is_empty() {
                        let message = format!("the object cannot be read: {error}");
                        let fault = Diagnostic::new(codes::UNREADABLE, Severity::Error, message);
                        return vec![fault.at(draft.source.locate(""))];
                    }
                }
            }
        }
        mend(&mut draft.json, draft.kind.schema());
        let apart = &mut self.documents.apart;
        apart.resize_with(apart.len().max(nth + 1), Objects::default);
        // Its surprises may be of what stands in; and that it has faults was said, should it be unreadable even so.
        let _ = draft.keep(&mut apart[nth]);
        Vec::new()
    }
}

impl Draft<'_> {
    /// Files the object with those of its kind, if it can be read, and says what will surprise.
    fn keep(self, objects: &mut Objects) -> Kept {
        let Self { kind, name: _, json, source, wrong } = self;
        match kind {
            Kind::UpstreamGroup => push(&mut objects.upstream_groups, json, source, wrong, advice::routes),
            Kind::Ingress => push(&mut objects.ingresses, json, source, wrong, advice::none),
            Kind::IngressClass => push(&mut objects.ingress_classes, json, source, wrong, advice::none),
            Kind::Secret => push(&mut objects.secrets, json, source, wrong, advice::none),
            Kind::ConfigMap => push(&mut objects.config_maps, json, source, wrong, advice::none),
            Kind::Service => push(&mut objects.services, json, source, wrong, advice::none),
            Kind::EndpointSlice => push(&mut objects.endpoint_slices, json, source, wrong, advice::none),
        }
    }
}

/// Files an object; `advise` says what will surprise about it.
fn push<T: kind::Kind + DeserializeOwned>(
    store: &mut Store<T>,
    json: Json,
    source: &Arc<SourceMap>,
    faults: Vec<String>,
    advise: fn(&T, &SourceMap) -> Vec<Diagnostic>,
) -> Kept {
    let object = serde_json::from_value(json)?;
    let advice = advise(&object, source);
    store.put(Located { object, source: Some(Arc::clone(source)), faults });
    Ok(advice)
}

/// Takes out what a terminal obeys: a message quotes keys and names as they were written.
pub(crate) fn make_printable(diagnostic: &mut Diagnostic) {
    let texts = [Some(&mut diagnostic.message), diagnostic.hint.as_mut(), diagnostic.field.as_mut()];
    for text in texts.into_iter().flatten() {
        if text.contains(char::is_control) {
            *text = text.replace(char::is_control, "\u{fffd}");
        }
    }
    if let Some(object) = &mut diagnostic.object {
        for text in [&mut object.namespace, &mut object.name] {
            if text.contains(char::is_control) {
                *text = text.replace(char::is_control, "\u{fffd}").into();
            }
        }
    }
}

/// What becomes of fields that the schema has not. Only an API server gives an object its UID, and it takes fields that it knows
/// and no others; so in a dump of a newer one they are no slips. What an `UpstreamGroup` says is for this release to do.
fn unknown_fields(kind: Kind, root: &Node) -> Unknown {
    let is_dumped = root.entry("metadata").is_some_and(|metadata| metadata.value.text("uid").is_some());
    if is_dumped && kind != Kind::UpstreamGroup { Unknown::Ignore } else { Unknown::Refuse }
}

/// The object without what others write into it: its status and the record of who wrote what.
fn without_noise(root: &Node) -> Node {
    let without = |node: &Node, noise: &str| {
        let Value::Map(entries) = &node.value else { return node.clone() };
        let kept = entries.iter().filter(|entry| &*entry.key != noise).cloned().collect();
        Node { at: node.at, value: Value::Map(Arc::new(kept)) }
    };
    let mut root = without(root, "status");
    if let Value::Map(entries) = &mut root.value {
        for entry in Arc::make_mut(entries).iter_mut().filter(|entry| &*entry.key == "metadata") {
            entry.value = without(&entry.value, "managedFields");
        }
    }
    root
}

/// Fills in what the API server fills in for every object: where it belongs.
fn complete(json: &mut Json, kind: Kind, namespace: &str) {
    json["apiVersion"] = kind.api_version().into();
    json["kind"] = kind.name().into();
    if let Some(metadata) = json["metadata"].as_object_mut() {
        if kind.is_namespaced() {
            metadata.entry("namespace").or_insert_with(|| namespace.into());
        } else {
            metadata.remove("namespace");
        }
    }
}

fn reference(kind: Kind, json: &Json) -> ObjectRef {
    let text = |field: &str| json["metadata"][field].as_str().unwrap_or_default().into();
    ObjectRef { kind: kind.name().into(), namespace: text("namespace"), name: text("name") }
}

fn name_faults(kind: Kind, root: &Node, source: &SourceMap) -> Vec<Diagnostic> {
    let Some(metadata) = root.entry("metadata") else { return Vec::new() };
    let fault = |code: Code, field: &str, message: String| {
        Diagnostic::new(code, Severity::Error, message).field(field).at(source.locate(field))
    };
    let mut faults = Vec::new();
    match (metadata.value.text("name"), metadata.value.entry("name")) {
        (Some(name), _) => {
            faults.extend(
                rfc1123::fault(name, kind.name_rule()).map(|message| fault(codes::NAME, "metadata.name", message)),
            );
        }
        (None, None) => {
            let message = "Required value: name or generateName is required".into();
            let mut missing = fault(codes::REQUIRED, "metadata.name", message);
            if metadata.value.entry("generateName").is_some() {
                missing.hint = Some("only an API server generates names; write metadata.name".into());
            }
            faults.push(missing);
        }
        // Of another type: the schema says so.
        (None, Some(_)) => {}
    }
    if let Some(namespace) = metadata.value.text("namespace").filter(|_| kind.is_namespaced()) {
        let message = rfc1123::fault(namespace, super::kinds::NameRule::Label);
        faults.extend(message.map(|message| fault(codes::NAME, "metadata.namespace", message)));
    }
    faults
}

/// The CEL rules that are broken. Like the API server, none is evaluated while fields are missing, of another type, of no
/// supported value or longer than the rules' cost was reckoned for.
fn rule_faults(json: &Json, source: &SourceMap, faults: &[Diagnostic]) -> Vec<Diagnostic> {
    let blocking = [codes::WRONG_TYPE, codes::REQUIRED, codes::TOO_LONG, codes::UNSUPPORTED_VALUE];
    if faults.iter().any(|fault| blocking.contains(&fault.code)) {
        let message = "some validation rules were not checked because the object was invalid; correct the existing \
                       errors to complete validation";
        let note = Diagnostic::new(codes::RULES_NOT_CHECKED, Severity::Note, message);
        return vec![note.at(source.locate(""))];
    }
    let violations = api::violations(json).into_iter().map(|violation| {
        let message = match source.find(&violation.field).map(|node| &node.value) {
            Some(Value::Text(text)) => format!("Invalid value: {}: {}", quote(text), violation.message),
            _ => format!("Invalid value: {}", violation.message),
        };
        let at = source.locate(&violation.field);
        Diagnostic::new(codes::RULE, Severity::Error, message).field(violation.field).at(at)
    });
    violations.collect()
}
