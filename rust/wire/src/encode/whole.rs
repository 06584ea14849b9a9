//! What the dialects share to encode a response as one JSON document.

use serde_json::{Value, json};

use crate::delta::{Signature, SignatureKind};
use crate::response::{Choice, Thought};

/// A part of a choice's reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReasoningPart<'a> {
    /// Readable reasoning, and its signature.
    Shown(&'a str, Option<&'a Signature>),
    /// Encrypted reasoning.
    Encrypted(&'a Signature),
}

/// The parts of a choice's reasoning, in order.
pub(crate) fn reasoning_parts(choice: &Choice) -> Vec<ReasoningPart<'_>> {
    let mut reasoning_parts = Vec::new();
    let mut end = 0;
    for Thought { text, signature } in choice.thoughts() {
        end += text.len();
        if signature.kind == SignatureKind::Signed {
            reasoning_parts.push(ReasoningPart::Shown(text, Some(signature)));
            continue;
        }
        if !text.is_empty() {
            reasoning_parts.push(ReasoningPart::Shown(text, None));
        }
        reasoning_parts.push(ReasoningPart::Encrypted(signature));
    }
    let unsigned = &choice.reasoning[end..];
    if !unsigned.is_empty() {
        reasoning_parts.push(ReasoningPart::Shown(unsigned, None));
    }
    reasoning_parts
}

/// The signature of the tool call with this index.
pub(crate) fn call_signature(choice: &Choice, index: usize) -> Option<&str> {
    let is_of_call = |signature: &&Signature| signature.tool_call.map(|call| call as usize) == Some(index);
    let signature = choice.signatures.iter().map(|placed| &placed.signature).find(is_of_call);
    signature.map(|signature| signature.value.as_str())
}

/// The text of a choice for the dialects that send a refusal as text.
pub(crate) fn text_and_refusal(choice: &Choice) -> String {
    format!("{}{}", choice.text, choice.refusal)
}

/// The arguments of a tool call as JSON: an empty object if there are none, a string if they are not valid JSON.
pub(crate) fn parse_arguments(arguments: &str) -> Value {
    if arguments.is_empty() {
        return json!({});
    }
    serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments))
}
