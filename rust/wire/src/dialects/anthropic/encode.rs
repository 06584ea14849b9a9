//! Deltas → the events of a message, as JSON that includes the event's type. Anthropic sends it over SSE, Bedrock in
//! the AWS event stream.

use serde_json::{Value, json};

use super::REASONS;
use crate::delta::{Delta, DeltaKind, Finish, Signature, SignatureKind, ToolCallStart, Usage};
use crate::encode::{Blocks, Head, Section, counts_object};

/// Encodes one message as events.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    head: Head,
    started: bool,
    blocks: Blocks,
    /// Sent together with the usage.
    finish: Option<Finish>,
    events: Vec<Value>,
}

impl Encoder {
    /// An encoder for one message.
    pub(crate) fn new(head: Head) -> Self {
        Self { head, started: false, blocks: Blocks::default(), finish: None, events: Vec::new() }
    }

    /// The events of a delta. A message has only one choice; deltas of others are left out. A refusal is sent as text.
    pub(crate) fn encode(&mut self, delta: &Delta) -> Vec<Value> {
        if delta.choice == 0 {
            self.start();
            self.encode_kind(&delta.kind);
        }
        std::mem::take(&mut self.events)
    }

    /// The events that are still due, and `message_stop`.
    pub(crate) fn finish(&mut self) -> Vec<Value> {
        self.start();
        self.close_all();
        if self.finish.is_some() {
            // Anthropic's client libraries require a count here.
            self.message_delta(&json!({ "output_tokens": 0 }));
        }
        self.events.push(json!({ "type": "message_stop" }));
        std::mem::take(&mut self.events)
    }

    fn encode_kind(&mut self, kind: &DeltaKind) {
        match kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => {
                let index = self.open_section(Section::Text);
                self.delta(index, &json!({ "type": "text_delta", "text": text }));
            }
            DeltaKind::Reasoning(text) => {
                let index = self.open_section(Section::Reasoning);
                self.delta(index, &json!({ "type": "thinking_delta", "thinking": text }));
            }
            DeltaKind::Signature(signature) => self.signature(signature),
            DeltaKind::ToolCallStart(start) => self.begin_call(start),
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(index) = self.blocks.call(*index) {
                    self.delta(index, &json!({ "type": "input_json_delta", "partial_json": fragment }));
                }
            }
            DeltaKind::ToolCallEnd { index } => {
                let block = self.blocks.end_call(*index);
                self.stop(block);
            }
            DeltaKind::Finish(finish) => {
                self.close_all();
                self.finish = Some((**finish).clone());
            }
            DeltaKind::Usage(usage) => self.message_delta(&usage_object(usage)),
            DeltaKind::Error(error) => {
                let kind = error.kind.as_deref().unwrap_or("api_error");
                let error = json!({ "type": kind, "message": error.message });
                self.events.push(json!({ "type": "error", "error": error }));
            }
            DeltaKind::Logprobs(_) | DeltaKind::Response(_) => {}
        }
    }

    fn start(&mut self) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let Head { id, model, input_tokens, .. } = &self.head;
        // Anthropic counts the first output token here.
        let output_tokens = input_tokens.map(|_| 1);
        let usage = counts_object([("input_tokens", *input_tokens), ("output_tokens", output_tokens)]);
        let message = json!({
            "id": id, "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": usage,
        });
        self.events.push(json!({ "type": "message_start", "message": message }));
    }

    /// The index of the open block if it is of this section, or else of a new one.
    fn open_section(&mut self, section: Section) -> u64 {
        if let Some(index) = self.blocks.current(section) {
            return index;
        }
        self.close_section();
        let index = self.blocks.open(section);
        let block = match section {
            Section::Reasoning => json!({ "type": "thinking", "thinking": "", "signature": "" }),
            Section::Text | Section::Refusal => json!({ "type": "text", "text": "" }),
        };
        self.block(index, &block);
        index
    }

    /// A signature ends its block.
    fn signature(&mut self, signature: &Signature) {
        match (signature.kind, signature.tool_call) {
            (SignatureKind::Signed, None) => {
                let index = self.open_section(Section::Reasoning);
                self.delta(index, &json!({ "type": "signature_delta", "signature": signature.value }));
                self.close_section();
            }
            (SignatureKind::Encrypted, None) => {
                self.close_section();
                let index = self.blocks.next_index();
                self.block(index, &json!({ "type": "redacted_thinking", "data": signature.value }));
                self.stop(Some(index));
            }
            // Tool calls have no signatures in this dialect.
            (_, Some(_)) => {}
        }
    }

    fn begin_call(&mut self, call: &ToolCallStart) {
        if self.blocks.call(call.index).is_some() {
            return;
        }
        self.close_section();
        let id = call.id.as_deref().map_or_else(|| format!("toolu_{}", call.index), str::to_owned);
        let index = self.blocks.open_call(call.index);
        self.block(index, &json!({ "type": "tool_use", "id": id, "name": call.name, "input": {} }));
    }

    fn close_section(&mut self) {
        let block = self.blocks.close_section().map(|(_, index)| index);
        self.stop(block);
    }

    /// Stops all blocks that are open.
    fn close_all(&mut self) {
        self.close_section();
        while let Some(index) = self.blocks.end_oldest_call() {
            self.stop(Some(index));
        }
    }

    fn block(&mut self, index: u64, block: &Value) {
        self.events.push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
    }

    fn delta(&mut self, index: u64, delta: &Value) {
        self.events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
    }

    fn stop(&mut self, index: Option<u64>) {
        self.events.extend(index.map(|index| json!({ "type": "content_block_stop", "index": index })));
    }

    /// A `message_delta` event: the usage, and the stop reason if it was not sent yet.
    fn message_delta(&mut self, usage: &Value) {
        let delta = self.finish.take().map_or_else(
            || json!({}),
            |finish| json!({ "stop_reason": REASONS.write(&finish), "stop_sequence": null }),
        );
        self.events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    }
}

pub(super) fn usage_object(usage: &Usage) -> Value {
    let mut object = counts_object([
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("cache_read_input_tokens", usage.cached_tokens),
        ("cache_creation_input_tokens", usage.cache_write_tokens),
    ]);
    if let Some(tokens) = usage.reasoning_tokens {
        object["output_tokens_details"] = json!({ "thinking_tokens": tokens });
    }
    object
}
