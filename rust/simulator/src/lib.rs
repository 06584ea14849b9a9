//! A scripted LLM provider on a real socket. Its [`Script`] says what it answers, when, and which faults happen; it
//! answers in the dialect of each request. A [`Report`] lists the requests that it got.
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
//! - [`Simulator`] (`server`) accepts connections; `connection` serves one of them, over a `socket` that notices when
//!   the client disconnects;
//! - `http` reads a request, `route` finds what it is for, `model_request` parses it, in any dialect;
//! - [`script`] says which turn answers, and `render` turns it into bytes;
//! - `failure` has the errors of each API, and `reply` the other responses that do not come from the model;
//! - `exchange` sends the answer; for a stream, a `player` sends each frame when the `schedule` says, through the
//!   `body_writer`;
//! - `request_log` records what a [`Report`] shows.
//!
//! Requests share no state except the report and the `times` counts of faults, so concurrent requests do not influence
//! each other.

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

pub use clock::{align, monotonic_ns};
pub use report::{Connections, Outcome, Report, RequestReport};
pub use script::{Script, ScriptError};
pub use server::{Options, Simulator};
