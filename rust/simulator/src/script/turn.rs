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
    /// Which requests this answers; without it, all.
    pub when: When,
    /// What the model thinks first.
    pub reasoning: Tokens,
    /// The signature that vouches for it, where the dialect has a place for one.
    pub signature: Option<String>,
    /// Reasoning that cannot be read, where the dialect has a place for it.
    pub encrypted: Option<String>,
    /// What it says.
    pub text: Tokens,
    /// How many times over it says that; once when not given.
    pub repeat: Option<u32>,
    /// What it says instead of answering.
    pub refusal: Tokens,
    /// What it calls.
    pub tool_calls: Vec<ToolCall>,
    /// The fragments of the calls come in turns, rather than one call after the other.
    pub interleave_calls: bool,
    /// The token counts.
    pub usage: UsageSpec,
    /// Why it ends: `tool_calls` when there are calls, else `stop`, when not given.
    pub finish_reason: Option<String>,
    /// How many choices a request that asks for several gets; as many as it asks for when not given.
    pub choices: Option<NonZeroUsize>,
    /// When tokens are sent, instead of the script's pacing.
    pub pacing: Option<Pacing>,
    /// What goes wrong.
    pub fault: Option<Fault>,
}

impl Turn {
    /// An answer that is only text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The word for why the answer ends.
    pub(crate) fn finish_reason(&self) -> &str {
        let default = if self.tool_calls.is_empty() { "stop" } else { "tool_calls" };
        self.finish_reason.as_deref().unwrap_or(default)
    }
}

/// What a request must be like for a turn to answer it. What is not given does not matter.
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
    /// Its id; made from the turn's and the call's position when not given, such as `call_0_1`.
    #[serde(default)]
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Arguments,
    /// How many pieces the arguments are sent in; pieces of eight characters when not given.
    #[serde(default)]
    pub fragments: Option<NonZeroUsize>,
    /// The signature that comes with it, where the dialect has a place for one.
    #[serde(default)]
    pub signature: Option<String>,
}

/// The arguments of a tool call, as the text that is sent: a JSON string in the script is that text, valid or not,
/// and any other JSON is written out.
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

/// The token counts that an answer tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UsageSpec {
    /// Counted: one for each token of the answer, and one for each word of the request. `true` in JSON.
    #[default]
    Counted,
    /// None at all. `false` in JSON.
    Untold,
    /// These.
    Told(UsageCounts),
}

/// Token counts. What is not given is not told, except for the total where both parts are known.
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
        Ok(if counted { UsageSpec::Counted } else { UsageSpec::Untold })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UsageSpec, A::Error> {
        UsageCounts::deserialize(MapAccessDeserializer::new(map)).map(UsageSpec::Told)
    }
}
