//! Where a server listens: an IP address with a port, or a unix socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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

/// Where clouds tell a host who it is and give it credentials, as far as these addresses are not link-local, as most are. The
/// list is of those that the clouds document; it cannot be complete.
const METADATA: [IpAddr; 8] = [
    // Alibaba Cloud
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Azure (WireServer)
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // AWS: EC2, and the Pod Identity agent of EKS
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Google Cloud
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Oracle Cloud
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    // Scaleway
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    // Akamai (Linode)
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1)),
];

impl Address {
    /// Whether something else answers there for each host: loopback, unspecified and link-local addresses, unix sockets, and the
    /// metadata services of clouds. Files may name such a server; an object in a cluster may not.
    pub fn is_local(&self) -> bool {
        let Self::Inet(address) = self else { return true };
        // An IPv4 address as IPv6 has it (RFC 4291 section 2.5.5.2) leads to the same host.
        let ip = address.ip().to_canonical();
        let is_link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        ip.is_loopback() || ip.is_unspecified() || is_link_local || METADATA.contains(&ip)
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
            ("[::]:80", true),
            ("unix:/run/app.sock", true),
            ("[::ffff:169.254.169.254]:80", true),
            ("100.100.100.200:80", true),
            ("[::ffff:100.100.100.200]:80", true),
            ("168.63.129.16:80", true),
            ("[::ffff:a83f:8110]:32526", true),
            ("[fd00:ec2::254]:80", true),
            ("[fd00:ec2::23]:80", true),
            ("[fd20:ce::254]:80", true),
            ("[fd00:c1::a9fe:a9fe]:80", true),
            ("[fd00:42::42]:80", true),
            ("[fd00:a9fe:a9fe::1]:80", true),
            ("10.0.0.1:80", false),
            ("100.100.100.201:80", false),
            ("[fd00:ec2::255]:80", false),
            ("[::ffff:10.0.0.1]:80", false),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().is_local(), local, "{text}");
        }
    }
}
