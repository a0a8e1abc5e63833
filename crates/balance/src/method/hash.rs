//! By a key, modulo the weights (`ngx_http_upstream_hash_module.c`, `ngx_http_upstream_get_hash_peer`): the rule of
//! `Cache::Memcached` with its rehash prefix.

use crc32fast::Hasher;

/// The hash of one request. The key itself is not kept: a CRC can be put behind that of a prefix.
#[derive(Clone, Debug)]
pub(crate) struct TextHash {
    crc: u32,
    len: u64,
    sum: u32,
    rehashes: u32,
}

impl TextHash {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self { crc: crc32fast::hash(key), len: key.len() as u64, sum: 0, rehashes: 0 }
    }

    /// Adds the CRC of the rehash number, left out when it is 0, followed by the key.
    pub(crate) fn rehash(&mut self) -> u64 {
        let mut hasher = Hasher::new();
        if self.rehashes > 0 {
            hasher.update(self.rehashes.to_string().as_bytes());
        }
        hasher.combine(&Hasher::new_with_initial_len(self.crc, self.len));
        self.sum = self.sum.wrapping_add((hasher.finalize() >> 16) & 0x7fff);
        self.rehashes += 1;
        u64::from(self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_of_a_real_nginx() {
        assert_eq!(crc32fast::hash(b"/"), 0x79d3_d2d4);
        assert_eq!(crc32fast::hash(b"1/"), 0x2c55_2814);
        let mut root = TextHash::new(b"/");
        assert_eq!((root.rehash(), root.rehash()), (31187, 42536));
        assert_eq!(crc32fast::hash(b"/item/0?v=1"), 0x18ed_4f90);
        assert_eq!(crc32fast::hash(b"1/item/0?v=1"), 0x8733_4278);
        let mut item = TextHash::new(b"/item/0?v=1");
        assert_eq!((item.rehash(), item.rehash()), (6381, 6381 + 1843));
    }
}
