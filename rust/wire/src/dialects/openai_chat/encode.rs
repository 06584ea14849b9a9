//! Deltas → OpenAI chat chunks.

use serde_json::{Map, Value, json};

use crate::delta::{Delta, DeltaKind, ProviderError, Signature, SignatureKind, Usage};
use crate::encode::{call_signature, counts_object};
use crate::response::{Choice, Response};

/// Encodes one response as OpenAI chat chunks. It has no state: the encoding of a delta does not depend on earlier
/// ones.
#[derive(Debug, Clone)]
pub struct ChunkEncoder {
    /// The `id` of every chunk.
    pub id: String,
    /// The `model` of every chunk.
    pub model: String,
    /// The `created` time of every chunk, in seconds since 1970.
    pub created: u64,
}

impl ChunkEncoder {
    /// Appends the event of one delta to `out`. [`DeltaKind::ToolCallEnd`] has no event in this dialect.
    /// [`DeltaKind::Response`] becomes the first chunk, which has the role; id and model are those of the encoder.
    pub fn encode(&self, delta: &Delta, out: &mut Vec<u8>) {
        let body = match &delta.kind {
            DeltaKind::Text(text) => return self.piece(delta.choice, "content", text, out),
            DeltaKind::Reasoning(text) => return self.piece(delta.choice, "reasoning_content", text, out),
            DeltaKind::Refusal(text) => self.message(delta.choice, &json!({ "refusal": text })),
            DeltaKind::ToolCallStart(start) => {
                let function = json!({ "name": start.name, "arguments": "" });
                let call =
                    json!({ "index": start.index, "id": start.id, "type": "function", "function": function });
                self.message(delta.choice, &json!({ "tool_calls": [call] }))
            }
            DeltaKind::ToolCallArguments { index, fragment } => {
                let call = json!({ "index": index, "function": { "arguments": fragment } });
                self.message(delta.choice, &json!({ "tool_calls": [call] }))
            }
            DeltaKind::Logprobs(logprobs) => {
                let mut chunk = self.message(delta.choice, &json!({}));
                chunk["choices"][0]["logprobs"] = serde_json::from_str(logprobs).unwrap_or_default();
                chunk
            }
            DeltaKind::Signature(signature) => self.message(delta.choice, &signature_members(signature)),
            DeltaKind::Finish(finish) => self.choice(delta.choice, &json!({}), &json!(finish.raw)),
            DeltaKind::Usage(usage) => self.chunk(&json!([]), Some(usage)),
            DeltaKind::Response(_) => {
                self.message(delta.choice, &json!({ "role": "assistant", "content": "" }))
            }
            DeltaKind::Error(error) => json!({ "error": error_object(error) }),
            DeltaKind::ToolCallEnd { .. } => return,
        };
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(body.to_string().as_bytes());
        out.extend_from_slice(b"\n\n");
    }

    /// Appends the event of a piece of text. Nearly all events are such, so it is written without a tree of values; the
    /// members are in the order in which [`Value`] writes them.
    fn piece(&self, choice: u32, member: &str, text: &str, out: &mut Vec<u8>) {
        let Self { id, model, created } = self;
        out.extend_from_slice(b"data: {\"choices\":[{\"delta\":{\"");
        out.extend_from_slice(member.as_bytes());
        out.extend_from_slice(b"\":");
        write_string(text, out);
        out.extend_from_slice(format!("}},\"finish_reason\":null,\"index\":{choice}}}],").as_bytes());
        out.extend_from_slice(format!("\"created\":{created},\"id\":").as_bytes());
        write_string(id, out);
        out.extend_from_slice(b",\"model\":");
        write_string(model, out);
        out.extend_from_slice(b",\"object\":\"chat.completion.chunk\"}\n\n");
    }

    /// Appends the end marker, `[DONE]`.
    pub fn done(out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// The `chat.completion` object of a response that is not streamed.
    pub(crate) fn completion(&self, response: &Response) -> String {
        let choices: Vec<Value> = response.choices.iter().map(whole_choice).collect();
        let usage = response.usage.as_ref().map(usage_object);
        json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": choices, "usage": usage,
        })
        .to_string()
    }

    fn message(&self, index: u32, delta: &Value) -> Value {
        self.choice(index, delta, &Value::Null)
    }

    fn choice(&self, index: u32, delta: &Value, finish_reason: &Value) -> Value {
        self.chunk(&json!([{ "index": index, "delta": delta, "finish_reason": finish_reason }]), None)
    }

    fn chunk(&self, choices: &Value, usage: Option<&Usage>) -> Value {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if let (Some(usage), Value::Object(members)) = (usage, &mut chunk) {
            members.insert("usage".to_owned(), usage_object(usage));
        }
        chunk
    }
}

