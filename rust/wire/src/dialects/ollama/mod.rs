//! Ollama's own API: NDJSON from `/api/chat` and `/api/generate`.
//!
//! The format: <https://github.com/ollama/ollama/blob/main/docs/api.md>. Each line is a whole object; the one with
//! `"done": true` is the end marker and has the counts. A tool call comes whole, its arguments as an object. That tools
//! are to be called has no word of its own: `done_reason` is `stop`.

mod encode;

pub(crate) use self::encode::Encoder;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::delta::{Delta, DeltaKind, FinishReason, Usage};
use crate::dialects::emit::{account, fail, say};
use crate::dialects::identity::Identity;
use crate::dialects::json::{List, Object, Raw, Text, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::ToolCalls;
use crate::error::read_error;
use crate::stream::{DecodeError, Ending, Progress};

const REASONS: Reasons = Reasons(&[
    ("stop", FinishReason::Stop),
    // An end without a reason.
    ("", FinishReason::Stop),
    ("stop", FinishReason::ToolCalls),
    ("length", FinishReason::Length),
]);

/// Decodes the lines of one response.
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
    /// Of `/api/chat`.
    #[serde(borrow, default)]
    message: Object<Message<'a>>,
    /// Of `/api/generate`.
    #[serde(borrow, default)]
    response: Text<'a>,
    /// Of `/api/generate`.
    #[serde(borrow, default)]
    thinking: Text<'a>,
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
    content: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
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

/// What the last line counts.
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
    /// Translates one line into deltas, or a whole response that was not streamed, which is of the same shape.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when it is not JSON, or not an object.
    pub fn document(&mut self, line: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(line, |json| Ok(self.translate(&serde_json::from_str(json)?, json, out)))
    }

    /// How the response ends if the bytes end here.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        if self.finish.is_told() { Ending::Complete } else { Ending::Truncated }
    }

    /// What the end of the bytes adds: nothing, for each call comes whole.
    pub const fn finish(&mut self, _: &mut Vec<Delta>) {}

    fn translate(&mut self, line: &Line<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        self.identity.tell(&Text::default(), &line.model, out);
        say(DeltaKind::Reasoning, &line.thinking, out);
        say(DeltaKind::Text, &line.response, out);
        if let Some(message) = &*line.message {
            self.message(message, out);
        }
        if line.error.get().is_some() {
            fail(read_error(json), out);
            return Progress::Ended;
        }
        if line.done.get() != Some("true") {
            return Progress::Open;
        }
        let raw = line.done_reason.get().unwrap_or_default();
        self.finish.tell(0, raw, REASONS.read(raw), out);
        account(read_usage(json), out);
        Progress::Ended
    }

    fn message(&mut self, message: &Message<'_>, out: &mut Vec<Delta>) {
        say(DeltaKind::Reasoning, &message.thinking, out);
        say(DeltaKind::Text, &message.content, out);
        for Call { id, function } in message.tool_calls.iter() {
            let name = function.as_ref().and_then(|function| function.name.compact());
            let arguments = function.as_ref().and_then(|function| function.arguments.arguments());
            self.calls.whole(id.compact(), name, arguments.as_deref(), out);
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
