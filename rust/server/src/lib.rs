//! HTTP in, tokens out.
//!
//! A map, in the direction of a request and back:
//!
//! - [`server`]: the listener, its connections, and the routes;
//! - [`asked`]: reads a request, in any API that is served, into one form;
//! - `refusal`: errors in the form of each API;
//! - [`exchange`]: one request and its response, for whoever answers it;
//! - [`relay`]: from the stream of a model's turn to a response;
//! - `body`: the body of a response while it is written; `done`: something that ends once.
//!
//! Who answers is not known here: [`server::Server::take`] gives the requests away, and somebody finishes each exchange.
//! Nothing here knows of Python.

pub mod asked;
mod body;
mod done;
pub mod exchange;
mod refusal;
pub mod relay;
pub mod server;

pub use asked::Asked;
pub use exchange::Exchange;
pub use refusal::{Refusal, RefusalKind};
pub use relay::Relay;
pub use server::{Event, Server};
