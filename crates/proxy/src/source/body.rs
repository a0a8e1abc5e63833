//! The body of a request that goes on for as long as the stream does: lines, as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

/// Lines on their way to a controller. It ends when the sender is dropped.
pub(super) struct Lines(mpsc::Receiver<Bytes>);

/// Lines that wait in between: a `hello`, or what answers one commit.
const WAITING: usize = 16;

pub(super) fn lines() -> (mpsc::Sender<Bytes>, Lines) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (sender, Lines(receiver))
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
