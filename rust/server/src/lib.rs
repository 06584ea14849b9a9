//! HTTP in, tokens out.
//!
//! A map, in the direction of a request and back:
//!
//! - [`server`]: the listener and its connections; [`call`]: a request that another HTTP server has read;
//! - `routes`, `routes_a2a`: what is at each path (`path`), who may ask it (`keys`, `cors`), and how many at a time
//!   (`places`);
//! - [`asked`]: reads a request, in any protocol that is served, into one form;
//! - `refusal`: errors in the form of each protocol;
//! - [`exchange`]: one request and its response, for whoever answers it;
//! - [`relay`]: from the stream of a model's turn to a response; `calls`: those of the client's own tools;
//! - [`protocol`]: how each protocol writes an answer, `document`: a whole one; `front`: the protocols of front ends;
//! - `body`: the body of a response while it is written; `log`: the events of one that goes on without its client;
//!   `done`: something that ends once;
//! - `runs`, `kept`: runs and responses by their ids, for who comes back;
//! - `metrics`, `access`, `trace`: what is seen from outside.
//!
//! Who answers is not known here: [`server::Server::take`] gives the requests away, and somebody finishes each exchange.
//! Nothing here knows of Python.

mod access;
pub mod asked;
mod body;
pub mod call;
mod calls;
mod cors;
mod document;
mod done;
pub mod exchange;
mod front;
mod kept;
pub mod keys;
mod log;
mod metrics;
mod path;
mod places;
pub mod protocol;
mod refusal;
pub mod relay;
mod routes;
mod routes_a2a;
mod runs;
pub mod server;
mod shared;
mod trace;

pub use asked::Asked;
pub use call::Call;
pub use exchange::Exchange;
pub use protocol::Protocol;
pub use refusal::{Refusal, RefusalKind};
pub use relay::Relay;
pub use server::Server;
pub use shared::{Event, Options};
