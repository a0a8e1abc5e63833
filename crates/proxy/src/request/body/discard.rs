//! The rest of a body of HTTP/2 that nobody reads any more: it is read and thrown away for a while, as of HTTP/1 by the
//! connection's lingering close.
//!
//! Dropped while its client still sends, a stream is reset right behind its response (RFC 9113 section 8.1), and clients take that
//! for the failure of both: curl reports an error and no response.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::timeout;

/// How long a client is read from (nginx `lingering_time`).
pub(crate) const LINGERS: Duration = Duration::from_secs(30);
/// How long it may send nothing meanwhile (nginx `lingering_timeout`).
pub(crate) const PAUSE: Duration = Duration::from_secs(5);
/// How much is thrown away of a stream: a connection has many.
const MOST: usize = 64 << 20;

/// Returns when the client has ended or reset its stream, or has had its time.
pub(crate) async fn discard(mut incoming: Incoming) {
    let discarding = async {
        let mut discarded = 0;
        while let Ok(Some(Ok(frame))) = timeout(PAUSE, poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx))).await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > MOST {
                break;
            }
        }
    };
    // Either way it is dropped.
    let _ = timeout(LINGERS, discarding).await;
}
