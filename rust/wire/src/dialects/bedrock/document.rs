//! A response that is not streamed, as `Converse` sends it.

use serde_json::{Value, json};

use super::converse::REASONS;
use super::encode::usage_object;
use crate::encode::{ReasoningPart, parse_arguments, reasoning_parts, text_and_refusal};
use crate::response::{Choice, Response};

/// The JSON document of a response: its first choice.
pub(crate) fn document(response: &Response) -> Value {
    let none = Choice::default();
    let choice = response.first().unwrap_or(&none);
    let mut content: Vec<Value> = reasoning_parts(choice).into_iter().map(reasoning).collect();
    let text = text_and_refusal(choice);
    if !text.is_empty() {
        content.push(json!({ "text": text }));
    }
    for (index, call) in choice.tool_calls.iter().enumerate() {
        let id = call.id.as_deref().map_or_else(|| format!("tooluse_{index}"), str::to_owned);
        let input = parse_arguments(&call.arguments);
        content.push(json!({ "toolUse": { "toolUseId": id, "name": call.name, "input": input } }));
    }
    let usage = response.usage.as_ref().map_or_else(|| json!({}), usage_object);
    json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": choice.finish.as_ref().map(|finish| REASONS.write(finish)),
        "usage": usage,
        "metrics": { "latencyMs": 0 },
    })
}

fn reasoning(part: ReasoningPart<'_>) -> Value {
    let content = match part {
        ReasoningPart::Shown(text, signature) => {
            let mut reasoning = json!({ "text": text });
            if let Some(signature) = signature {
                reasoning["signature"] = json!(signature.value);
            }
            json!({ "reasoningText": reasoning })
        }
        ReasoningPart::Encrypted(signature) => json!({ "redactedContent": signature.value }),
    };
    json!({ "reasoningContent": content })
}
