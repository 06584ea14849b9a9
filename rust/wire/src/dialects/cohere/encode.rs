//! Deltas → events.

use serde_json::{Value, json};

use super::REASONS;
use crate::delta::{Delta, DeltaKind, Finish, FinishReason, ToolCallStart, Usage};
use crate::encode::{Blocks, Head, Section, counts_object};

/// Encodes one response as events.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    head: Head,
    started: bool,
    blocks: Blocks,
    /// Sent in the last event, with the usage.
    finish: Option<Finish>,
    usage: Option<Usage>,
    error: Option<String>,
    events: Vec<Value>,
}

impl Encoder {
    /// An encoder for one response.
    pub(crate) fn new(head: Head) -> Self {
        let (blocks, events) = (Blocks::default(), Vec::new());
        Self { head, started: false, blocks, finish: None, usage: None, error: None, events }
    }

    /// The events of a delta. There is only one choice; deltas of others are left out, and so are signatures. A
    /// refusal is sent as text.
    pub(crate) fn encode(&mut self, delta: &Delta) -> Vec<Value> {
        if delta.choice == 0 {
            self.start();
            self.encode_kind(&delta.kind);
        }
        std::mem::take(&mut self.events)
    }

    /// `message-end`, with the finish reason and the token counts.
    pub(crate) fn finish(&mut self) -> Vec<Value> {
        self.start();
        self.close_all();
        self.end();
        std::mem::take(&mut self.events)
    }

    fn encode_kind(&mut self, kind: &DeltaKind) {
        match kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => self.content(Section::Text, text),
            DeltaKind::Reasoning(text) => self.content(Section::Reasoning, text),
            DeltaKind::ToolCallStart(start) => self.begin_call(start),
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(index) = self.blocks.call(*index) {
                    let calls = json!({ "function": { "arguments": fragment } });
                    self.event("tool-call-delta", index, &json!({ "tool_calls": calls }));
                }
            }
            DeltaKind::ToolCallEnd { index } => {
                if let Some(index) = self.blocks.end_call(*index) {
                    self.events.push(json!({ "type": "tool-call-end", "index": index }));
                }
            }
            DeltaKind::Finish(finish) => {
                self.close_all();
                self.finish = Some((**finish).clone());
            }
            DeltaKind::Usage(usage) => self.usage = Some((**usage).clone()),
            DeltaKind::Error(error) => {
                self.close_all();
                let (reason, raw) = (FinishReason::Error, "ERROR".into());
                self.finish = Some(Finish::new(reason, raw));
                self.error = Some(error.message.clone());
                self.end();
            }
            DeltaKind::Logprobs(_) | DeltaKind::Signature(_) | DeltaKind::Response(_) => {}
        }
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            let message = json!({ "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": [] });
            let delta = json!({ "message": message });
            self.events.push(json!({ "type": "message-start", "id": self.head.id, "delta": delta }));
        }
    }

    fn content(&mut self, section: Section, text: &str) {
        let name = if section == Section::Reasoning { "thinking" } else { "text" };
        let index = self.blocks.current(section).unwrap_or_else(|| {
            self.close_section();
            let index = self.blocks.open(section);
            self.event("content-start", index, &json!({ "content": { "type": name, name: "" } }));
            index
        });
        self.event("content-delta", index, &json!({ "content": { name: text } }));
    }

    fn begin_call(&mut self, call: &ToolCallStart) {
        if self.blocks.call(call.index).is_some() {
            return;
        }
        self.close_section();
        let id = call.id.as_deref().map_or_else(|| format!("call_{}", call.index), str::to_owned);
        let function = json!({ "name": call.name, "arguments": "" });
        let index = self.blocks.open_call(call.index);
        let calls = json!({ "id": id, "type": "function", "function": function });
        self.event("tool-call-start", index, &json!({ "tool_calls": calls }));
    }

    fn close_section(&mut self) {
        if let Some((_, index)) = self.blocks.close_section() {
            self.events.push(json!({ "type": "content-end", "index": index }));
        }
    }

    /// Ends everything that is open.
    fn close_all(&mut self) {
        self.close_section();
        while let Some(index) = self.blocks.end_oldest_call() {
            self.events.push(json!({ "type": "tool-call-end", "index": index }));
        }
    }

    fn end(&mut self) {
        let reason = self.finish.take().unwrap_or(Finish::new(FinishReason::Stop, "COMPLETE".into()));
        let mut delta = json!({ "finish_reason": REASONS.write(&reason) });
        if let Some(error) = self.error.take() {
            delta["error"] = json!(error);
        }
        if let Some(usage) = self.usage.take() {
            delta["usage"] = usage_object(&usage);
        }
        self.events.push(json!({ "type": "message-end", "delta": delta }));
    }

    fn event(&mut self, kind: &str, index: u64, message: &Value) {
        self.events.push(json!({ "type": kind, "index": index, "delta": { "message": message } }));
    }
}

pub(super) fn usage_object(usage: &Usage) -> Value {
    let tokens =
        counts_object([("input_tokens", usage.input_tokens), ("output_tokens", usage.output_tokens)]);
    let mut object = counts_object([("cached_tokens", usage.cached_tokens)]);
    object["billed_units"] = tokens.clone();
    object["tokens"] = tokens;
    object
}
