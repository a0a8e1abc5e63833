//! A request's way, in the order in which it goes: a [`connection`] brings it, [`serve`] finds the client ([`begin`], [`client`])
//! and the group; [`attempt`] is the loop over servers, its inputs evaluated once ([`inputs`]), its selection held by a [`lease`];
//! [`send`] is one attempt, its request written by [`upstream_head`], [`failure`] why it brought nothing, [`repeats`] what of its
//! response counts once; [`relay`] passes that on, or a [`tunnel`] joins the connections; [`exchange`] accounts and logs it once, however it ended, even when its
//! header was never whole ([`unread`]): of HTTP/1 once the client has the answer ([`wire`]). Of HTTP/2, [`streams`] are its
//! requests, and [`idle`] ends a connection without any. [`headers`] and [`body`] are what passes through.

mod attempt;
mod begin;
pub(crate) mod body;
mod client;
mod client_io;
mod connection;
mod cookie;
mod exchange;
mod failure;
mod headers;
mod http2;
mod idle;
mod inputs;
mod lease;
mod relay;
mod repeats;
mod respond;
mod send;
mod serve;
mod session;
mod streams;
mod tunnel;
mod unread;
mod upstream_head;
mod wire;

pub(crate) use connection::{plain, secure};
pub use headers::is_non_idempotent;
pub use inputs::Evaluated;
