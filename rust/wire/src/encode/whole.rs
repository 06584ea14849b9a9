//! An answer that is written as one document: what the dialects share.

use serde_json::{Value, json};

use crate::delta::{Signature, SignatureKind};
use crate::response::{Choice, Thought};

/// A part of the reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage<'a> {
    /// What can be read, and what vouches for it.
    Shown(&'a str, Option<&'a Signature>),
    /// What cannot be read.
    Sealed(&'a Signature),
}

/// The reasoning of a choice, in order.
pub(crate) fn passages(choice: &Choice) -> Vec<Passage<'_>> {
    let mut passages = Vec::new();
    let mut end = 0;
    for Thought { text, signature } in choice.thoughts() {
        end += text.len();
        if signature.kind == SignatureKind::Signed {
            passages.push(Passage::Shown(text, Some(signature)));
            continue;
        }
        if !text.is_empty() {
            passages.push(Passage::Shown(text, None));
        }
        passages.push(Passage::Sealed(signature));
    }
    let unsigned = &choice.reasoning[end..];
    if !unsigned.is_empty() {
        passages.push(Passage::Shown(unsigned, None));
    }
    passages
}

/// The signature that came with a tool call.
pub(crate) fn call_signature(choice: &Choice, index: usize) -> Option<&str> {
    let of_this = |signature: &&Signature| signature.tool_call.map(|call| call as usize) == Some(index);
    let signature = choice.signatures.iter().map(|placed| &placed.signature).find(of_this);
    signature.map(|signature| signature.value.as_str())
}

/// What a choice says where there is no word for a refusal but its text.
pub(crate) fn said(choice: &Choice) -> String {
    format!("{}{}", choice.text, choice.refusal)
}

/// Arguments as an object. What is no JSON stays a string.
pub(crate) fn parsed(arguments: &str) -> Value {
    if arguments.is_empty() {
        return json!({});
    }
    serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments))
}
