//! A response that is not streamed: the same object that the last event of a stream contains.

use serde_json::Value;

use super::Encoder;
use crate::delta::{Delta, DeltaKind, ToolCallStart};
use crate::encode::{Head, ReasoningPart, reasoning_parts};
use crate::response::{Choice, Response};

/// The JSON document of a response: its first choice, or its error.
pub(crate) fn document(head: &Head, response: &Response) -> Value {
    let mut encoder = Encoder::new(head.clone());
    let none = Choice::default();
    if let Some(error) = response.error.clone() {
        return last_response(encoder.encode(&Delta::first(DeltaKind::Error(Box::new(error)))));
    }
    let usage = response.usage.clone().map(|usage| DeltaKind::Usage(Box::new(usage)));
    for kind in kinds(response.first().unwrap_or(&none)).into_iter().chain(usage) {
        encoder.encode(&Delta::first(kind));
    }
    last_response(encoder.finish())
}

/// The response in the last of these events.
fn last_response(events: Vec<Value>) -> Value {
    events.into_iter().next_back().map(|mut end| end["response"].take()).unwrap_or_default()
}

/// The deltas that make up a choice, as few as possible.
fn kinds(choice: &Choice) -> Vec<DeltaKind> {
    let mut kinds = Vec::new();
    for part in reasoning_parts(choice) {
        let (text, signature) = match part {
            ReasoningPart::Shown(text, signature) => (text, signature),
            ReasoningPart::Encrypted(signature) => ("", Some(signature)),
        };
        kinds.push(DeltaKind::Reasoning(text.into()));
        kinds.extend(signature.cloned().map(|signature| DeltaKind::Signature(Box::new(signature))));
    }
    kinds.push(DeltaKind::Text(choice.text.as_str().into()));
    kinds.push(DeltaKind::Refusal(choice.refusal.as_str().into()));
    kinds.retain(|kind| !matches!(kind, DeltaKind::Reasoning(text) | DeltaKind::Text(text) | DeltaKind::Refusal(text) if text.is_empty()));
    for (index, call) in (0..).zip(&choice.tool_calls) {
        let start = ToolCallStart { index, id: call.id.clone(), name: call.name.clone() };
        kinds.push(DeltaKind::ToolCallStart(Box::new(start)));
        kinds.push(DeltaKind::ToolCallArguments { index, fragment: call.arguments.as_str().into() });
        kinds.push(DeltaKind::ToolCallEnd { index });
    }
    kinds.extend(choice.finish.clone().map(|finish| DeltaKind::Finish(Box::new(finish))));
    kinds
}
