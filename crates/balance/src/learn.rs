//! The table behind `sticky learn`: which server a session was created on
//! (`ngx_http_upstream_sticky_module.c`, nginx 1.29.6; documented as `sticky learn create= lookup= zone= timeout=`).
//!
//! A pure table, bounded by a number of sessions where nginx bounds it by the size of a zone; when it is full the session
//! not used for the longest time makes room. As in nginx a session is known by the MD5 of its id, so that a client that sends
//! long cookies takes no more memory than one that does not. It knows no peer: what it gives back is a server id.

use std::{collections::HashMap, sync::Arc};

use md5::{Digest as _, Md5};

use crate::Now;

/// Sessions and the server ids they were created on.
#[derive(Debug)]
pub struct Sessions {
    capacity: usize,
    /// Milliseconds after the last use.
    timeout: u64,
    known: HashMap<Fingerprint, u32>,
    /// A slab threaded by use: `oldest` to `newest`.
    entries: Vec<Entry>,
    free: Vec<u32>,
    oldest: Option<u32>,
    newest: Option<u32>,
}

type Fingerprint = [u8; 16];

#[derive(Debug)]
struct Entry {
    session: Fingerprint,
    sid: Arc<str>,
    used: Now,
    older: Option<u32>,
    newer: Option<u32>,
}

impl Sessions {
    /// An empty table for at most `capacity` sessions, each forgotten `timeout` milliseconds after its last use.
    #[must_use]
    pub fn new(capacity: usize, timeout: u64) -> Self {
        let capacity = capacity.clamp(1, u32::MAX as usize);
        Self {
            capacity,
            timeout,
            known: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            oldest: None,
            newest: None,
        }
    }

    /// The server id of a session. Asking is no use of it: that is an answer by a server ([`Self::renew`]), as in nginx
    /// (`ngx_http_upstream_sticky_learn_peer`).
    pub fn lookup(&mut self, session: &[u8], now: Now) -> Option<Arc<str>> {
        self.expire(now);
        let at = *self.known.get(&fingerprint(session))?;
        Some(Arc::clone(&self.entries[at as usize].sid))
    }

    /// A session that is still known lives on the server `sid`, as of now.
    pub fn renew(&mut self, session: &[u8], sid: &Arc<str>, now: Now) {
        self.expire(now);
        if let Some(&at) = self.known.get(&fingerprint(session)) {
            self.entries[at as usize].sid = Arc::clone(sid);
            self.touch(at, now);
        }
    }

    /// Remembers that a session lives on the server `sid`, as of now.
    pub fn insert(&mut self, session: &[u8], sid: &Arc<str>, now: Now) {
        self.expire(now);
        let session = fingerprint(session);
        if let Some(&at) = self.known.get(&session) {
            self.entries[at as usize].sid = Arc::clone(sid);
            self.touch(at, now);
            return;
        }
        if self.known.len() >= self.capacity
            && let Some(oldest) = self.oldest
        {
            self.forget(oldest);
        }
        let entry = Entry { session, sid: Arc::clone(sid), used: now, older: None, newer: None };
        let at = if let Some(at) = self.free.pop() {
            self.entries[at as usize] = entry;
            at
        } else {
            self.entries.push(entry);
            u32::try_from(self.entries.len() - 1).expect("capacity is at most 2^32 - 1")
        };
        self.known.insert(session, at);
        self.append(at);
    }

    /// Adopts new limits; what no longer fits goes, least recently used first.
    pub fn resize(&mut self, capacity: usize, timeout: u64, now: Now) {
        self.capacity = capacity.clamp(1, u32::MAX as usize);
        self.timeout = timeout;
        self.expire(now);
        while self.known.len() > self.capacity
            && let Some(oldest) = self.oldest
        {
            self.forget(oldest);
        }
    }

    /// Sessions remembered, those included that have timed out since the last use of the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no session is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The timeout is one for all, so the least recently used are the first to time out.
    fn expire(&mut self, now: Now) {
        while let Some(oldest) = self.oldest
            && now.millis().saturating_sub(self.entries[oldest as usize].used.millis()) > self.timeout
        {
            self.forget(oldest);
        }
    }

    fn touch(&mut self, at: u32, now: Now) {
        self.entries[at as usize].used = now;
        self.unlink(at);
        self.append(at);
    }

