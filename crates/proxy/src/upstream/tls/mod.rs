//! TLS to the servers of a group (nginx `proxy_ssl_*`): what a connection begins with, and which connections are alike.
//!
//! A group has one [`GroupTls`] for as long as nothing about its TLS changes, whatever its servers do; with another one, new
//! connections are made by the new rules, idle ones of the old are closed, and those in use finish. Each server has a copy
//! with sessions of its own: a ticket is worth something to who gave it alone (nginx keeps a session per peer).

mod handshake;
mod roots;
mod verify;

use std::fmt;
use std::sync::Arc;

use config::{Certificate, ServerTls};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

pub(crate) use handshake::{HandshakeError, broken, handshake};

/// Names under which sessions with one server are remembered.
const NAMES: usize = 8;
/// Tickets that the library keeps of each.
const TICKETS: usize = 8;

/// TLS to the servers of one group.
pub struct GroupTls {
    config: ServerTls,
    shown: Option<Arc<Certificate>>,
    client: Result<ClientConfig, Unusable>,
}

/// Why no connection can be made, whatever the server: something that the group needs is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The system has no authorities.
    #[error(
        "this system has no certificates of authorities ({0}); set spec.tls.caCertificateRef, or name a file of them in \
         SSL_CERT_FILE"
    )]
    NoRoots(String),
    /// One of the authorities cannot be read.
    #[error("the certificates of spec.tls.caCertificateRef cannot be used: {0}")]
    Authorities(String),
    /// The certificate to be shown is not known.
    #[error(
        "the client certificate of Secret {0} is not known here: its private key is kept on no disk, and not sent to a data \
         plane that may see no keys"
    )]
    NotSent(config::CertificateId),
    /// The certificate to be shown cannot be used.
    #[error("the client certificate of Secret {0} cannot be used: {1}")]
    Certificate(config::CertificateId, String),
}

/// The host of the request is no name that a certificate could be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no server can be known by this host")]
pub(crate) struct NoName;

/// TLS to one server.
pub struct PeerTls {
    group: Arc<GroupTls>,
    client: Result<Arc<ClientConfig>, Unusable>,
}

/// What a request asks of a connection to a server.
pub(crate) struct Wanted<'r> {
    pub(crate) client: Arc<ClientConfig>,
    name: ServerName<'r>,
    group: &'r Arc<GroupTls>,
}

/// Whom a connection was made to, and by which rules.
pub(crate) struct Secured {
    name: ServerName<'static>,
    group: Arc<GroupTls>,
}

/// Whether a group of this TLS could be put in force here.
pub(crate) fn check(tls: &ServerTls) -> Result<(), Unusable> {
    verify::verifier(&tls.trust).map(drop)
}

impl GroupTls {
    /// TLS as `config` says, with the certificate `shown` to servers; `last` if that is the same.
    pub(crate) fn next(last: Option<&Arc<Self>>, config: &ServerTls, shown: Option<&Arc<Certificate>>) -> Arc<Self> {
        let is_same = |last: &&Arc<Self>| last.config == *config && same_pair(last.shown.as_ref(), shown);
        if let Some(last) = last.filter(is_same) {
            return last.clone();
        }
        Arc::new(Self { config: config.clone(), shown: shown.cloned(), client: client(config, shown) })
    }

    /// TLS to one of its servers, with sessions of its own; `last` if that is of the same group.
    pub(crate) fn of_server(self: &Arc<Self>, last: Option<&Arc<PeerTls>>) -> Arc<PeerTls> {
        if let Some(last) = last.filter(|last| Arc::ptr_eq(&last.group, self)) {
            return last.clone();
        }
        let names = if self.is_named_by_client() { NAMES } else { 1 };
        let client = self.client.clone().map(|mut client| {
            client.resumption = Resumption::in_memory_sessions(names * TICKETS);
            Arc::new(client)
        });
        Arc::new(PeerTls { group: self.clone(), client })
    }

    fn is_named_by_client(&self) -> bool {
        self.config.server_name.is_none()
    }

    /// The name by which a server is known to a request for `host` (`$host`).
    pub(crate) fn name<'n>(&'n self, host: &'n str) -> Result<ServerName<'n>, NoName> {
        let host = self.config.server_name.as_ref().map_or(host, |name| name.as_str());
        // An IPv6 address is in brackets in a Host header (RFC 3986 section 3.2.2), and in no certificate.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        ServerName::try_from(bare).map_err(|_| NoName)
    }
}

impl PeerTls {
    /// What a request for `host` (`$host`) asks of a connection.
    pub(crate) fn wanted<'r>(&'r self, host: &'r str) -> Result<Wanted<'r>, HandshakeError> {
        let client = self.client.clone().map_err(HandshakeError::Unusable)?;
        let name = self.group.name(host).map_err(HandshakeError::NoName)?;
        Ok(Wanted { client, name, group: &self.group })
    }

    /// Whether its name is the client's choice.
    pub(crate) fn is_named_by_client(&self) -> bool {
        self.group.is_named_by_client()
    }
}

impl Wanted<'_> {
    /// As a connection made by it keeps it.
    pub(crate) fn secured(&self) -> Secured {
        Secured { name: self.name.to_owned(), group: self.group.clone() }
    }
}

