//! How whoever sends a request proves who it is, and how that is looked at again while its stream lives.

use std::net::IpAddr;
use std::sync::Arc;

use config::Millis;
use http::HeaderMap;
use rustls_pki_types::CertificateDer;

use super::{Server, Tls};
use crate::identity::{Account, Denied, Identity, Token, certificate};

/// What was shown.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    Token(Token),
    Certificate(Arc<[CertificateDer<'static>]>),
}

/// Who is charged for what an identity takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// The pod the proof is bound to, `NAMESPACE/POD`.
    Pod(Arc<str>),
    /// The account, where the proof names no pod.
    Account(Account),
}

impl Proof {
    /// Who sends a request. A token that is sent counts, and alone; else the certificate of the connection.
    pub async fn of_request(
        server: &Server,
        headers: &HeaderMap,
        certificates: Option<&Arc<[CertificateDer<'static>]>>,
        address: IpAddr,
    ) -> Result<(Self, Arc<Identity>), Denied> {
        match (Token::of_request(headers)?, certificates) {
            (Some(text), _) => {
                let (token, identity) = server.tokens.identify(text, address).await?;
                Ok((Self::Token(token), identity))
            }
            (None, Some(chain)) => {
                let identity = of_certificate(server, chain)?;
                Ok((Self::Certificate(chain.clone()), identity))
            }
            (None, None) => Err(Denied::Missing { audience: server.tokens.audience().clone() }),
        }
    }

    /// Who that is now.
    pub async fn again(&self, server: &Server, tls: Option<Arc<Tls>>) -> Result<Arc<Identity>, Denied> {
        match self {
            Self::Token(token) => server.tokens.again(token).await,
            Self::Certificate(chain) => {
                if let Some(tls) = tls {
                    tls.verify(chain, server.clock.wall()).map_err(Denied::Certificate)?;
                }
                of_certificate(server, chain)
            }
        }
    }
}

impl Holder {
    pub fn of(identity: &Identity) -> Self {
        match &identity.grant.instance {
            Some(pod) => Self::Pod(pod.clone()),
            None => Self::Account(identity.account.clone()),
        }
    }

    /// Of two bounds, the one for this kind.
    pub fn bound(&self, per_pod: usize, per_account: usize) -> usize {
        match self {
            Self::Pod(_) => per_pod,
            Self::Account(_) => per_account,
        }
    }
}

fn of_certificate(server: &Server, chain: &[CertificateDer<'static>]) -> Result<Arc<Identity>, Denied> {
    let Some(leaf) = chain.first() else { return Err(Denied::Certificate("it is empty".to_owned())) };
    let now: (Millis, _) = (server.clock.now(), server.clock.wall());
    certificate::identify(leaf, server.tokens.policy(), now).map(Arc::new)
}
