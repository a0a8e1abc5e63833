//! TLS to the servers of a group: by which name they are known, whom they are believed for, what is shown to them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CertificateId, dns};

/// nginx's `proxy_ssl_*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerTls {
    /// The name asked for and verified (nginx `proxy_ssl_name`); `None` is the host of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<ServerName>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The certificate shown to a server that asks for one (nginx `proxy_ssl_certificate`). It is a resource of its own,
    /// because it has a private key and a group has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<CertificateId>,
}

/// Whose certificates of servers are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// Those of the authorities that the data plane's system trusts.
    System,
    /// Those of these authorities alone (nginx `proxy_ssl_trusted_certificate`): certificates in PEM, at least one.
    Authorities(Arc<str>),
    /// Anybody's (nginx `proxy_ssl_verify off`).
    Anybody,
}

/// The name of a server in its certificate: a DNS name in lower case, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ServerName(Arc<str>);

/// The text is no name of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the name of a server; write a DNS name in lower case, for example app.example.com")]
pub struct ServerNameError(String);

impl ServerName {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = ServerNameError;

    fn from_str(text: &str) -> Result<Self, ServerNameError> {
        // A top-level domain is not numeric (RFC 3696 section 2): what looks like an address is one or nothing.
        let is_numeric = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let is_dns = dns::is_name(text) && !text.rsplit('.').next().is_some_and(is_numeric);
        if is_dns || text.parse::<IpAddr>().is_ok() {
            Ok(Self(text.into()))
        } else {
            Err(ServerNameError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ServerName {
    type Error = ServerNameError;

    fn try_from(text: String) -> Result<Self, ServerNameError> {
        text.parse()
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        (*name.0).to_owned()
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_the_dns_or_addresses() {
        for name in ["a", "app.example.com", "xn--bcher-kva.example", "1.example", "10.0.0.1", "::1"] {
            assert_eq!(name.parse::<ServerName>().map(String::from).as_deref(), Ok(name));
        }
        let long = format!("{}.example", "a".repeat(64));
        for wrong in
            ["", ".", "a.", ".a", "A.example", "*.example", "a_b", "-a", "a-.b", "a:80", "10.0.0.256", "1", &long]
        {
            assert_eq!(wrong.parse::<ServerName>(), Err(ServerNameError(wrong.to_owned())));
        }
    }
}
