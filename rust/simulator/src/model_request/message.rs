//! The messages of a conversation, with the roles that a script uses: `system`, `user`, `assistant`, `tool`, and any
//! other that OpenAI chat allows.

use std::borrow::Cow;

use serde_json::Value;

/// One message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'b> {
    pub(super) role: &'b str,
    content: &'b Value,
    /// It belongs to the same answer as the one before: OpenAI responses list the items of an answer separately.
    continues: bool,
}

impl<'b> Message<'b> {
    pub(super) const fn new(role: &'b str, content: &'b Value) -> Self {
        Self { role, content, continues: false }
    }

    /// The same message, given the messages before it.
    pub(super) fn after(self, before: &[Self]) -> Self {
        let continues = self.role == ASSISTANT && before.last().is_some_and(|last| last.role == ASSISTANT);
        Self { continues, ..self }
    }

    /// Whether it is the first item of an answer.
    pub(super) fn begins_answer(&self) -> bool {
        self.role == ASSISTANT && !self.continues
    }

    /// Its texts.
    pub(super) fn texts(&self) -> Vec<Cow<'b, str>> {
        let mut found = Vec::new();
        texts(self.content, &mut found);
        found
    }
}

/// The role of the model.
pub(super) const ASSISTANT: &str = "assistant";
/// The role of a tool's result.
pub(super) const TOOL: &str = "tool";

/// The texts of a message's content: a string, or a list of parts, some of which have text or a tool's result.
fn texts<'b>(content: &'b Value, found: &mut Vec<Cow<'b, str>>) {
    match content {
        Value::String(text) => found.push(text.into()),
        Value::Array(parts) => {
            for part in parts.iter().filter(|part| part.is_object()) {
                texts(part, found);
            }
        }
        Value::Object(part) => {
            let text = part.get("text").and_then(Value::as_str);
            found.extend(text.map(Cow::from));
            for name in ["content", "parts", "toolResult"] {
                part.get(name).into_iter().for_each(|inner| texts(inner, found));
            }
            // A result that is JSON counts as its JSON text.
            let json =
                part.get("functionResponse").map(|response| &response["response"]).or(part.get("json"));
            found.extend(json.map(|json| Cow::from(json.to_string())));
        }
        _ => {}
    }
}
