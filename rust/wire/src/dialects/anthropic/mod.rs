//! Anthropic messages over SSE, from Anthropic itself, from Vertex, and (its JSON) from Bedrock.
//!
//! The format: <https://docs.anthropic.com/en/docs/build-with-claude/streaming>. A message is a list of content blocks,
//! each with a start, deltas and a stop; `message_delta` tells the stop reason and `message_stop` is the end marker.
//! The calls and results of tools that the server runs itself are no tool calls, and are skipped, as citations are.
//! The legacy text completions (`completion` events) are understood too.

mod document;
mod encode;
mod event;

pub(crate) use self::document::document;
pub(crate) use self::encode::Encoder;

use crate::delta::{Delta, DeltaKind, FinishReason, Signature};
use crate::dialects::emit::{account, fail, say, sign};
use crate::dialects::identity::Identity;
use crate::dialects::json::{Text, is_of_unknown_kind, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::ToolCalls;
use crate::error::read_error;
use crate::stream::{DecodeError, Ending, Progress};

use self::event::{Block, Change, Event, KINDS, RunningUsage};

/// <https://docs.anthropic.com/en/api/handling-stop-reasons>. `pause_turn` is another turn of the same answer.
const REASONS: Reasons = Reasons(&[
    ("end_turn", FinishReason::Stop),
    ("stop_sequence", FinishReason::Stop),
    ("max_tokens", FinishReason::Length),
    ("model_context_window_exceeded", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("refusal", FinishReason::ContentFilter),
]);

/// Decodes the events of one message.
#[derive(Debug, Default)]
pub struct Anthropic {
    identity: Identity,
    calls: ToolCalls,
    usage: RunningUsage,
    finish: Finished,
    stopped: bool,
}

impl Anthropic {
    /// Translates one JSON document: the data of an event, or a whole message that was not streamed.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when it is not JSON, or not an object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| match serde_json::from_str(json) {
            Ok(event) => Ok(self.translate(&event, json, out)),
            Err(_) if is_of_unknown_kind(json, KINDS) => Ok(Progress::Open),
            Err(error) => Err(error),
        })
    }

    /// How the message ends if the bytes end here. `message_stop` is the end marker; some servers that speak the
    /// dialect leave it out, but not the stop reason.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        if self.stopped || self.finish.is_told() { Ending::Complete } else { Ending::Truncated }
    }

    /// What the end of the bytes adds: the ends of tool calls that were never stopped.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.ending() == Ending::Complete {
            self.calls.close(out);
        }
    }

    fn translate(&mut self, event: &Event<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        let index = event.index.get().unwrap_or(0);
        match event.kind.get() {
            Some("message_start") => {
                if let Some(message) = &*event.message {
                    self.identity.tell(&message.id, &message.model, out);
                    self.tell_usage(message.usage.get(), out);
                }
            }
            Some("content_block_start") => {
                if let Some(block) = &*event.content_block {
                    self.block(index, block, out);
                }
            }
            Some("content_block_delta") => {
                if let Some(change) = &*event.delta {
                    self.change(index, change, out);
                }
            }
            Some("content_block_stop") => self.calls.end(index, None, out),
            Some("message_delta") => {
                if let Some(change) = &*event.delta {
                    self.stop(&change.stop_reason, out);
                }
                self.tell_usage(event.usage.get(), out);
            }
            Some("message_stop") => return self.end(),
            Some("message") => return self.message(event, out),
            Some("completion") => {
                self.identity.tell(&event.id, &event.model, out);
                say(DeltaKind::Text, &event.completion, out);
                self.stop(&event.stop_reason, out);
            }
            _ if event.error.get().is_some() => {
                fail(read_error(json), out);
                return Progress::Ended;
            }
            // Whatever is to come: "your code should handle unknown event types gracefully".
            _ => {}
        }
        Progress::Open
    }

    /// A content block begins. Its text is empty unless a server sends whole blocks.
    fn block(&mut self, index: u64, block: &Block<'_>, out: &mut Vec<Delta>) {
        match block.kind.get() {
            Some("text") => say(DeltaKind::Text, &block.text, out),
            Some("thinking") => {
                say(DeltaKind::Reasoning, &block.thinking, out);
                sign(Signature::signed, &block.signature, out);
            }
            Some("redacted_thinking") => sign(Signature::encrypted, &block.data, out),
            Some("tool_use") => {
                self.calls.start(index, block.id.compact(), block.name.compact(), out);
                self.calls.hold(index, block.input());
            }
            _ => {}
        }
    }

    fn change(&mut self, index: u64, change: &Change<'_>, out: &mut Vec<Delta>) {
        match change.kind.get() {
            Some("text_delta") => say(DeltaKind::Text, &change.text, out),
            Some("thinking_delta") => say(DeltaKind::Reasoning, &change.thinking, out),
            Some("signature_delta") => sign(Signature::signed, &change.signature, out),
            Some("input_json_delta") => {
                self.calls.arguments(index, change.partial_json.get().unwrap_or_default(), out);
            }
            _ => {}
        }
    }

    /// A message that was not streamed.
    fn message(&mut self, message: &Event<'_>, out: &mut Vec<Delta>) -> Progress {
        self.identity.tell(&message.id, &message.model, out);
        for (index, block) in (0..).zip(message.content.iter()) {
            self.block(index, block, out);
            self.calls.end(index, None, out);
        }
        self.stop(&message.stop_reason, out);
        self.tell_usage(message.usage.get(), out);
        self.end()
    }

    fn stop(&mut self, reason: &Text<'_>, out: &mut Vec<Delta>) {
        if let Some(raw) = reason.get() {
            self.calls.close(out);
            self.finish.tell(0, raw, REASONS.read(raw), out);
        }
    }

    fn tell_usage(&mut self, json: Option<&str>, out: &mut Vec<Delta>) {
        account(json.and_then(|json| self.usage.merge(json)), out);
    }

    const fn end(&mut self) -> Progress {
        self.stopped = true;
        Progress::Ended
    }
}
