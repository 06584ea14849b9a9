//! An answer that is written as one document: what the dialects share.

use serde_json::{Value, json};

use crate::delta::{Signature, SignatureKind};
use crate::response::Choice;

/// Reasoning that one signature is for, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thought<'a> {
    /// What can be read, and what vouches for it.
    Shown(&'a str, Option<&'a Signature>),
    /// What cannot be read.
    Sealed(&'a Signature),
}

/// The reasoning of a choice, in order.
pub(crate) fn thoughts(choice: &Choice) -> Vec<Thought<'_>> {
    let mut thoughts = Vec::new();
    let mut start = 0;
    for placed in choice.signatures.iter().filter(|placed| placed.signature.tool_call.is_none()) {
        let text = choice.reasoning.get(start..placed.reasoning_end).unwrap_or_default();
        start = placed.reasoning_end;
        if placed.signature.kind == SignatureKind::Signed {
            thoughts.push(Thought::Shown(text, Some(&placed.signature)));
            continue;
        }
        if !text.is_empty() {
            thoughts.push(Thought::Shown(text, None));
        }
        thoughts.push(Thought::Sealed(&placed.signature));
    }
    let rest = choice.reasoning.get(start..).unwrap_or_default();
    if !rest.is_empty() {
        thoughts.push(Thought::Shown(rest, None));
    }
    thoughts
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
