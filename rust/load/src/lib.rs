//! The load generator: sends requests by a schedule, and stamps their answers.
//!
//! A map, in the direction of a request:
//!
//! - [`plan`]: what to send, and when;
//! - `pacer`: waits for the exact time of a request;
//! - [`run`]: sends the requests of a plan;
//! - [`record`]: what is known of one answer; [`tally`]: of all of them together.
//!
//! The streams are the engine's, so arrivals are the kernel's stamps where it has them. Nothing here knows of Python.

mod pacer;
pub mod plan;
pub mod record;
pub mod run;
pub mod tally;

pub use plan::{Load, Plan, Session};
pub use record::Record;
pub use run::{Progress, Run};
pub use tally::Tally;
