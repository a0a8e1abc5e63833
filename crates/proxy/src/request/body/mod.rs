//! Bodies on their way through: the client's, kept for a retry as far as the policy
//! allows and thrown away where nobody wants it, and the server's, observed to its end.

mod discard;
mod request;
mod response;

pub(crate) use discard::{LINGERS, PAUSE, discard};
pub(crate) use request::{ClientFault, Source};
pub(crate) use response::{BrokenOff, Relay, ResponseBody};
