//! The members of an event that are used. Serde skips all others.

use serde::Deserialize;

use crate::delta::Usage;
use crate::dialects::json::{Index, List, Object, Raw, Scalar, Text};

/// The event types that are read. An event of another type may have members of the same names with other shapes.
pub(super) const KNOWN_TYPES: &[&str] = &[
    "response.created",
    "response.in_progress",
    "response.queued",
    "response.output_item.added",
    "response.output_item.done",
    "response.output_text.delta",
    "response.output_audio_transcript.delta",
    "response.audio.transcript.delta",
    "response.refusal.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
    "transcript.text.delta",
    "transcript.text.done",
    "error",
];

#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(default)]
    pub(super) output_index: Index,
    #[serde(borrow, default)]
    pub(super) delta: Scalar<'a>,
    /// All arguments of a call, sent when they are complete.
    #[serde(borrow, default, alias = "input")]
    pub(super) arguments: Text<'a>,
    #[serde(borrow, default)]
    pub(super) item: Object<Item<'a>>,
    #[serde(borrow, default)]
    pub(super) response: Object<Response<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Raw<'a>,
}

/// An item of the output.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) call_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) arguments: Text<'a>,
    /// The arguments of a `custom_tool_call`, which are any text.
    #[serde(borrow, default)]
    pub(super) input: Text<'a>,
    #[serde(borrow, default)]
    pub(super) encrypted_content: Text<'a>,
    #[serde(borrow, default)]
    pub(super) summary: List<Part<'a>>,
    #[serde(borrow, default)]
    pub(super) content: List<Part<'a>>,
}

impl Item<'_> {
    /// Whether this is a call of one of the user's tools, as opposed to a tool that the server runs.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.kind.get(), Some("function_call" | "custom_tool_call"))
    }

    /// All arguments of a call.
    pub(super) fn all_arguments(&self) -> Option<&str> {
        self.arguments.get().or_else(|| self.input.get())
    }
}

/// A part of an item's content.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub(super) text: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Scalar<'a>,
}

/// The response as a whole.
#[derive(Debug, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) status: Text<'a>,
    #[serde(borrow, default)]
    pub(super) error: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) incomplete_details: Object<IncompleteDetails<'a>>,
    #[serde(borrow, default)]
    pub(super) output: List<Item<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Raw<'a>,
}

impl Response<'_> {
    /// Whether this is a response at all. Any other object would be parsed too, with all members absent.
    pub(super) fn is_response(&self) -> bool {
        const STATUSES: [&str; 6] =
            ["completed", "incomplete", "failed", "cancelled", "in_progress", "queued"];
        // The runs of the Assistants API have such a status too.
        self.object.get().map_or_else(
            || self.status.get().is_some_and(|status| STATUSES.contains(&status)),
            |object| object == "response",
        )
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct IncompleteDetails<'a> {
    #[serde(borrow, default)]
    pub(super) reason: Text<'a>,
}

#[derive(Debug, Deserialize)]
struct Counts<'a> {
    #[serde(borrow, default)]
    input_tokens: Raw<'a>,
    #[serde(borrow, default)]
    output_tokens: Raw<'a>,
    #[serde(borrow, default)]
    total_tokens: Raw<'a>,
    #[serde(borrow, default)]
    input_tokens_details: Object<Details<'a>>,
    #[serde(borrow, default)]
    output_tokens_details: Object<Details<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow, default, rename = "cached_tokens")]
    cached: Raw<'a>,
    #[serde(borrow, default, rename = "cache_write_tokens")]
    cache_write: Raw<'a>,
    #[serde(borrow, default, rename = "reasoning_tokens")]
    reasoning: Raw<'a>,
}

pub(super) fn read_usage(json: &str) -> Option<Usage> {
    let counts: Counts<'_> = serde_json::from_str(json).ok()?;
    let input = counts.input_tokens_details.0.unwrap_or_default();
    Some(Usage {
        input_tokens: counts.input_tokens.count(),
        output_tokens: counts.output_tokens.count(),
        total_tokens: counts.total_tokens.count(),
        cached_tokens: input.cached.count(),
        cache_write_tokens: input.cache_write.count(),
        reasoning_tokens: counts.output_tokens_details.0.unwrap_or_default().reasoning.count(),
        raw: json.into(),
    })
}
