//! Anthropic's messages.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Any, Asked, function_tool, invalid, text_of, wrong};
use crate::protocol::Protocol;
use crate::refusal::Refusal;

/// The members of a request that count. `thinking` is not one of them: how much an agent reasons is its own affair, and
/// its model may take no such budget.
#[derive(Deserialize)]
pub(super) struct Members {
    model: String,
    messages: Vec<Value>,
    #[serde(default)]
    system: Any,
    #[serde(default)]
    max_tokens: Any,
    #[serde(default)]
    temperature: Any,
    #[serde(default)]
    top_p: Any,
    #[serde(default)]
    stop_sequences: Any,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    tool_choice: Any,
    #[serde(default)]
    stream: Option<bool>,
}

pub(super) fn read(mut members: Members) -> Result<Asked, Refusal> {
    let messages = converted(members.system.take().as_ref(), members.messages)?;
    let mut asked = Asked::new(Protocol::Messages, members.model, messages);
    asked.option("max_tokens", members.max_tokens.take());
    asked.option("temperature", members.temperature.take());
    asked.option("top_p", members.top_p.take());
    asked.option("stop", members.stop_sequences.take().filter(|stops| stops != &json!([])));
    for tool in members.tools.unwrap_or_default() {
        asked.tools.push(client_tool(&tool)?);
    }
    if let Some(choice) = members.tool_choice.take() {
        if choice["disable_parallel_tool_use"] == true {
            asked.option("parallel_tool_calls", Some(json!(false)));
        }
        asked.tool_choice = Some(tool_choice(&choice)?);
    }
    asked.stream = members.stream.unwrap_or(false);
    Ok(asked)
}

fn client_tool(tool: &Value) -> Result<Value, Refusal> {
    match tool["type"].as_str() {
        None | Some("custom") => {
            Ok(function_tool(&tool["name"], tool.get("description"), &tool["input_schema"]))
        }
        Some(kind) => Err(invalid(format!(
            "tools: {kind} is one of Anthropic's own tools, which are not served; an agent has its own"
        ))),
    }
}

fn tool_choice(choice: &Value) -> Result<Value, Refusal> {
    match choice["type"].as_str() {
        Some("auto") => Ok(json!("auto")),
        Some("any") => Ok(json!("required")),
        Some("none") => Ok(json!("none")),
        Some("tool") => Ok(json!({ "type": "function", "function": { "name": choice["name"] } })),
        _ => Err(invalid("tool_choice: its type must be auto, any, none or tool")),
    }
}

/// The messages in OpenAI's format.
fn converted(system: Option<&Value>, messages: Vec<Value>) -> Result<Vec<Value>, Refusal> {
    let mut converted = Vec::with_capacity(messages.len() + 1);
    if let Some(text) = system.map(text_of).filter(|text| !text.is_empty()) {
        converted.push(json!({ "role": "system", "content": text }));
    }
    for (number, message) in messages.into_iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        match (&message["content"], role) {
            (Value::String(_), "user" | "assistant") => converted.push(message),
            (Value::Array(blocks), "user") => user_messages(number, blocks, &mut converted)?,
            (Value::Array(blocks), "assistant") => converted.push(assistant_message(blocks)),
            _ => return Err(wrong(number, "needs the role user or assistant, and a content")),
        }
    }
    Ok(converted)
}

/// A user's message: the results of tools first, each a message of its own, as OpenAI has them.
fn user_messages(number: usize, blocks: &[Value], out: &mut Vec<Value>) -> Result<(), Refusal> {
    let mut parts = Vec::new();
    for block in blocks {
        match block["type"].as_str() {
            Some("text") => parts.push(json!({ "type": "text", "text": block["text"] })),
            Some("image") => parts.push(image(number, &block["source"])?),
            Some("tool_result") => tool_result(number, block, out, &mut parts)?,
            kind => {
                let kind = kind.unwrap_or("none");
                return Err(wrong(number, &format!("has a block of the type {kind}, which is not served")));
            }
        }
    }
    if !parts.is_empty() {
        out.push(json!({ "role": "user", "content": parts }));
    }
    Ok(())
}

/// The result of a tool. OpenAI's have only text, so the user shows the images of one.
fn tool_result(
    number: usize,
    block: &Value,
    out: &mut Vec<Value>,
    parts: &mut Vec<Value>,
) -> Result<(), Refusal> {
    let (id, content) = (&block["tool_use_id"], &block["content"]);
    let text = text_of(content);
    let text = if block["is_error"] == true { format!("The tool failed: {text}") } else { text };
    out.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
    for inner in content.as_array().into_iter().flatten() {
        match inner["type"].as_str() {
            Some("text") => {}
            Some("image") => {
                parts.push(json!({ "type": "text", "text": format!("An image from the result of {id}:") }));
                parts.push(image(number, &inner["source"])?);
            }
            kind => {
                let kind = kind.unwrap_or("none");
                let what = format!("has a tool result with a block of the type {kind}, which is not served");
                return Err(wrong(number, &what));
            }
        }
    }
    Ok(())
}

fn image(number: usize, source: &Value) -> Result<Value, Refusal> {
    let url = match source["type"].as_str() {
        Some("url") => source["url"].as_str().map(str::to_owned),
        Some("base64") => source["media_type"]
            .as_str()
            .zip(source["data"].as_str())
            .map(|(media, data)| format!("data:{media};base64,{data}")),
        _ => None,
    };
    let url = url.ok_or_else(|| wrong(number, "has an image that is neither a URL nor base64"))?;
    Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
}

/// A message of the model. Its thoughts stay out: the agent's model need not be the one that had them.
fn assistant_message(blocks: &[Value]) -> Value {
    let text: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let calls: Vec<Value> = blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| {
            let function = json!({ "name": block["name"], "arguments": block["input"].to_string() });
            json!({ "id": block["id"], "type": "function", "function": function })
        })
        .collect();
    let mut message = Map::from_iter([("role".to_owned(), json!("assistant"))]);
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { json!(text) };
    message.insert("content".to_owned(), content);
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), json!(calls));
    }
    Value::Object(message)
}
