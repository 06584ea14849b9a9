//! From bytes to frames: what a body is cut into, whatever the pieces in which it arrives.

pub mod aws_event_stream;
pub(crate) mod documents;
pub mod ndjson;
pub mod sse;

/// What a stream's bytes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// Newline-delimited JSON.
    Ndjson,
    /// The binary AWS event stream.
    AwsEventStream,
}

impl Framing {
    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Sse => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
            Self::AwsEventStream => "application/vnd.amazon.eventstream",
        }
    }
}
