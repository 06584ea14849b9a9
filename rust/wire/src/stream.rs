//! Decodes a streamed body: framing and dialect in one.

use crate::delta::Delta;
use crate::dialects::Dialect;
use crate::dialects::anthropic::Anthropic;
use crate::dialects::bedrock::Bedrock;
use crate::dialects::cohere::Cohere;
use crate::dialects::gemini::Gemini;
use crate::dialects::ollama::Ollama;
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::openai_responses::OpenAiResponses;
use crate::framing::aws_event_stream::{FrameError, Message, MessageDecoder};
use crate::framing::ndjson::NdjsonDecoder;
use crate::framing::sse::{Event, EventTooLarge, SseDecoder};

/// Whether a stream continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More deltas may come.
    Open,
    /// The dialect's end marker or an error of the provider has been seen. Everything after it is ignored.
    Ended,
}

/// Whether a stream was complete when its bytes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The dialect's end marker was seen, or what counts as one.
    Complete,
    /// It was not seen: the rest of the response is missing.
    Truncated,
}

/// The bytes do not follow the framing or the dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A frame is over the limit.
    #[error(transparent)]
    EventTooLarge(#[from] EventTooLarge),
    /// A message of the AWS event stream is damaged.
    #[error(transparent)]
    Frame(FrameError),
    /// The JSON of a frame is invalid, or not of the expected shape.
    #[error("a chunk is not valid JSON ({reason}): {excerpt}")]
    Json {
        /// The parser's message.
        reason: String,
        /// The start of the JSON, at most 200 characters.
        excerpt: String,
    },
}

impl From<FrameError> for DecodeError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge(error) => Self::EventTooLarge(error),
            error => Self::Frame(error),
        }
    }
}

impl DecodeError {
    /// How many characters of the JSON an error shows.
    const EXCERPT_CHARS: usize = 200;

    pub(crate) fn json(error: &serde_json::Error, json: &str) -> Self {
        let mut excerpt: String = json.chars().take(Self::EXCERPT_CHARS).collect();
        if excerpt.len() < json.len() {
            excerpt.push('…');
        }
        Self::Json { reason: error.to_string(), excerpt }
    }
}

/// Decodes the streamed body of one response.
///
/// ```
/// use headrace_wire::{DeltaKind, Dialect, Ending, Progress, StreamDecoder};
///
/// let mut decoder = StreamDecoder::new(Dialect::OpenAiChat, 1 << 20);
/// let mut deltas = Vec::new();
/// let body = b"data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n";
/// // A socket may split the body anywhere.
/// let (head, tail) = body.split_at(20);
/// assert_eq!(decoder.feed(head, &mut deltas)?, Progress::Open);
/// assert_eq!(decoder.feed(tail, &mut deltas)?, Progress::Ended);
/// assert_eq!(decoder.finish(&mut deltas), Ending::Complete);
/// assert_eq!(deltas.len(), 1);
/// assert_eq!(deltas[0].kind, DeltaKind::Text("Hi".into()));
/// # Ok::<(), headrace_wire::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct StreamDecoder {
    decoder: Decoder,
    progress: Progress,
}

/// Framing and dialect. An enum and not a trait object, so that the dialect is matched once per read, not once per
/// frame.
#[derive(Debug)]
enum Decoder {
    OpenAiChat(SseDecoder, OpenAiChat),
    OpenAiResponses(SseDecoder, OpenAiResponses),
    Anthropic(SseDecoder, Anthropic),
    Gemini(SseDecoder, Gemini),
    Cohere(SseDecoder, Cohere),
    Ollama(NdjsonDecoder, Ollama),
    Bedrock(MessageDecoder, Bedrock),
}

/// Evaluates `$body` with the decoder's dialect.
macro_rules! with_dialect {
    ($decoder:expr, $dialect:ident => $body:expr) => {
        match $decoder {
            Decoder::OpenAiChat(_, $dialect) => $body,
            Decoder::OpenAiResponses(_, $dialect) => $body,
            Decoder::Anthropic(_, $dialect) => $body,
            Decoder::Gemini(_, $dialect) => $body,
            Decoder::Cohere(_, $dialect) => $body,
            Decoder::Ollama(_, $dialect) => $body,
            Decoder::Bedrock(_, $dialect) => $body,
        }
    };
}

