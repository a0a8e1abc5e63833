//! Where a server listens: an IP address with a port, or a unix socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::text::as_text;

/// A server's socket address. Prints as nginx names peers: `127.0.0.1:80`, `[::1]:80`, `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Inet(SocketAddr),
    /// A unix stream socket, by absolute path.
    Unix(PathBuf),
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an address; write IP:PORT, [IPv6]:PORT or unix:/absolute/path")]
pub struct AddressError(String);

impl Address {
    /// Whether it points at this host itself or at its link: loopback, unspecified, link-local (cloud metadata included)
    /// or a unix socket. Files may name such a server; an object in a cluster may not.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Inet(address) => match address.ip().to_canonical() {
                std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_link_local(),
                std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local(),
            },
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // sun_path holds 108 bytes with its terminator (unix(7)).
            return if Path::new(path).is_absolute() && path.len() < 108 {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(AddressError(text.to_owned()))
            };
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() != 0 => Ok(Self::Inet(address)),
            _ => Err(AddressError(text.to_owned())),
        }
    }
}

as_text!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_nginx_names_peers() {
        for text in ["127.0.0.1:80", "[::1]:80", "unix:/run/app.sock"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses_names_and_missing_ports() {
        for text in
            ["", "localhost:80", "127.0.0.1", "127.0.0.1:0", "::1:80", "unix:", "unix:relative", "1.2.3.4:99999"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn knows_the_addresses_a_cluster_must_not_name() {
        for (text, local) in [
            ("127.0.0.1:80", true),
            ("169.254.169.254:80", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("[fe80::1]:80", true),
            ("0.0.0.0:80", true),
            ("10.0.0.1:80", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_local(), local, "{text}");
        }
    }
}
