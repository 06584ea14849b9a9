//! Decodes and encodes the streams of LLM providers. Bytes go in, [`Delta`]s come out; nothing here does I/O.
//!
//! The modules, in the direction in which a token travels:
//!
//! - `framing/`: bytes → frames. [`sse`], [`ndjson`] and the binary [`aws_event_stream`]; `documents` for bodies that
//!   are not streams;
//! - `dialects/`: frames → [`Delta`]s and, in each dialect's `encode`, back. [`openai_chat`], [`openai_responses`],
//!   [`anthropic`], [`gemini`], [`cohere`], [`ollama`], [`bedrock`], and what they share;
//! - [`delta`]: the deltas, which are the same for all dialects;
//! - [`stream`]: decodes a streamed body, framing and dialect in one;
//! - [`body`]: decodes a body that may be a stream or not; the engine uses this;
//! - [`recorded`]: decodes a recorded body, whose dialect may be unknown ([`Dialect::detect`]);
//! - [`response`]: collects deltas into a whole response;
//! - [`encode`]: deltas → the bytes of a stream; the simulator uses this;
//! - `error`, `error_class` and `wait`: read a provider's error, classify it, and read how long it asks to wait;
//!   `outcome`: finds the errors that no dialect reports; `end_state`: the states a stream ends in;
//! - [`http1`]: HTTP/1.1 responses, which carry the bodies.
//!
//! The two folders only arrange the source. To users of the crate, their modules are at the top:
//! `headrace_wire::sse`, `headrace_wire::openai_chat`.

pub mod body;
pub mod delta;
mod dialects;
pub mod encode;
mod end_state;
mod error;
mod error_class;
mod framing;
pub mod http1;
mod outcome;
pub mod recorded;
pub mod response;
pub mod stream;
mod wait;

pub use dialects::{anthropic, bedrock, cohere, gemini, ollama, openai_chat, openai_responses};
pub use framing::{aws_event_stream, ndjson, sse};

pub use body::{BodyDecoder, BodyError};
pub use compact_str::CompactString;
pub use delta::{
    Delta, DeltaKind, Finish, FinishReason, ProviderError, ResponseInfo, Signature, SignatureKind,
    ToolCallStart, Usage,
};
pub use dialects::Dialect;
pub use encode::StreamEncoder;
pub use end_state::EndState;
pub use error_class::ErrorClass;
pub use framing::Framing;
pub use recorded::{RecordedBody, RecordedEnd};
pub use response::{Response, ToolCall};
pub use stream::{DecodeError, Ending, Progress, StreamDecoder};
pub use wait::written_wait;
