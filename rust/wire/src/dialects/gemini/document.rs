//! A response that is not streamed, as `generateContent` sends it.

use serde_json::{Value, json};

use super::REASONS;
use super::encode::usage_object;
use crate::encode::{
    Head, ReasoningPart, call_signature, parse_arguments, reasoning_parts, text_and_refusal,
};
use crate::response::{Choice, Response};

/// The JSON document of a response, with all its choices.
pub(crate) fn document(head: &Head, response: &Response) -> Value {
    let candidates: Vec<Value> = response.choices.iter().map(candidate).collect();
    let mut document = json!({ "candidates": candidates, "modelVersion": head.model, "responseId": head.id });
    if let Some(usage) = &response.usage {
        document["usageMetadata"] = usage_object(usage);
    }
    document
}

fn candidate(choice: &Choice) -> Value {
    let mut parts: Vec<Value> = reasoning_parts(choice).into_iter().flat_map(reasoning).collect();
    let text = text_and_refusal(choice);
    if !text.is_empty() {
        parts.push(json!({ "text": text }));
    }
    for (index, call) in choice.tool_calls.iter().enumerate() {
        let mut function = json!({ "name": call.name, "args": parse_arguments(&call.arguments) });
        if let Some(id) = &call.id {
            function["id"] = json!(id);
        }
        let mut part = json!({ "functionCall": function });
        if let Some(signature) = call_signature(choice, index) {
            part["thoughtSignature"] = json!(signature);
        }
        parts.push(part);
    }
    json!({
        "content": { "role": "model", "parts": parts }, "index": choice.index,
        "finishReason": choice.finish.as_ref().map(|finish| REASONS.write(finish)),
    })
}

/// A part with the reasoning, and a part with its signature.
fn reasoning(part: ReasoningPart<'_>) -> Vec<Value> {
    let (text, signature) = match part {
        ReasoningPart::Shown(text, signature) => (text, signature),
        ReasoningPart::Encrypted(signature) => ("", Some(signature)),
    };
    let shown = (!text.is_empty()).then(|| json!({ "text": text, "thought": true }));
    let signed = signature.map(|signature| json!({ "text": "", "thoughtSignature": signature.value }));
    shown.into_iter().chain(signed).collect()
}
