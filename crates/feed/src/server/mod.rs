//! A controller's end of one stream.
//!
//! Whoever owns the stream feeds what arrives to [`Subscriber::receive`], and asks [`Subscriber::poll`] for the next line
//! only when the window is open. A subscriber that does not read is simply not asked: it costs its ledger, delays nobody,
//! and later gets the latest of everything.

mod ledger;
mod live;
mod said;

use std::sync::Arc;

use bytes::Bytes;
use config::{Millis, ResourceKey, Revision};

use crate::frames::{Bye, ClientFrame, Hello, ServerFrame, Welcome};
use crate::limits;
use crate::lines::LineDecoder;
use crate::published::Published;
use crate::scope::{Grant, Scope};
use crate::text::tidy;
use crate::versions::Versions;
use crate::violation::Violation;
use ledger::Ledger;
use live::Live;

pub use said::{Received, Standing};

/// What all subscribers of a controller have in common.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The controller's name: the pod's.
    pub server: Arc<str>,
    /// The protocols it speaks.
    pub protocol: Versions,
    /// Between two signs of life.
    pub beat: Millis,
    /// How long a new stream may be silent.
    pub patience: Millis,
    /// What a refused subscriber is told to wait at most.
    pub penalty: Millis,
}

/// One data plane, as its controller sees it.
#[derive(Debug)]
pub struct Subscriber {
    options: Arc<ServerOptions>,
    grant: Grant,
    decoder: LineDecoder,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Connected and silent so far.
    Greeting { until: Millis },
    /// Served.
    Live(Box<Live>),
    /// To be told one more line.
    Leaving(Bytes),
    /// Told everything; the stream is to be closed.
    Gone,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            server: "controller".into(),
            protocol: Versions::OURS,
            beat: Millis::from_secs(10),
            patience: Millis::from_secs(10),
            penalty: Millis::from_secs(10),
        }
    }
}

impl Subscriber {
    /// A stream was opened by someone whose identity allows `grant`.
    pub fn new(options: Arc<ServerOptions>, grant: Grant, now: Millis) -> Self {
        let until = options.patience.after(now);
        let line = if grant.is_ingress() { limits::HELLO_LINE } else { limits::SIDECAR_HELLO_LINE };
        Self { options, grant, decoder: LineDecoder::new(line), state: State::Greeting { until } }
    }

    /// Takes what arrived, in whatever pieces. After a [`Violation`] the last line is a `bye` that names it. What is published
    /// is not looked at: a `hello` may be long, and nobody is to wait while it is read.
    pub fn receive(&mut self, bytes: &[u8], now: Millis) -> Result<Vec<Received>, Violation> {
        let received = self.take(bytes, now);
        if let Err(violation) = &received {
            self.leave(&violation.to_string(), self.options.penalty);
        }
        received
    }

    /// The next line to send. To be asked when there is room for one, and after each publication; `None`: nothing is due.
    pub fn poll(&mut self, published: &Published, now: Millis) -> Option<Bytes> {
        if let State::Greeting { until } = self.state
            && now >= until
        {
            let overdue = Violation::HelloOverdue { millis: self.options.patience.0 };
            self.leave(&overdue.to_string(), self.options.penalty);
        }
        match &mut self.state {
            State::Live(live) => live.next(published, now, self.options.beat),
            State::Leaving(line) => {
                let line = std::mem::take(line);
                self.state = State::Gone;
                Some(line)
            }
            State::Greeting { .. } | State::Gone => None,
        }
    }

    /// When to ask again at the latest; `None` for one that leaves.
    pub fn deadline(&self) -> Option<Millis> {
        match &self.state {
            State::Greeting { until } => Some(*until),
            State::Live(live) => Some(live.deadline()),
            State::Leaving(_) | State::Gone => None,
        }
    }

    /// Ends the stream: the next line is the last one. `within` spreads a fleet over the time the others need to take it.
    pub fn leave(&mut self, reason: &str, within: Millis) {
        if !matches!(self.state, State::Leaving(_) | State::Gone) {
            let bye = Bye { after_ms: within.0, reason: tidy(reason, limits::PROBLEM) };
            self.state = State::Leaving(ServerFrame::Bye(bye).to_line());
            // Nothing is listened to any more, nor kept of it while the line waits to be taken.
            self.decoder = LineDecoder::new(limits::CLIENT_LINE);
        }
    }

