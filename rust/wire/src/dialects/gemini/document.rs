//! What `generateContent` answers.

use serde_json::{Value, json};

use super::REASONS;
use super::encode::usage_object;
use crate::encode::{Head, Passage, call_signature, parsed, passages, said};
use crate::response::{Choice, Response};

/// The document of a response, all its choices.
pub(crate) fn document(head: &Head, response: &Response) -> Value {
    let candidates: Vec<Value> = response.choices.iter().map(candidate).collect();
    let mut document = json!({ "candidates": candidates, "modelVersion": head.model, "responseId": head.id });
    if let Some(usage) = &response.usage {
        document["usageMetadata"] = usage_object(usage);
    }
    document
}

fn candidate(choice: &Choice) -> Value {
    let mut parts: Vec<Value> = passages(choice).into_iter().flat_map(reasoning).collect();
    let text = said(choice);
    if !text.is_empty() {
        parts.push(json!({ "text": text }));
    }
    for (index, call) in choice.tool_calls.iter().enumerate() {
        let mut function = json!({ "name": call.name, "args": parsed(&call.arguments) });
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

/// What was thought, and after it the part that signs it.
fn reasoning(passage: Passage<'_>) -> Vec<Value> {
    let (text, signature) = match passage {
        Passage::Shown(text, signature) => (text, signature),
        Passage::Sealed(signature) => ("", Some(signature)),
    };
    let shown = (!text.is_empty()).then(|| json!({ "text": text, "thought": true }));
    let signed = signature.map(|signature| json!({ "text": "", "thoughtSignature": signature.value }));
    shown.into_iter().chain(signed).collect()
}