impl StreamDecoder {
    /// A decoder for one response. It fails on a frame of more than `max_event_bytes`.
    #[must_use]
    pub fn new(dialect: Dialect, max_event_bytes: usize) -> Self {
        let sse = || SseDecoder::with_limit(max_event_bytes);
        let decoder = match dialect {
            Dialect::OpenAiChat => Decoder::OpenAiChat(sse(), OpenAiChat::default()),
            Dialect::OpenAiResponses => Decoder::OpenAiResponses(sse(), OpenAiResponses::default()),
            Dialect::Anthropic => Decoder::Anthropic(sse(), Anthropic::default()),
            Dialect::Gemini => Decoder::Gemini(sse(), Gemini::default()),
            Dialect::Cohere => Decoder::Cohere(sse(), Cohere::default()),
            Dialect::Ollama => Decoder::Ollama(NdjsonDecoder::with_limit(max_event_bytes), Ollama::default()),
            Dialect::Bedrock => {
                Decoder::Bedrock(MessageDecoder::with_limit(max_event_bytes), Bedrock::default())
            }
        };
        Self { decoder, progress: Progress::Open }
    }

    /// Decodes the next bytes of the body and appends their deltas to `out`. Bytes after the end marker are ignored.
    ///
    /// # Errors
    /// [`DecodeError`]. The deltas before the error are in `out`. The decoder must not be fed again.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        if self.progress == Progress::Open {
            self.progress = match &mut self.decoder {
                Decoder::OpenAiChat(sse, dialect) => events(sse, bytes, |event| dialect.event(event, out)),
                Decoder::OpenAiResponses(sse, dialect) => events(sse, bytes, |event| match event {
                    event if event.is_done() => Ok(dialect.done()),
                    event if event.is_keep_alive() => Ok(Progress::Open),
                    event => dialect.document(event.data(), out),
                }),
                Decoder::Anthropic(sse, dialect) => {
                    json_events(sse, bytes, |data| dialect.document(data, out))
                }
                Decoder::Gemini(sse, dialect) => json_events(sse, bytes, |data| dialect.document(data, out)),
                Decoder::Cohere(sse, dialect) => json_events(sse, bytes, |data| dialect.event(data, out)),
                Decoder::Ollama(ndjson, dialect) => lines(ndjson, bytes, |line| dialect.document(line, out)),
                Decoder::Bedrock(decoder, dialect) => {
                    messages(decoder, bytes, |message| dialect.message(message, out))
                }
            }?;
        }
        Ok(self.progress)
    }

    /// Decodes a body that is one JSON document, from a provider that did not stream, and appends its deltas to `out`.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON document of the expected shape.
    pub fn document(&mut self, body: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        self.progress = with_dialect!(&mut self.decoder, dialect => dialect.document(body, out))?;
        Ok(self.progress)
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        with_dialect!(&self.decoder, dialect => dialect.ending())
    }

    /// Call this when the body has ended. Appends the last deltas to `out` (an NDJSON line without a line end, the
    /// ends of tool calls) and returns whether the response is complete.
    pub fn finish(&mut self, out: &mut Vec<Delta>) -> Ending {
        if self.progress == Progress::Open
            && let Decoder::Ollama(ndjson, dialect) = &mut self.decoder
            && let Some(line) = ndjson.finish()
        {
            // The last line needs no line end. If it is not valid JSON, it was cut off and cannot be the end marker.
            self.progress = dialect.document(line, out).unwrap_or(Progress::Open);
        }
        with_dialect!(&mut self.decoder, dialect => dialect.finish(out));
        self.ending()
    }
}

/// Decodes the events that these bytes complete, until one of them ends the stream.
fn events(
    decoder: &mut SseDecoder,
    bytes: &[u8],
    mut decode: impl FnMut(&Event<'_>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut events = decoder.feed(bytes);
    while let Some(event) = events.next_event()? {
        if decode(&event)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}

/// Like [`events`], for the dialects whose events are all JSON. Keep-alives are skipped. So is `[DONE]`, which gateways
/// send after every dialect: it does not end these, since each has an end marker of its own.
fn json_events(
    decoder: &mut SseDecoder,
    bytes: &[u8],
    mut decode: impl FnMut(&[u8]) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    events(decoder, bytes, |event| {
        if event.is_done() || event.is_keep_alive() { Ok(Progress::Open) } else { decode(event.data()) }
    })
}

/// Like [`events`], for NDJSON lines.
fn lines(
    decoder: &mut NdjsonDecoder,
    bytes: &[u8],
    mut decode: impl FnMut(&[u8]) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut lines = decoder.feed(bytes);
    while let Some(line) = lines.next_line()? {
        if decode(line)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}

/// Like [`events`], for messages of the AWS event stream.
fn messages(
    decoder: &mut MessageDecoder,
    bytes: &[u8],
    mut decode: impl FnMut(&Message<'_>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut messages = decoder.feed(bytes);
    while let Some(message) = messages.next_message()? {
        if decode(&message)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}
