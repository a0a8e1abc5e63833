//! Who is asking: the client's real address and scheme, as far as the peer may be believed.
//!
//! `X-Forwarded-For` is walked from its right end past every trusted proxy (nginx `real_ip_recursive on`); a peer that is not
//! trusted is the client itself, whatever it claims.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::record::Scheme;

/// The client of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// 0 when only an address is known.
    pub(crate) port: u16,
    pub(crate) scheme: Scheme,
    /// Whether the direct peer is a trusted proxy.
    pub(crate) trusted: bool,
}

/// Finds the client behind `peer`, whose connection has this scheme.
pub(crate) fn identify(headers: &HeaderMap, peer: SocketAddr, scheme: Scheme, trusted_proxies: &[IpNet]) -> Client {
    let trusts = |address: IpAddr| {
        let address = address.to_canonical();
        trusted_proxies.iter().any(|net| net.contains(&address))
    };
    let direct = Client { address: peer.ip(), port: peer.port(), scheme, trusted: false };
    if trusted_proxies.is_empty() || !trusts(peer.ip()) {
        return direct;
    }
    let mut client = Client { scheme: forwarded_scheme(headers).unwrap_or(scheme), trusted: true, ..direct };
    let hops = headers.get_all("x-forwarded-for").into_iter().rev().filter_map(|value| value.to_str().ok());
    for hop in hops.flat_map(|line| line.rsplit(',')) {
        let Some((address, port)) = parse_hop(hop.trim()) else { break };
        (client.address, client.port) = (address, port);
        if !trusts(address) {
            return client;
        }
    }
    if client.address == peer.ip()
        && let Some((address, port)) =
            headers.get("x-real-ip").and_then(|value| value.to_str().ok()).and_then(|text| parse_hop(text.trim()))
    {
        (client.address, client.port) = (address, port);
    }
    client
}

fn forwarded_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let forwarded = headers.get("x-forwarded-proto")?.as_bytes();
    Some(if forwarded.eq_ignore_ascii_case(b"https") { Scheme::Https } else { Scheme::Http })
}

/// `1.2.3.4`, `1.2.3.4:5678`, `::1`, `[::1]:5678`.
fn parse_hop(text: &str) -> Option<(IpAddr, u16)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, 0));
    }
    text.parse::<SocketAddr>().ok().map(|address| (address.ip(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(forwarded: &[&str], peer: &str, trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        identify(&headers, peer.parse().unwrap(), Scheme::Http, &trusted).address.to_string()
    }

    #[test]
    fn an_untrusted_peer_is_the_client() {
        assert_eq!(client(&["1.1.1.1"], "9.9.9.9:1", &["10.0.0.0/8"]), "9.9.9.9");
        assert_eq!(client(&["1.1.1.1"], "9.9.9.9:1", &[]), "9.9.9.9");
    }

    #[test]
    fn trusted_hops_are_walked_from_the_right() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client(&["1.1.1.1, 2.2.2.2, 10.0.0.2"], "10.0.0.1:1", &trusted), "2.2.2.2");
        assert_eq!(client(&["1.1.1.1", "2.2.2.2"], "10.0.0.1:1", &trusted), "2.2.2.2");
        assert_eq!(client(&["10.0.0.3, 10.0.0.2"], "10.0.0.1:1", &trusted), "10.0.0.3");
        assert_eq!(client(&["1.1.1.1, garbage"], "10.0.0.1:1", &trusted), "10.0.0.1");
        assert_eq!(client(&["[2001:db8::1]:77"], "10.0.0.1:1", &trusted), "2001:db8::1");
        assert_eq!(client(&[], "10.0.0.1:1", &trusted), "10.0.0.1");
    }

    #[test]
    fn a_mapped_peer_is_compared_as_what_it_is() {
        assert_eq!(client(&["1.1.1.1"], "[::ffff:10.0.0.1]:1", &["10.0.0.0/8"]), "1.1.1.1");
    }
}
