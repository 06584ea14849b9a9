//! The members of an event that are used. Serde skips all others.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::delta::Usage;
use crate::dialects::json::{Index, List, Object, Raw, Scalar, Text, is_empty_object};

/// The event types that are read. An event of another type may have members of the same names with other shapes.
pub(super) const KNOWN_TYPES: &[&str] = &[
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "message",
    "completion",
    "error",
];

/// An event, a whole `message`, or a legacy `completion`. The last two have their members at the top level.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(default)]
    pub(super) index: Index,
    #[serde(borrow, default)]
    pub(super) message: Object<Start<'a>>,
    #[serde(borrow, default)]
    pub(super) content_block: Object<Block<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Object<EventDelta<'a>>,
    #[serde(borrow, default)]
    pub(super) usage: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) error: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) content: List<Block<'a>>,
    #[serde(borrow, default)]
    pub(super) completion: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Object<StopDetails<'a>>,
}

/// Why the answer was refused.
#[derive(Debug, Deserialize)]
pub(super) struct StopDetails<'a> {
    #[serde(borrow, default)]
    category: Text<'a>,
    #[serde(borrow, default)]
    explanation: Text<'a>,
}

impl StopDetails<'_> {
    pub(super) fn words(&self) -> Option<&str> {
        self.explanation.get().or_else(|| self.category.get())
    }
}

/// The message in `message_start`.
#[derive(Debug, Deserialize)]
pub(super) struct Start<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Raw<'a>,
}

/// A content block: at its start, or complete.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    /// The encrypted reasoning of a `redacted_thinking` block.
    #[serde(borrow, default)]
    pub(super) data: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    input: Raw<'a>,
}

impl<'a> Block<'a> {
    /// The arguments in the block of a tool call. In a stream they are `{}`, which means that they follow as deltas.
    pub(super) fn input(&self) -> Option<&'a str> {
        self.input.get().filter(|input| !is_empty_object(input))
    }
}

/// The `delta` of `content_block_delta` and `message_delta`.
#[derive(Debug, Deserialize)]
pub(super) struct EventDelta<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    #[serde(borrow, default)]
    pub(super) partial_json: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_details: Object<StopDetails<'a>>,
}

/// The usage of all events so far. `message_start` has the input tokens and `message_delta` the output tokens, but
/// servers differ in what they repeat in the other. The counts are cumulative, so the latest value of each name is
/// kept.
#[derive(Debug, Default)]
pub(super) struct RunningUsage(Map<String, Value>);

impl RunningUsage {
    /// Merges the `usage` of an event and returns the counts known so far. `None` if there are no counts.
    pub(super) fn merge(&mut self, json: &str) -> Option<Usage> {
        let counts: Map<String, Value> = serde_json::from_str(json).ok()?;
        self.0.extend(counts.into_iter().filter(|(_, value)| !value.is_null()));
        let count = |name: &str| self.0.get(name).and_then(Value::as_u64);
        let details = self.0.get("output_tokens_details");
        let usage = Usage {
            input_tokens: count("input_tokens"),
            output_tokens: count("output_tokens"),
            total_tokens: None,
            cached_tokens: count("cache_read_input_tokens"),
            cache_write_tokens: count("cache_creation_input_tokens"),
            reasoning_tokens: details
                .and_then(|details| details.get("thinking_tokens"))
                .and_then(Value::as_u64),
            raw: Box::default(),
        };
        // Some servers send an empty object if they do not know the usage.
        let has_counts = usage != Usage::default();
        has_counts.then(|| Usage { raw: Value::Object(self.0.clone()).to_string().into(), ..usage })
    }
}
