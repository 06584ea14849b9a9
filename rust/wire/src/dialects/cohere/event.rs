//! The members of an event that are used. Serde skips all others.

use serde::Deserialize;

use crate::delta::Usage;
use crate::dialects::json::{Index, List, Object, Raw, Scalar, Text};

/// The event types that are read. An event of another type may have members of the same names with other shapes.
pub(super) const KNOWN_TYPES: &[&str] = &[
    "message-start",
    "content-start",
    "content-delta",
    "tool-plan-delta",
    "tool-call-start",
    "tool-call-delta",
    "tool-call-end",
    "message-end",
    "error",
];

#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(default)]
    pub(super) index: Index,
    #[serde(borrow, default)]
    pub(super) delta: Object<EventDelta<'a>>,
    /// The message of an error, which has no type.
    #[serde(borrow, default)]
    pub(super) message: Text<'a>,
    /// An error as gateways send it.
    #[serde(borrow, default)]
    pub(super) error: Raw<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct EventDelta<'a> {
    #[serde(borrow, default)]
    pub(super) message: Object<Part<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) error: Raw<'a>,
}

/// The part of the message that an event adds. In `message-start` these members are empty lists, so there is nothing.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub(super) content: Object<Content<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_plan: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Object<Call<'a>>,
}

/// The message of a response that was not streamed.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: List<Content<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_plan: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: List<Call<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub(super) text: Scalar<'a>,
    #[serde(borrow, default)]
    pub(super) thinking: Scalar<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    function: Object<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Text<'a>,
}

impl Call<'_> {
    /// The tool's name.
    pub(super) fn name(&self) -> Option<&str> {
        self.function.as_ref().and_then(|function| function.name.get())
    }

    /// The arguments, or a piece of them.
    pub(super) fn arguments(&self) -> Option<&str> {
        self.function.as_ref().and_then(|function| function.arguments.get())
    }
}

/// A response that was not streamed. In an error, `message` is a string.
#[derive(Debug, Deserialize)]
pub(super) struct Document<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) message: Object<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) usage: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct Counts<'a> {
    /// The tokens that the model processed, including those that Cohere adds to the conversation.
    #[serde(borrow, default)]
    tokens: Object<Tokens<'a>>,
    /// The tokens that are billed.
    #[serde(borrow, default)]
    billed_units: Object<Tokens<'a>>,
    #[serde(borrow, default)]
    cached_tokens: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct Tokens<'a> {
    #[serde(borrow, default)]
    input_tokens: Raw<'a>,
    #[serde(borrow, default)]
    output_tokens: Raw<'a>,
}

pub(super) fn read_usage(json: &str) -> Option<Usage> {
    let counts: Counts<'_> = serde_json::from_str(json).ok()?;
    let tokens = counts.tokens.0.or(counts.billed_units.0)?;
    Some(Usage {
        input_tokens: tokens.input_tokens.count(),
        output_tokens: tokens.output_tokens.count(),
        cached_tokens: counts.cached_tokens.count(),
        raw: json.into(),
        ..Usage::default()
    })
}
