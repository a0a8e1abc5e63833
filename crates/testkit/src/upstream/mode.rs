//! How an upstream behaves.

use std::{sync::Arc, time::Duration};

/// What an upstream does with connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 200 with the upstream's name as the body. `/echo` answers what was received as JSON, `/bytes/N` N bytes. A request
    /// with `X-Hold: ID` waits at the gate first; one with `X-Session: ID` is given a cookie `srv=ID`.
    Ok,
    /// This status, with the upstream's name as the body.
    Status(u16),
    /// [`Mode::Ok`], later.
    Delay(Duration),
    /// [`Mode::Ok`], once the gate releases it; its id is `X-Hold`, or `CONNECTION.NTH`.
    Hold,
    /// Reads the request and never answers.
    Hang,
    /// Reads the head and no byte of the body, and never answers.
    StopReading,
    /// Does not listen: connecting is refused.
    Refuse,
    /// Closes a connection as soon as it is accepted.
    CloseOnAccept,
    /// Reads the request and closes.
    Close,
    /// Reads the request and resets the connection.
    Reset,
    /// Resets the connection within a header line.
    ResetMidHeader,
    /// Announces 1000 bytes, sends a few and resets the connection.
    ResetMidBody,
    /// [`Mode::Ok`], one byte at a time with this pause before each.
    Slow(Duration),
    /// This head at once, then so many bytes with this pause before each.
    SlowBody {
        /// The status line and header lines.
        head: Arc<str>,
        /// The size of the body.
        bytes: usize,
        /// Between two of its bytes.
        pause: Duration,
    },
    /// A header line without a colon.
    BadHeader,
    /// Both `Content-Length` and `Transfer-Encoding`.
    BothLengths,
    /// Announces 1000 bytes, sends the upstream's name and closes.
    ShortBody,
    /// Announces fewer bytes than it sends.
    LongBody,
    /// No status line at all.
    Http09,
    /// 200 with one header line of this many bytes.
    BigHeader(usize),
    /// [`Mode::Ok`] for the first request of a connection; then the connection is stale.
    Stale(Stale),
    /// An interim response of this status with a `Link` header, then [`Mode::Ok`].
    Interim(u16),
    /// 200 in chunks, with a trailer.
    Chunked,
    /// 200 without any length, ended by closing.
    UntilClose,
    /// 101 and then every byte back, until the client closes.
    Upgrade,
    /// The same as soon as the head was read: what is left of the request is sent back.
    HastyUpgrade,
    /// These bytes, whatever was asked.
    Raw(Arc<[u8]>, After),
}

/// When a connection that promised to stay open is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Right after its first response.
    AfterResponse,
    /// When its second request has been read.
    AtNextRequest,
}

/// What happens to the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It stays open for the next request.
    Keep,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

impl Mode {
    /// Literal bytes to answer with.
    pub fn raw(bytes: impl AsRef<[u8]>, after: After) -> Self {
        Self::Raw(bytes.as_ref().into(), after)
    }
}