    fn forget(&mut self, at: u32) {
        self.unlink(at);
        self.known.remove(&self.entries[at as usize].session);
        self.free.push(at);
    }

    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, .. } = self.entries[at as usize];
        match older {
            Some(older) => self.entries[older as usize].newer = newer,
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.entries[newer as usize].older = older,
            None => self.newest = older,
        }
    }

    fn append(&mut self, at: u32) {
        let last = self.newest.replace(at);
        let entry = &mut self.entries[at as usize];
        (entry.older, entry.newer) = (last, None);
        match last {
            Some(last) => self.entries[last as usize].newer = Some(at),
            None => self.oldest = Some(at),
        }
    }
}

fn fingerprint(session: &[u8]) -> Fingerprint {
    Md5::digest(session).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Now {
        Now::from_secs(second)
    }

    #[test]
    fn a_session_lives_until_timeout_after_its_last_use() {
        let mut sessions = Sessions::new(10, 10_000);
        sessions.insert(b"alice", &"a".into(), at(0));
        assert_eq!(sessions.lookup(b"alice", at(5)).as_deref(), Some("a"));
        assert_eq!(sessions.lookup(b"alice", at(10)).as_deref(), Some("a"));
        sessions.renew(b"alice", &"a".into(), at(10));
        assert_eq!(sessions.lookup(b"alice", at(20)).as_deref(), Some("a"));
        assert_eq!(sessions.lookup(b"alice", at(21)), None, "being asked for does not keep it");
        sessions.renew(b"alice", &"a".into(), at(21));
        assert!(sessions.is_empty(), "what is forgotten is not renewed");
    }

    #[test]
    fn the_least_recently_used_makes_room() {
        let mut sessions = Sessions::new(2, 10_000);
        sessions.insert(b"alice", &"a".into(), at(0));
        sessions.insert(b"bob", &"b".into(), at(1));
        sessions.renew(b"alice", &"a".into(), at(2));
        sessions.insert(b"carol", &"c".into(), at(3));
        assert_eq!(sessions.len(), 2);
        assert_eq!(sessions.lookup(b"bob", at(4)), None);
        assert_eq!(sessions.lookup(b"alice", at(4)).as_deref(), Some("a"));
        sessions.resize(1, 10_000, at(5));
        assert_eq!((sessions.len(), sessions.lookup(b"carol", at(5)).as_deref()), (1, Some("c")));
        sessions.resize(10, 1_000, at(5));
        assert!(sessions.is_empty(), "those that are older than the new age go at once");
    }

    #[test]
    fn a_session_moves_with_its_server() {
        let mut sessions = Sessions::new(2, 10_000);
        sessions.insert(b"alice", &"a".into(), at(0));
        sessions.insert(b"alice", &"b".into(), at(1));
        assert_eq!((sessions.len(), sessions.lookup(b"alice", at(1)).as_deref()), (1, Some("b")));
        sessions.renew(b"alice", &"a".into(), at(2));
        assert_eq!((sessions.len(), sessions.lookup(b"alice", at(2)).as_deref()), (1, Some("a")));
    }

    #[test]
    fn it_agrees_with_a_naive_table() {
        let mut sessions = Sessions::new(5, 3_000);
        let mut naive: Vec<(u32, String, u64)> = Vec::new();
        let mut seed = 7_u32;
        for step in 0..5_000_u64 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (user, now) = ((seed >> 16) % 9, step * 97);
            naive.retain(|(_, _, used)| now - used <= 3_000);
            let found = naive.iter().position(|(known, _, _)| *known == user);
            let (id, sid) = (user.to_le_bytes(), format!("s{}", seed >> 28));
            match (seed >> 8) % 3 {
                0 => {
                    sessions.insert(&id, &sid.as_str().into(), Now::from_millis(now));
                    match found {
                        Some(at) => drop(naive.remove(at)),
                        None if naive.len() == 5 => drop(naive.remove(0)),
                        None => {}
                    }
                    naive.push((user, sid, now));
                }
                1 => {
                    sessions.renew(&id, &sid.as_str().into(), Now::from_millis(now));
                    if let Some(at) = found {
                        naive.remove(at);
                        naive.push((user, sid, now));
                    }
                }
                _ => {
                    let got = sessions.lookup(&id, Now::from_millis(now));
                    assert_eq!(got.as_deref(), found.map(|at| naive[at].1.as_str()), "step {step}");
                }
            }
            assert_eq!(sessions.len(), naive.len());
        }
    }
}
