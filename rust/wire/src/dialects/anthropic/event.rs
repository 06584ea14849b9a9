//! The shape of an event: only what is used; everything else is skipped unread.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::delta::Usage;
use crate::dialects::json::{Index, List, Object, Raw, Text};

/// The types whose members are used. An event of another type may have members of the same names and other shapes.
pub(super) const KINDS: &[&str] = &[
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

/// An event; or a whole `message`, or a legacy `completion`, which have their members at the top.
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
    pub(super) delta: Object<Change<'a>>,
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
    pub(super) completion: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
}

/// What `message_start` holds.
#[derive(Debug, Deserialize)]
pub(super) struct Start<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Raw<'a>,
}

/// A content block: at its start, or whole.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    /// What a `redacted_thinking` block holds.
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
    /// The arguments of a call that stand in its block. In a stream that is `{}`, and means that they follow.
    pub(super) fn input(&self) -> Option<&'a str> {
        self.input.get().filter(|input| *input != "{}")
    }
}

/// What `content_block_delta` and `message_delta` change.
#[derive(Debug, Deserialize)]
pub(super) struct Change<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Text<'a>,
    #[serde(borrow, default)]
    pub(super) signature: Text<'a>,
    #[serde(borrow, default)]
    pub(super) partial_json: Text<'a>,
    #[serde(borrow, default)]
    pub(super) stop_reason: Text<'a>,
}

/// The usage of all events so far: `message_start` tells what went in, `message_delta` what came out, and each repeats
/// as much of the other as it likes. The counts are cumulative, so the latest of each name counts.
#[derive(Debug, Default)]
pub(super) struct RunningUsage(Map<String, Value>);

impl RunningUsage {
    /// Takes what an event says, and gives what is known now; `None` when the event said nothing.
    pub(super) fn merge(&mut self, json: &str) -> Option<Usage> {
        let told: Map<String, Value> = serde_json::from_str(json).ok()?;
        self.0.extend(told.into_iter().filter(|(_, value)| !value.is_null()));
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
        // An empty object, which some servers send for "unknown", is no usage.
        let known = usage != Usage::default();
        known.then(|| Usage { raw: Value::Object(self.0.clone()).to_string().into(), ..usage })
    }
}
