//! `hash KEY consistent`: a ketama-like ring (`ngx_http_upstream_hash_module.c`, `ngx_http_upstream_update_chash` and
//! `ngx_http_upstream_get_chash_peer`).
//!
//! The ring is made from the text of the primaries' addresses as configured. Of equal points the one of the earlier
//! configured server stays (nginx leaves it to an unstable sort; ledger `ring-ties`).

use std::{collections::HashMap, sync::Arc};

use crc32fast::Hasher;

use crate::{Request, ServerSpec, SpecError, Tier, method::round_robin, request::Key, sticky, turn::Turn};

/// Points per unit of weight.
const POINTS: u64 = 160;

/// The greatest total weight of the primaries of a consistent group: 160 points for each make 32 MiB. nginx has no bound (ledger
/// `ring-size`). Whoever makes weights keeps to it; [`Plan::check`](crate::Plan::check) refuses what does not.
pub const MOST_RING_WEIGHT: u64 = (1 << 22) / POINTS;

/// The points of all primaries, ascending.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// A point and the index of its text.
    points: Vec<(u32, u32)>,
    /// The positions that share one server text, in configuration order.
    sharers: Vec<Vec<u32>>,
}

impl Ring {
    /// Whether the ring of `servers` has a size that it may have.
    pub(crate) fn check(servers: &[ServerSpec]) -> Result<(), SpecError> {
        let total_weight: u64 = primaries(servers).map(|(_, server)| u64::from(server.weight)).sum();
        if total_weight > MOST_RING_WEIGHT {
            return Err(SpecError::RingTooLarge { total_weight, limit: MOST_RING_WEIGHT });
        }
        Ok(())
    }

    /// The ring of the primaries among `servers`, which were [checked](Self::check).
    pub(crate) fn build(servers: &[ServerSpec]) -> Self {
        let mut ring = Self::default();
        let mut texts: HashMap<Arc<str>, u32> = HashMap::new();
        for (position, server) in primaries(servers) {
            let next = u32::try_from(ring.sharers.len()).unwrap_or(u32::MAX);
            let text = *texts.entry(Arc::clone(&server.server)).or_insert(next);
            if text == next {
                ring.sharers.push(Vec::new());
            }
            ring.sharers[text as usize].push(position);
            ring.points.extend(points(&server.server, u64::from(server.weight) * POINTS).map(|point| (point, text)));
        }
        // Stable, so that of equal points the first configured leads; texts are numbered by first appearance.
        ring.points.sort_by_key(|&(point, _)| point);
        ring.points.dedup_by_key(|&mut (point, _)| point);
        ring
    }

    /// The first point at or past the hash of `key`; past the end the caller goes round.
    pub(crate) fn lookup(&self, key: &[u8]) -> usize {
        let hash = crc32fast::hash(key);
        self.points.partition_point(|&(point, _)| point < hash)
    }

    fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The positions behind the point at `index`, going round.
    fn sharers(&self, index: usize) -> &[u32] {
        let (_, text) = self.points[index % self.points.len()];
        &self.sharers[text as usize]
    }
}

fn primaries(servers: &[ServerSpec]) -> impl Iterator<Item = (u32, &ServerSpec)> {
    (0..).zip(servers).filter(|(_, server)| server.tier == Tier::Primary)
}

/// Walks from the key's point to the first whose server can take the request, each point of a dead one being a miss. A
/// retry goes on where the last pick was found: the failed peer is among the tried.
pub(crate) fn pick(turn: &mut Turn<'_>, request: &mut Request) -> Option<u32> {
    let plan = turn.plan;
    let Key::Point(start) = request.key else { return round_robin::pick(turn, request) };
    if request.gave_up() || plan.is_single() || plan.ring().is_empty() {
        return round_robin::pick(turn, request);
    }
    if let Some(pinned) = sticky::pinned(turn, request) {
        return Some(pinned);
    }
    let mut point = start;
    loop {
        if let Some(position) = round_robin::step(turn, request, plan.ring().sharers(point), None) {
            return Some(position);
        }
        point += 1;
        request.key = Key::Point(point);
        request.miss();
        if request.gave_up() {
            return round_robin::pick(turn, request);
        }
    }
}

/// `count` chained points of one server text: the CRC of host, a zero byte, port and the last point, little-endian.
fn points(server: &str, count: u64) -> impl Iterator<Item = u32> {
    let (host, port) = split(server);
    let mut base = Hasher::new();
    base.update(host.as_bytes());
    base.update(&[0]);
    base.update(port.as_bytes());
    let mut last = 0_u32;
    (0..count).map(move |_| {
        let mut hasher = base.clone();
        hasher.update(&last.to_le_bytes());
        last = hasher.finalize();
        last
    })
}

/// Host and port as nginx's ring sees them: a socket path without its scheme, else what stands around a last colon that
/// only digits follow.
fn split(server: &str) -> (&str, &str) {
    if let Some((scheme, path)) = server.split_at_checked(5)
        && scheme.eq_ignore_ascii_case("unix:")
    {
        return (path, "");
    }
    match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        Some(_) | None => (server, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_points_of_a_real_nginx() {
        let table: [(&str, &[u32]); 5] = [
            ("127.0.0.1:18101", &[0x4c48_8820, 0x4496_a590, 0x7811_5e1a, 0x18c9_e67f]),
            ("127.0.0.1", &[0xc3b5_e186, 0x3878_7b01]),
            ("[::1]:18107", &[0x89d2_efc1, 0xc2f7_6d26]),
            ("unix:/tmp/b.sock", &[0x539c_d7de, 0x3247_ff99]),
            ("app.example:8080", &[0xb75e_a7e2, 0x6622_3341]),
        ];
        for (text, expected) in table {
            assert_eq!(points(text, expected.len() as u64).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn the_text_is_split_as_nginx_splits_it() {
        assert_eq!(split("app:8080"), ("app", "8080"));
        assert_eq!(split("app:"), ("app", ""));
        assert_eq!(split("[::1]"), ("[::1]", ""));
        assert_eq!(split("UNIX:/a:1"), ("/a:1", ""));
        assert_eq!(split("app:http"), ("app:http", ""));
    }
}
