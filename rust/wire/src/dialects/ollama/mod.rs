//! Ollama's own API: NDJSON from `/api/chat` and `/api/generate`.
//!
//! The format: <https://github.com/ollama/ollama/blob/main/docs/api.md>. Each line is a JSON object; the one with
//! `"done": true` is the end marker and has the token counts. A tool call is sent in one piece, its arguments as an
//! object. There is no finish reason for tool calls: `done_reason` is `stop`.

mod encode;

pub(crate) use self::encode::Encoder;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::delta::{Delta, DeltaKind, FinishReason, Usage};
use crate::dialects::emit::{push_error, push_text, push_usage};
use crate::dialects::identity::Identity;
use crate::dialects::json::{List, Object, Raw, Scalar, Text, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::{Piece, ToolCalls};
use crate::error::read_error;
use crate::stream::{DecodeError, Ending, Progress};

const REASONS: Reasons = Reasons(&[
    ("stop", FinishReason::Stop),
    // No `done_reason`.
    ("", FinishReason::Stop),
    ("stop", FinishReason::ToolCalls),
    ("length", FinishReason::Length),
]);

/// Decodes one response.
#[derive(Debug, Default)]
pub struct Ollama {
    identity: Identity,
    calls: ToolCalls,
    finish: Finished,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    model: Text<'a>,
    /// Sent by `/api/chat`.
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    /// Sent by `/api/generate`.
    #[serde(borrow, default)]
    response: Scalar<'a>,
    /// Sent by `/api/generate`.
    #[serde(borrow, default)]
    thinking: Scalar<'a>,
    #[serde(borrow, default)]
    done: Raw<'a>,
    #[serde(borrow, default)]
    done_reason: Text<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Scalar<'a>,
    #[serde(borrow, default)]
    thinking: Scalar<'a>,
    #[serde(borrow, default)]
    tool_calls: List<Call<'a>>,
}

#[derive(Debug, Deserialize)]
struct Call<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    function: Object<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
}

/// The token counts and durations in the last line.
#[derive(Debug, Deserialize, Serialize)]
struct Counts<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    total_duration: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    load_duration: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_eval_count: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    prompt_eval_duration: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_count: Option<u64>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    eval_duration: Option<&'a RawValue>,
}

impl Ollama {
    /// Each line that shows the server at work has a delta.
    #[expect(clippy::unused_self, reason = "all dialects have it")]
    pub(crate) const fn take_work(&mut self) -> bool {
        false
    }

    /// Decodes one line and appends its deltas to `out`. A response that was not streamed has the same shape.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn document(&mut self, line: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(line, |json| Ok(self.translate(&serde_json::from_str(json)?, json, out)))
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        if self.finish.is_set() { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body. It does nothing: the end marker has ended all tool calls.
    pub const fn finish(&mut self, _: &mut Vec<Delta>) {}

    fn translate(&mut self, line: &Line<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        self.identity.update(&Text::default(), &line.model, out);
        push_text(DeltaKind::Reasoning, &line.thinking, out);
        push_text(DeltaKind::Text, &line.response, out);
        if let Some(message) = &*line.message {
            self.message(message, out);
        }
        if line.error.error().is_some() {
            push_error(read_error(json), out);
            return Progress::Ended;
        }
        if line.done.get() != Some("true") {
            return Progress::Open;
        }
        self.calls.end_all(out);
        let raw = line.done_reason.reason().unwrap_or_default();
        self.finish.report(0, raw, REASONS.read(raw), out);
        push_usage(read_usage(json), out);
        Progress::Ended
    }

    fn message(&mut self, message: &Message<'_>, out: &mut Vec<Delta>) {
        push_text(DeltaKind::Reasoning, &message.thinking, out);
        push_text(DeltaKind::Text, &message.content, out);
        self.calls.begin_list();
        for Call { id, function } in message.tool_calls.iter() {
            let name = function.as_ref().and_then(|function| function.name.get());
            let arguments = function.as_ref().and_then(|function| function.arguments.arguments());
            let piece = Piece { id: id.get(), name, arguments: arguments.as_deref(), ..Piece::default() };
            self.calls.piece(piece, out);
        }
    }
}

fn read_usage(json: &str) -> Option<Usage> {
    let counts: Counts<'_> = serde_json::from_str(json).ok()?;
    if counts.prompt_eval_count.is_none() && counts.eval_count.is_none() {
        return None;
    }
    Some(Usage {
        input_tokens: counts.prompt_eval_count,
        output_tokens: counts.eval_count,
        raw: serde_json::to_string(&counts).unwrap_or_default().into(),
        ..Usage::default()
    })
}
