//! A response that is not streamed.

use serde_json::{Value, json};

use super::REASONS;
use super::encode::usage_object;
use crate::encode::{Head, text_and_refusal};
use crate::response::{Choice, Response};

/// The JSON document of a response: its first choice.
pub(crate) fn document(head: &Head, response: &Response) -> Value {
    let none = Choice::default();
    let choice = response.first().unwrap_or(&none);
    let parts = [("thinking", choice.reasoning.clone()), ("text", text_and_refusal(choice))];
    let parts = parts.into_iter().filter(|(_, text)| !text.is_empty());
    let content: Vec<Value> = parts.map(|(kind, text)| json!({ "type": kind, kind: text })).collect();
    let mut message = json!({ "role": "assistant", "content": content });
    if !choice.tool_calls.is_empty() {
        let calls = choice.tool_calls.iter().enumerate().map(|(index, call)| {
            let id = call.id.as_deref().map_or_else(|| format!("call_{index}"), str::to_owned);
            json!({ "id": id, "type": "function", "function": { "name": call.name, "arguments": call.arguments } })
        });
        message["tool_calls"] = calls.collect();
    }
    let mut document = json!({
        "id": head.id, "message": message,
        "finish_reason": choice.finish.as_ref().map(|finish| REASONS.write(finish)),
    });
    if let Some(usage) = &response.usage {
        document["usage"] = usage_object(usage);
    }
    document
}
