//! The items of a response's output, as they are written.

use serde_json::{Value, json};

use crate::delta::{Signature, ToolCallStart};
use crate::encode::Section;

/// The names of the events and members that tell one kind of item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The event of a piece.
    pub(super) delta: &'static str,
    /// The event of the whole.
    pub(super) done: &'static str,
    /// The member of `done` that holds the whole.
    pub(super) member: &'static str,
    /// The events of the item's one part, if it has parts, without `.added` and `.done`.
    pub(super) part: Option<&'static str>,
    /// The member that numbers the part.
    pub(super) place: Option<&'static str>,
    /// Both events have a list of log probabilities, which is empty: the official library wants one.
    pub(super) has_logprobs: bool,
}

impl Shape {
    const TEXT: Self = Self {
        delta: "response.output_text.delta",
        done: "response.output_text.done",
        member: "text",
        part: Some("response.content_part"),
        place: Some("content_index"),
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
        place: Some("summary_index"),
        has_logprobs: false,
    };
    pub(super) const CALL: Self = Self {
        delta: "response.function_call_arguments.delta",
        done: "response.function_call_arguments.done",
        member: "arguments",
        part: None,
        place: None,
        has_logprobs: false,
    };

    /// Adds to an event what all of this kind have.
    pub(super) fn complete(&self, mut event: Value) -> Value {
        if let Some(place) = self.place {
            event[place] = json!(0);
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

/// An item, as far as it has been told.
#[derive(Debug, Clone)]
pub(super) struct OutputItem {
    kind: Kind,
    /// The text, or the arguments.
    pub(super) said: String,
}

#[derive(Debug, Clone)]
enum Kind {
    Section(Section),
    Call {
        id: String,
        name: String,
    },
    /// Reasoning that cannot be read, or not only.
    Sealed {
        id: Option<String>,
        encrypted: String,
    },
}

impl OutputItem {
    pub(super) const fn section(section: Section) -> Self {
        Self { kind: Kind::Section(section), said: String::new() }
    }

    pub(super) fn call(start: &ToolCallStart) -> Self {
        let id = start.id.as_deref().map_or_else(|| format!("call_{}", start.index), str::to_owned);
        Self { kind: Kind::Call { id, name: start.name.to_string() }, said: String::new() }
    }

    /// Adds to reasoning what cannot be read.
    pub(super) fn seal(&mut self, signature: &Signature) {
        let id = signature.id.as_ref().map(ToString::to_string);
        self.kind = Kind::Sealed { id, encrypted: signature.value.to_string() };
    }

    pub(super) const fn shape(&self) -> Shape {
        match &self.kind {
            Kind::Section(section) => Shape::of(*section),
            Kind::Sealed { .. } => Shape::REASONING,
            Kind::Call { .. } => Shape::CALL,
        }
    }

    /// The id that the events of the item at `index` carry.
    pub(super) fn id(&self, index: u64) -> String {
        match &self.kind {
            Kind::Section(Section::Text | Section::Refusal) => format!("msg_{index}"),
            Kind::Call { .. } => format!("fc_{index}"),
            Kind::Sealed { id: Some(id), .. } => id.clone(),
            Kind::Section(Section::Reasoning) | Kind::Sealed { id: None, .. } => format!("rs_{index}"),
        }
    }

    /// The item's one part, with this text.
    pub(super) fn part(&self, text: &str) -> Value {
        match &self.kind {
            Kind::Section(Section::Text) => {
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
            }
            Kind::Section(Section::Refusal) => json!({ "type": "refusal", "refusal": text }),
            _ => json!({ "type": "summary_text", "text": text }),
        }
    }

    /// The item, as it stands.
    pub(super) fn json(&self, index: u64, status: &str) -> Value {
        let id = self.id(index);
        let parts = if self.said.is_empty() { json!([]) } else { json!([self.part(&self.said)]) };
        match &self.kind {
            Kind::Section(Section::Text | Section::Refusal) => json!({
                "id": id, "type": "message", "role": "assistant", "status": status, "content": parts,
            }),
            Kind::Section(Section::Reasoning) => json!({ "id": id, "type": "reasoning", "summary": parts }),
            Kind::Sealed { encrypted, .. } => json!({
                "id": id, "type": "reasoning", "summary": parts, "encrypted_content": encrypted,
            }),
            Kind::Call { id: call_id, name } => json!({
                "id": id, "type": "function_call", "call_id": call_id, "name": name, "arguments": self.said,
                "status": status,
            }),
        }
    }
}