    /// Whether everything was said and the stream is to be closed.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Whether its `hello` is still to come.
    pub fn is_greeting(&self) -> bool {
        matches!(self.state, State::Greeting { .. })
    }

    /// Whether something is kept that it invented: what there is of its `hello`, and then the names it says it has, until the
    /// first commit says which of them there are.
    pub fn has_claims(&self) -> bool {
        self.is_greeting() || self.live().is_some_and(|live| !live.has_committed())
    }

    /// Its name, once it introduced itself.
    pub fn instance(&self) -> Option<&Arc<str>> {
        self.live().map(|live| &live.instance)
    }

    /// The protocol spoken with it.
    pub fn protocol(&self) -> Option<u32> {
        self.live().map(|live| live.protocol)
    }

    /// What it asked for.
    pub fn scope(&self) -> Option<&Scope> {
        self.live().map(|live| live.ledger.view().scope())
    }

    /// The last commit it acknowledged; 0 before the first.
    pub fn acked(&self) -> u64 {
        self.live().map_or(0, |live| live.acked)
    }

    /// Whether the resource concerns it at all.
    pub fn sees(&self, key: &ResourceKey) -> bool {
        self.live().is_some_and(|live| live.ledger.view().sees(key))
    }

    /// How a resource stands with it.
    pub fn standing(&self, key: &ResourceKey) -> Standing {
        self.live().map_or(Standing::Absent, |live| live.standing(key))
    }

    /// What it said of a version it refused. Kept for the last few.
    pub fn problem(&self, key: &ResourceKey, version: Revision) -> Option<&str> {
        self.live().and_then(|live| live.problem(key, version))
    }

    /// Entries kept for it: at most a few times the resources, whatever it does.
    pub fn entries(&self) -> usize {
        self.live().map_or(0, Live::entries)
    }

    /// Bytes kept of a line that is not complete.
    pub fn pending(&self) -> usize {
        self.decoder.pending()
    }

    fn live(&self) -> Option<&Live> {
        match &self.state {
            State::Live(live) => Some(live),
            State::Greeting { .. } | State::Leaving(_) | State::Gone => None,
        }
    }

    fn take(&mut self, mut bytes: &[u8], now: Millis) -> Result<Vec<Received>, Violation> {
        let mut received = Vec::new();
        while !matches!(self.state, State::Leaving(_) | State::Gone)
            && let Some(line) = self.decoder.next(&mut bytes)?
        {
            let frame = ClientFrame::from_line(&line)?;
            match &mut self.state {
                State::Greeting { .. } => {
                    let ClientFrame::Hello(hello) = frame else {
                        return Err(Violation::OutOfPlace { frame: "this frame", rule: "a stream opens with hello" });
                    };
                    self.state = State::Live(Box::new(self.introduced(hello, now)?));
                    self.decoder = LineDecoder::new(limits::CLIENT_LINE);
                    received.push(Received::Introduced);
                }
                State::Live(live) => received.extend(live.receive(frame)?),
                State::Leaving(_) | State::Gone => {}
            }
        }
        Ok(received)
    }

    fn introduced(&self, hello: Hello, now: Millis) -> Result<Live, Violation> {
        let ours = self.options.protocol;
        let protocol =
            ours.common(hello.protocol).ok_or(Violation::NoCommonProtocol { theirs: hello.protocol, ours })?;
        let instance = hello.instance.as_bytes();
        if !(1..=limits::NAME).contains(&instance.len()) || !instance.iter().all(u8::is_ascii_graphic) {
            return Err(Violation::OutOfPlace { frame: "hello", rule: "instance is the name of a pod" });
        }
        self.grant.speaks_for(&hello.instance)?;
        let view = self.grant.view(hello.scope)?;
        if !self.grant.is_ingress() && hello.have.len() > limits::SIDECAR_RESOURCES {
            return Err(Violation::TooManyResources { max: limits::SIDECAR_RESOURCES });
        }
        let welcome = ServerFrame::Welcome(Welcome { protocol, server: self.options.server.clone() }).to_line();
        let ledger = Ledger::new(view, protocol, hello.have);
        Ok(Live::new(hello.instance, protocol, welcome, ledger, now))
    }
}
