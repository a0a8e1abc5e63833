//! Kubernetes objects to configuration, as a pure function: the same objects, in whatever order and from wherever they came,
//! give the same [`Config`].
//!
//! What is wrong with an object is said against it and harms nobody else: an error refuses the object, a reference that
//! leads nowhere makes that part of it answer 503. Nothing here reads a file, watches a cluster or
//! reads the clock.
//!
//! The way through: [`slices`] and [`services`] say which addresses stand behind a Service's port, [`endpoints`] which of
//! them serve, [`app_protocol`] what they ask to be spoken to with; [`names`] holds what DNS names resolve to. [`groups`] makes
//! groups of `UpstreamGroup`s, with what [`server_tls`] found in the [`keyring`]. [`classes`] says which Ingresses are ours, and
//! [`ingress`] makes routes of them through [`backends`], which adds the implicit groups of plain Services, and [`tls`] the
//! certificates that their hosts are answered with. [`translator`] does all this for objects that change: [`dependents`] says
//! which groups are read again, [`routing`] holds the routes. What nobody of these reads is what [`trim`] throws away.

mod app_protocol;
mod backends;
mod by_name;
mod certificate;
mod changes;
mod classes;
pub mod codes;
mod dependents;
pub mod document;
mod endpoints;
mod groups;
mod in_force;
mod ingress;
mod keyring;
pub mod kind;
mod names;
mod policy;
pub mod references;
mod report;
mod routing;
mod server_tls;
mod services;
mod slices;
mod table;
mod tls;
mod translator;
mod trim;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{Address, Certificate, CertificateId, Config, Diagnostic};
use jiff::Timestamp;

pub use by_name::{ByName, Name};
pub use certificate::look_again_in;
pub use changes::{Changed, Touched};
pub use classes::CONTROLLER;
pub use document::{Documents, Located, Objects, Store};
pub use in_force::not_in_force;
pub use names::{Known, Names, dns_names};
pub use references::References;
pub use translator::Translator;

/// What the objects do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Serve the Ingresses of this class only, whoever its `IngressClass` belongs to.
    pub ingress_class: Option<Arc<str>>,
    /// What becomes of Ingresses without a class.
    pub classless: Classless,
    /// Whether servers may be this host itself.
    pub local_addresses: LocalAddresses,
    /// The present, for the validity of certificates.
    pub now: Timestamp,
    /// What is known of the DNS names that servers are given by.
    pub names: Names,
    /// What becomes of a group with a name that is not answered.
    pub unanswered: Unanswered,
    /// Certificates by the Secrets that held them, which hosts keep while such a Secret cannot be used. Files are replaced in
    /// pieces, so whoever reads files gives what is in force. In a cluster there are none: there a Secret is deleted as a whole,
    /// and on purpose.
    pub held: BTreeMap<CertificateId, Arc<Certificate>>,
}

/// What becomes of a version of an `UpstreamGroup` with a DNS name that is not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unanswered {
    /// It is used without those servers: whoever reads files waits before, or looks nothing up at all.
    #[default]
    Use,
    /// It waits until the name is answered or given up, and the version before is used meanwhile. Where there is none, and
    /// without the name no server, it is not known what the group should be: data planes may have it with its servers.
    Wait,
}

/// What becomes of an Ingress without a class when no `IngressClass` is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Classless {
    /// It is nobody's: the rule of a cluster.
    #[default]
    Ignore,
    /// It is served when there is no `IngressClass` at all and none was asked for: files on a laptop.
    ServeWithoutClasses,
    /// It is served.
    Serve,
}

/// What is said of an address with [`Address::is_local`].
const LOCAL: &str = "this host itself, its link or a metadata service";

/// Whether objects may name as servers what answers each host by itself ([`Address::is_local`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalAddresses {
    /// Files may: their author can reach those addresses anyway.
    Allow,
    /// Objects in a cluster may not: their author must not reach what only the data plane can (metadata services, its own
    /// admin port).
    #[default]
    Refuse,
}

/// What objects come to.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    /// Everything that could be used.
    pub config: Config,
    /// What was wrong or may surprise, ordered by object and field.
    pub diagnostics: Vec<Diagnostic>,
    /// The next moment at which the validity of a certificate changes, and with it what is said.
    pub until: Option<Timestamp>,
}

impl LocalAddresses {
    /// Whether a server may have this address.
    pub fn permits(self, address: &Address) -> bool {
        match self {
            Self::Allow => true,
            Self::Refuse => !address.is_local(),
        }
    }
}

impl Options {
    /// For documents read from files at `now`.
    pub fn for_files(now: Timestamp) -> Self {
        Self {
            ingress_class: None,
            classless: Classless::ServeWithoutClasses,
            local_addresses: LocalAddresses::Allow,
            now,
            names: Names::default(),
            unanswered: Unanswered::Use,
            held: BTreeMap::new(),
        }
    }

    /// For the objects of a cluster at `now`.
    pub fn for_cluster(now: Timestamp) -> Self {
        Self { classless: Classless::Ignore, local_addresses: LocalAddresses::Refuse, ..Self::for_files(now) }
    }
}

/// Translates everything at once.
pub fn translate(objects: &Objects, options: &Options) -> Translation {
    let mut translator = Translator::new(options.clone());
    translator.update(objects, &Changed::everything(objects));
    translator.translation()
}

/// As [`translate`], for documents: what is wrong with those that are refused is said, too, as far as they can be read.
pub fn translate_documents(documents: &Documents, options: &Options) -> Translation {
    let Translation { config, mut diagnostics, mut until } = translate(&documents.objects, options);
    for layer in &documents.apart {
        let about = layer.references();
        let layered = translate(&documents.objects.with(layer), options);
        until = until.into_iter().chain(layered.until).min();
        diagnostics.extend(
            layered.diagnostics.into_iter().filter(|said| said.object.as_ref().is_some_and(|of| about.contains(of))),
        );
    }
    report::sort(&mut diagnostics);
    Translation { config, diagnostics, until }
}
