//! What comes over the wire, without the wire: bytes go in, [`Delta`]s come out, and nothing here does I/O.
//!
//! A map, in the direction in which a token travels:
//!
//! - framing, however the bytes were split: [`sse`] by the WHATWG algorithm, [`ndjson`], and the binary
//!   [`aws_event_stream`];
//! - dialects, one module each, from an event to [`Delta`]s and, in its `encode`, back: [`openai_chat`],
//!   [`openai_responses`], [`anthropic`], [`gemini`], [`cohere`], [`ollama`], [`bedrock`];
//! - [`delta`]: the one vocabulary of all dialects;
//! - [`stream`]: framing and dialect in one; [`encode`] is its mirror, which is what the simulator speaks with;
//! - [`body`]: a stream, or the JSON documents of a server that does not stream, which is what the engine drives;
//! - [`Dialect::detect`] tells which dialect a recorded body is written in, and [`recorded`] decodes one that may be of
//!   any;
//! - [`response`]: deltas folded into the answer that they make up.
//!
//! What the dialects share: `identity` (who answers), `tool_calls`, `reasons` (why it ended), `error` and `error_class`, `end_state`, `emit`, and `json`,
//! which reads what providers really send.

pub mod anthropic;
pub mod aws_event_stream;
pub mod bedrock;
pub mod body;
pub mod cohere;
pub mod delta;
mod detect;
mod documents;
mod emit;
pub mod encode;
mod end_state;
mod error;
mod error_class;
pub mod gemini;
mod identity;
mod json;
pub mod ndjson;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;
mod reasons;
pub mod recorded;
pub mod response;
pub mod sse;
pub mod stream;
mod tool_calls;

pub use body::{BodyDecoder, BodyError};
pub use compact_str::CompactString;
pub use delta::{
    Delta, DeltaKind, Finish, FinishReason, ProviderError, ResponseInfo, Signature, SignatureKind,
    ToolCallStart, Usage,
};
pub use encode::StreamEncoder;
pub use end_state::EndState;
pub use error_class::ErrorClass;
pub use recorded::{RecordedBody, RecordedEnd};
pub use response::{Response, ToolCall};
pub use stream::{DecodeError, Dialect, Ending, Framing, Progress, StreamDecoder};
