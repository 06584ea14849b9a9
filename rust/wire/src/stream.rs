//! Decodes a streamed body: framing and dialect in one.

use crate::delta::{Delta, DeltaKind};
use crate::dialects::Dialect;
use crate::dialects::anthropic::Anthropic;
use crate::dialects::bedrock::Bedrock;
use crate::dialects::cohere::Cohere;
use crate::dialects::detect::other_api;
use crate::dialects::emit::push_error;
use crate::dialects::gemini::Gemini;
use crate::dialects::ollama::Ollama;
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::openai_responses::OpenAiResponses;
use crate::error::read_error;
use crate::framing::aws_event_stream::{FrameError, Message, MessageDecoder};
use crate::framing::ndjson::NdjsonDecoder;
use crate::framing::sse::{Event, EventTooLarge, SseDecoder};
use crate::outcome::Outcome;

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
    /// It is the stream of an API that is not read.
    #[error("this is a stream of {api}, which is not read: {advice}")]
    Other {
        /// The API.
        api: &'static str,
        /// What to use instead.
        advice: &'static str,
    },
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
    outcome: Outcome,
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
        let sse = || SseDecoder::of_a_provider(max_event_bytes);
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
        Self { decoder, outcome: Outcome::default(), progress: Progress::Open }
    }

    /// Decodes the next bytes of the body and appends their deltas to `out`. Bytes after the end marker are ignored.
    ///
    /// # Errors
    /// [`DecodeError`]. The deltas before the error are in `out`. The decoder must not be fed again.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        if self.progress == Progress::Open {
            let outcome = &mut self.outcome;
            self.progress = match &mut self.decoder {
                Decoder::OpenAiChat(sse, dialect) => {
                    events(sse, bytes, outcome, out, |event, out| dialect.event(event, out))
                }
                Decoder::OpenAiResponses(sse, dialect) => events(sse, bytes, outcome, out, |event, out| {
                    if event.is_done() { Ok(dialect.done()) } else { dialect.document(event.data(), out) }
                }),
                Decoder::Anthropic(sse, dialect) => {
                    json_events(sse, bytes, outcome, out, |data, out| dialect.document(data, out))
                }
                Decoder::Gemini(sse, dialect) => {
                    json_events(sse, bytes, outcome, out, |data, out| dialect.document(data, out))
                }
                Decoder::Cohere(sse, dialect) => {
                    json_events(sse, bytes, outcome, out, |data, out| dialect.event(data, out))
                }
                Decoder::Ollama(ndjson, dialect) => {
                    lines(ndjson, bytes, outcome, out, |line, out| dialect.document(line, out))
                }
                Decoder::Bedrock(decoder, dialect) => {
                    messages(decoder, bytes, outcome, out, |message, out| dialect.message(message, out))
                }
            }?;
            if self.progress == Progress::Ended {
                self.close(&[], out);
            }
        }
        Ok(self.progress)
    }

    /// Whether the bytes since the last call of this show the provider at work: output, or the deltas of tools that it
    /// runs itself, its code, its pictures and its speech, which are no deltas here. Comments, token counts and pings do
    /// not, unless the provider pings while it holds back what it generates.
    pub fn take_work(&mut self) -> bool {
        let hidden = with_dialect!(&mut self.decoder, dialect => dialect.take_work());
        self.outcome.take_work() || hidden
    }

    /// Whether the model is known to be done: it has told why it ended, the answer would be complete if the body ended
    /// here, and nothing has come after a finish reason before. On servers that send one with every chunk, it says nothing.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        !self.outcome.goes_on() && self.ending() == Ending::Complete
    }

    /// Decodes a body that is one JSON document, from a provider that did not stream, and appends its deltas to `out`.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON document of the expected shape.
    pub fn document(&mut self, body: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        let outcome = &mut self.outcome;
        self.progress = frame(
            body,
            outcome,
            out,
            |body, out| with_dialect!(&mut self.decoder, dialect => dialect.document(body, out)),
        )?;
        if self.progress == Progress::Ended {
            self.close(&[], out);
        }
        Ok(self.progress)
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        with_dialect!(&self.decoder, dialect => dialect.ending())
    }

    /// Call this when the body has ended. Appends the last deltas to `out`, unless an end marker has made
    /// [`StreamDecoder::feed`] do so (an NDJSON line without a line end, the ends of tool calls, the error that the stream
    /// ended with), and returns whether the response is complete.
    pub fn finish(&mut self, out: &mut Vec<Delta>) -> Ending {
        if self.progress == Progress::Ended {
            return self.ending();
        }
        if let Decoder::Ollama(ndjson, dialect) = &mut self.decoder
            && let Some(last) = ndjson.finish().map(<[u8]>::to_vec)
        {
            // The last line needs no line end. If it is not valid JSON, it was cut off and cannot be the end marker.
            let read = line(&last, &mut self.outcome, out, |line, out| dialect.document(line, out));
            self.progress = read.unwrap_or(Progress::Open);
        }
        let tail = self.tail();
        self.close(&tail, out);
        self.ending()
    }

    /// What the bytes said instead of an answer, if they did: the lines and the data that no dialect has. At most 200
    /// characters.
    #[must_use]
    pub fn excerpt(&self) -> Option<String> {
        self.outcome.excerpt(sse_of(&self.decoder).map_or(&[], SseDecoder::strays), &self.tail())
    }

    /// The stream has ended: appends the last deltas, and the error that it ended with, if no frame has reported it.
    fn close(&mut self, tail: &[u8], out: &mut Vec<Delta>) {
        if !self.outcome.has_error() {
            let first = out.len();
            with_dialect!(&mut self.decoder, dialect => dialect.finish(out));
            self.outcome.note(&out[first..]);
        }
        let complete = self.ending() == Ending::Complete;
        let strays = sse_of(&self.decoder).map_or(&[][..], SseDecoder::strays);
        self.outcome.conclude(complete, strays, tail, out);
    }

    /// What an unfinished frame says.
    fn tail(&self) -> Vec<u8> {
        sse_of(&self.decoder).map_or_else(Vec::new, SseDecoder::tail)
    }
}

