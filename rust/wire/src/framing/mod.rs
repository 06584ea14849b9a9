//! From bytes to frames: what a body is cut into, whatever the pieces in which it arrives.

pub mod aws_event_stream;
pub(crate) mod documents;
pub mod ndjson;
pub mod sse;
