//! Who is asking: the client's real address and scheme, as far as the peer may be believed.
//!
//! `X-Forwarded-For` is walked from its right end past every trusted proxy (nginx `real_ip_recursive on`); a peer that is not
//! trusted is the client itself, whatever it claims. No other header names the client: what a proxy does not write, it passes
//! on as the client wrote it.

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
    for hop in headers.get_all("x-forwarded-for").into_iter().rev().flat_map(|line| hops(line.as_bytes())) {
        let Some((address, port)) = parse_hop(hop) else { break };
        (client.address, client.port) = (address, port);
        if !trusts(address) {
            break;
        }
    }
    client
}

fn forwarded_scheme(headers: &HeaderMap) -> Option<Scheme> {
    let forwarded = headers.get("x-forwarded-proto")?.as_bytes();
    Some(if forwarded.eq_ignore_ascii_case(b"https") { Scheme::Https } else { Scheme::Http })
}

/// The hops of a line, the last first. They are bytes, because the line begins with whatever the client wrote, and what is no
/// text there must not hide the hops behind it (nginx `ngx_http_get_forwarded_addr_internal`).
fn hops(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.rsplit(|byte| matches!(byte, b',' | b' ')).filter(|hop| !hop.is_empty())
}

/// `1.2.3.4`, `1.2.3.4:5678`, `::1`, `[::1]`, `[::1]:5678`.
fn parse_hop(hop: &[u8]) -> Option<(IpAddr, u16)> {
    let text = str::from_utf8(hop).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some((address, 0));
    }
    text.parse::<SocketAddr>().ok().map(|address| (address.ip(), address.port()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(forwarded: &[&str], peer: &str, trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line.as_bytes()).unwrap());
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
        assert_eq!(client(&["[2001:db8::1]"], "10.0.0.1:1", &trusted), "2001:db8::1");
        assert_eq!(client(&[], "10.0.0.1:1", &trusted), "10.0.0.1");
    }

    /// As nginx 1.31.3 answers with `real_ip_recursive on`.
    #[test]
    fn what_is_no_text_hides_no_hop_behind_it() {
        for (line, expected) in [
            ("\u{e9}, 203.0.113.9", "203.0.113.9"),
            ("\u{e9} 8.8.8.8,, 10.0.0.2 , ", "8.8.8.8"),
            ("8.8.8.8, \u{e9}", "10.0.0.1"),
            ("8.8.8.8, \u{e9}, 10.0.0.2", "10.0.0.2"),
            (", ", "10.0.0.1"),
        ] {
            assert_eq!(client(&[line], "10.0.0.1:1", &["10.0.0.0/8"]), expected, "{line}");
        }
    }

    #[test]
    fn a_mapped_peer_is_compared_as_what_it_is() {
        assert_eq!(client(&["1.1.1.1"], "[::ffff:10.0.0.1]:1", &["10.0.0.0/8"]), "1.1.1.1");
    }
}