const fn sse_of(decoder: &Decoder) -> Option<&SseDecoder> {
    match decoder {
        Decoder::OpenAiChat(sse, _)
        | Decoder::OpenAiResponses(sse, _)
        | Decoder::Anthropic(sse, _)
        | Decoder::Gemini(sse, _)
        | Decoder::Cohere(sse, _) => Some(sse),
        Decoder::Ollama(..) | Decoder::Bedrock(..) => None,
    }
}

/// Decodes one frame of JSON. If it says nothing of an answer, it may be an error that the dialect does not know.
#[inline]
fn frame(
    data: &[u8],
    outcome: &mut Outcome,
    out: &mut Vec<Delta>,
    decode: impl FnOnce(&[u8], &mut Vec<Delta>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let first = out.len();
    let progress = decode(data, out)?;
    if let [Delta { choice, kind: DeltaKind::Text(_) }] = &out[first..] {
        outcome.text(*choice);
        return Ok(progress);
    }
    after_frame(data, progress, first, outcome, out)
}

/// Takes note of a frame that was not just text.
#[inline(never)]
fn after_frame(
    data: &[u8],
    progress: Progress,
    first: usize,
    outcome: &mut Outcome,
    out: &mut Vec<Delta>,
) -> Result<Progress, DecodeError> {
    outcome.note(&out[first..]);
    let is_silent = out[first..].iter().all(|delta| matches!(delta.kind, DeltaKind::Response(_)));
    let is_unknown = out.len() == first;
    if is_unknown
        && outcome.is_open()
        && let Some(other) = other_api(data)
    {
        return Err(other);
    }
    if progress == Progress::Open && is_silent && outcome.silent(data, is_unknown, out) {
        return Ok(Progress::Ended);
    }
    Ok(progress)
}

/// Decodes the events that these bytes complete, until one of them ends the stream.
fn events(
    decoder: &mut SseDecoder,
    bytes: &[u8],
    outcome: &mut Outcome,
    out: &mut Vec<Delta>,
    mut decode: impl FnMut(&Event<'_>, &mut Vec<Delta>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut events = decoder.feed(bytes);
    while let Some(event) = events.next_event()? {
        let is_frame = event.is_json() && !event.is_error();
        let progress = if is_frame {
            frame(event.data(), outcome, out, |_, out| decode(&event, out))?
        } else if event.is_error() && !event.data().trim_ascii().is_empty() {
            push_error(read_error(&event.data_text()), out);
            outcome.note(&out[out.len() - 1..]);
            Progress::Ended
        } else if event.is_done() {
            decode(&event, out)?
        } else {
            // A type of its own is of something else: a keep-alive, or text.
            if event.has_default_type() {
                outcome.keep(event.data());
            }
            Progress::Open
        };
        if progress == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}

/// Like [`events`], for the dialects whose events are all JSON. `[DONE]`, which gateways send after every dialect, is
/// skipped: it does not end these, since each has an end marker of its own.
fn json_events(
    decoder: &mut SseDecoder,
    bytes: &[u8],
    outcome: &mut Outcome,
    out: &mut Vec<Delta>,
    mut decode: impl FnMut(&[u8], &mut Vec<Delta>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    events(decoder, bytes, outcome, out, |event, out| {
        if event.is_done() { Ok(Progress::Open) } else { decode(event.data(), out) }
    })
}

/// Like [`events`], for NDJSON lines.
fn lines(
    decoder: &mut NdjsonDecoder,
    bytes: &[u8],
    outcome: &mut Outcome,
    out: &mut Vec<Delta>,
    mut decode: impl FnMut(&[u8], &mut Vec<Delta>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut lines = decoder.feed(bytes);
    while let Some(next) = lines.next_line()? {
        if line(next, outcome, out, &mut decode)? == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}

/// Decodes one NDJSON line. One that is not an object is none of the dialect's.
fn line(
    line: &[u8],
    outcome: &mut Outcome,
    out: &mut Vec<Delta>,
    decode: impl FnOnce(&[u8], &mut Vec<Delta>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    if line.trim_ascii_start().starts_with(b"{") {
        return frame(line, outcome, out, decode);
    }
    outcome.keep(line);
    Ok(Progress::Open)
}

/// Like [`events`], for messages of the AWS event stream.
fn messages(
    decoder: &mut MessageDecoder,
    bytes: &[u8],
    outcome: &mut Outcome,
    out: &mut Vec<Delta>,
    mut decode: impl FnMut(&Message<'_>, &mut Vec<Delta>) -> Result<Progress, DecodeError>,
) -> Result<Progress, DecodeError> {
    let mut messages = decoder.feed(bytes);
    while let Some(message) = messages.next_message()? {
        let progress = frame(message.payload(), outcome, out, |_, out| decode(&message, out))?;
        if progress == Progress::Ended {
            return Ok(Progress::Ended);
        }
    }
    Ok(Progress::Open)
}
