//! Finds out which dialect a recorded body is in.

use memchr::memmem;
use serde::Deserialize;

use super::Dialect;
use crate::body::start;
use crate::dialects::json::{Raw, Text, lenient};
use crate::framing::Framing;
use crate::framing::aws_event_stream::begins_message;
use crate::framing::documents::Documents;
use crate::framing::sse::{Event, SseDecoder, text};
use crate::stream::DecodeError;

impl Dialect {
    /// Detects the dialect of a body from its start. The body may be a stream or consist of JSON documents.
    ///
    /// It looks for the first event or document that only one dialect has. A few kilobytes of a stream are enough, but a
    /// JSON document must be complete. `None` if there is no such event or document in `prefix`.
    ///
    /// ```
    /// use headrace_wire::Dialect;
    ///
    /// let body = b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
    /// assert_eq!(Dialect::detect(body), Some(Dialect::Anthropic));
    /// assert_eq!(Dialect::detect(b"hello"), None);
    /// ```
    #[must_use]
    pub fn detect(prefix: &[u8]) -> Option<Self> {
        Self::shown(prefix).or_else(|| match start(prefix).first()? {
            b'{' | b'[' | b'<' => None,
            _ => last_event(prefix),
        })
    }

    /// Like [`Dialect::detect`], but uses complete frames and documents only, so that more bytes cannot change the
    /// result.
    #[must_use]
    pub(crate) fn shown(prefix: &[u8]) -> Option<Self> {
        if begins_message(prefix) {
            return Some(Self::Bedrock);
        }
        let start = start(prefix);
        match start.first()? {
            b'{' | b'[' => first_document(start),
            b'<' => None,
            _ => first_event(prefix),
        }
    }
}

fn first_document(json: &[u8]) -> Option<Dialect> {
    Documents::of(&text(json)).find_map(|document| {
        let read = lenient(document.ok()?.as_bytes(), |json| {
            let probe: Probe<'_> = serde_json::from_str(json)?;
            Ok(probe.dialect())
        });
        read.ok().flatten()
    })
}

fn first_event(bytes: &[u8]) -> Option<Dialect> {
    let mut sse = SseDecoder::default();
    let mut events = sse.feed(bytes);
    let mut is_first = true;
    while let Ok(Some(event)) = events.next_event() {
        let dialect = by_event(&event);
        if dialect.is_some() {
            return dialect;
        }
        // Other dialects may end with it too, but only OpenAI chat has streams of nothing but `[DONE]`.
        if event.is_done() {
            return is_first.then_some(Dialect::OpenAiChat);
        }
        is_first &= !event.is_json();
    }
    None
}

/// Looks at a last event that was cut off. A stream of nothing but `ping` events is Anthropic's.
fn last_event(bytes: &[u8]) -> Option<Dialect> {
    let mut sse = SseDecoder::default();
    let mut has_ping = false;
    for bytes in [bytes, b"\n\n"] {
        let mut events = sse.feed(bytes);
        while let Ok(Some(event)) = events.next_event() {
            // If the data were cut off, the event's type may still decide.
            let dialect = by_event(&event).or_else(|| by_event_type(&event.event_type()));
            if dialect.is_some() {
                return dialect;
            }
            has_ping |= event.event_type() == "ping";
        }
    }
    has_ping.then_some(Dialect::Anthropic)
}

fn by_event(event: &Event<'_>) -> Option<Dialect> {
    let read = lenient(event.data(), |json| {
        let probe: Probe<'_> = serde_json::from_str(json)?;
        Ok(match probe.dialect() {
            // Over SSE, an error that is a string is not Ollama's, which is NDJSON.
            Some(Dialect::Ollama) if probe.error.get().is_some() => Some(Dialect::OpenAiChat),
            dialect => dialect.filter(|dialect| dialect.framing() == Framing::Sse),
        })
    });
    read.ok().flatten()
}

/// The dialect that has events of this type.
fn by_event_type(kind: &str) -> Option<Dialect> {
    let has_prefix = |prefixes: &[&str]| prefixes.iter().any(|prefix| kind.starts_with(prefix));
    match kind {
        "completion" => Some(Dialect::Anthropic),
        _ if has_prefix(&["message_", "content_block_"]) => Some(Dialect::Anthropic),
        _ if has_prefix(&["response.", "transcript."]) => Some(Dialect::OpenAiResponses),
        // Version 1 of Cohere's API has `tool-calls-generation` and `citation-generation`.
        _ if has_prefix(&[
            "message-",
            "content-",
            "tool-plan-",
            "tool-call-",
            "citation-start",
            "citation-end",
        ]) =>
        {
            Some(Dialect::Cohere)
        }
        _ if has_prefix(&["interaction.", "step."]) => Some(Dialect::Gemini),
        _ => None,
    }
}

/// The error for a frame of an API whose frames look like those of a dialect, and which is not read.
pub(crate) fn other_api(data: &[u8]) -> Option<DecodeError> {
    const MARKS: [&[u8]; 2] = [b"\"event_type\"", b"\"thread"];
    if MARKS.iter().all(|mark| memmem::find(data, mark).is_none()) {
        return None;
    }
    let data = text(data);
    let probe: Probe<'_> = serde_json::from_str(&data).ok()?;
    let (api, advice) = probe.other_api()?;
    Some(DecodeError::Other { api, advice })
}

