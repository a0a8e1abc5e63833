//! What is known of DNS names. Nothing is looked up here: whoever translates asks for the names that the objects use
//! ([`dns_names`]), looks them up in its own time, and translates again when an answer changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api::UpstreamGroup;
use config::{Address, Diagnostic, Severity};

use crate::report::Reading;
use crate::{LOCAL, Options, codes};

/// The addresses of names. A name that is not here has not been answered yet; one without addresses does not exist, or has no
/// record of a kind that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    answered: BTreeMap<Arc<str>, Arc<[IpAddr]>>,
    /// Without an answer, and waited for no longer.
    given_up: BTreeSet<Arc<str>>,
}

/// What is known of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'n> {
    /// Nothing yet.
    Awaited,
    /// Nobody could say in time; it is still asked for.
    GivenUp,
    /// Its addresses in ascending order, each once.
    Addresses(&'n [IpAddr]),
}

impl Names {
    /// What is known of a name.
    pub fn of(&self, name: &str) -> Known<'_> {
        match self.answered.get(name) {
            Some(addresses) => Known::Addresses(addresses),
            None if self.given_up.contains(name) => Known::GivenUp,
            None => Known::Awaited,
        }
    }

    /// The addresses of a name, if it was answered.
    pub fn addresses(&self, name: &str) -> Option<&[IpAddr]> {
        self.answered.get(name).map(|addresses| &**addresses)
    }

    /// Says which names are waited for no longer.
    #[must_use]
    pub fn give_up(self, names: BTreeSet<Arc<str>>) -> Self {
        Self { given_up: names, ..self }
    }
}

impl<A: IntoIterator<Item = IpAddr>> FromIterator<(Arc<str>, A)> for Names {
    /// Answers come in any order, and rotated at will; the order of servers must not follow that, nor differ between replicas.
    fn from_iter<I: IntoIterator<Item = (Arc<str>, A)>>(names: I) -> Self {
        let sorted = |addresses: A| addresses.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let answered = names.into_iter().map(|(name, addresses)| (name, sorted(addresses))).collect();
        Self { answered, given_up: BTreeSet::new() }
    }
}

/// The DNS names that these groups use, those of refused ones included: what is mended needs no wait.
pub fn dns_names<'g>(groups: impl IntoIterator<Item = &'g UpstreamGroup>) -> BTreeSet<Arc<str>> {
    let servers = groups.into_iter().flat_map(|group| &group.spec.servers);
    servers.filter_map(|server| Some(server.dns.as_ref()?.name.as_str().into())).collect()
}

/// The addresses of a DNS line. That there are none is no error: the other lines still serve.
pub fn addresses(
    reading: &mut Reading<'_, UpstreamGroup>,
    field: &str,
    target: &api::DnsTarget,
    options: &Options,
) -> Vec<SocketAddr> {
    let name = &target.name;
    let field = format!("{field}.dns.name");
    let Some(port) = u16::try_from(target.port).ok().filter(|port| *port > 0) else {
        reading.value::<(), _>(field.replace(".name", ".port"), Err("the port must be 1 to 65535"));
        return Vec::new();
    };
    let missing = match options.names.of(name) {
        Known::Awaited => {
            Some((Severity::Note, format!("{name} is not resolved yet"), "the line has no server until it is"))
        }
        Known::GivenUp => {
            let message = format!("{name} could not be resolved: no DNS server could say whether it exists");
            Some((Severity::Warning, message, "the line has no server until it is; the log says what failed"))
        }
        Known::Addresses([]) => {
            Some((Severity::Warning, format!("{name} has no address"), "the line has no server until it has one"))
        }
        Known::Addresses(_) => None,
    };
    if let Some((severity, message, hint)) = missing {
        reading.say(Diagnostic::new(codes::NO_ADDRESSES, severity, message).field(&field).hint(hint));
    }
    let addresses = options.names.addresses(name).unwrap_or_default();
    let (used, ignored): (Vec<_>, Vec<_>) = (addresses.iter().map(|ip| SocketAddr::new(*ip, port)))
        .partition(|address| options.local_addresses.permits(&Address::Inet(*address)));
    for address in ignored {
        let message = format!("{name} resolves to {}, which is {LOCAL}", address.ip());
        let hint = "an object in a cluster may not name it; the address is left out, the others are used";
        reading.say(Diagnostic::new(codes::ADDRESS_IGNORED, Severity::Warning, message).field(&field).hint(hint));
    }
    used
}