impl Secured {
    pub(crate) fn name(&self) -> &ServerName<'static> {
        &self.name
    }

    /// Whether the connection is one as `wanted`: to the same name, by the rules of the present.
    pub(crate) fn is(&self, wanted: &Wanted<'_>) -> bool {
        self.is_of(wanted.group) && self.name == wanted.name
    }

    /// Whether it was made by these rules.
    pub(crate) fn is_of(&self, group: &Arc<GroupTls>) -> bool {
        Arc::ptr_eq(&self.group, group)
    }
}

/// A certificate is another when its texts are, for whomever else it may be.
fn same_pair(one: Option<&Arc<Certificate>>, other: Option<&Arc<Certificate>>) -> bool {
    let pair = |one: &Arc<Certificate>| (one.chain.clone(), one.key.clone());
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || pair(one) == pair(other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// TLS 1.2 and 1.3, HTTP/1.1 alone, no early data.
fn client(config: &ServerTls, shown: Option<&Arc<Certificate>>) -> Result<ClientConfig, Unusable> {
    let verifier = verify::verifier(&config.trust)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Unusable::Authorities(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut client = match (&config.client_certificate, shown) {
        (None, _) => builder.with_no_client_auth(),
        (Some(id), None) => return Err(Unusable::NotSent(id.clone())),
        (Some(id), Some(shown)) => {
            let unusable = |error: String| Unusable::Certificate(id.clone(), error);
            let chain = CertificateDer::pem_slice_iter(shown.chain.as_bytes()).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|error| unusable(error.to_string()))?;
            let key = PrivateKeyDer::from_pem_slice(shown.key.pem().as_bytes());
            let key = key.map_err(|error| unusable(error.to_string()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable(error.to_string()))?
        }
    };
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
}

impl fmt::Debug for GroupTls {
    /// No certificate and no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unusable) = (&self.config.server_name, self.client.as_ref().err());
        f.debug_struct("GroupTls").field("name", name).field("unusable", &unusable).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group.fmt(f)
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use config::{CertificateId, PrivateKey, Trust};

    use super::*;

    fn pair() -> (Arc<str>, Arc<Certificate>) {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap();
        let certificate =
            Certificate { chain: cert.pem().into(), key: PrivateKey::new(&signing_key.serialize_pem()), hosts: vec![] };
        (cert.pem().into(), Arc::new(certificate))
    }

    fn tls(trust: Trust, client_certificate: Option<CertificateId>) -> ServerTls {
        ServerTls { server_name: None, trust, client_certificate }
    }

    #[test]
    fn it_is_the_same_until_it_differs() {
        let (authorities, shown) = pair();
        let id = CertificateId::new("shop", "client");
        let config = tls(Trust::Authorities(authorities), Some(id.clone()));
        let first = GroupTls::next(None, &config, Some(&shown));
        assert!(first.client.is_ok());
        let moved = Arc::new(Certificate { hosts: vec!["a.example".parse().unwrap()], ..Certificate::clone(&shown) });
        assert!(Arc::ptr_eq(&first, &GroupTls::next(Some(&first), &config, Some(&moved))));
        assert!(!Arc::ptr_eq(&first, &GroupTls::next(Some(&first), &config, Some(&pair().1))));
        let gone = GroupTls::next(Some(&first), &config, None);
        assert_eq!(gone.client.as_ref().err(), Some(&Unusable::NotSent(id)));
        let broken = Arc::new(Certificate { key: pair().1.key.clone(), ..Certificate::clone(&shown) });
        let broken = GroupTls::next(None, &config, Some(&broken));
        assert!(matches!(broken.client, Err(Unusable::Certificate(_, _))));
        let server = first.of_server(None);
        assert!(Arc::ptr_eq(&server, &first.of_server(Some(&server))) && server.wanted("a.example").is_ok());
        assert!(!Arc::ptr_eq(&server, &gone.of_server(Some(&server))));
        assert!(!format!("{first:?}").contains("BEGIN"));
    }

    #[test]
    fn authorities_must_be_some() {
        for nothing in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let refused = check(&tls(Trust::Authorities(nothing.into()), None));
            assert!(matches!(refused, Err(Unusable::Authorities(_))), "{nothing}: {refused:?}");
        }
        assert_eq!(check(&tls(Trust::Anybody, None)), Ok(()));
    }

    #[test]
    fn the_name_is_the_hosts_or_the_one_that_is_set() {
        let of_request = GroupTls::next(None, &tls(Trust::Anybody, None), None);
        for (host, name) in [("a.example", "a.example"), ("10.0.0.1", "10.0.0.1"), ("[::1]", "::1"), ("a_b", "a_b")] {
            assert_eq!(of_request.name(host).unwrap().to_str(), name);
        }
        for host in ["", "a..b", "*.example"] {
            assert_eq!(of_request.name(host), Err(NoName), "{host}");
        }
        let config = ServerTls { server_name: Some("b.example".parse().unwrap()), ..tls(Trust::Anybody, None) };
        let set = GroupTls::next(None, &config, None);
        assert_eq!(set.name("").unwrap().to_str(), "b.example");
        assert!(of_request.of_server(None).is_named_by_client() && !set.of_server(None).is_named_by_client());
    }
}
