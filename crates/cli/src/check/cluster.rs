//! `forebay check --cluster`: what a controller would publish of a cluster now, without one. It lists, and writes nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use api::{CaReferenceKind, UpstreamTls};
use config::{Code, Diagnostic, ObjectRef, Severity};
use controller::connect::{Access, ConnectError};
use controller::listing::{self, LeftOut, Part};
use controller::trouble::Trouble;
use controller::watch::{Classes, WatchScope};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::Ingress;
use serde::Serialize;
use translate::document::Documents;
use translate::{Located, Objects, Store};

use super::difference::Difference;
use super::follow;
use super::overlay;
use super::standing::{self, Standing};
use crate::{documents, judge};

/// A kind of object cannot be listed, and what depends on it was not looked at.
pub const LEFT_OUT: Code = "FB6005";

/// What to look at.
#[derive(Debug)]
pub struct Question {
    pub access: Access,
    pub namespaces: Vec<String>,
    /// What the objects do not say.
    pub options: translate::Options,
    /// Files to be applied over the cluster's objects.
    pub paths: Vec<PathBuf>,
}

/// What there is to say.
#[derive(Debug)]
pub struct Answer {
    /// Objects of the cluster that were looked at.
    pub objects: usize,
    pub files: usize,
    pub diagnostics: Vec<Diagnostic>,
    pub outcome: Outcome,
}

/// What would be pushed, against what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Against what the data planes were told, as far as statuses say.
    Cluster(Vec<Standing>),
    /// Against what the cluster's objects come to without the files.
    Difference(Difference),
}

/// Why there is nothing to say.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    List(#[from] Trouble),
}

/// Lists the cluster and judges it.
pub async fn look(question: Question) -> Result<Answer, ClusterError> {
    let (client, namespace) = question.access.client().await?;
    let files = (!question.paths.is_empty()).then(|| documents::read_in(&question.paths, &namespace));
    let scope = WatchScope {
        namespaces: question.namespaces.iter().map(|namespace| namespace.as_str().into()).collect(),
        classes: Classes::Needed,
    };
    let none = Objects::default();
    let besides = files.as_ref().map_or(&none, |files| &files.objects);
    let listing = listing::list(&client, &scope, besides).await?;
    let mut cluster = listing.index.objects().clone();
    let count = cluster.references().len() + listing.index.unread().len();
    let unread = listing.index.unread().values().map(|unread| unread.diagnostic.clone());
    let mut diagnostics: Vec<_> = unread.collect();

    let mut files = files;
    for LeftOut { part, trouble } in &listing.left_out {
        let mut is_used = leave_out(*part, &mut cluster, &question.options);
        if let Some(files) = &mut files {
            is_used |= leave_out(*part, &mut files.objects, &question.options);
            for layer in &mut files.apart {
                leave_out(*part, layer, &question.options);
            }
        }
        if is_used {
            diagnostics.push(said(*part, trouble));
        }
    }
    let alone = Documents { objects: cluster.clone(), ..Documents::default() };
    let now = judge::judge(&alone, &question.options);
    let Some(files) = files else {
        diagnostics.extend(now.diagnostics);
        let standings = standing::compare(&cluster, &now.config);
        return Ok(Answer { objects: count, files: 0, diagnostics, outcome: Outcome::Cluster(standings) });
    };
    let theirs = files.objects.references();
    let over = overlay::apply(&cluster, files);
    let then = judge::judge(&over, &question.options);
    let (config, said_then) = follow::follow(&cluster, &over.objects, &question.options);
    let about_files = then.diagnostics.iter().filter(|one| is_of(one, &theirs));
    // What is wrong in the cluster already and has nothing to do with the files is for whoever asks about the cluster.
    let besides = said_then.iter().filter(|one| !is_of(one, &theirs) && !now.diagnostics.contains(one));
    diagnostics.extend(about_files.chain(besides).cloned());
    let files = documents::find(&question.paths).files.len();
    let difference = Difference::between(&now.config, &config);
    Ok(Answer { objects: count, files, diagnostics, outcome: Outcome::Difference(difference) })
}

