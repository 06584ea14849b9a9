//! HTTP/1.1 by hand: a server that breaks its promises on purpose has to hold every byte itself.

mod body;
mod credentials;
mod request;
mod response;

pub(crate) use credentials::Credentials;
pub(crate) use request::{ReadError, Request, read};
pub(crate) use response::{Head, write_chunk};
