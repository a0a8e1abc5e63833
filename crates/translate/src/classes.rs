//! Which Ingresses are ours: the class by field, by the legacy annotation, or by default.
//!
//! A class is ours when its `IngressClass` names our controller. `--ingress-class NAME` narrows that to one class, and takes
//! it whatever its `IngressClass` says, because the operator said so: that is how the documents of a cluster that another
//! controller serves are replayed. Files on a laptop often hold no `IngressClass` at all; then an Ingress without a class is
//! served, see [`Classless`].

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Diagnostic, Severity};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use crate::document::{Located, Objects};
use crate::kind::{Kind as _, annotation, name};
use crate::report::Report;
use crate::services::MEND;
use crate::{Classless, Options, codes};

/// The value of `spec.controller` that makes an `IngressClass` ours.
pub const CONTROLLER: &str = "forebay.dev/ingress-controller";

const LEGACY: &str = "kubernetes.io/ingress.class";
const IS_DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// The classes of a set of objects.
pub struct Classes<'a> {
    /// By name; whether each is ours.
    known: BTreeMap<&'a str, bool>,
    objects: &'a Objects,
    default: Option<&'a str>,
    only: Option<&'a str>,
    classless: Classless,
}

impl<'a> Classes<'a> {
    /// Reads the `IngressClass`es.
    pub fn read(objects: &'a Objects, options: &'a Options, report: &mut Report) -> Self {
        let only = options.ingress_class.as_deref();
        let mut known = BTreeMap::new();
        for class in objects.ingress_classes.values() {
            let controller = class.spec.as_ref().and_then(|spec| spec.controller.as_deref());
            let ours = controller == Some(CONTROLLER);
            if !ours && only == Some(name(&class.metadata)) {
                let message = format!("the class belongs to {}, and is served because it was asked for by name", {
                    controller.unwrap_or("no controller")
                });
                report.say(
                    class,
                    Diagnostic::new(codes::CLASS_FOREIGN, Severity::Note, message).field("spec.controller"),
                );
            }
            known.insert(name(&class.metadata), ours);
        }
        Self { known, objects, default: default_class(objects, report), only, classless: options.classless }
    }

    /// Whether an Ingress is ours to serve. When it is not, or only just, that is said against it.
    pub fn serve(&self, ingress: &Located<Ingress>, report: &mut Report) -> bool {
        let field = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref());
        let legacy = annotation(&ingress.metadata, LEGACY);
        let served = match field.or(legacy).or(self.default) {
            Some(class) => self.serve_class(ingress, class, report),
            None => self.serve_classless(ingress, report),
        };
        if served && let Some(legacy) = legacy {
            say_legacy(ingress, field, legacy, report);
        }
        served
    }

    fn serve_class(&self, ingress: &Located<Ingress>, class: &str, report: &mut Report) -> bool {
        let (severity, code, message, hint) = match (self.only, self.known.get(class)) {
            (Some(only), _) if only == class => return true,
            (None, Some(true)) => return true,
            (Some(only), _) => (
                Severity::Note,
                codes::CLASS_FOREIGN,
                format!("not served: its class is {class}, and only {only} was asked for"),
                String::new(),
            ),
            (None, Some(false)) => (
                Severity::Note,
                codes::CLASS_FOREIGN,
                format!("not served: its class {class} belongs to another controller"),
                format!(
                    "to serve it, name a class whose spec.controller is {CONTROLLER}, or run with --ingress-class {class}"
                ),
            ),
            (None, None) if self.objects.is_refused(IngressClass::KIND, "", class) => (
                Severity::Warning,
                codes::CLASS_MISSING,
                format!("not served: IngressClass {class} is refused"),
                MEND.to_owned(),
            ),
            (None, None) => (
                Severity::Warning,
                codes::CLASS_MISSING,
                format!("not served: IngressClass {class} does not exist"),
                match self.objects.ingress_classes.nearest("", class) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!(
                        "add an IngressClass {class} with spec.controller {CONTROLLER}, or run with --ingress-class {class}"
                    ),
                },
            ),
        };
        let said = Diagnostic::new(code, severity, message).field("spec.ingressClassName");
        report.say(ingress, if hint.is_empty() { said } else { said.hint(hint) });
        false
    }

    fn serve_classless(&self, ingress: &Located<Ingress>, report: &mut Report) -> bool {
        let serve = match self.classless {
            Classless::Serve => true,
            Classless::ServeWithoutClasses => self.known.is_empty() && self.only.is_none(),
            Classless::Ignore => false,
        };
        if !serve {
            report.say(
                ingress,
                Diagnostic::new(
                    codes::CLASS_FOREIGN,
                    Severity::Note,
                    "not served: it has no class and none is the default",
                )
                .field("spec")
                .hint("set spec.ingressClassName"),
            );
        }
        serve
    }
}

fn say_legacy(ingress: &Located<Ingress>, field: Option<&str>, legacy: &str, report: &mut Report) {
    let message = match field {
        Some(field) if field == legacy => format!("the annotation {LEGACY} repeats spec.ingressClassName"),
        Some(field) => format!("the annotation {LEGACY}: {legacy} is ignored: spec.ingressClassName is {field}"),
        None => format!("the class is given by the deprecated annotation {LEGACY}"),
    };
    report.say(
        ingress,
        Diagnostic::new(codes::CLASS_ANNOTATION, Severity::Note, message)
            .field(format!("metadata.annotations[{LEGACY}]"))
            .hint("use spec.ingressClassName alone"),
    );
}

/// The default class: of several the newest, as the API server's admission decides (`DefaultIngressClass`).
fn default_class<'a>(objects: &'a Objects, report: &mut Report) -> Option<&'a str> {
    let is_default = |class: &&Arc<Located<IngressClass>>| {
        annotation(&class.metadata, IS_DEFAULT).is_some_and(|value| value == "true")
    };
    let mut defaults: Vec<_> = objects.ingress_classes.values().filter(is_default).collect();
    defaults.sort_by_key(|class| (Reverse(class.metadata.creation_timestamp.as_ref()), name(&class.metadata)));
    let (chosen, others) = defaults.split_first()?;
    for other in others {
        let message = format!("several classes are marked as the default; {} is used", name(&chosen.metadata));
        report.say(
            other,
            Diagnostic::new(codes::CLASS_DEFAULTS, Severity::Warning, message)
                .field("metadata.annotations")
                .hint(format!("remove {IS_DEFAULT} from all but one")),
        );
    }
    Some(name(&chosen.metadata))
}
