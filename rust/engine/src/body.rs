//! What a response's body turns out to be: events, one JSON document, or a web page.

use headrace_wire::sse::EventTooLarge;
use headrace_wire::{DecodeError, Delta, Progress, StreamDecoder};
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;

use crate::end::{Failure, FailureKind};
use crate::pump::Stop;

/// How much of an unexpected page an error shows.
const EXCERPT_CHARS: usize = 200;

pub(crate) struct Body {
    shape: Shape,
    limit: usize,
}

enum Shape {
    /// Only the bytes can tell.
    Unknown,
    /// Events, as was asked for.
    Events,
    /// One JSON document, from a server that does not stream: collected until its end.
    Document(Vec<u8>),
}

impl Body {
    /// The body of `response`, which may be `limit` bytes at most if it is a document.
    pub(crate) fn new(response: &Response, limit: usize) -> Self {
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let declared = content_type.is_some_and(|value| value.starts_with("text/event-stream"));
        Self { shape: if declared { Shape::Events } else { Shape::Unknown }, limit }
    }

    /// A body that is known to be events.
    pub(crate) const fn of_events(limit: usize) -> Self {
        Self { shape: Shape::Events, limit }
    }

    /// Takes the next bytes and appends what they say to `out`.
    pub(crate) fn feed(
        &mut self,
        decoder: &mut StreamDecoder,
        bytes: &[u8],
        out: &mut Vec<Delta>,
    ) -> Result<Progress, Stop> {
        if matches!(self.shape, Shape::Unknown) {
            self.shape = sniff(bytes)?;
        }
        match &mut self.shape {
            Shape::Unknown => Ok(Progress::Open),
            Shape::Events => Ok(decoder.feed(bytes, out)?),
            Shape::Document(document) => {
                if document.len() + bytes.len() > self.limit {
                    return Err(DecodeError::from(EventTooLarge { limit: self.limit }).into());
                }
                document.extend_from_slice(bytes);
                Ok(Progress::Open)
            }
        }
    }

    /// The bytes have ended: a document is whole now.
    pub(crate) fn finish(&mut self, decoder: &mut StreamDecoder, out: &mut Vec<Delta>) -> Result<(), Stop> {
        if let Shape::Document(document) = &self.shape {
            decoder.document(document, out)?;
        }
        Ok(())
    }
}

/// Content types are too often wrong to trust them: the first byte tells a document, a page and events apart.
fn sniff(bytes: &[u8]) -> Result<Shape, Failure> {
    match bytes.trim_ascii_start().first() {
        None => Ok(Shape::Unknown),
        Some(b'{' | b'[') => Ok(Shape::Document(Vec::new())),
        Some(b'<') => {
            let excerpt: String = String::from_utf8_lossy(bytes).chars().take(EXCERPT_CHARS).collect();
            let message = format!(
                "the server answered with a web page instead of a stream; is the URL right? {excerpt}"
            );
            Err(Failure::new(FailureKind::Protocol, message))
        }
        Some(_) => Ok(Shape::Events),
    }
}
