//! Bodies on their way through: the client's, kept for a retry as far as the policy allows, and the server's, observed to its end.

mod request;
mod response;

pub(crate) use request::{ClientFault, Source};
pub(crate) use response::{BrokenOff, Relay, ResponseBody};
