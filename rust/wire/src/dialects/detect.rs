//! Which dialect a recorded body is written in.

use serde::Deserialize;

use super::Dialect;
use crate::body::start;
use crate::dialects::json::{Raw, Text};
use crate::framing::Framing;
use crate::framing::aws_event_stream::begins_message;
use crate::framing::documents::Documents;
use crate::framing::sse::{Event, SseDecoder, text};

impl Dialect {
    /// The dialect of a body, by how it begins: of a stream, or of JSON documents.
    ///
    /// The first event that belongs to one dialect only decides; a few kilobytes of a stream are enough, a document has
    /// to be whole. `None` when nothing in `prefix` decides.
    #[must_use]
    pub fn detect(prefix: &[u8]) -> Option<Self> {
        Self::shown(prefix).or_else(|| match start(prefix).first()? {
            b'{' | b'[' | b'<' => None,
            _ => last_event(prefix),
        })
    }

    /// The same, by whole events and documents only: what comes after `prefix` cannot change it.
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
        let probe: Probe<'_> = serde_json::from_str(document.ok()?).ok()?;
        probe.dialect()
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
        // Others end their streams with it too, but only OpenAI's may hold nothing else.
        if event.is_done() {
            return is_first.then_some(Dialect::OpenAiChat);
        }
        is_first &= event.is_aside();
    }
    None
}

/// By an event that was cut off, or whose blank line was, and by pings where there is nothing else.
fn last_event(bytes: &[u8]) -> Option<Dialect> {
    let mut sse = SseDecoder::default();
    let mut is_pinged = false;
    for bytes in [bytes, b"\n\n"] {
        let mut events = sse.feed(bytes);
        while let Ok(Some(event)) = events.next_event() {
            // Where the bytes end within an event, its name may show what its data cannot.
            let dialect = by_event(&event).or_else(|| by_kind(&event.event_type()));
            if dialect.is_some() {
                return dialect;
            }
            is_pinged |= event.event_type() == "ping";
        }
    }
    is_pinged.then_some(Dialect::Anthropic)
}

fn by_event(event: &Event<'_>) -> Option<Dialect> {
    let data = event.data_text();
    let probe: Probe<'_> = serde_json::from_str(&data).ok()?;
    match probe.dialect()? {
        // An error that is a string is Ollama's only where each line is a document.
        Dialect::Ollama if probe.error.get().is_some() => Some(Dialect::OpenAiChat),
        dialect if dialect.framing() == Framing::Sse => Some(dialect),
        _ => None,
    }
}

/// By the type of an event.
fn by_kind(kind: &str) -> Option<Dialect> {
    let has_prefix = |prefixes: &[&str]| prefixes.iter().any(|prefix| kind.starts_with(prefix));
    match kind {
        "completion" => Some(Dialect::Anthropic),
        _ if has_prefix(&["message_", "content_block_"]) => Some(Dialect::Anthropic),
        _ if has_prefix(&["response.", "transcript."]) => Some(Dialect::OpenAiResponses),
        _ if has_prefix(&["message-", "content-", "tool-", "citation-"]) => Some(Dialect::Cohere),
        _ if has_prefix(&["interaction.", "step."]) => Some(Dialect::Gemini),
        _ => None,
    }
}

/// The members that tell the dialects apart.
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
    // The plain formats of models on Bedrock.
    #[serde(borrow, default)]
    generation: Raw<'a>,
    #[serde(borrow, default)]
    generation_token_count: Raw<'a>,
    #[serde(borrow, default)]
    outputs: Raw<'a>,
    #[serde(borrow, default, rename = "inputTextTokenCount")]
    titan: Raw<'a>,
}

/// Of an error object: Google's has both, its code a number.
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
                if let Some(dialect) = by_kind(kind) {
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
        self.named().or_else(|| self.failed())
    }

    /// By the class of an object, or of an event of Gemini's interactions.
    fn named(&self) -> Option<Dialect> {
        match self.object.get() {
            Some("response") => Some(Dialect::OpenAiResponses),
            Some("chat.completion.chunk" | "chat.completion" | "text_completion") => {
                Some(Dialect::OpenAiChat)
            }
            _ => by_kind(self.event_type.get()?),
        }
    }

    /// By the shape of an error.
    fn failed(&self) -> Option<Dialect> {
        let error = self.error.get()?;
        if error.starts_with('"') {
            return Some(Dialect::Ollama);
        }
        let probe: ErrorProbe<'_> = self.error.read()?;
        let is_google = probe.status.get().is_some() && probe.code.count().is_some();
        Some(if is_google { Dialect::Gemini } else { Dialect::OpenAiChat })
    }
}
