//! The UI messages of Vercel's AI SDK, as `useChat` sends them.
//!
//! Source: <https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol>.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Names, named_or_only, wrong};
use crate::protocol::Protocol;
use crate::refusal::Refusal;

/// The members of a request that count.
#[derive(Deserialize)]
pub(super) struct Members {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    id: Option<String>,
    messages: Vec<Value>,
}

pub(super) fn read(members: Members, served: &[String]) -> Result<Asked, Refusal> {
    let model = named_or_only(members.model, served)?;
    let mut messages = Vec::with_capacity(members.messages.len());
    for (number, message) in members.messages.iter().enumerate() {
        match (message["role"].as_str(), message["parts"].as_array()) {
            (Some("user"), Some(parts)) => {
                let parts: Result<Vec<_>, _> =
                    parts.iter().filter_map(|part| user_part(number, part).transpose()).collect();
                messages.push(json!({ "role": "user", "content": parts? }));
            }
            (Some("system"), Some(parts)) => {
                messages.push(json!({ "role": "system", "content": text(parts) }));
            }
            (Some("assistant"), Some(parts)) => assistant_messages(parts, &mut messages),
            _ => return Err(wrong(number, "needs the role user, assistant or system, and parts")),
        }
    }
    let mut asked = Asked::new(Protocol::UiMessages, model, messages);
    asked.names = Names { thread: members.id, run: None };
    Ok(asked)
}

/// A part of the user's message; `None` for what is only for the front end.
fn user_part(number: usize, part: &Value) -> Result<Option<Value>, Refusal> {
    match part["type"].as_str().unwrap_or("none") {
        "text" => Ok(Some(json!({ "type": "text", "text": part["text"] }))),
        "file" if part["mediaType"].as_str().is_some_and(|media| media.starts_with("image/")) => {
            Ok(Some(json!({ "type": "image_url", "image_url": { "url": part["url"] } })))
        }
        kind if kind.starts_with("data-") || kind == "step-start" => Ok(None),
        kind => Err(wrong(number, &format!("has a part of the type {kind}, which is not served"))),
    }
}

/// A message of the assistant: each of its steps is a message, with the calls of the step and then their results.
fn assistant_messages(parts: &[Value], out: &mut Vec<Value>) {
    for step in parts.split(|part| part["type"] == "step-start") {
        let calls: Vec<Call> = step.iter().filter_map(Call::of).collect();
        let said = text(step);
        if calls.is_empty() {
            if !said.is_empty() {
                out.push(json!({ "role": "assistant", "content": said }));
            }
            continue;
        }
        let content = if said.is_empty() { Value::Null } else { json!(said) };
        let shown: Vec<&Value> = calls.iter().map(|call| &call.call).collect();
        out.push(json!({ "role": "assistant", "content": content, "tool_calls": shown }));
        out.extend(calls.into_iter().map(|call| call.result));
    }
}

/// A call that has ended, and its result.
struct Call {
    call: Value,
    result: Value,
}

impl Call {
    fn of(part: &Value) -> Option<Self> {
        let kind = part["type"].as_str()?;
        let name = kind
            .strip_prefix("tool-")
            .or_else(|| if kind == "dynamic-tool" { part["toolName"].as_str() } else { None })?;
        let result = match part["state"].as_str()? {
            "output-available" => match &part["output"] {
                Value::String(text) => text.clone(),
                output => output.to_string(),
            },
            "output-error" => format!("The tool failed: {}", part["errorText"].as_str().unwrap_or_default()),
            _ => return None,
        };
        let id = &part["toolCallId"];
        let function = json!({ "name": name, "arguments": part["input"].to_string() });
        Some(Self {
            call: json!({ "id": id, "type": "function", "function": function }),
            result: json!({ "role": "tool", "tool_call_id": id, "content": result }),
        })
    }
}

fn text(parts: &[Value]) -> String {
    parts.iter().filter(|part| part["type"] == "text").filter_map(|part| part["text"].as_str()).collect()
}
