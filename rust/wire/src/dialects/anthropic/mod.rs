//! Anthropic messages over SSE, from Anthropic and from Vertex. Bedrock sends the same JSON in its own framing.
//!
//! The format: <https://docs.anthropic.com/en/docs/build-with-claude/streaming>. A message is a list of content blocks,
//! each with a start, deltas and a stop; `message_delta` has the stop reason and `message_stop` is the end marker.
//! Citations, and the calls and results of tools that the server runs itself, are skipped. The legacy text completions
//! (`completion` events) are decoded too.

mod document;
mod encode;
mod event;

pub(crate) use self::document::document;
pub(crate) use self::encode::Encoder;

use crate::delta::{Delta, DeltaKind, FinishReason, Signature};
use crate::dialects::emit::{push_error, push_signature, push_text, push_usage};
use crate::dialects::identity::Identity;
use crate::dialects::json::{Object, Text, has_unknown_type, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::ToolCalls;
use crate::error::read_error;
use crate::stream::{DecodeError, Ending, Progress};

use self::event::{Block, Event, EventDelta, KNOWN_TYPES, RunningUsage, StopDetails};

/// <https://docs.anthropic.com/en/api/handling-stop-reasons>. `pause_turn` is left out: the response goes on in another
/// turn.
const REASONS: Reasons = Reasons(&[
    ("end_turn", FinishReason::Stop),
    ("stop_sequence", FinishReason::Stop),
    ("max_tokens", FinishReason::Length),
    ("model_context_window_exceeded", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("refusal", FinishReason::ContentFilter),
]);

/// Decodes one message.
#[derive(Debug, Default)]
pub struct Anthropic {
    identity: Identity,
    calls: ToolCalls,
    usage: RunningUsage,
    finish: Finished,
    stopped: bool,
    /// A frame without deltas has shown the provider at work since it was asked for.
    has_work: bool,
    /// A tool's input is being written, or a tool that the server runs itself runs.
    in_tool: bool,
}

impl Anthropic {
    /// Whether frames without deltas have shown the provider at work since the last call of this.
    pub(crate) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Decodes one JSON document and appends its deltas to `out`: the data of an event, or a whole message that was not
    /// streamed.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| match serde_json::from_str(json) {
            Ok(event) => Ok(self.translate(&event, json, out)),
            Err(_) if has_unknown_type(json, KNOWN_TYPES) => Ok(Progress::Open),
            Err(error) => Err(error),
        })
    }

    /// Whether the message is complete if the body ends here. The end marker is `message_stop`; some servers that speak
    /// this dialect leave it out, so the stop reason is enough, unless it comes in the middle of a call.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let is_early = self.finish.is_normal() && self.calls.is_partial();
        if self.stopped || (self.finish.is_set() && !is_early) { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body: ends the tool calls that were never stopped.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.ending() == Ending::Complete {
            self.calls.end_all(out);
        }
    }

    fn translate(&mut self, event: &Event<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        let index = event.index.get().unwrap_or(0);
        match event.kind.get() {
            Some("message_start") => {
                if let Some(message) = &*event.message {
                    self.identity.update(&message.id, &message.model, out);
                    self.update_usage(message.usage.get(), out);
                }
            }
            Some("content_block_start") => {
                self.has_work = true;
                let block = event.content_block.as_ref().and_then(|block| block.kind.get());
                self.in_tool = block.is_some_and(|kind| kind.ends_with("tool_use"));
                if let Some(block) = &*event.content_block {
                    self.block(index, block, out);
                }
            }
            Some("content_block_delta") => {
                self.has_work = true;
                if let Some(delta) = &*event.delta {
                    self.block_delta(index, delta, out);
                }
            }
            // While it buffers a tool's input, Anthropic sends nothing else.
            Some("ping") => self.has_work |= self.in_tool,
            Some("content_block_stop") => self.calls.end(index, None, out),
            Some("message_delta") => {
                if let Some(delta) = &*event.delta {
                    self.stop(&delta.stop_reason, &delta.stop_details, out);
                }
                self.update_usage(event.usage.get(), out);
            }
            Some("message_stop") => return self.end(),
            Some("message") => return self.message(event, out),
            Some("completion") => {
                self.identity.update(&event.id, &event.model, out);
                push_text(DeltaKind::Text, &event.completion, out);
                self.stop(&event.stop_reason, &event.stop_details, out);
            }
            _ if event.error.error().is_some() => {
                push_error(read_error(json), out);
                return Progress::Ended;
            }
            // "Your code should handle unknown event types gracefully."
            _ => {}
        }
        Progress::Open
    }

    /// A content block starts. Its text is empty, unless the server sends the whole block at once.
    fn block(&mut self, index: u64, block: &Block<'_>, out: &mut Vec<Delta>) {
        match block.kind.get() {
            Some("text") => push_text(DeltaKind::Text, &block.text, out),
            Some("thinking") => {
                push_text(DeltaKind::Reasoning, &block.thinking, out);
                push_signature(Signature::signed, &block.signature, out);
            }
            Some("redacted_thinking") => push_signature(Signature::encrypted, &block.data, out),
            Some("tool_use") => {
                self.calls.start(index, block.id.get(), block.name.get(), out);
                self.calls.set_full_arguments(index, block.input());
            }
            _ => {}
        }
    }

    fn block_delta(&mut self, index: u64, delta: &EventDelta<'_>, out: &mut Vec<Delta>) {
        match delta.kind.get() {
            Some("text_delta") => push_text(DeltaKind::Text, &delta.text, out),
            Some("thinking_delta") => push_text(DeltaKind::Reasoning, &delta.thinking, out),
            Some("signature_delta") => push_signature(Signature::signed, &delta.signature, out),
            Some("input_json_delta") => {
                self.calls.arguments(index, delta.partial_json.get().unwrap_or_default(), out);
            }
            _ => {}
        }
    }

    /// A message that was not streamed.
    fn message(&mut self, message: &Event<'_>, out: &mut Vec<Delta>) -> Progress {
        self.identity.update(&message.id, &message.model, out);
        for (index, block) in (0..).zip(message.content.iter()) {
            self.block(index, block, out);
            self.calls.end(index, None, out);
        }
        self.stop(&message.stop_reason, &message.stop_details, out);
        self.update_usage(message.usage.get(), out);
        self.end()
    }

    fn stop(&mut self, reason: &Text<'_>, details: &Object<StopDetails<'_>>, out: &mut Vec<Delta>) {
        if let Some(raw) = reason.reason() {
            let detail = details.as_ref().and_then(StopDetails::words);
            self.finish.explain(0, raw, REASONS.read(raw), detail, out);
        }
    }

    fn update_usage(&mut self, json: Option<&str>, out: &mut Vec<Delta>) {
        push_usage(json.and_then(|json| self.usage.merge(json)), out);
    }

    const fn end(&mut self) -> Progress {
        self.stopped = true;
        Progress::Ended
    }
}
