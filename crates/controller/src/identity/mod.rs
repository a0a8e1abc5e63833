//! Who a data plane is, and what that allows. A data plane proves itself by a ServiceAccount token made for us, which the API
//! server reviews ([`tokens`]), or by a client certificate ([`certificate`]); both name a ServiceAccount, and one policy
//! ([`policy`]) says what a ServiceAccount may see. Nothing here knows the feed's sockets.
//!
//! A token is never logged and kept only by the stream it opened, which must show it again while it lives. What is remembered
//! of a review is filed under the token's SHA-256 ([`cache`]).

mod budget;
mod cache;
pub mod certificate;
mod policy;
mod token;
mod tokens;

use std::sync::Arc;

use config::Millis;
use feed::{Forbidden, Grant};

pub use budget::Allowance;
pub use cache::Lifetimes;
pub use policy::{Account, AccountError, Policy};
pub use token::{Token, TokenError};
pub use tokens::{Terms, Tokens};

/// So long before its proof ends a stream is asked to come again with a new one.
const NOTICE: Millis = Millis::from_secs(60);

/// Somebody who proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ServiceAccount.
    pub account: Account,
    /// What it may see, and for whom it speaks.
    pub grant: Grant,
    /// When the proof ends by its own word, by the controller's clock. Where that is unknown, the next look finds out.
    pub ends: Option<Millis>,
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Neither a token nor a certificate.
    #[error(
        "who are you? Send Authorization: Bearer TOKEN with a token of a ServiceAccount for audience \"{audience}\" \
         (kubectl create token NAME --audience {audience}), or use a client certificate"
    )]
    Missing {
        /// What tokens must be for.
        audience: Arc<str>,
    },
    /// Not a token for us, as anybody can see.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The API server does not accept the token.
    #[error("the API server does not accept this token: {0}")]
    Rejected(String),
    /// The certificate is no longer accepted.
    #[error("this client certificate is not accepted any more: {0}")]
    Certificate(String),
    /// A user that is no ServiceAccount.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// Too many bad tokens from this address.
    #[error("too many tokens from your address were refused; come again in {} s", .after.0.div_ceil(1000))]
    Throttled {
        /// How long to wait.
        after: Millis,
    },
    /// Nobody can say at this moment.
    #[error("the API server cannot be asked about this token at this moment ({problem}); come again in {} s", .after.0.div_ceil(1000))]
    Unavailable {
        /// What is wrong.
        problem: String,
        /// How long to wait.
        after: Millis,
    },
}

impl Identity {
    /// Whether it may speak, and report, for `instance`. A proof that is bound to a pod speaks for that pod alone. One that is
    /// not (a certificate, `kubectl create token`) speaks for names of its own namespace, `NAMESPACE/NAME`. Names of no
    /// namespace, as of hosts outside the cluster, belong to the ingresses: anybody else could report as one of them.
    pub fn speaks_for(&self, instance: &str) -> Result<(), Forbidden> {
        self.grant.speaks_for(instance)?;
        let is_its_own = match instance.split_once('/') {
            Some((namespace, _)) => *namespace == *self.account.namespace,
            None => self.grant.is_ingress(),
        };
        if is_its_own { Ok(()) } else { Err(Forbidden::Instance(format!("{}/...", self.account.namespace).into())) }
    }

    /// When its proof is to be looked at again: after `every` at the latest, and a minute before it ends, so that a data plane
    /// can come again with a new one. Who comes within that last minute stays until the end.
    pub fn recheck_at(&self, now: Millis, every: Millis) -> Millis {
        let latest = every.after(now);
        match self.ends {
            None => latest,
            Some(ends) if self.ends_soon(now) => latest.min(ends),
            Some(ends) => latest.min(ends.since(NOTICE)),
        }
    }

    /// Whether its proof ends within the next minute: a stream is then asked to come again with a new one.
    pub fn ends_soon(&self, now: Millis) -> bool {
        self.ends.is_some_and(|ends| ends <= NOTICE.after(now))
    }
}

impl Denied {
    /// Every [`Self::reason`].
    pub const REASONS: [&str; 9] = [
        "missing",
        "expired",
        "audience",
        "malformed",
        "rejected",
        "certificate",
        "account",
        "throttled",
        "unavailable",
    ];

    /// One word, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Token(TokenError::Expired) => "expired",
            Self::Token(TokenError::Audience { .. }) => "audience",
            Self::Token(TokenError::Malformed(_)) => "malformed",
            Self::Rejected(_) => "rejected",
            Self::Certificate(_) => "certificate",
            Self::Account(_) => "account",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}
