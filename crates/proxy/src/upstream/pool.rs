//! Idle connections with nginx's keepalive semantics (`ngx_http_upstream_keepalive_module.c`).
//!
//! One pool per worker, one list per group. The balancer picks first; then the list is searched from the most recently
//! stored for the picked address, so keepalive never changes which server is picked. The list is bounded as a whole, not per
//! server; when it is full the connection stored longest ago is closed. Dropping a [`Connection`] closes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use config::GroupId;
use hyper::client::conn::http1::SendRequest;

use super::io::Wire;
use crate::clock::Moment;
use crate::request::body::RequestBody;
use crate::snapshot::{GroupCell, GroupView, Snapshot};

/// A connection to a server, idle or carrying a request.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<RequestBody>,
    wire: Arc<Wire>,
    /// The totals of `wire` when the request in progress began.
    before: (u64, u64),
    created: Moment,
    requests: u32,
    reused: bool,
}

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
    connection: Connection,
    since: Moment,
    timeout: Duration,
}

impl Connection {
    pub(crate) fn new(sender: SendRequest<RequestBody>, wire: Arc<Wire>, created: Moment) -> Self {
        Self { sender, wire, before: (0, 0), created, requests: 1, reused: false }
    }

    /// Whether it carried a request before this one.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Bytes sent and received for the request in progress.
    pub(crate) fn request_bytes(&self) -> (u64, u64) {
        let (sent, received) = self.wire.totals();
        (sent - self.before.0, received - self.before.1)
    }
}

impl Pool {
    /// Takes the most recently stored connection to `address` that is still open and young enough.
    pub(crate) fn take(&mut self, group: &GroupView, address: &str, now: Moment) -> Option<Connection> {
        let idle = &mut self.groups.get_mut(&key(group))?.idle;
        while let Some(index) = idle.iter().rposition(|idle| &*idle.address == address) {
            let Idle { mut connection, since, timeout, .. } = idle.remove(index);
            if now.since(since) < timeout && !connection.sender.is_closed() {
                connection.before = connection.wire.totals();
                connection.requests += 1;
                connection.reused = true;
                return Some(connection);
            }
        }
        None
    }

    /// Stores a connection whose response is complete, unless it is worn out or the group keeps none.
    pub(crate) fn put(&mut self, group: &GroupView, address: &Arc<str>, connection: Connection, now: Moment) {
        let keepalive = &group.config.keepalive;
        let worn_out = connection.requests >= keepalive.requests
            || now.since(connection.created) > keepalive.time.as_duration()
            || connection.sender.is_closed();
        if worn_out || keepalive.connections == 0 {
            return;
        }
        let kept = self.groups.entry(key(group)).or_insert_with(|| Kept {
            group: group.id.clone(),
            cell: group.cell.clone(),
            idle: Vec::new(),
        });
        let idle = &mut kept.idle;
        if idle.len() >= keepalive.connections as usize {
            idle.retain(|idle| !idle.connection.sender.is_closed());
        }
        if idle.len() >= keepalive.connections as usize {
            idle.drain(..=idle.len() - keepalive.connections as usize);
        }
        idle.push(Idle { address: address.clone(), connection, since: now, timeout: keepalive.timeout.as_duration() });
    }

    /// Closes what has been idle for too long or was closed by its server.
    pub(crate) fn expire(&mut self, now: Moment) {
        self.groups.retain(|_, Kept { idle, .. }| {
            idle.retain(|idle| now.since(idle.since) < idle.timeout && !idle.connection.sender.is_closed());
            !idle.is_empty()
        });
    }

    /// Closes the idle connections of groups and servers that are gone.
    pub(crate) fn retain(&mut self, snapshot: &Snapshot) {
        self.groups.retain(|_, Kept { group, cell, idle }| {
            let view = snapshot.groups.get(group).filter(|view| Arc::ptr_eq(&view.cell, cell));
            let Some(view) = view else { return false };
            let keep = view.config.keepalive.connections as usize;
            idle.retain(|idle| view.takes_requests(&idle.address));
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

/// Waits until a reused connection can take a request; `None` when it turns out to be closed. The task that drives it may not
/// have noticed yet that the last response is complete.
pub(crate) async fn ready(mut connection: Connection) -> Option<Connection> {
    let ready = std::future::poll_fn(|cx| match connection.sender.poll_ready(cx) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => Poll::Pending,
    });
    ready.await.then_some(connection)
}
