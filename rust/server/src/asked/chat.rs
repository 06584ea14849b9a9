//! OpenAI's chat completions.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Asked, invalid};
use crate::protocol::Protocol;
use crate::refusal::Refusal;

/// The options that are passed on to the model. Others that clients send (`user`, `store`, `metadata`, …) are not.
const PASSED_ON: [&str; 14] = [
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "top_logprobs",
    "top_p",
];

/// The members of a request that count.
#[derive(Deserialize)]
pub(super) struct Members {
    model: String,
    messages: Vec<Value>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    n: Option<u64>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

pub(super) fn read(mut members: Members) -> Result<Asked, Refusal> {
    if members.n.is_some_and(|count| count != 1) {
        return Err(invalid("n must be 1: an agent gives one answer"));
    }
    let mut asked = Asked::new(Protocol::Chat, members.model, members.messages);
    for name in PASSED_ON {
        asked.option(name, members.rest.remove(name));
    }
    asked.tools = members.tools.unwrap_or_default();
    asked.tool_choice = members.tool_choice;
    asked.stream = members.stream.unwrap_or(false);
    asked.include_usage = members.stream_options.is_some_and(|options| options.include_usage == Some(true));
    Ok(asked)
}
