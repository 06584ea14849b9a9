//! Framing and dialect in one: the body of a response goes in, deltas come out.

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

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// The end marker or an in-band error has been seen: nothing after it counts.
    Ended,
}

/// How a stream stands when its bytes end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The dialect's end was seen.
    Complete,
    /// It was not: something is missing.
    Truncated,
}

/// The bytes are not what the dialect says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// One event is over the cap.
    #[error(transparent)]
    EventTooLarge(#[from] EventTooLarge),
    /// The binary framing is damaged.
    #[error(transparent)]
    Frame(FrameError),
    /// An event's data is not JSON, or not of the shape of a chunk.
    #[error("a chunk is not valid JSON ({reason}): {excerpt}")]
    Json {
        /// What the parser says.
        reason: String,
        /// The start of the data.
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
    /// How much of the data an error shows.
    const EXCERPT_CHARS: usize = 200;

    pub(crate) fn json(error: &serde_json::Error, json: &str) -> Self {
        let mut excerpt: String = json.chars().take(Self::EXCERPT_CHARS).collect();
        if excerpt.len() < json.len() {
            excerpt.push('…');
        }
        Self::Json { reason: error.to_string(), excerpt }
    }
}

/// Decodes the body of one response.
#[derive(Debug)]
pub struct StreamDecoder {
    decoder: Decoder,
    progress: Progress,
}

/// The framing and the dialect behind it. Which one it is, is asked once for each read, not for each event.
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

/// Does the same with whichever dialect it is.
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
    /// A decoder for one response, refusing an event of more than `max_event_bytes`.
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

    /// Takes the next bytes of the body and appends what they say to `out`. Bytes after the end are ignored.
    ///
    /// # Errors
    /// [`DecodeError`], with everything that came before it in `out`. Nothing may be fed after it.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        if self.progress == Progress::Open {
            self.progress = match &mut self.decoder {
                Decoder::OpenAiChat(sse, dialect) => events(sse, bytes, |event| dialect.event(event, out)),
                Decoder::OpenAiResponses(sse, dialect) => {
                    json_events(sse, bytes, |data| dialect.document(data, out))
                }
                Decoder::Anthropic(sse, dialect) => {
                    json_events(sse, bytes, |data| dialect.document(data, out))
                }
                Decoder::Gemini(sse, dialect) => json_events(sse, bytes, |data| dialect.document(data, out)),
                Decoder::Cohere(sse, dialect) => json_events(sse, bytes, |data| dialect.event(data, out)),
                Decoder::Ollama(ndjson, dialect) => lines(ndjson, bytes, |line| dialect.document(line, out)),
                Decoder::Bedrock(frames, dialect) => {
                    messages(frames, bytes, |message| dialect.message(message, out))
                }
            }?;
        }
        Ok(self.progress)
    }

    /// Takes a whole body that is one JSON document, from a provider that did not stream.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when it is not.
    pub fn document(&mut self, body: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        self.progress = with_dialect!(&mut self.decoder, dialect => dialect.document(body, out))?;
        Ok(self.progress)
    }

    /// How the stream stands if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        with_dialect!(&self.decoder, dialect => dialect.ending())
    }

    /// The body has ended: appends what only that tells, and says how the stream stands.
    pub fn finish(&mut self, out: &mut Vec<Delta>) -> Ending {
        if self.progress == Progress::Open
            && let Decoder::Ollama(ndjson, dialect) = &mut self.decoder
            && let Some(line) = ndjson.finish()
        {
            // The last line needs no line end. Where it is not JSON it was cut off, and is no end marker.
            self.progress = dialect.document(line, out).unwrap_or(Progress::Open);
        }
        with_dialect!(&mut self.decoder, dialect => dialect.finish(out));
        self.ending()
    }
}

fn events(
    decoder: &mut SseDecoder,
    bytes: &[u8],
    mut translate: impl FnMut(&Event<'_>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut events = decoder.feed(bytes);
    while let Some(event) = events.next_event()? {
        if translate(&event)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}

/// Events whose data are JSON, but for `[DONE]`, which gateways put behind every dialect, and for asides. `[DONE]` ends
/// nothing here: each of these dialects has an end of its own, and without that the answer is not whole.
fn json_events(
    decoder: &mut SseDecoder,
    bytes: &[u8],
    mut translate: impl FnMut(&[u8]) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    events(decoder, bytes, |event| {
        if event.is_done() || event.is_aside() { Ok(Progress::Open) } else { translate(event.data()) }
    })
}

fn lines(
    decoder: &mut NdjsonDecoder,
    bytes: &[u8],
    mut translate: impl FnMut(&[u8]) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut lines = decoder.feed(bytes);
    while let Some(line) = lines.next_line()? {
        if translate(line)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}

fn messages(
    decoder: &mut MessageDecoder,
    bytes: &[u8],
    mut translate: impl FnMut(&Message<'_>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut messages = decoder.feed(bytes);
    while let Some(message) = messages.next_message()? {
        if translate(&message)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}