/// Appends a JSON string.
fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to a `Vec` does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// The signature of a call as Google sends it, of reasoning as `OpenRouter` does. OpenAI's client library requires an
/// index in every list.
fn signature_members(signature: &Signature) -> Value {
    let Signature { tool_call, value, .. } = signature;
    if let Some(index) = tool_call {
        return json!({ "tool_calls": [{ "index": index, "extra_content": extra_content(value) }] });
    }
    json!({ "reasoning_details": [detail(signature)] })
}

fn extra_content(signature: &str) -> Value {
    json!({ "google": { "thought_signature": signature } })
}

fn detail(signature: &Signature) -> Value {
    let Signature { kind, id, value, .. } = signature;
    let mut detail = match kind {
        SignatureKind::Signed => json!({ "type": "reasoning.text", "index": 0, "signature": value }),
        SignatureKind::Encrypted => json!({ "type": "reasoning.encrypted", "index": 0, "data": value }),
    };
    if let Some(id) = id {
        detail["id"] = json!(id);
    }
    detail
}

fn whole_choice(choice: &Choice) -> Value {
    let calls = choice.tool_calls.iter().enumerate().map(|(index, call)| {
        let function = json!({ "name": call.name, "arguments": call.arguments });
        let mut whole = json!({ "id": call.id, "type": "function", "function": function });
        if let Some(signature) = call_signature(choice, index) {
            whole["extra_content"] = extra_content(signature);
        }
        whole
    });
    let calls: Vec<Value> = calls.collect();
    let mut message = Map::from_iter([
        ("role".to_owned(), json!("assistant")),
        ("content".to_owned(), if choice.text.is_empty() { Value::Null } else { json!(choice.text) }),
    ]);
    if !choice.reasoning.is_empty() {
        message.insert("reasoning_content".to_owned(), json!(choice.reasoning));
    }
    let signatures = choice.signatures.iter().map(|placed| &placed.signature);
    let details: Vec<Value> =
        signatures.filter(|signature| signature.tool_call.is_none()).map(detail).collect();
    if !details.is_empty() {
        message.insert("reasoning_details".to_owned(), json!(details));
    }
    if !choice.refusal.is_empty() {
        message.insert("refusal".to_owned(), json!(choice.refusal));
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), json!(calls));
    }
    let finish_reason = choice.finish.as_ref().map(|finish| &finish.raw);
    json!({ "index": choice.index, "message": message, "finish_reason": finish_reason })
}

fn usage_object(usage: &Usage) -> Value {
    let mut object = counts_object([
        ("prompt_tokens", usage.input_tokens),
        ("completion_tokens", usage.output_tokens),
        ("total_tokens", usage.total_tokens),
    ]);
    let prompt = counts_object([
        ("cached_tokens", usage.cached_tokens),
        ("cache_write_tokens", usage.cache_write_tokens),
    ]);
    let completion = counts_object([("reasoning_tokens", usage.reasoning_tokens)]);
    for (name, details) in [("prompt_tokens_details", prompt), ("completion_tokens_details", completion)] {
        if details.as_object().is_some_and(|details| !details.is_empty()) {
            object[name] = details;
        }
    }
    object
}

fn error_object(error: &ProviderError) -> Value {
    json!({ "message": error.message, "type": error.kind, "code": error.code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_written_as_a_tree_of_values_would_be() {
        let encoder = ChunkEncoder { id: "a\"b".to_owned(), model: "m\\n\u{7}".to_owned(), created: 7 };
        for text in ["", "plain", "\"quoted\" \\ / \n\t\u{1}\u{7f}", "é “x” \u{1f600} \u{2028}"] {
            for (member, kind) in [
                ("content", DeltaKind::Text(text.into())),
                ("reasoning_content", DeltaKind::Reasoning(text.into())),
            ] {
                let mut written = Vec::new();
                encoder.encode(&Delta { choice: 3, kind }, &mut written);
                let tree = encoder.message(3, &json!({ member: text }));
                assert_eq!(String::from_utf8(written).unwrap(), format!("data: {tree}\n\n"));
            }
        }
    }
}
