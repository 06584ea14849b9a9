//! One answer, and which requests it is for.

use std::fmt;
use std::num::NonZeroUsize;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{Fault, Pacing, Tokens};

/// One answer: reasoning and its signatures, then text, then a refusal, then tool calls, each of them optional.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// Which requests this answers; by default all.
    pub when: When,
    /// The reasoning.
    pub reasoning: Tokens,
    /// The signature of the reasoning, for dialects that have one.
    pub signature: Option<String>,
    /// Encrypted reasoning, for dialects that have it.
    pub encrypted: Option<String>,
    /// The text.
    pub text: Tokens,
    /// How often the text is repeated; by default it is sent once.
    pub repeat: Option<u32>,
    /// The refusal.
    pub refusal: Tokens,
    /// The tool calls.
    pub tool_calls: Vec<ToolCall>,
    /// Whether the fragments of several calls are interleaved, instead of one call after the other.
    pub interleave_calls: bool,
    /// The token counts.
    pub usage: UsageSpec,
    /// The finish reason; by default `tool_calls` if there are calls, else `stop`.
    pub finish_reason: Option<String>,
    /// How many choices a request for several gets; by default as many as it asks for.
    pub choices: Option<NonZeroUsize>,
    /// When tokens are sent; by default the script's pacing.
    pub pacing: Option<Pacing>,
    /// The fault.
    pub fault: Option<Fault>,
}

impl Turn {
    /// An answer with only text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The finish reason, or its default.
    pub(crate) fn finish_reason(&self) -> &str {
        let default = if self.tool_calls.is_empty() { "stop" } else { "tool_calls" };
        self.finish_reason.as_deref().unwrap_or(default)
    }
}

/// The conditions for a turn to answer a request. All that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The role of its last message.
    pub role: Option<String>,
    /// A part of the text of its last message.
    pub contains: Option<String>,
    /// How many assistant messages it has: 0 in the first turn of a conversation.
    pub turn: Option<usize>,
    /// Whether it offers tools.
    pub tools: Option<bool>,
    /// The model that it asks for.
    pub model: Option<String>,
}

/// A tool call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Its id; by default made from the positions of turn and call, such as `call_0_1`.
    #[serde(default)]
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Arguments,
    /// How many pieces the arguments are sent in; by default pieces of eight characters.
    #[serde(default)]
    pub fragments: Option<NonZeroUsize>,
    /// Its signature, for dialects that have one.
    #[serde(default)]
    pub signature: Option<String>,
}

/// The text of a tool call's arguments. A JSON string in the script is sent as it is, valid JSON or not; any other value
/// is sent as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub struct Arguments(pub String);

impl Default for Arguments {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl From<Value> for Arguments {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self(text),
            other => Self(other.to_string()),
        }
    }
}

/// The token counts of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UsageSpec {
    /// Counted: one for each token of the answer, and one for each word of the request. `true` in JSON.
    #[default]
    Counted,
    /// No token counts. `false` in JSON.
    Omitted,
    /// These counts. An object in JSON.
    Given(UsageCounts),
}

/// Token counts. A count that is not given is not sent, except for the total if both parts are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageCounts {
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: Option<u64>,
    /// Both.
    pub total_tokens: Option<u64>,
    /// Prompt tokens that came from a cache.
    pub cached_tokens: Option<u64>,
    /// Prompt tokens that were written to a cache.
    pub cache_write_tokens: Option<u64>,
    /// Answer tokens that were reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl<'de> Deserialize<'de> for UsageSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UsageVisitor)
    }
}

struct UsageVisitor;

impl<'de> Visitor<'de> for UsageVisitor {
    type Value = UsageSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or an object of token counts")
    }

    fn visit_bool<E>(self, counted: bool) -> Result<UsageSpec, E> {
        Ok(if counted { UsageSpec::Counted } else { UsageSpec::Omitted })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UsageSpec, A::Error> {
        UsageCounts::deserialize(MapAccessDeserializer::new(map)).map(UsageSpec::Given)
    }
}
