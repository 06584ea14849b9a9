//! What comes over the wire, without the wire: bytes go in, [`Delta`]s come out, and nothing here does I/O.
//!
//! A map, in the direction in which a token travels:
//!
//! - `framing/`: bytes → frames, wherever the bytes were split. [`sse`] by the WHATWG algorithm, [`ndjson`], and the
//!   binary [`aws_event_stream`]; `documents` for a body that is not a stream;
//! - `dialects/`: frames → [`Delta`]s and, in each dialect's `encode`, back. [`openai_chat`], [`openai_responses`],
//!   [`anthropic`], [`gemini`], [`cohere`], [`ollama`], [`bedrock`], and what they share;
//! - [`delta`]: the one vocabulary of all dialects;
//! - [`stream`]: framing and dialect in one; [`encode`] is its mirror, which is what the simulator speaks with;
//! - [`body`]: a stream, or the JSON documents of a server that does not stream, which is what the engine drives;
//! - [`recorded`]: a recorded body, whose dialect may be unknown ([`Dialect::detect`]);
//! - [`response`]: deltas folded into the answer that they make up;
//! - `error` and `error_class`: what a provider's error says, and what class of error it is.
//!
//! The two folders are how the source is arranged. Users of the crate name a module by its own name, such as
//! `headrace_wire::sse` or `headrace_wire::openai_chat`.

pub mod body;
pub mod delta;
mod dialects;
pub mod encode;
mod error;
mod error_class;
mod framing;
pub mod recorded;
pub mod response;
pub mod stream;

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
pub use error_class::ErrorClass;
pub use framing::Framing;
pub use recorded::{Outcome, RecordedBody};
pub use response::{Response, ToolCall};
pub use stream::{DecodeError, Ending, Progress, StreamDecoder};
