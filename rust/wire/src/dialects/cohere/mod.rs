//! Cohere's chat API, version 2, over SSE.
//!
//! The format: <https://docs.cohere.com/v2/docs/streaming>. The end marker is `message-end`, which also has the
//! finish reason and the usage; some gateways send `[DONE]` after it. The `tool_plan`, in which the model says what
//! it will call and why, is decoded as reasoning. Citations are skipped.

mod document;
mod encode;
mod event;

pub(crate) use self::document::document;
pub(crate) use self::encode::Encoder;

use self::event::{Content, Document, Event, KNOWN_TYPES, Message, Part, read_usage};
use crate::delta::{Delta, DeltaKind, FinishReason};
use crate::dialects::emit::{push_error, push_text, push_usage};
use crate::dialects::identity::Identity;
use crate::dialects::json::{Raw, Text, has_unknown_type, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::{Piece, ToolCalls};
use crate::error::read_error;
use crate::stream::{DecodeError, Ending, Progress};

/// <https://docs.cohere.com/v2/reference/chat-stream>.
const REASONS: Reasons = Reasons(&[
    ("COMPLETE", FinishReason::Stop),
    ("STOP_SEQUENCE", FinishReason::Stop),
    ("MAX_TOKENS", FinishReason::Length),
    ("ERROR_LIMIT", FinishReason::Length),
    ("TOOL_CALL", FinishReason::ToolCalls),
    ("ERROR_TOXIC", FinishReason::ContentFilter),
    ("ERROR", FinishReason::Error),
    ("TIMEOUT", FinishReason::Error),
]);

/// Decodes one response.
#[derive(Debug, Default)]
pub struct Cohere {
    identity: Identity,
    calls: ToolCalls,
    finish: Finished,
    /// A frame without deltas has shown the provider at work since it was asked for.
    has_work: bool,
}

impl Cohere {
    /// Whether frames without deltas have shown the provider at work since the last call of this.
    pub(crate) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Decodes the data of one event and appends its deltas to `out`.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn event(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| match serde_json::from_str(json) {
            Ok(event) => Ok(self.translate(&event, json, out)),
            Err(_) if has_unknown_type(json, KNOWN_TYPES) => Ok(Progress::Open),
            Err(error) => Err(error),
        })
    }

    /// Decodes a whole response that was not streamed.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| {
            let document: Document<'_> = serde_json::from_str(json)?;
            match &document.message.0 {
                Some(message) => self.whole(&document, message, out),
                None => push_error(read_error(json), out),
            }
            Ok(Progress::Ended)
        })
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        if self.finish.is_set() { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body. It does nothing: the end marker has ended all tool calls.
    pub const fn finish(&mut self, _: &mut Vec<Delta>) {}

    fn translate(&mut self, event: &Event<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        let part = event.delta.as_ref().and_then(|delta| delta.message.as_ref());
        let index = event.index.get().unwrap_or(0);
        self.has_work |= event
            .kind
            .get()
            .is_some_and(|kind| !matches!(kind, "message-start" | "ping" | "debug" | "error"));
        match (event.kind.get().unwrap_or_default(), part) {
            ("message-start", part) => {
                self.identity.update(&event.id, &Text::default(), out);
                if let Some(part) = part {
                    push_text(DeltaKind::Reasoning, &part.tool_plan, out);
                }
            }
            ("content-start" | "content-delta", Some(part)) => push_content(part.content.0.as_ref(), out),
            ("tool-plan-delta", Some(part)) => push_text(DeltaKind::Reasoning, &part.tool_plan, out),
            ("tool-call-start", Some(part)) => self.begin_call(index, part, out),
            ("tool-call-delta", Some(part)) => {
                if let Some(call) = &*part.tool_calls
                    && (self.calls.is_open(index) || call.name().is_some())
                {
                    self.calls.begin_list();
                    let piece =
                        Piece { key: Some(index), id: call.id.get(), name: call.name(), ..Piece::default() };
                    self.calls.piece(Piece { arguments: call.arguments(), ..piece }, out);
                }
            }
            ("tool-call-end", _) => self.calls.end(index, None, out),
            ("message-end", _) => {
                if let Some(delta) = &*event.delta {
                    self.end(&delta.finish_reason, &delta.usage, out);
                    if let Some(error) = delta.error.error() {
                        push_error(read_error(error), out);
                    }
                }
                return Progress::Ended;
            }
            ("error" | "", _) if event.message.get().or_else(|| event.error.error()).is_some() => {
                push_error(read_error(json), out);
                return Progress::Ended;
            }
            _ => {}
        }
        Progress::Open
    }

    fn begin_call(&mut self, index: u64, part: &Part<'_>, out: &mut Vec<Delta>) {
        if let Some(call) = &*part.tool_calls {
            self.calls.start(index, call.id.get(), call.name(), out);
            self.calls.arguments(index, call.arguments().unwrap_or_default(), out);
        }
    }

    fn whole(&mut self, document: &Document<'_>, message: &Message<'_>, out: &mut Vec<Delta>) {
        self.identity.update(&document.id, &Text::default(), out);
        push_text(DeltaKind::Reasoning, &message.tool_plan, out);
        for content in message.content.iter() {
            push_content(Some(content), out);
        }
        for call in message.tool_calls.iter() {
            self.calls.push_complete(call.id.get(), call.name(), call.arguments(), out);
        }
        self.end(&document.finish_reason, &document.usage, out);
    }

    fn end(&mut self, reason: &Text<'_>, usage: &Raw<'_>, out: &mut Vec<Delta>) {
        self.calls.end_all(out);
        // Cohere always sends one. Without it, the response was cut off or is not Cohere's.
        if let Some(raw) = reason.reason() {
            self.finish.report(0, raw, REASONS.read(raw), out);
        }
        push_usage(usage.get().and_then(read_usage), out);
    }
}

fn push_content(content: Option<&Content<'_>>, out: &mut Vec<Delta>) {
    if let Some(content) = content {
        push_text(DeltaKind::Reasoning, &content.thinking, out);
        push_text(DeltaKind::Text, &content.text, out);
    }
}
