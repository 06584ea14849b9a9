//! A minimal HTTP/1.1 server. A library would not let us violate the protocol on purpose, byte by byte.

mod body;
mod credentials;
mod request;
mod response;

pub(crate) use credentials::Credentials;
pub(crate) use request::{ReadError, Request, read};
pub(crate) use response::{Head, write_chunk};
