//! The frame of an admin interface: who is let in and for how long, and what an answer looks like. What the pages show is known
//! where they are made.
//!
//! It speaks HTTP/1.1 and only reads. It has no authentication: bind it where only those may connect who may know.

mod answer;
mod guests;
mod serve;

pub use answer::{Answer, exposition, json, text};
pub use serve::{Pages, serve};