fn is_of(diagnostic: &Diagnostic, objects: &BTreeSet<ObjectRef>) -> bool {
    diagnostic.object.as_ref().is_none_or(|object| objects.contains(object))
}

/// Takes out of `objects` what cannot be judged; whether there was something.
fn leave_out(part: Part, objects: &mut Objects, options: &translate::Options) -> bool {
    match part {
        // There are none; whoever wants to apply some is told.
        Part::Groups => true,
        // With the class given by name, nobody asks whose it is.
        Part::Classes if options.ingress_class.is_some() => false,
        Part::Classes => {
            let ingresses = std::mem::take(&mut objects.ingresses);
            !ingresses.is_empty()
        }
        Part::Routes => {
            objects.ingresses = Store::default();
            true
        }
        Part::Certificates => {
            let bare: Vec<_> = objects.ingresses.values().filter_map(|ingress| without_tls(ingress)).collect();
            let is_used = !bare.is_empty();
            for ingress in bare {
                objects.ingresses.put(ingress);
            }
            is_used | leave_groups_out(objects, names_secret)
        }
        Part::Authorities => leave_groups_out(objects, names_config_map),
    }
}

/// Takes groups out that cannot be judged; whether there were some.
fn leave_groups_out(objects: &mut Objects, is_out: fn(&UpstreamTls) -> bool) -> bool {
    let groups = objects.upstream_groups.iter().filter(|(_, group)| group.spec.tls.as_ref().is_some_and(is_out));
    let out: Vec<_> = groups.map(|(name, group)| (name, group.reference())).collect();
    let is_used = !out.is_empty();
    for ((namespace, name), reference) in out {
        objects.upstream_groups.remove(&namespace, &name);
        // What refers to it is not said to lead nowhere.
        objects.refused.insert(reference);
    }
    is_used
}

fn names_secret(tls: &UpstreamTls) -> bool {
    let authorities = tls.ca_certificate_ref.as_ref();
    tls.client_certificate_ref.is_some() || authorities.is_some_and(|one| one.kind == CaReferenceKind::Secret)
}

fn names_config_map(tls: &UpstreamTls) -> bool {
    tls.ca_certificate_ref.as_ref().is_some_and(|one| one.kind == CaReferenceKind::ConfigMap)
}

/// `None` if it names no Secret.
fn without_tls(ingress: &Located<Ingress>) -> Option<Located<Ingress>> {
    let tls = ingress.spec.as_ref()?.tls.as_ref()?;
    tls.iter().any(|tls| tls.secret_name.is_some()).then(|| {
        let mut bare = ingress.clone();
        if let Some(spec) = &mut bare.object.spec {
            spec.tls = None;
        }
        bare
    })
}

fn said(part: Part, trouble: &Trouble) -> Diagnostic {
    let what = match part {
        Part::Groups => "groups of the cluster are taken for none",
        Part::Classes => "which Ingresses are served is not known, so routes were not looked at",
        Part::Routes => "routes were not looked at",
        Part::Certificates => "certificates, and groups that name one, were not looked at",
        Part::Authorities => "groups whose authorities are in one were not looked at",
    };
    let diagnostic = Diagnostic::new(LEFT_OUT, Severity::Warning, format!("{trouble}; {what}"));
    match part {
        Part::Classes => diagnostic.hint("or name the class that is served: --ingress-class NAME"),
        Part::Groups | Part::Routes | Part::Certificates | Part::Authorities => diagnostic,
    }
}

/// The present is read for the validity of certificates.
pub fn options(ingress_class: Option<std::sync::Arc<str>>) -> translate::Options {
    translate::Options { ingress_class, ..translate::Options::for_cluster(Timestamp::now()) }
}
