//! Deltas → chunks.

use serde_json::{Value, json};

use super::REASONS;
use crate::delta::{Delta, DeltaKind, Finish, ProviderError, Usage};
use crate::encode::{Head, WholeCall, WholeCalls, counts_object};

/// Encodes one response as chunks.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    head: Head,
    calls: WholeCalls,
}

impl Encoder {
    /// An encoder for one response.
    pub(crate) fn new(head: Head) -> Self {
        Self { head, calls: WholeCalls::default() }
    }

    /// Appends the chunk of a delta. A tool call is sent when it ends. A refusal is sent as text.
    pub(crate) fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let choice = delta.choice;
        match &delta.kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => {
                self.part(choice, &json!({ "text": text }), out);
            }
            DeltaKind::Reasoning(text) => self.part(choice, &json!({ "text": text, "thought": true }), out),
            DeltaKind::Signature(signature) => match signature.tool_call {
                Some(index) => self.calls.set_signature(choice, index, &signature.value),
                None => {
                    self.part(choice, &json!({ "text": "", "thoughtSignature": signature.value }), out);
                }
            },
            DeltaKind::ToolCallStart(start) => self.calls.begin(choice, start),
            DeltaKind::ToolCallArguments { index, fragment } => self.calls.extend(choice, *index, fragment),
            DeltaKind::ToolCallEnd { index } => {
                if let Some(call) = self.calls.end(choice, *index) {
                    self.call(&call, out);
                }
            }
            DeltaKind::Finish(finish) => {
                self.close_all(Some(choice), out);
                self.end(choice, finish, out);
            }
            DeltaKind::Usage(usage) => self.chunk(json!({ "usageMetadata": usage_object(usage) }), out),
            DeltaKind::Error(error) => write_chunk(&error_object(error), out),
            // Id and model are in every chunk.
            DeltaKind::Logprobs(_) | DeltaKind::Response(_) => {}
        }
    }

    /// Appends the tool calls that were never ended.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.close_all(None, out);
    }

    fn close_all(&mut self, choice: Option<u32>, out: &mut Vec<u8>) {
        for call in self.calls.end_all(choice) {
            self.call(&call, out);
        }
    }

    fn call(&self, call: &WholeCall, out: &mut Vec<u8>) {
        let mut function = json!({ "name": call.name });
        if let Some(id) = &call.id {
            function["id"] = json!(id);
        }
        if let Some(arguments) = call.arguments() {
            function["args"] = arguments;
        }
        let mut part = json!({ "functionCall": function });
        if let Some(signature) = &call.signature {
            part["thoughtSignature"] = json!(signature);
        }
        self.part(call.choice, &part, out);
    }

    fn part(&self, choice: u32, part: &Value, out: &mut Vec<u8>) {
        let candidate = json!({ "content": { "role": "model", "parts": [part] }, "index": choice });
        self.chunk(json!({ "candidates": [candidate] }), out);
    }

    fn end(&self, choice: u32, finish: &Finish, out: &mut Vec<u8>) {
        let content = json!({ "role": "model", "parts": [{ "text": "" }] });
        let candidate = json!({ "content": content, "finishReason": REASONS.write(finish), "index": choice });
        self.chunk(json!({ "candidates": [candidate] }), out);
    }

    fn chunk(&self, mut chunk: Value, out: &mut Vec<u8>) {
        chunk["modelVersion"] = json!(self.head.model);
        chunk["responseId"] = json!(self.head.id);
        write_chunk(&chunk, out);
    }
}

fn write_chunk(chunk: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("data: {chunk}\r\n\r\n").as_bytes());
}

pub(super) fn usage_object(usage: &Usage) -> Value {
    counts_object([
        ("promptTokenCount", usage.input_tokens),
        ("candidatesTokenCount", usage.output_tokens),
        ("totalTokenCount", usage.total_tokens),
        ("cachedContentTokenCount", usage.cached_tokens),
        ("thoughtsTokenCount", usage.reasoning_tokens),
    ])
}

fn error_object(error: &ProviderError) -> Value {
    let status = error.kind.as_deref().unwrap_or("INTERNAL");
    json!({ "error": { "code": error.status.unwrap_or(500), "message": error.message, "status": status } })
}
