//! Decodes the events of `ConverseStream`: content blocks, each identified by its index.

use serde::Deserialize;

use crate::delta::{Delta, DeltaKind, FinishReason, Signature, Usage};
use crate::dialects::emit::{push_signature, push_text, push_usage};
use crate::dialects::json::{Index, List, Object, Raw, Scalar, Text};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::ToolCalls;
use crate::stream::Progress;

/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html>.
pub(super) const REASONS: Reasons = Reasons(&[
    ("end_turn", FinishReason::Stop),
    ("stop_sequence", FinishReason::Stop),
    ("max_tokens", FinishReason::Length),
    ("model_context_window_exceeded", FinishReason::Length),
    ("tool_use", FinishReason::ToolCalls),
    ("content_filtered", FinishReason::ContentFilter),
    ("guardrail_intervened", FinishReason::ContentFilter),
    ("malformed_model_output", FinishReason::Error),
    ("malformed_tool_use", FinishReason::Error),
]);

/// The state between two events.
#[derive(Debug, Default)]
pub(super) struct Converse {
    calls: ToolCalls,
    finish: Finished,
    has_work: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(default)]
    content_block_index: Index,
    #[serde(borrow, default)]
    start: Object<Block<'a>>,
    #[serde(borrow, default)]
    delta: Object<Block<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

/// A content block: its start, a delta of it, or the complete block.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow, default)]
    text: Scalar<'a>,
    #[serde(borrow, default)]
    tool_use: Object<ToolUse<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Object<ReasoningContent<'a>>,
}

#[derive(Debug, Deserialize)]
struct ToolUse<'a> {
    #[serde(borrow, default, rename = "toolUseId")]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    input: Raw<'a>,
    /// `server_tool_use` if the server runs the tool itself.
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningContent<'a> {
    #[serde(borrow, default)]
    text: Scalar<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    redacted_content: Text<'a>,
    /// Only in a complete block.
    #[serde(borrow, default)]
    reasoning_text: Object<ReasoningText<'a>>,
}

#[derive(Debug, Deserialize)]
struct ReasoningText<'a> {
    #[serde(borrow, default)]
    text: Scalar<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
}

/// A response that was not streamed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    #[serde(borrow, default)]
    pub(super) output: Object<Output<'a>>,
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Output<'a> {
    #[serde(borrow, default)]
    message: Message<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: List<Block<'a>>,
}

#[derive(Debug, Deserialize)]
struct Counts<'a> {
    #[serde(borrow, default, rename = "inputTokens")]
    input: Raw<'a>,
    #[serde(borrow, default, rename = "outputTokens")]
    output: Raw<'a>,
    #[serde(borrow, default, rename = "totalTokens")]
    total: Raw<'a>,
    #[serde(borrow, default, rename = "cacheReadInputTokens")]
    cached: Raw<'a>,
    /// The name in Nova's own format, which is otherwise the same. Some responses have both.
    #[serde(borrow, default, rename = "cacheReadInputTokenCount")]
    cached_count: Raw<'a>,
    #[serde(borrow, default, rename = "cacheWriteInputTokens")]
    cache_write: Raw<'a>,
    #[serde(borrow, default, rename = "cacheWriteInputTokenCount")]
    cache_write_count: Raw<'a>,
}

impl Converse {
    pub(super) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Whether the stop reason has been seen, and not in the middle of a call. The usage comes after it.
    pub(super) fn is_stopped(&self) -> bool {
        self.finish.is_set() && !(self.finish.is_normal() && self.calls.is_partial())
    }

    /// Call this at the end of the body: ends the tool calls that were never stopped.
    pub(super) fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.finish.is_set() {
            self.calls.end_all(out);
        }
    }

    /// Decodes one event of this type. Unknown types are skipped.
    pub(super) fn event(
        &mut self,
        kind: &str,
        json: &str,
        out: &mut Vec<Delta>,
    ) -> Result<Progress, serde_json::Error> {
        let is_known = matches!(
            kind,
            "contentBlockStart" | "contentBlockDelta" | "contentBlockStop" | "messageStop" | "metadata"
        );
        if !is_known {
            return Ok(Progress::Open);
        }
        self.has_work |= kind.starts_with("contentBlock");
        let event: Event<'_> = serde_json::from_str(json)?;
        let index = event.content_block_index.get().unwrap_or(0);
        if let Some(start) = &*event.start {
            self.start(index, start, out);
        }
        if let Some(delta) = &*event.delta {
            self.delta(index, delta, out);
        }
        if kind == "contentBlockStop" {
            self.calls.end(index, None, out);
        }
        self.stop(&event.stop_reason, out);
        push_usage(event.usage.get().and_then(read_usage), out);
        Ok(if kind == "metadata" { Progress::Ended } else { Progress::Open })
    }

    /// Decodes a response that was not streamed.
    pub(super) fn whole(&mut self, document: &Document<'_>, out: &mut Vec<Delta>) -> Progress {
        let blocks = document.output.iter().flat_map(|output| output.message.content.iter());
        for (index, block) in (0..).zip(blocks) {
            self.start(index, block, out);
            self.delta(index, block, out);
            self.calls.end(index, None, out);
        }
        self.stop(&document.stop_reason, out);
        push_usage(document.usage.get().and_then(read_usage), out);
        Progress::Ended
    }

    fn start(&mut self, index: u64, block: &Block<'_>, out: &mut Vec<Delta>) {
        if let Some(call) = &*block.tool_use
            && call.kind.get() != Some("server_tool_use")
        {
            self.calls.start(index, call.id.get(), call.name.get(), out);
        }
    }

    fn delta(&mut self, index: u64, block: &Block<'_>, out: &mut Vec<Delta>) {
        push_text(DeltaKind::Text, &block.text, out);
        if let Some(reasoning) = &*block.reasoning_content {
            let whole = reasoning.reasoning_text.as_ref();
            push_text(DeltaKind::Reasoning, whole.map_or(&reasoning.text, |whole| &whole.text), out);
            push_signature(
                Signature::signed,
                whole.map_or(&reasoning.signature, |whole| &whole.signature),
                out,
            );
            push_signature(Signature::encrypted, &reasoning.redacted_content, out);
        }
        if let Some(call) = &*block.tool_use {
            self.calls.arguments(index, &call.input.arguments().unwrap_or_default(), out);
        }
    }

    fn stop(&mut self, reason: &Text<'_>, out: &mut Vec<Delta>) {
        if let Some(raw) = reason.reason() {
            self.finish.report(0, raw, REASONS.read(raw), out);
        }
    }
}

fn read_usage(json: &str) -> Option<Usage> {
    let counts: Counts<'_> = serde_json::from_str(json).ok()?;
    Some(Usage {
        input_tokens: counts.input.count(),
        output_tokens: counts.output.count(),
        total_tokens: counts.total.count(),
        cached_tokens: counts.cached.count().or_else(|| counts.cached_count.count()),
        cache_write_tokens: counts.cache_write.count().or_else(|| counts.cache_write_count.count()),
        reasoning_tokens: None,
        raw: json.into(),
    })
}
