//! Decodes the chunks of `InvokeModelWithResponseStream`, which are the model's own JSON:
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html>.
//!
//! They may be Anthropic's events, OpenAI's chunks, Nova's (the events of `ConverseStream`, each as a member named
//! after its type), or one of the simple formats of Titan, Llama, Mistral and the old Claude, which have a text and,
//! at the end, a finish reason.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::converse::Converse;
use crate::delta::{Delta, DeltaKind, FinishReason, Usage};
use crate::dialects::anthropic::Anthropic;
use crate::dialects::emit::{push_error, push_text, push_usage};
use crate::dialects::json::{List, Raw, Scalar, Text, lenient};
use crate::dialects::openai_chat::OpenAiChat;
use crate::dialects::reasons::{Finished, Reasons};
use crate::error::{is_error, read_error};
use crate::stream::{DecodeError, Ending, Progress};

/// The finish reasons of the simple formats.
const REASONS: Reasons = Reasons(&[
    ("stop", FinishReason::Stop),
    ("FINISH", FinishReason::Stop),
    ("FINISHED", FinishReason::Stop),
    ("COMPLETE", FinishReason::Stop),
    ("stop_sequence", FinishReason::Stop),
    ("end_turn", FinishReason::Stop),
    ("length", FinishReason::Length),
    ("LENGTH", FinishReason::Length),
    ("max_tokens", FinishReason::Length),
    ("MAX_TOKENS", FinishReason::Length),
    ("tool_calls", FinishReason::ToolCalls),
    ("CONTENT_FILTERED", FinishReason::ContentFilter),
]);

/// The state between two chunks. A response comes from one model, so only one of these is used.
#[derive(Debug, Default)]
pub(super) struct Invoke {
    anthropic: Option<Box<Anthropic>>,
    open_ai: Option<Box<OpenAiChat>>,
    finish: Finished,
    guardrail: Guardrail,
}

/// What a guardrail did to the answer.
#[derive(Debug, Default)]
struct Guardrail {
    intervened: bool,
    /// The trace tells of parts that were masked, and of none that were blocked: the rest is the model's answer.
    only_masked: bool,
    /// The last chunk has come, which has the trace too.
    has_metrics: bool,
    finish: Finished,
}

impl Guardrail {
    fn take(&mut self, chunk: &Chunk<'_>) {
        self.has_metrics |= chunk.metrics.get().is_some();
        self.intervened |= chunk.guardrail.get() == Some(Self::INTERVENED);
        if let Some(trace) = chunk.trace.get() {
            self.only_masked = trace.contains("\"ANONYMIZED\"") && !trace.contains("\"BLOCKED\"");
        }
    }

    /// Ends the choice, if its answer was withheld.
    fn report(&mut self, out: &mut Vec<Delta>) {
        if self.intervened && !self.only_masked {
            self.finish.report(0, Self::INTERVENED, FinishReason::ContentFilter, out);
        }
    }

    const INTERVENED: &'static str = "INTERVENED";
}

/// The payload of a `chunk` message.
#[derive(Debug, Deserialize)]
struct Envelope {
    #[serde(deserialize_with = "base64")]
    bytes: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    choices: Raw<'a>,

    // Nova.
    #[serde(borrow, default)]
    content_block_start: Raw<'a>,
    #[serde(borrow, default)]
    content_block_delta: Raw<'a>,
    #[serde(borrow, default)]
    content_block_stop: Raw<'a>,
    #[serde(borrow, default)]
    message_stop: Raw<'a>,
    #[serde(borrow, default)]
    metadata: Raw<'a>,

    // The text, from Titan, Llama, the old Claude, and Cohere's Command.
    #[serde(borrow, default, alias = "generation", alias = "completion", alias = "text")]
    output_text: Scalar<'a>,
    // Sent by Mistral, and by Titan in a response that was not streamed.
    #[serde(borrow, default, alias = "results")]
    outputs: List<Output<'a>>,
    #[serde(borrow, default, alias = "stop_reason", alias = "finish_reason")]
    completion_reason: Text<'a>,

    #[serde(borrow, default, rename = "amazon-bedrock-invocationMetrics")]
    metrics: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    /// `INTERVENED` if a guardrail withheld the answer or masked parts of it, whatever the model's own reason is:
    /// <https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-invoke-model.html>.
    #[serde(borrow, default, rename = "amazon-bedrock-guardrailAction")]
    guardrail: Text<'a>,
    #[serde(borrow, default, rename = "amazon-bedrock-trace")]
    trace: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct Output<'a> {
    #[serde(borrow, default, alias = "outputText")]
    text: Scalar<'a>,
    #[serde(borrow, default, alias = "completionReason")]
    stop_reason: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Metrics<'a> {
    #[serde(borrow, default, rename = "inputTokenCount")]
    input: Raw<'a>,
    #[serde(borrow, default, rename = "outputTokenCount")]
    output: Raw<'a>,
    #[serde(borrow, default, rename = "cacheReadInputTokenCount")]
    cached: Raw<'a>,
    #[serde(borrow, default, rename = "cacheWriteInputTokenCount")]
    cache_write: Raw<'a>,
}

