//! A subscriber's stream: the task beside it, which feeds the machine what arrives, wakes the body when there is something new,
//! looks at the proof again, and ends what must end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use config::Millis;
use feed::frames::{ClientFrame, Hello};
use feed::limits::CLIENT_LINE;
use feed::{Namespaces, Received, Scope, Subscriber, Versions};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep_until;

use super::answer::{Outgoing, Refusal};
use super::connection::Busy;
use super::counters::Happening;
use super::lines::{Lines, Stream};
use super::proof::Holder;
use super::roster::Entry;
use super::route::{NDJSON, Proven};
use super::seats::Seat;
use super::{Bounds, Server};
use crate::identity::{Denied, Identity};

/// Within this time somebody whose proof ended comes again.
const AGAIN: Millis = Millis::from_secs(10);

type Recheck = Pin<Box<dyn Future<Output = Result<Arc<Identity>, Denied>> + Send>>;

/// What the task beside a stream holds.
struct Attendant {
    server: Arc<Server>,
    proven: Proven,
    stream: Arc<Stream>,
    /// When the proof is looked at again.
    recheck_at: Millis,
    /// Nothing is read before: a subscriber that sends faster than the bound waits.
    read_at: Millis,
    /// The place of a sidecar with a long `hello`, until what it says is worked off.
    hello: Option<OwnedSemaphorePermit>,
    _busy: Busy,
    _seat: Seat<Holder>,
}

/// `POST`: a data plane.
pub(super) fn converse(
    server: &Arc<Server>,
    proven: Proven,
    busy: Busy,
    incoming: Incoming,
) -> Result<Response<Outgoing>, Refusal> {
    let subscriber = Subscriber::new(server.options.clone(), proven.identity.grant.clone(), server.clock.now());
    let (attendant, response) = open(server, proven, busy, subscriber)?;
    attendant.spawn(Some(incoming));
    Ok(response)
}

/// `GET`: a person, who hears what a data plane would.
pub(super) fn listen(server: &Arc<Server>, proven: Proven, busy: Busy) -> Result<Response<Outgoing>, Refusal> {
    let mut grant = proven.identity.grant.clone();
    // Nobody is to take it for the pod whose token it may have borrowed.
    grant.instance = None;
    let scope = match &grant.namespaces {
        Namespaces::All => Scope::All,
        Namespaces::Only(namespaces) => Scope::Namespaces(namespaces.clone()),
    };
    let instance = format!("get:{}", proven.connection.peer).into();
    let hello = Hello { protocol: Versions::OURS, instance, scope, have: [].into() };
    let subscriber = Subscriber::new(server.options.clone(), grant, server.clock.now());
    let (attendant, response) = open(server, proven, busy, subscriber)?;
    if let Err(violation) = attendant.stream.receive(&ClientFrame::Hello(hello).to_line()) {
        // The person is told by a `bye`.
        tracing::warn!("the feed's own hello is refused: {violation}");
    }
    attendant.spawn(None);
    Ok(response)
}

