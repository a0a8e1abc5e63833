//! Idle connections with nginx's keepalive semantics (`ngx_http_upstream_keepalive_module.c`).
//!
//! One pool per worker, one list per group. The balancer picks first; then the list is searched from the most recently
//! stored for the picked address, so keepalive never changes which server is picked. The list is bounded as a whole, not per
//! server; when it is full the connection stored longest ago is closed. Dropping a [`Connection`] closes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::GroupId;

use super::connection::Connection;
use super::tls::Wanted;
use crate::clock::Moment;
use crate::snapshot::{GroupCell, GroupView, Snapshot};

/// The idle connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// By the address of the group's cell, which is cheaper to find than its name and, held here, is nobody else's.
    groups: BTreeMap<usize, Kept>,
}

/// The idle connections of one group, from the longest to the most recently stored.
#[derive(Debug)]
struct Kept {
    group: GroupId,
    cell: Arc<GroupCell>,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    address: Arc<str>,
    connection: Box<Connection>,
    since: Moment,
    timeout: Duration,
}

impl Pool {
    /// Takes the most recently stored connection to `address` that is as `wanted`, still open and young enough.
    pub(crate) fn take(
        &mut self,
        group: &GroupView,
        address: &str,
        wanted: Option<&Wanted<'_>>,
        now: Moment,
    ) -> Option<Box<Connection>> {
        let idle = &mut self.groups.get_mut(&key(group))?.idle;
        let is_it = |idle: &Idle| &*idle.address == address && idle.connection.is(wanted);
        while let Some(index) = idle.iter().rposition(is_it) {
            let Idle { mut connection, since, timeout, .. } = idle.remove(index);
            if now.since(since) < timeout && !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    /// Stores a connection whose response is complete, unless it is worn out or the group keeps none.
    pub(crate) fn put(&mut self, group: &GroupView, address: &Arc<str>, mut connection: Box<Connection>, now: Moment) {
        let keepalive = &group.config.keepalive;
        let worn_out = connection.requests() >= keepalive.requests
            || now.since(connection.created()) > keepalive.time.as_duration()
            || connection.is_closed()
            || !connection.is_current(group);
        if worn_out || keepalive.connections == 0 {
            return;
        }
        connection.rest();
        let kept = self.groups.entry(key(group)).or_insert_with(|| Kept {
            group: group.id.clone(),
            cell: group.cell.clone(),
            idle: Vec::new(),
        });
        let idle = &mut kept.idle;
        if idle.len() >= keepalive.connections as usize {
            idle.retain_mut(|idle| !idle.connection.is_closed());
        }
        if idle.len() >= keepalive.connections as usize {
            idle.drain(..=idle.len() - keepalive.connections as usize);
        }
        idle.push(Idle { address: address.clone(), connection, since: now, timeout: keepalive.timeout.as_duration() });
    }

    /// Closes what has been idle for too long or was closed by its server.
    pub(crate) fn expire(&mut self, now: Moment) {
        self.groups.retain(|_, Kept { idle, .. }| {
            idle.retain_mut(|idle| now.since(idle.since) < idle.timeout && !idle.connection.is_closed());
            !idle.is_empty()
        });
    }

    /// Closes the idle connections of groups and servers that are gone, and those made by rules that are not in force any more.
    pub(crate) fn retain(&mut self, snapshot: &Snapshot) {
        self.groups.retain(|_, Kept { group, cell, idle }| {
            let view = snapshot.groups.get(group).filter(|view| Arc::ptr_eq(&view.cell, cell));
            let Some(view) = view else { return false };
            let keep = view.config.keepalive.connections as usize;
            idle.retain(|idle| view.takes_requests(&idle.address) && idle.connection.is_current(view));
            idle.drain(..idle.len().saturating_sub(keep));
            !idle.is_empty()
        });
    }

    /// Number of idle connections.
    pub(crate) fn len(&self) -> usize {
        self.groups.values().map(|kept| kept.idle.len()).sum()
    }

    /// Closes all.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }
}

fn key(group: &GroupView) -> usize {
    Arc::as_ptr(&group.cell).addr()
}