/// The error for the first frame of such an API in a body of no known dialect.
pub(crate) fn other_api_of(prefix: &[u8]) -> Option<DecodeError> {
    match start(prefix).first()? {
        b'{' | b'[' => {
            Documents::of(&text(start(prefix))).find_map(|document| other_api(document.ok()?.as_bytes()))
        }
        _ => {
            let mut sse = SseDecoder::default();
            let mut events = sse.feed(prefix);
            while let Ok(Some(event)) = events.next_event() {
                if let Some(other) = other_api(event.data()) {
                    return Some(other);
                }
            }
            None
        }
    }
}

/// The members by which the dialects can be told apart.
#[derive(Debug, Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    event_type: Text<'a>,
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    choices: Raw<'a>,
    #[serde(borrow, default)]
    tool_calls: Raw<'a>,
    #[serde(borrow, default)]
    value: Text<'a>,
    #[serde(borrow, default)]
    candidates: Raw<'a>,
    #[serde(borrow, default, rename = "usageMetadata")]
    usage_metadata: Raw<'a>,
    #[serde(borrow, default, rename = "promptFeedback")]
    prompt_feedback: Raw<'a>,
    #[serde(borrow, default)]
    response: Raw<'a>,
    #[serde(borrow, default)]
    done: Raw<'a>,
    #[serde(borrow, default)]
    output: Raw<'a>,
    #[serde(borrow, default, rename = "stopReason")]
    stop_reason: Raw<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    finish_reason: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    sequence_number: Raw<'a>,
    // Formats of single models on Bedrock.
    #[serde(borrow, default)]
    generation: Raw<'a>,
    #[serde(borrow, default)]
    generation_token_count: Raw<'a>,
    #[serde(borrow, default)]
    outputs: Raw<'a>,
    #[serde(borrow, default, rename = "inputTextTokenCount")]
    titan: Raw<'a>,
}

/// Members of an error object. Google's has both, and its `code` is a number.
#[derive(Debug, Deserialize)]
struct ErrorProbe<'a> {
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    code: Raw<'a>,
}

impl Probe<'_> {
    fn dialect(&self) -> Option<Dialect> {
        let has = |member: &Raw<'_>| member.get().is_some();
        match self.kind.get() {
            Some("message") => return Some(Dialect::Anthropic),
            Some("error") if has(&self.error) && !has(&self.sequence_number) => {
                return Some(Dialect::Anthropic);
            }
            Some("error") => return Some(Dialect::OpenAiResponses),
            Some(kind) => {
                if let Some(dialect) = by_event_type(kind) {
                    return Some(dialect);
                }
            }
            None => {}
        }
        if has(&self.choices) || self.value.get().is_some() {
            return Some(Dialect::OpenAiChat);
        }
        if has(&self.candidates) || has(&self.usage_metadata) || has(&self.prompt_feedback) {
            return Some(Dialect::Gemini);
        }
        if has(&self.done) {
            return Some(Dialect::Ollama);
        }
        let is_llama = has(&self.generation) && has(&self.generation_token_count);
        if is_llama || has(&self.titan) || has(&self.outputs) || (has(&self.output) && has(&self.stop_reason))
        {
            return Some(Dialect::Bedrock);
        }
        if has(&self.message) && has(&self.finish_reason) {
            return Some(Dialect::Cohere);
        }
        if let Some(wrapped) = self.response.read::<Self>() {
            return wrapped.dialect();
        }
        if self.response.get().is_some_and(|response| response.starts_with('"')) {
            return Some(Dialect::OpenAiChat);
        }
        // Cloudflare's, in a chunk without text.
        if has(&self.tool_calls) && self.event_type.get().is_none() {
            return Some(Dialect::OpenAiChat);
        }
        self.by_object().or_else(|| self.by_error())
    }

    /// By the member `object`, or by the `event_type` of Gemini's Interactions API.
    fn by_object(&self) -> Option<Dialect> {
        match self.object.get() {
            Some("response") => Some(Dialect::OpenAiResponses),
            Some("chat.completion.chunk" | "chat.completion" | "text_completion") => {
                Some(Dialect::OpenAiChat)
            }
            _ => by_event_type(self.event_type.get()?),
        }
    }

    /// The API that this is of, if it is one that is not read, and what to use instead.
    fn other_api(&self) -> Option<(&'static str, &'static str)> {
        const COHERE_1: [&str; 8] = [
            "stream-start",
            "text-generation",
            "stream-end",
            "search-queries-generation",
            "search-results",
            "citation-generation",
            "tool-calls-generation",
            "tool-calls-chunk",
        ];
        if self.object.get().is_some_and(|object| object == "thread" || object.starts_with("thread.")) {
            return Some(("OpenAI's Assistants API", "ask /v1/responses or /v1/chat/completions"));
        }
        let is_cohere = self.event_type.get().is_some_and(|kind| COHERE_1.contains(&kind));
        is_cohere.then_some(("version 1 of Cohere's API", "ask /v2/chat"))
    }

    /// By the shape of the error.
    fn by_error(&self) -> Option<Dialect> {
        let error = self.error.get()?;
        if error.starts_with('"') {
            return Some(Dialect::Ollama);
        }
        let probe: ErrorProbe<'_> = self.error.read()?;
        let is_google = probe.status.get().is_some() && probe.code.count().is_some();
        Some(if is_google { Dialect::Gemini } else { Dialect::OpenAiChat })
    }
}
