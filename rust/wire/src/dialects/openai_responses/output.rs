//! The output items of a response, for the encoder.

use serde_json::{Value, json};

use crate::delta::{Signature, ToolCallStart};
use crate::encode::Section;

/// The names of the events and members of one kind of item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The type of its delta events.
    pub(super) delta: &'static str,
    /// The type of the event that repeats the whole.
    pub(super) done: &'static str,
    /// The member of `done` that holds the whole.
    pub(super) member: &'static str,
    /// The type of the events of the item's only part, without `.added` and `.done`; `None` if it has no parts.
    pub(super) part: Option<&'static str>,
    /// The member that holds the index of the part.
    pub(super) part_index: Option<&'static str>,
    /// Whether its events have a list of log probabilities. It is empty, but OpenAI's client library requires it.
    pub(super) has_logprobs: bool,
}

impl Shape {
    const TEXT: Self = Self {
        delta: "response.output_text.delta",
        done: "response.output_text.done",
        member: "text",
        part: Some("response.content_part"),
        part_index: Some("content_index"),
        has_logprobs: true,
    };
    const REFUSAL: Self = Self {
        delta: "response.refusal.delta",
        done: "response.refusal.done",
        member: "refusal",
        has_logprobs: false,
        ..Self::TEXT
    };
    const REASONING: Self = Self {
        delta: "response.reasoning_summary_text.delta",
        done: "response.reasoning_summary_text.done",
        member: "text",
        part: Some("response.reasoning_summary_part"),
        part_index: Some("summary_index"),
        has_logprobs: false,
    };
    pub(super) const CALL: Self = Self {
        delta: "response.function_call_arguments.delta",
        done: "response.function_call_arguments.done",
        member: "arguments",
        part: None,
        part_index: None,
        has_logprobs: false,
    };

    /// Adds the members that all events of this kind of item have.
    pub(super) fn complete(&self, mut event: Value) -> Value {
        if let Some(part_index) = self.part_index {
            event[part_index] = json!(0);
        }
        if self.has_logprobs {
            event["logprobs"] = json!([]);
        }
        event
    }

    pub(super) const fn of(section: Section) -> Self {
        match section {
            Section::Text => Self::TEXT,
            Section::Refusal => Self::REFUSAL,
            Section::Reasoning => Self::REASONING,
        }
    }
}

/// An output item, as far as it has been written.
#[derive(Debug, Clone)]
pub(super) struct OutputItem {
    kind: Kind,
    /// Its text, or the arguments of the call.
    pub(super) text: String,
}

#[derive(Debug, Clone)]
enum Kind {
    Section(Section),
    Call {
        id: String,
        name: String,
    },
    /// Reasoning with an encrypted form; its text may be empty.
    Encrypted {
        id: Option<String>,
        encrypted: String,
    },
}

impl OutputItem {
    pub(super) const fn section(section: Section) -> Self {
        Self { kind: Kind::Section(section), text: String::new() }
    }

    pub(super) fn call(start: &ToolCallStart) -> Self {
        let id = start.id.as_deref().map_or_else(|| format!("call_{}", start.index), str::to_owned);
        Self { kind: Kind::Call { id, name: start.name.to_string() }, text: String::new() }
    }

    /// Adds the encrypted form to a reasoning item.
    pub(super) fn set_encrypted(&mut self, signature: &Signature) {
        let id = signature.id.as_ref().map(ToString::to_string);
        self.kind = Kind::Encrypted { id, encrypted: signature.value.to_string() };
    }

    pub(super) const fn shape(&self) -> Shape {
        match &self.kind {
            Kind::Section(section) => Shape::of(*section),
            Kind::Encrypted { .. } => Shape::REASONING,
            Kind::Call { .. } => Shape::CALL,
        }
    }

    /// The id in the events of this item, which is the one at `index`.
    pub(super) fn id(&self, index: u64) -> String {
        match &self.kind {
            Kind::Section(Section::Text | Section::Refusal) => format!("msg_{index}"),
            Kind::Call { .. } => format!("fc_{index}"),
            Kind::Encrypted { id: Some(id), .. } => id.clone(),
            Kind::Section(Section::Reasoning) | Kind::Encrypted { id: None, .. } => format!("rs_{index}"),
        }
    }

    /// The item's only part, with this text.
    pub(super) fn part(&self, text: &str) -> Value {
        match &self.kind {
            Kind::Section(Section::Text) => {
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
            }
            Kind::Section(Section::Refusal) => json!({ "type": "refusal", "refusal": text }),
            _ => json!({ "type": "summary_text", "text": text }),
        }
    }

    /// The item as JSON.
    pub(super) fn json(&self, index: u64, status: &str) -> Value {
        let id = self.id(index);
        let parts = if self.text.is_empty() { json!([]) } else { json!([self.part(&self.text)]) };
        match &self.kind {
            Kind::Section(Section::Text | Section::Refusal) => json!({
                "id": id, "type": "message", "role": "assistant", "status": status, "content": parts,
            }),
            Kind::Section(Section::Reasoning) => json!({ "id": id, "type": "reasoning", "summary": parts }),
            Kind::Encrypted { encrypted, .. } => json!({
                "id": id, "type": "reasoning", "summary": parts, "encrypted_content": encrypted,
            }),
            Kind::Call { id: call_id, name } => json!({
                "id": id, "type": "function_call", "call_id": call_id, "name": name, "arguments": self.text,
                "status": status,
            }),
        }
    }
}
