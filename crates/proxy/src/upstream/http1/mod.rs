//! HTTP/1.1 towards servers (RFC 9112), driven by the request that uses the connection.
//!
//! A general client gives each connection a task, and every request and response crosses channels to it: with a map for the
//! request's header, more than a fifth of a small request's instructions. Here whoever waits for a response does the
//! connection's work: [`Outgoing`] writes the request, [`Incoming`] reads the response, neither knows what kind of stream it
//! is, and a connection holds one of each. The grammar of header lines is `httparse`'s, which is hyper's, too.

mod chunked;
mod fault;
mod framing;
mod head;
mod incoming;
mod outgoing;

pub use fault::Fault;
pub(crate) use framing::RequestFraming;
pub use incoming::Incoming;
pub(crate) use outgoing::Outgoing;
