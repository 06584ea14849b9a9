//! OpenAI's responses.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Any, Asked, Names, ResponseOptions, function_tool, invalid, text_of};
use crate::protocol::Protocol;
use crate::refusal::{Refusal, RefusalKind};

/// The most that a conversation may begin with: as many as are kept must fit into memory.
const MAX_OPENING: usize = 256 * 1024;

/// The members of a request that count.
#[derive(Deserialize)]
pub(super) struct Members {
    model: String,
    #[serde(default)]
    input: Any,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    previous_response_id: Option<String>,
    #[serde(default)]
    conversation: Any,
    #[serde(default)]
    store: Option<bool>,
    #[serde(default)]
    background: Option<bool>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Any,
    #[serde(default)]
    reasoning: Any,
    #[serde(default)]
    text: Any,
    #[serde(default)]
    max_output_tokens: Any,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

pub(super) fn read(mut members: Members) -> Result<Asked, Refusal> {
    let conversation = match members.conversation.take() {
        None => None,
        Some(Value::String(id)) => Some(id),
        Some(given) => {
            Some(given["id"].as_str().ok_or_else(|| invalid("conversation must have an id"))?.to_owned())
        }
    };
    if conversation.is_some() && members.previous_response_id.is_some() {
        return Err(invalid("conversation and previous_response_id exclude each other"));
    }
    let mut messages = Vec::new();
    if let Some(text) = members.instructions.filter(|text| !text.is_empty()) {
        messages.push(json!({ "role": "system", "content": text }));
    }
    match members.input.take() {
        Some(Value::String(text)) => messages.push(json!({ "role": "user", "content": text })),
        Some(Value::Array(items)) => add_items(&items, &mut messages)?,
        _ => return Err(invalid("input must be a string or a list of items")),
    }
    let mut asked = Asked::new(Protocol::Responses, members.model, messages);
    for name in ["temperature", "top_p", "parallel_tool_calls"] {
        asked.option(name, members.rest.remove(name));
    }
    asked.option("max_tokens", members.max_output_tokens.take());
    asked.option("reasoning_effort", members.reasoning.take().map(|reasoning| reasoning["effort"].clone()));
    asked.option("response_format", members.text.take().and_then(|text| response_format(&text["format"])));
    for tool in members.tools.unwrap_or_default() {
        asked.tools.push(client_tool(&tool)?);
    }
    asked.tool_choice = members.tool_choice.take().map(tool_choice);
    asked.stream = members.stream.unwrap_or(false);
    let (store, background) = (members.store.unwrap_or(true), members.background.unwrap_or(false));
    if background && !store {
        return Err(invalid("background needs store: the response is kept until it is asked for"));
    }
    if conversation.is_some() && !store {
        return Err(invalid("conversation needs store: the answer is part of it"));
    }
    asked.response = ResponseOptions { previous: members.previous_response_id, store, background };
    asked.names = Names { thread: conversation, run: None };
    Ok(asked)
}

/// The messages of the items that a conversation begins with.
///
/// # Errors
/// The body cannot be read, or one of the items.
pub(crate) fn opening(body: &[u8]) -> Result<Vec<Value>, Refusal> {
    if body.len() > MAX_OPENING {
        let message = "a conversation may begin with 256 KiB: send the rest as input of its first response";
        return Err(Refusal::new(RefusalKind::TooLarge, message));
    }
    let body: Value = if body.is_empty() { Value::Null } else { super::parsed(body)? };
    let mut messages = Vec::new();
    if let Some(items) = body["items"].as_array() {
        add_items(items, &mut messages)?;
    }
    Ok(messages)
}

fn add_items(items: &[Value], messages: &mut Vec<Value>) -> Result<(), Refusal> {
    items.iter().enumerate().try_for_each(|(number, item)| add_item(number, item, messages))
}

/// Adds one item of the input to the conversation.
fn add_item(number: usize, item: &Value, out: &mut Vec<Value>) -> Result<(), Refusal> {
    match item["type"].as_str() {
        None | Some("message") => out.push(message(number, item)?),
        Some("function_call") => {
            let function = json!({ "name": item["name"], "arguments": item["arguments"] });
            add_call(json!({ "id": item["call_id"], "type": "function", "function": function }), out);
        }
        Some("function_call_output") => {
            let text = text_of(&item["output"]);
            out.push(json!({ "role": "tool", "tool_call_id": item["call_id"], "content": text }));
        }
        // Thoughts stay out: the agent's model need not be the one that had them.
        Some("reasoning") => {}
        Some(kind) => return Err(wrong(number, &format!("is of the type {kind}, which is not served"))),
    }
    Ok(())
}

/// Adds a call to the assistant's message before it, if that is what it belongs to.
fn add_call(call: Value, out: &mut Vec<Value>) {
    if let Some(last) = out.last_mut()
        && last["role"] == "assistant"
    {
        if let Some(calls) = last["tool_calls"].as_array_mut() {
            calls.push(call);
        } else {
            last["tool_calls"] = json!([call]);
        }
        return;
    }
    out.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
}

fn message(number: usize, item: &Value) -> Result<Value, Refusal> {
    let role = item["role"].as_str().unwrap_or_default();
    match &item["content"] {
        Value::String(text) => Ok(json!({ "role": role, "content": text })),
        Value::Array(parts) if role == "user" => {
            let parts: Result<Vec<Value>, Refusal> =
                parts.iter().map(|part| user_part(number, part)).collect();
            Ok(json!({ "role": role, "content": parts? }))
        }
        Value::Array(parts) => {
            let text: String = parts
                .iter()
                .filter_map(|part| part["text"].as_str().or_else(|| part["refusal"].as_str()))
                .collect();
            Ok(json!({ "role": role, "content": text }))
        }
        _ => Err(wrong(number, "needs a content: a string or a list of parts")),
    }
}

fn user_part(number: usize, part: &Value) -> Result<Value, Refusal> {
    match part["type"].as_str() {
        Some("input_text") => Ok(json!({ "type": "text", "text": part["text"] })),
        Some("input_image") if part["image_url"].is_string() => {
            Ok(json!({ "type": "image_url", "image_url": { "url": part["image_url"] } }))
        }
        kind => {
            let kind = kind.unwrap_or("none");
            Err(wrong(number, &format!("has a part of the type {kind}, which is not served in this form")))
        }
    }
}

fn client_tool(tool: &Value) -> Result<Value, Refusal> {
    match tool["type"].as_str() {
        Some("function") => {
            let mut converted = function_tool(&tool["name"], tool.get("description"), &tool["parameters"]);
            if let Some(strict) = tool.get("strict").filter(|strict| !strict.is_null()) {
                converted["function"]["strict"] = strict.clone();
            }
            Ok(converted)
        }
        kind => {
            let kind = kind.unwrap_or("none");
            Err(invalid(format!(
                "tools: the type {kind} is not served, only function; an agent has its own tools"
            )))
        }
    }
}

fn tool_choice(choice: Value) -> Value {
    match choice["type"].as_str() {
        Some("function") => json!({ "type": "function", "function": { "name": choice["name"] } }),
        _ => choice,
    }
}

fn response_format(format: &Value) -> Option<Value> {
    match format["type"].as_str()? {
        "json_schema" => {
            let mut schema = Map::new();
            for name in ["name", "description", "schema", "strict"] {
                if let Some(value) = format.get(name).filter(|value| !value.is_null()) {
                    schema.insert(name.to_owned(), value.clone());
                }
            }
            Some(json!({ "type": "json_schema", "json_schema": schema }))
        }
        "json_object" => Some(json!({ "type": "json_object" })),
        _ => None,
    }
}

fn wrong(number: usize, what: &str) -> Refusal {
    invalid(format!("input[{number}] {what}"))
}
