//! A connection to a server, idle or carrying a request.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop;

use super::http1::{Fault, Incoming, Outgoing, RequestFraming};
use super::io::UpstreamIo;
use super::tls::{Secured, Wanted};
use crate::alarm::Timeout;
use crate::clock::Moment;
use crate::request::body::Source;
use crate::snapshot::GroupView;

/// Whoever holds it does its work: nothing is sent or received but by its methods. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Connection {
    io: UpstreamIo,
    /// Whom it was made to over TLS: nobody else's requests are sent on it.
    secured: Option<Secured>,
    outgoing: Outgoing,
    incoming: Incoming,
    created: Moment,
    requests: u32,
}

impl Connection {
    /// Established at `created`. Response headers may have `max_header_bytes`.
    pub(super) fn new(io: UpstreamIo, secured: Option<Secured>, max_header_bytes: usize, created: Moment) -> Self {
        let (outgoing, incoming) = (Outgoing::default(), Incoming::new(max_header_bytes));
        Self { io, secured, outgoing, incoming, created, requests: 0 }
    }

    /// Whether it is what a request asks for.
    pub(super) fn is(&self, wanted: Option<&Wanted<'_>>) -> bool {
        match (&self.secured, wanted) {
            (None, None) => true,
            (Some(secured), Some(wanted)) => secured.is(wanted),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// Whether it was made as connections of the group are made now.
    pub(super) fn is_current(&self, group: &GroupView) -> bool {
        match (&self.secured, &group.tls) {
            (None, None) => true,
            (Some(secured), Some(tls)) => secured.is_of(tls),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// When it was established.
    pub(super) fn created(&self) -> Moment {
        self.created
    }

    /// Requests so far, the one in progress included.
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// Whether it carried a request before this one.
    pub(crate) fn is_reused(&self) -> bool {
        self.requests > 1
    }

    /// Bytes sent and received for the request in progress.
    pub(crate) fn request_bytes(&self) -> (u64, u64) {
        self.io.bytes()
    }

    /// Begins a request, as [`Outgoing::begin`] says; `to_head` if it is HEAD, `send_timeout` is between two writes of it (nginx
    /// `proxy_send_timeout`).
    pub(crate) fn begin(
        &mut self,
        to_head: bool,
        framing: RequestFraming,
        send_timeout: Timeout,
        head: impl FnOnce(&mut Vec<u8>),
    ) {
        self.requests += 1;
        self.io.begin(send_timeout);
        self.outgoing.begin(framing, head);
        self.incoming.expect(to_head);
    }

    /// Whether the whole request was sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.outgoing.is_sent()
    }

    /// Whether all that the client has sent so far was sent on, and there is to be more.
    pub(crate) fn waits_for_body(&self) -> bool {
        self.outgoing.waits_for_body()
    }

    /// Sends the request, reads the response header.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        body: Option<&mut Source>,
    ) -> Poll<Result<Response<()>, Fault>> {
        let sending = self.outgoing.poll(cx, &mut self.io, body);
        loop {
            if let Some(response) = self.incoming.head()? {
                return Poll::Ready(Ok(response));
            }
            match self.incoming.poll_fill(cx, &mut self.io) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Fault::Closed)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => break,
            }
        }
        // A server may answer and close before it has read everything: its answer, if it came, was worth more than this.
        match sending {
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }

    /// Sends what is left of the request behind the response's header.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>, body: Option<&mut Source>) {
        // If that fails the response goes on without it, and the connection ends with it.
        let _ = self.outgoing.poll(cx, &mut self.io, body);
    }

    /// The next part of the response's body, of at most `most` bytes; `None` at its end. What is left of the request is sent
    /// meanwhile.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        body: Option<&mut Source>,
        most: usize,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.poll_request(cx, body);
        loop {
            if let Some(frame) = self.incoming.body(most).transpose() {
                return Poll::Ready(Some(frame));
            }
            if self.incoming.is_complete() {
                return Poll::Ready(None);
            }
            match ready!(self.incoming.poll_fill(cx, &mut self.io)) {
                Ok(0) => return Poll::Ready(self.incoming.closed().err().map(Err)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// Whether the response is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.incoming.is_complete()
    }

    /// How much of the response's body is still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// Whether it may carry another request: this one was sent and answered to the end, and the server keeps it open.
    pub(crate) fn is_reusable(&self) -> bool {
        self.outgoing.is_sent() && self.incoming.is_reusable()
    }

    /// Gives back what only a request in progress needs.
    pub(super) fn rest(&mut self) {
        self.incoming.rest();
        self.io.rest();
    }

    /// Whether an idle connection is of no use any more: closed, broken, or the server said something that was not asked for.
    /// As far as the runtime has heard, like nginx's event loop; it costs no call.
    pub(super) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let looks = poll_fn(|cx| Pin::new(&mut self.io).poll_read(cx, &mut ReadBuf::new(&mut byte)));
        // A task that has looked at many is not to find all others open.
        let looks = pin!(coop::unconstrained(looks));
        looks.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// What is below HTTP, and what was already read of it, once both sides have agreed to leave HTTP.
    pub(crate) fn below_http(&mut self) -> (Bytes, &mut UpstreamIo) {
        (self.incoming.take_rest(), &mut self.io)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::either::Either;

    use super::*;
    use crate::timed::Timed;

    #[tokio::test]
    async fn a_task_that_has_done_much_sees_a_closed_connection_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        drop(listener.accept().await.unwrap());
        stream.readable().await.unwrap();
        let io = UpstreamIo::new(Either::Left(Timed::new(Either::Left(stream), None)));
        let mut connection = Connection::new(io, None, 1 << 10, Moment::from(0));
        poll_fn(|cx| {
            while let Poll::Ready(step) = coop::poll_proceed(cx) {
                step.made_progress();
            }
            assert!(connection.is_closed());
            Poll::Ready(())
        })
        .await;
    }
}
