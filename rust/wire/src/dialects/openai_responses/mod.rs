//! OpenAI responses over SSE, from OpenAI, Azure, xAI and others.
//!
//! The format: <https://platform.openai.com/docs/api-reference/responses-streaming>. A response is a list of output
//! items; a delta refers to its item by `output_index`. `response.completed`, `response.incomplete` and
//! `response.failed` are the end markers, and repeat the whole response. Annotations and the items of tools that the
//! server runs itself are skipped. Streamed transcriptions (`transcript.text.*`) are decoded too.

mod document;
mod encode;
mod event;
mod output;

pub(crate) use self::document::document;
pub(crate) use self::encode::Encoder;

use self::event::{Event, Item, KNOWN_TYPES, Part, Response, read_usage};
use crate::delta::{Delta, DeltaKind, FinishReason, ProviderError, Signature};
use crate::dialects::emit::{push_error, push_text, push_usage};
use crate::dialects::identity::Identity;
use crate::dialects::json::{has_unknown_type, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::ToolCalls;
use crate::error::read_error;
use crate::stream::{DecodeError, Ending, Progress};

/// The values of `status`, and for `incomplete` those of `incomplete_details.reason`.
const REASONS: Reasons = Reasons(&[
    ("completed", FinishReason::Stop),
    // Tool calls have the same word; see `OpenAiResponses::end`.
    ("completed", FinishReason::ToolCalls),
    ("max_output_tokens", FinishReason::Length),
    ("content_filter", FinishReason::ContentFilter),
    ("failed", FinishReason::Error),
]);

/// Whether an event of this type shows the provider at work: all do, but for those that only keep the connection alive.
fn is_work(kind: &str) -> bool {
    !matches!(
        kind,
        "response.created" | "response.in_progress" | "response.queued" | "keepalive" | "ping" | "error"
    ) && !kind.contains("heartbeat")
}

/// Decodes one response.
#[derive(Debug, Default)]
pub struct OpenAiResponses {
    identity: Identity,
    calls: ToolCalls,
    finish: Finished,
    /// Some delta other than id and model has been emitted.
    has_content: bool,
    ended: bool,
    /// A frame without deltas has shown the provider at work since it was asked for.
    has_work: bool,
}

impl OpenAiResponses {
    /// Whether frames without deltas have shown the provider at work since the last call of this.
    pub(crate) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Decodes one JSON document and appends its deltas to `out`: the data of an event, or a whole response that was
    /// not streamed.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| match serde_json::from_str::<Event<'_>>(json) {
            Ok(event) if event.kind.get().is_none() => {
                Ok(self.whole(&serde_json::from_str(json)?, json, out))
            }
            Ok(event) => {
                let first = out.len();
                self.has_work |= is_work(event.kind.get().unwrap_or_default());
                let progress = self.translate(&event, json, out);
                self.has_content |=
                    out[first..].iter().any(|delta| !matches!(delta.kind, DeltaKind::Response(_)));
                Ok(progress)
            }
            Err(_) if has_unknown_type(json, KNOWN_TYPES) => {
                self.has_work = true;
                Ok(Progress::Open)
            }
            Err(error) => Err(error),
        })
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        if self.ended { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body. It does nothing: the end marker has ended all tool calls.
    pub const fn finish(&mut self, _: &mut Vec<Delta>) {}

    fn translate(&mut self, event: &Event<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        let index = event.output_index.get().unwrap_or(0);
        match event.kind.get().unwrap_or_default() {
            "response.output_text.delta"
            | "transcript.text.delta"
            | "response.output_audio_transcript.delta"
            | "response.audio.transcript.delta" => {
                push_text(DeltaKind::Text, &event.delta, out);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                push_text(DeltaKind::Reasoning, &event.delta, out);
            }
            "response.refusal.delta" => push_text(DeltaKind::Refusal, &event.delta, out),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.calls.arguments(index, event.delta.get().unwrap_or_default(), out);
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                self.calls.set_full_arguments(index, event.arguments.get());
            }
            "response.output_item.added" => {
                if let Some(item) = event.item.as_ref().filter(|item| item.is_call()) {
                    self.begin_call(index, item, out);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = &*event.item {
                    self.item_done(index, item, out);
                }
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                if let Some(response) = &*event.response {
                    self.identity.update(&response.id, &response.model, out);
                }
            }
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                return event.response.as_ref().map_or(Progress::Open, |response| self.end(response, out));
            }
            "transcript.text.done" => {
                push_usage(event.usage.get().and_then(read_usage), out);
                self.ended = true;
                return Progress::Ended;
            }
            "error" => {
                push_error(read_error(json), out);
                return Progress::Ended;
            }
            _ => {}
        }
        Progress::Open
    }

    fn begin_call(&mut self, index: u64, item: &Item<'_>, out: &mut Vec<Delta>) {
        let id = item.call_id.compact().or_else(|| item.id.compact());
        self.calls.start(index, id, item.name.compact(), out);
        self.calls.set_full_arguments(index, item.all_arguments());
    }

    fn item_done(&mut self, index: u64, item: &Item<'_>, out: &mut Vec<Delta>) {
        if item.is_call() {
            if !self.calls.is_open(index) {
                self.begin_call(index, item, out);
            }
            self.calls.end(index, item.all_arguments(), out);
        }
        // Only read at the end of the item: at its start, this member is not complete yet.
        if let Some(value) = item.encrypted_content.compact() {
            let signature = Signature { id: item.id.compact(), ..Signature::encrypted(value) };
            out.push(Delta::first(DeltaKind::Signature(Box::new(signature))));
        }
    }

    /// A document without a type: a response that was not streamed, or an error.
    fn whole(&mut self, response: &Response<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        if response.status.get().is_none() && response.error.error().is_some() {
            push_error(read_error(json), out);
            return Progress::Ended;
        }
        if response.is_response() { self.end(response, out) } else { Progress::Open }
    }

    /// The response has ended. Its status is `completed` even if the model wants tools to be called.
    fn end(&mut self, response: &Response<'_>, out: &mut Vec<Delta>) -> Progress {
        self.identity.update(&response.id, &response.model, out);
        if !self.has_content {
            self.output(response, out);
        }
        self.calls.end_all(out);
        let details = response.incomplete_details.as_ref().and_then(|details| details.reason.reason());
        let status = response.status.reason().unwrap_or("completed");
        if status != "failed" {
            let raw = details.unwrap_or(status);
            let reason = REASONS.read(raw);
            let wants_tools = reason == FinishReason::Stop && self.calls.count() > 0;
            self.finish.report(0, raw, if wants_tools { FinishReason::ToolCalls } else { reason }, out);
        }
        push_usage(response.usage.get().and_then(read_usage), out);
        if status == "failed" {
            let unexplained =
                || ProviderError { message: "the response failed".to_owned(), ..ProviderError::default() };
            push_error(response.error.error().map_or_else(unexplained, read_error), out);
        }
        self.ended = true;
        Progress::Ended
    }

    /// Emits the output of a response that was not streamed.
    fn output(&mut self, response: &Response<'_>, out: &mut Vec<Delta>) {
        for (index, item) in (0..).zip(response.output.iter()) {
            for part in item.summary.iter() {
                push_text(DeltaKind::Reasoning, &part.text, out);
            }
            let is_reasoning = item.kind.get() == Some("reasoning");
            for Part { text, refusal } in item.content.iter() {
                push_text(if is_reasoning { DeltaKind::Reasoning } else { DeltaKind::Text }, text, out);
                push_text(DeltaKind::Refusal, refusal, out);
            }
            self.item_done(index, item, out);
        }
    }
}
