//! A scripted provider of language models on a real socket: it answers exactly what its [`Script`] says, exactly when
//! it says, and goes wrong in exactly the way that a test needs, in the dialect of each request. It tells afterwards
//! what it saw, in a [`Report`].
//!
//! ```
//! use headrace_simulator::{Script, Simulator};
//!
//! let script = r#"{ "turns": [{ "text": "Hello there.", "fault": { "kind": "end", "after": 1 } }] }"#;
//! let simulator = Simulator::start(Script::from_json(script)?)?;
//! assert!(simulator.base_url().starts_with("http://127.0.0.1:"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A map, in the direction in which a request travels:
//!
//! - [`Simulator`] (`server`) accepts connections; `connection` serves one of them, over a `socket` that notices
//!   when the client leaves;
//! - `http` reads a request, `route` says what it is for, `model_request` says what it asks, in whatever dialect;
//! - [`script`] says which turn answers, and `render` makes the bytes of it;
//! - `failure` has the errors of each API, and `reply` whatever else is no answer of the model;
//! - `exchange` sends the answer; a `player` plays a stream by its `schedule`, through the `body_writer`;
//! - `request_log` keeps the book that a [`Report`] is read from.
//!
//! It holds no state between requests, except for the report and for faults that happen a number of `times`, so
//! concurrent requests do not influence each other.

mod body_writer;
mod clock;
mod connection;
mod exchange;
mod failure;
mod http;
mod model_request;
mod player;
mod render;
mod reply;
mod report;
mod request_log;
mod route;
mod schedule;
pub mod script;
mod server;
mod socket;

pub use clock::monotonic_ns;
pub use report::{Connections, Outcome, Report, RequestReport};
pub use script::{Script, ScriptError};
pub use server::{Options, Simulator};
