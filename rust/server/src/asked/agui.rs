//! AG-UI, the protocol of agents' front ends.
//!
//! Source: <https://docs.ag-ui.com/concepts/messages>.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Asked, Names, function_tool, named_or_only, wrong};
use crate::protocol::Protocol;
use crate::refusal::Refusal;

/// The members of a request that count. Its `state` and `context` are the front end's own, and agents here have no place
/// for them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Members {
    #[serde(default)]
    model: Option<String>,
    thread_id: String,
    run_id: String,
    messages: Vec<Value>,
    #[serde(default)]
    tools: Option<Vec<Value>>,
}

pub(super) fn read(members: Members, served: &[String]) -> Result<Asked, Refusal> {
    let model = named_or_only(members.model, served)?;
    let mut messages = Vec::with_capacity(members.messages.len());
    for (number, message) in members.messages.iter().enumerate() {
        messages.extend(converted(number, message)?);
    }
    let mut asked = Asked::new(Protocol::AgUi, model, messages);
    asked.names = Names { thread: Some(members.thread_id), run: Some(members.run_id) };
    asked.tools = members
        .tools
        .unwrap_or_default()
        .iter()
        .map(|tool| function_tool(&tool["name"], tool.get("description"), &parameters(&tool["parameters"])))
        .collect();
    Ok(asked)
}

fn parameters(given: &Value) -> Value {
    if given.is_object() { given.clone() } else { json!({ "type": "object", "properties": {} }) }
}

/// A message in OpenAI's format; `None` for what is only for the front end.
fn converted(number: usize, message: &Value) -> Result<Option<Value>, Refusal> {
    let role = message["role"].as_str().unwrap_or_default();
    let mut converted = Map::from_iter([("role".to_owned(), json!(role))]);
    match role {
        "reasoning" | "activity" => return Ok(None),
        "system" | "developer" | "user" => {
            converted.insert("content".to_owned(), content(number, &message["content"])?);
        }
        "assistant" => {
            let calls = message["toolCalls"].as_array().filter(|calls| !calls.is_empty());
            let said = message["content"].as_str().map(|text| json!(text));
            let nothing = if calls.is_some() { Value::Null } else { json!("") };
            converted.insert("content".to_owned(), said.unwrap_or(nothing));
            if let Some(calls) = calls {
                converted.insert("tool_calls".to_owned(), json!(calls));
            }
        }
        "tool" => {
            converted.insert("tool_call_id".to_owned(), message["toolCallId"].clone());
            let text = match &message["content"] {
                Value::String(text) => text.clone(),
                content => super::text_of(content),
            };
            let failed = message["error"].as_str().map(|error| format!("The tool failed: {error}\n{text}"));
            converted.insert("content".to_owned(), json!(failed.unwrap_or(text)));
        }
        _ => return Err(wrong(number, &format!("has the role {role:?}, which is not served"))),
    }
    Ok(Some(Value::Object(converted)))
}

fn content(number: usize, content: &Value) -> Result<Value, Refusal> {
    let Some(parts) = content.as_array() else { return Ok(content.clone()) };
    parts.iter().map(|part| content_part(number, part)).collect()
}

fn content_part(number: usize, part: &Value) -> Result<Value, Refusal> {
    let source = &part["source"];
    let url = match (part["type"].as_str(), source["type"].as_str()) {
        (Some("text"), _) => return Ok(json!({ "type": "text", "text": part["text"] })),
        (Some("image"), Some("url")) => source["value"].as_str().map(str::to_owned),
        (Some("image"), Some("data")) => source["mimeType"]
            .as_str()
            .zip(source["value"].as_str())
            .map(|(media, data)| format!("data:{media};base64,{data}")),
        // The form before 1.0.
        (Some("binary"), _) => part["url"].as_str().map(str::to_owned).or_else(|| {
            let (media, data) = part["mimeType"].as_str().zip(part["data"].as_str())?;
            media.starts_with("image/").then(|| format!("data:{media};base64,{data}"))
        }),
        _ => None,
    };
    let kind = part["type"].as_str().unwrap_or("none");
    let url =
        url.ok_or_else(|| wrong(number, &format!("has a part of the type {kind}, which is not served")))?;
    Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
}
