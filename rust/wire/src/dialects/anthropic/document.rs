//! A message that is not streamed.

use serde_json::{Value, json};

use super::REASONS;
use super::encode::usage_object;
use crate::encode::{Head, ReasoningPart, parse_arguments, reasoning_parts, text_and_refusal};
use crate::response::{Choice, Response};

/// The JSON document of a response: its first choice.
pub(crate) fn document(head: &Head, response: &Response) -> Value {
    let none = Choice::default();
    let choice = response.first().unwrap_or(&none);
    let mut content: Vec<Value> = reasoning_parts(choice).into_iter().map(reasoning).collect();
    let text = text_and_refusal(choice);
    if !text.is_empty() {
        content.push(json!({ "type": "text", "text": text }));
    }
    for (index, call) in choice.tool_calls.iter().enumerate() {
        let id = call.id.as_deref().map_or_else(|| format!("toolu_{index}"), str::to_owned);
        let input = parse_arguments(&call.arguments);
        content.push(json!({ "type": "tool_use", "id": id, "name": call.name, "input": input }));
    }
    json!({
        "id": head.id, "type": "message", "role": "assistant", "model": head.model, "content": content,
        "stop_reason": choice.finish.as_ref().map(|finish| REASONS.write(finish)), "stop_sequence": null,
        "usage": response.usage.as_ref().map_or_else(|| json!({}), usage_object),
    })
}

fn reasoning(part: ReasoningPart<'_>) -> Value {
    match part {
        ReasoningPart::Shown(text, signature) => {
            let signature = signature.map_or("", |signature| signature.value.as_str());
            json!({ "type": "thinking", "thinking": text, "signature": signature })
        }
        ReasoningPart::Encrypted(signature) => {
            json!({ "type": "redacted_thinking", "data": signature.value })
        }
    }
}
