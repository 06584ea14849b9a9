//! Cohere's chat, version 2, over SSE.
//!
//! The format: <https://docs.cohere.com/v2/docs/streaming>. The end marker is `message-end`, which also has the finish
//! reason and the usage; some gateways send `[DONE]` after it. The `tool_plan`, in which a model says what it will call
//! and why, is reasoning. Citations are skipped.

mod document;
mod encode;
mod event;

pub(crate) use self::document::document;
pub(crate) use self::encode::Encoder;

use self::event::{Content, Document, Event, KINDS, Message, Part, read_usage};
use crate::delta::{Delta, DeltaKind, FinishReason};
use crate::dialects::emit::{account, fail, say};
use crate::dialects::identity::Identity;
use crate::dialects::json::{Raw, Text, is_of_unknown_kind, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::ToolCalls;
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

/// Decodes the events of one response.
#[derive(Debug, Default)]
pub struct Cohere {
    identity: Identity,
    calls: ToolCalls,
    finish: Finished,
}

impl Cohere {
    /// Translates the data of one event into deltas.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when it is not JSON, or not an object.
    pub fn event(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| match serde_json::from_str(json) {
            Ok(event) => Ok(self.translate(&event, json, out)),
            Err(_) if is_of_unknown_kind(json, KINDS) => Ok(Progress::Open),
            Err(error) => Err(error),
        })
    }

    /// Translates a whole response that was not streamed.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when it is not JSON, or not an object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| {
            let document: Document<'_> = serde_json::from_str(json)?;
            match &document.message.0 {
                Some(message) => self.whole(&document, message, out),
                None => fail(read_error(json), out),
            }
            Ok(Progress::Ended)
        })
    }

    /// How the response ends if the bytes end here.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        if self.finish.is_told() { Ending::Complete } else { Ending::Truncated }
    }

    /// What the end of the bytes adds: nothing, for the end marker closes what is open.
    pub const fn finish(&mut self, _: &mut Vec<Delta>) {}

    fn translate(&mut self, event: &Event<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        let part = event.delta.as_ref().and_then(|delta| delta.message.as_ref());
        let index = event.index.get().unwrap_or(0);
        match (event.kind.get().unwrap_or_default(), part) {
            ("message-start", part) => {
                self.identity.tell(&event.id, &Text::default(), out);
                if let Some(part) = part {
                    say(DeltaKind::Reasoning, &part.tool_plan, out);
                }
            }
            ("content-start" | "content-delta", Some(part)) => speak(part.content.0.as_ref(), out),
            ("tool-plan-delta", Some(part)) => say(DeltaKind::Reasoning, &part.tool_plan, out),
            ("tool-call-start", Some(part)) => self.begin_call(index, part, out),
            ("tool-call-delta", Some(part)) => {
                if let Some(call) = &*part.tool_calls {
                    self.calls.arguments(index, call.arguments().unwrap_or_default(), out);
                }
            }
            ("tool-call-end", _) => self.calls.end(index, None, out),
            ("message-end", _) => {
                if let Some(delta) = &*event.delta {
                    self.end(&delta.finish_reason, &delta.usage, out);
                    if let Some(error) = delta.error.get() {
                        fail(read_error(error), out);
                    }
                }
                return Progress::Ended;
            }
            ("error" | "", _) if event.message.get().or(event.error.get()).is_some() => {
                fail(read_error(json), out);
                return Progress::Ended;
            }
            _ => {}
        }
        Progress::Open
    }

    fn begin_call(&mut self, index: u64, part: &Part<'_>, out: &mut Vec<Delta>) {
        if let Some(call) = &*part.tool_calls {
            self.calls.start(index, call.id.compact(), call.name(), out);
            self.calls.arguments(index, call.arguments().unwrap_or_default(), out);
        }
    }

    fn whole(&mut self, document: &Document<'_>, message: &Message<'_>, out: &mut Vec<Delta>) {
        self.identity.tell(&document.id, &Text::default(), out);
        say(DeltaKind::Reasoning, &message.tool_plan, out);
        for content in message.content.iter() {
            speak(Some(content), out);
        }
        for call in message.tool_calls.iter() {
            self.calls.whole(call.id.compact(), call.name(), call.arguments(), out);
        }
        self.end(&document.finish_reason, &document.usage, out);
    }

    fn end(&mut self, reason: &Text<'_>, usage: &Raw<'_>, out: &mut Vec<Delta>) {
        self.calls.close(out);
        // Cohere always gives one: what does not is cut off, or not Cohere's.
        if let Some(raw) = reason.get() {
            self.finish.tell(0, raw, REASONS.read(raw), out);
        }
        account(usage.get().and_then(read_usage), out);
    }
}

fn speak(content: Option<&Content<'_>>, out: &mut Vec<Delta>) {
    if let Some(content) = content {
        say(DeltaKind::Reasoning, &content.thinking, out);
        say(DeltaKind::Text, &content.text, out);
    }
}
