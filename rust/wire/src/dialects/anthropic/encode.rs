//! Deltas → the events of a message. They are JSON that has its type in it: Bedrock frames it in another way.

use serde_json::{Value, json};

use super::REASONS;
use crate::delta::{Delta, DeltaKind, Finish, Signature, SignatureKind, ToolCallStart, Usage};
use crate::encode::{Blocks, Head, Section, known};

/// Writes the events of one message.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    head: Head,
    started: bool,
    blocks: Blocks,
    /// Told together with the usage.
    finish: Option<Finish>,
    events: Vec<Value>,
}

impl Encoder {
    /// An encoder for one message.
    pub(crate) fn new(head: Head) -> Self {
        Self { head, started: false, blocks: Blocks::default(), finish: None, events: Vec::new() }
    }

    /// The events of a delta. A message has one choice, and no word for a refusal but its text.
    pub(crate) fn encode(&mut self, delta: &Delta) -> Vec<Value> {
        if delta.choice == 0 {
            self.start();
            self.say(&delta.kind);
        }
        std::mem::take(&mut self.events)
    }

    /// What is left to say, and `message_stop`.
    pub(crate) fn finish(&mut self) -> Vec<Value> {
        self.start();
        self.close();
        if self.finish.is_some() {
            // The official libraries read a count here.
            self.change(&json!({ "output_tokens": 0 }));
        }
        self.events.push(json!({ "type": "message_stop" }));
        std::mem::take(&mut self.events)
    }

    fn say(&mut self, kind: &DeltaKind) {
        match kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => {
                let index = self.enter(Section::Text);
                self.delta(index, &json!({ "type": "text_delta", "text": text }));
            }
            DeltaKind::Reasoning(text) => {
                let index = self.enter(Section::Reasoning);
                self.delta(index, &json!({ "type": "thinking_delta", "thinking": text }));
            }
            DeltaKind::Signature(signature) => self.sign(signature),
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
                self.close();
                self.finish = Some((**finish).clone());
            }
            DeltaKind::Usage(usage) => self.change(&usage_object(usage)),
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
        // The first token is being made when this is sent.
        let output_tokens = input_tokens.map(|_| 1);
        let usage = known([("input_tokens", *input_tokens), ("output_tokens", output_tokens)]);
        let message = json!({
            "id": id, "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": usage,
        });
        self.events.push(json!({ "type": "message_start", "message": message }));
    }

    fn enter(&mut self, section: Section) -> u64 {
        if let Some(index) = self.blocks.current(section) {
            return index;
        }
        self.leave();
        let index = self.blocks.open(section);
        let block = match section {
            Section::Reasoning => json!({ "type": "thinking", "thinking": "", "signature": "" }),
            Section::Text | Section::Refusal => json!({ "type": "text", "text": "" }),
        };
        self.block(index, &block);
        index
    }

    /// The signature is the end of its block.
    fn sign(&mut self, signature: &Signature) {
        match (signature.kind, signature.tool_call) {
            (SignatureKind::Signed, None) => {
                let index = self.enter(Section::Reasoning);
                self.delta(index, &json!({ "type": "signature_delta", "signature": signature.value }));
                self.leave();
            }
            (SignatureKind::Encrypted, None) => {
                self.leave();
                let index = self.blocks.take();
                self.block(index, &json!({ "type": "redacted_thinking", "data": signature.value }));
                self.stop(Some(index));
            }
            // Calls are not signed in this dialect.
            (_, Some(_)) => {}
        }
    }

    fn begin_call(&mut self, call: &ToolCallStart) {
        if self.blocks.call(call.index).is_some() {
            return;
        }
        self.leave();
        let id = call.id.as_deref().map_or_else(|| format!("toolu_{}", call.index), str::to_owned);
        let index = self.blocks.open_call(call.index);
        self.block(index, &json!({ "type": "tool_use", "id": id, "name": call.name, "input": {} }));
    }

    fn leave(&mut self) {
        let block = self.blocks.leave().map(|(_, index)| index);
        self.stop(block);
    }

    fn close(&mut self) {
        self.leave();
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

    /// `message_delta`: the stop reason, if it is due, and the usage.
    fn change(&mut self, usage: &Value) {
        let delta = self.finish.take().map_or_else(
            || json!({}),
            |finish| json!({ "stop_reason": REASONS.write(&finish), "stop_sequence": null }),
        );
        self.events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    }
}

pub(super) fn usage_object(usage: &Usage) -> Value {
    let mut object = known([
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
