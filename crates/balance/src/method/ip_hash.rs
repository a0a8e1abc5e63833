//! By the client's address (`ngx_http_upstream_ip_hash_module.c`, `ngx_http_upstream_get_ip_hash_peer`).

use std::net::IpAddr;

/// The hash of one request: the address bytes and where the last pick left it.
#[derive(Clone, Debug)]
pub(crate) struct ClientHash {
    bytes: [u8; 16],
    len: usize,
    hash: u32,
}

impl ClientHash {
    /// Three bytes of an IPv4 address, all sixteen of an IPv6 one (mapped ones included), three zeros without an address.
    pub(crate) fn new(client: Option<IpAddr>) -> Self {
        let mut bytes = [0; 16];
        let len = match client {
            Some(IpAddr::V4(address)) => {
                bytes[..4].copy_from_slice(&address.octets());
                3
            }
            Some(IpAddr::V6(address)) => {
                bytes = address.octets();
                16
            }
            None => 3,
        };
        Self { bytes, len, hash: 89 }
    }

    /// The next number; a rehash goes on from the last one.
    pub(crate) fn rehash(&mut self) -> u64 {
        for &byte in &self.bytes[..self.len] {
            self.hash = (self.hash * 113 + u32::from(byte)) % 6271;
        }
        u64::from(self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_a_real_nginx() {
        let table = [
            ("127.0.0.1", 4040, 5510),
            ("10.0.0.1", 2565, 1753),
            ("10.0.1.9", 2566, 2321),
            ("192.168.1.77", 154, 5654),
            ("203.0.113.200", 2592, 4547),
            ("::1", 5945, 1692),
            ("2001:db8::1", 2600, 2675),
            ("::ffff:10.0.0.1", 5875, 4909),
        ];
        for (address, first, second) in table {
            let mut hash = ClientHash::new(Some(address.parse().expect("an address")));
            assert_eq!((hash.rehash(), hash.rehash()), (first, second), "{address}");
        }
        assert_eq!(ClientHash::new(None).rehash(), 295);
    }
}
