//! The members of an event that are used. Serde skips all others.

use serde::Deserialize;

use super::items::{Kind, Place};
use crate::delta::Usage;
use crate::dialects::json::{Index, List, Object, Raw, Scalar, Text};

/// The event types that are read. An event of another type may have members of the same names with other shapes.
pub(super) const KNOWN_TYPES: &[&str] = &[
    "response.created",
    "response.in_progress",
    "response.queued",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_audio_transcript.delta",
    "response.audio.transcript.delta",
    "response.output_text.done",
    "response.refusal.delta",
    "response.refusal.done",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "response.cancelled",
    "response.done",
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
    pub(super) item_id: Text<'a>,
    /// Sent in place of `item_id` by servers that do not number their items.
    #[serde(borrow, default)]
    pub(super) call_id: Text<'a>,
    #[serde(default)]
    content_index: Index,
    #[serde(default)]
    summary_index: Index,
    #[serde(borrow, default)]
    pub(super) delta: Scalar<'a>,
    /// The whole text of a part, sent when it is complete.
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow, default)]
    pub(super) part: Object<Part<'a>>,
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

impl Event<'_> {
    /// Where in the output it belongs.
    pub(super) fn place(&self) -> Place<'_> {
        let id = self.item_id.get().or_else(|| self.call_id.get());
        Place { index: self.output_index.get(), id, is_item: false }
    }

    /// Where in its item it belongs.
    pub(super) fn part_index(&self) -> Option<u64> {
        self.content_index.get().or_else(|| self.summary_index.get())
    }
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

    /// Where in the output it belongs.
    pub(super) fn place(&self, index: Option<u64>, is_item: bool) -> Place<'_> {
        let id = self.id.get().or_else(|| self.call_id.get());
        Place { index, id, is_item }
    }

    /// What its events are.
    pub(super) fn event_kind(&self) -> Kind {
        match self.kind.get() {
            Some("message") | None => Kind::Text,
            Some("reasoning") => Kind::Summary,
            Some(_) if self.is_call() => Kind::Call,
            Some(_) => Kind::Other,
        }
    }

    /// All arguments of a call.
    pub(super) fn all_arguments(&self) -> Option<&str> {
        self.arguments.get().or_else(|| self.input.get())
    }
}

/// A part of an item's content.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Scalar<'a>,
}

impl Part<'_> {
    /// What its events are.
    pub(super) fn event_kind(&self) -> Kind {
        match self.kind.get() {
            Some("refusal") => Kind::Refusal,
            Some("summary_text") => Kind::Summary,
            Some("reasoning_text") => Kind::Reasoning,
            _ if self.refusal.get().is_some() => Kind::Refusal,
            _ => Kind::Text,
        }
    }
}

/// A tool that the request offered.
#[derive(Debug, Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    /// The tools of a namespace.
    #[serde(borrow, default)]
    pub(super) tools: List<Named<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
}

/// The response as a whole.
#[derive(Debug, Default, Deserialize)]
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
    /// What the request offered, which some servers repeat.
    #[serde(borrow, default)]
    pub(super) tools: List<Tool<'a>>,
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
