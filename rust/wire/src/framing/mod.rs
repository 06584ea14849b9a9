//! Bytes → frames. A frame is one unit of a framing: an SSE event, an NDJSON line, or an AWS event stream message.
//!
//! The decoders are fed the body in whatever pieces it arrives. Their output does not depend on where it was split.

pub mod aws_event_stream;
pub(crate) mod documents;
pub mod ndjson;
pub mod sse;

/// How a streamed body is divided into frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events; see [`sse`].
    Sse,
    /// Newline-delimited JSON; see [`ndjson`].
    Ndjson,
    /// The binary AWS event stream; see [`aws_event_stream`].
    AwsEventStream,
}

impl Framing {
    /// The media type, as it stands in a `Content-Type` header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
            Self::AwsEventStream => "application/vnd.amazon.eventstream",
        }
    }
}