impl Invoke {
    /// Decodes the payload of a `chunk` message.
    pub(super) fn chunk(
        &mut self,
        converse: &mut Converse,
        payload: &[u8],
        out: &mut Vec<Delta>,
    ) -> Result<Progress, DecodeError> {
        let envelope = lenient(payload, |json| serde_json::from_str::<Envelope>(json))?;
        self.document(converse, &envelope.bytes, out)
    }

    /// Decodes one JSON document of the model.
    pub(super) fn document(
        &mut self,
        converse: &mut Converse,
        data: &[u8],
        out: &mut Vec<Delta>,
    ) -> Result<Progress, DecodeError> {
        lenient(data, |json| {
            let chunk: Chunk<'_> = serde_json::from_str(json)?;
            let progress = self.translate(converse, &chunk, json, out);
            self.guardrail.take(&chunk);
            if matches!(progress, Ok(Progress::Ended)) {
                self.guardrail.report(out);
            }
            Ok(progress)
        })?
    }

    pub(super) fn take_work(&mut self) -> bool {
        let anthropic = self.anthropic.as_mut().is_some_and(|anthropic| anthropic.take_work());
        let chat = self.open_ai.as_mut().is_some_and(|chat| chat.take_work());
        anthropic | chat
    }

    /// Whether the response is complete if the body ends here.
    pub(super) fn ending(&self) -> Ending {
        let anthropic = self.anthropic.as_ref().map(|anthropic| anthropic.ending());
        let open_ai = self.open_ai.as_ref().map(|open_ai| open_ai.ending());
        let simple = if self.finish.is_set() { Ending::Complete } else { Ending::Truncated };
        anthropic.or(open_ai).unwrap_or(simple)
    }

    /// Call this at the end of the body: ends the tool calls that are still open.
    pub(super) fn finish(&mut self, out: &mut Vec<Delta>) {
        if let Some(anthropic) = &mut self.anthropic {
            anthropic.finish(out);
        }
        if let Some(open_ai) = &mut self.open_ai {
            open_ai.finish(out);
        }
        // A stream that was cut off before its last chunk does not tell what the guardrail did.
        if self.guardrail.has_metrics || self.finish.is_set() {
            self.guardrail.report(out);
        }
    }

    fn translate(
        &mut self,
        converse: &mut Converse,
        chunk: &Chunk<'_>,
        json: &str,
        out: &mut Vec<Delta>,
    ) -> Result<Progress, DecodeError> {
        if chunk.kind.get().is_some() {
            return self.anthropic.get_or_insert_default().document(json.as_bytes(), out);
        }
        if let Some((kind, event)) = chunk.nova() {
            return lenient(event.as_bytes(), |json| converse.event(kind, json, out));
        }
        if chunk.error.error().is_some() {
            push_error(read_error(json), out);
            return Ok(Progress::Ended);
        }
        let first = out.len();
        let progress = if chunk.choices.get().is_some() {
            self.open_ai.get_or_insert_default().document(json.as_bytes(), out)?
        } else {
            self.simple(chunk, out);
            if out.len() == first && is_error(json) {
                push_error(read_error(json), out);
                return Ok(Progress::Ended);
            }
            Progress::Open
        };
        // Bedrock's own token counts, if the model has sent none.
        if !out[first..].iter().any(|delta| matches!(delta.kind, DeltaKind::Usage(_))) {
            push_usage(chunk.metrics.get().and_then(read_metrics), out);
        }
        Ok(progress)
    }

    fn simple(&mut self, chunk: &Chunk<'_>, out: &mut Vec<Delta>) {
        push_text(DeltaKind::Text, &chunk.output_text, out);
        for output in chunk.outputs.iter() {
            push_text(DeltaKind::Text, &output.text, out);
            self.stop(&output.stop_reason, out);
        }
        self.stop(&chunk.completion_reason, out);
    }

    fn stop(&mut self, reason: &Text<'_>, out: &mut Vec<Delta>) {
        if let Some(raw) = reason.reason() {
            self.finish.report(0, raw, REASONS.read(raw), out);
        }
    }
}

impl<'a> Chunk<'a> {
    /// The type and the JSON of the event in one of Nova's chunks.
    fn nova(&self) -> Option<(&'static str, &'a str)> {
        let events = [
            ("contentBlockDelta", &self.content_block_delta),
            ("contentBlockStart", &self.content_block_start),
            ("contentBlockStop", &self.content_block_stop),
            ("messageStop", &self.message_stop),
            ("metadata", &self.metadata),
        ];
        events.into_iter().find_map(|(kind, event)| Some((kind, event.get()?)))
    }
}

fn read_metrics(json: &str) -> Option<Usage> {
    let metrics: Metrics<'_> = serde_json::from_str(json).ok()?;
    Some(Usage {
        input_tokens: metrics.input.count(),
        output_tokens: metrics.output.count(),
        cached_tokens: metrics.cached.count(),
        cache_write_tokens: metrics.cache_write.count(),
        raw: json.into(),
        ..Usage::default()
    })
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text: Cow<'_, str> = Deserialize::deserialize(deserializer)?;
    STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
}