fn open(
    server: &Arc<Server>,
    proven: Proven,
    busy: Busy,
    subscriber: Subscriber,
) -> Result<(Attendant, Response<Outgoing>), Refusal> {
    let holder = Holder::of(&proven.identity);
    let each = holder.bound(server.bounds.subscribers_per_pod, server.bounds.subscribers_per_account);
    let all = Bounds::all_for(&proven.identity.grant, server.bounds.subscribers);
    let seat = server.subscribers.take(holder, each, all).ok_or(Refusal::TooMany("subscribers of this identity"))?;
    server.counters.count(Happening::Stream);
    let now = server.clock.now();
    let stream = Stream::new(server.clone(), subscriber);
    let mut response = Response::new(Outgoing::Lines(Lines(stream.clone())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let recheck_at = proven.identity.recheck_at(now, server.bounds.recheck);
    let attendant = Attendant {
        server: server.clone(),
        proven,
        stream,
        recheck_at,
        read_at: now,
        hello: None,
        _busy: busy,
        _seat: seat,
    };
    Ok((attendant, response))
}

impl Attendant {
    fn spawn(self, incoming: Option<Incoming>) {
        let tasks = self.proven.connection.tasks.clone();
        tasks.spawn(self.attend(incoming));
    }

    async fn attend(mut self, mut incoming: Option<Incoming>) {
        let Self { server, proven, stream, .. } = &self;
        let (clock, connection, stream) = (server.clock, proven.connection.clone(), stream.clone());
        let entry = Entry {
            peer: connection.peer,
            account: proven.identity.account.clone(),
            since: clock.wall(),
            stream: stream.clone(),
        };
        let _entered = server.roster.enter(entry);
        let mut bell = server.hub.bell();
        let mut recheck: Option<Recheck> = None;
        let mut is_leaving = false;
        loop {
            let now = clock.now();
            if self.hello.is_some() && !stream.look(|subscriber, _, _| subscriber.has_claims()) {
                self.hello = None;
            }
            if stream.is_stalled(now) {
                tracing::warn!("{} does not read and is cut", self.name());
                self.server.counters.count(Happening::ConnectionCut);
                connection.cut.cancel();
                return;
            }
            if now >= self.recheck_at && recheck.is_none() && !is_leaving {
                let (server, proof) = (self.server.clone(), self.proven.proof.clone());
                let tls = connection.tls.borrow().clone();
                recheck = Some(Box::pin(async move { proof.again(&server, tls).await }));
            }
            let recheck_at = (recheck.is_none() && !is_leaving).then_some(self.recheck_at);
            let reads = incoming.is_some() && now >= self.read_at;
            let read_at = (incoming.is_some() && !reads).then_some(self.read_at);
            let wake = [stream.deadline(), recheck_at, read_at].into_iter().flatten().min();
            tokio::select! {
                () = stream.closed.cancelled() => return,
                () = connection.cut.cancelled() => return,
                () = connection.leaving.cancelled(), if !is_leaving => {
                    is_leaving = true;
                    stream.leave("this controller leaves; another one takes over", self.server.spread());
                }
                arrived = next(&mut incoming), if reads => match arrived {
                    Some(bytes) => self.take(&bytes),
                    None => incoming = None,
                },
                _ = bell.changed() => stream.nudge(),
                // Its next sign of life is due before anybody could call it stalled.
                () = stream.waits.notified() => {}
                again = ready(&mut recheck), if recheck.is_some() => {
                    recheck = None;
                    self.judge(again);
                }
                () = sleep_until(clock.instant(wake.unwrap_or(now))), if wake.is_some() => stream.nudge(),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if !self.may_say(bytes.len()) {
            tracing::info!("{} is asked to come again: many say at once what they have", self.name());
            self.stream
                .leave("too many data planes say at once what they have; come again", self.server.options.penalty);
        }
        match self.stream.receive(bytes) {
            Ok(received) => received.into_iter().for_each(|one| self.heard(one)),
            Err(violation) => {
                self.server.counters.count(Happening::Violation);
                tracing::warn!("the stream of {} is ended: {violation}", self.name());
            }
        }
        if self.stream.look(|subscriber, _, _| subscriber.instance().is_some()) {
            let costs = Millis((bytes.len() as u64).saturating_mul(1000) / self.server.bounds.incoming.max(1));
            self.read_at = costs.after(self.read_at.max(self.server.clock.now()));
        }
    }

    /// Whether so many bytes more may be taken: a long `hello` of a sidecar needs a place.
    fn may_say(&mut self, bytes: usize) -> bool {
        let is_long = |subscriber: &Subscriber| subscriber.is_greeting() && subscriber.pending() + bytes > CLIENT_LINE;
        let is_ingress = self.proven.identity.grant.is_ingress();
        if !is_ingress && self.hello.is_none() && self.stream.look(|subscriber, _, _| is_long(subscriber)) {
            self.hello = self.server.hellos.clone().try_acquire_owned().ok();
            return self.hello.is_some();
        }
        true
    }

    fn heard(&self, received: Received) {
        match received {
            Received::Introduced => {
                let instance = self.stream.look(|subscriber, _, _| subscriber.instance().cloned());
                tracing::info!("{} subscribed", self.name());
                if let Some(Err(forbidden)) = instance.map(|name| self.proven.identity.speaks_for(&name)) {
                    self.server.counters.count(Happening::Violation);
                    self.stream.leave(&forbidden.to_string(), self.server.options.penalty);
                }
            }
            Received::Acked { .. } => {}
            Received::Refused { key, problem, .. } => {
                self.server.counters.count(Happening::ResourceRefused);
                tracing::warn!("{} refuses {key}: {problem}", self.name());
            }
        }
    }

    /// The proof was looked at again.
    fn judge(&mut self, again: Result<Arc<Identity>, Denied>) {
        let now = self.server.clock.now();
        self.recheck_at = self.server.bounds.recheck.after(now);
        match again {
            Err(denied) => {
                self.server.counters.denied(denied.reason());
                tracing::warn!("the stream of {} is ended: {denied}", self.name());
                self.stream.leave(&denied.to_string(), AGAIN);
            }
            Ok(identity) if identity.grant != self.proven.identity.grant => {
                self.stream.leave("what your identity allows has changed", AGAIN);
            }
            Ok(identity) if identity.ends_soon(now) => {
                self.stream.leave("the proof of your identity ends soon; come again with a new one", AGAIN);
            }
            Ok(identity) => {
                self.recheck_at = identity.recheck_at(now, self.server.bounds.recheck);
                self.proven.identity = identity;
            }
        }
    }

    fn name(&self) -> String {
        let instance = self.stream.look(|subscriber, _, _| subscriber.instance().cloned());
        let (account, peer) = (&self.proven.identity.account, self.proven.connection.peer);
        format!("{} ({account}, {peer})", instance.as_deref().unwrap_or("a subscriber"))
    }
}

/// The next bytes of a body; `None` when it is over. Trailers say nothing here.
async fn next(incoming: &mut Option<Incoming>) -> Option<Bytes> {
    let frame = incoming.as_mut()?.frame().await?.ok()?;
    Some(frame.into_data().unwrap_or_default())
}

async fn ready(recheck: &mut Option<Recheck>) -> Result<Arc<Identity>, Denied> {
    match recheck {
        Some(recheck) => recheck.await,
        None => std::future::pending().await,
    }
}
