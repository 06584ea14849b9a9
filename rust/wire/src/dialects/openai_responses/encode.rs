//! Deltas → events. Each output item has an event for its start, one for each delta, and one at its end that repeats
//! the whole item. The last event repeats the whole response.

use serde_json::{Value, json};

use super::REASONS;
use super::output::{OutputItem, Shape};
use crate::delta::{Delta, DeltaKind, Finish, ProviderError, Signature, SignatureKind, Usage};
use crate::encode::{Blocks, Head, Section, counts_object};

/// Encodes one response as events.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    head: Head,
    started: bool,
    blocks: Blocks,
    /// The output items. The index of a block is its position in this list.
    items: Vec<OutputItem>,
    /// Sent in the last event, with the usage.
    finish: Option<Finish>,
    usage: Option<Usage>,
    sequence: u64,
    events: Vec<Value>,
}

impl Encoder {
    /// An encoder for one response.
    pub(crate) fn new(head: Head) -> Self {
        let (blocks, items, events) = (Blocks::default(), Vec::new(), Vec::new());
        Self { head, started: false, blocks, items, finish: None, usage: None, sequence: 0, events }
    }

    /// The events of a delta. A response has only one choice; deltas of others are left out.
    pub(crate) fn encode(&mut self, delta: &Delta) -> Vec<Value> {
        if delta.choice == 0 {
            self.start();
            self.encode_kind(&delta.kind);
        }
        std::mem::take(&mut self.events)
    }

    /// The end marker, which contains the whole response.
    pub(crate) fn finish(&mut self) -> Vec<Value> {
        self.start();
        self.close_all();
        let (status, details) = match self.finish.take() {
            Some(finish) if REASONS.write(&finish) != "completed" => {
                ("incomplete", json!({ "reason": REASONS.write(&finish) }))
            }
            _ => ("completed", Value::Null),
        };
        self.end(status, &details, &Value::Null);
        std::mem::take(&mut self.events)
    }

    fn encode_kind(&mut self, kind: &DeltaKind) {
        match kind {
            DeltaKind::Text(text) => self.section_delta(Section::Text, text),
            DeltaKind::Refusal(text) => self.section_delta(Section::Refusal, text),
            DeltaKind::Reasoning(text) => self.section_delta(Section::Reasoning, text),
            DeltaKind::Signature(signature) => self.signature(signature),
            DeltaKind::ToolCallStart(start) if self.blocks.call(start.index).is_none() => {
                self.close_section();
                let index = self.blocks.open_call(start.index);
                self.add_item(index, OutputItem::call(start));
            }
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(index) = self.blocks.call(*index) {
                    self.append(index, Shape::CALL.delta, fragment);
                }
            }
            DeltaKind::ToolCallEnd { index } => {
                if let Some(index) = self.blocks.end_call(*index) {
                    self.finish_item(index);
                }
            }
            DeltaKind::Finish(finish) => {
                self.close_all();
                self.finish = Some((**finish).clone());
            }
            DeltaKind::Usage(usage) => self.usage = Some((**usage).clone()),
            DeltaKind::Error(error) => {
                self.close_all();
                self.end("failed", &Value::Null, &error_object(error));
            }
            DeltaKind::Logprobs(_) | DeltaKind::ToolCallStart(_) | DeltaKind::Response(_) => {}
        }
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.started, true) {
            for kind in ["response.created", "response.in_progress"] {
                let response = self.response("in_progress", &Value::Null, &Value::Null);
                self.event(kind, json!({ "response": response }));
            }
        }
    }

    fn section_delta(&mut self, section: Section, text: &str) {
        let shape = Shape::of(section);
        let index = self.blocks.current(section).unwrap_or_else(|| self.open(section));
        if self.item(index).is_some_and(|item| item.text.is_empty()) {
            self.part(index, &shape, "added", "");
        }
        self.append(index, shape.delta, text);
    }

    fn open(&mut self, section: Section) -> u64 {
        self.close_section();
        let index = self.blocks.open(section);
        self.add_item(index, OutputItem::section(section));
        index
    }

    /// Encrypted reasoning is a member of its item, and ends it. The dialect has no other signatures.
    fn signature(&mut self, signature: &Signature) {
        if (signature.kind, signature.tool_call) != (SignatureKind::Encrypted, None) {
            return;
        }
        let section = Section::Reasoning;
        let index = self.blocks.current(section).unwrap_or_else(|| self.open(section));
        if let Some(item) = self.item(index) {
            item.set_encrypted(signature);
        }
        self.close_section();
    }

    fn close_section(&mut self) {
        if let Some((_, index)) = self.blocks.close_section() {
            self.finish_item(index);
        }
    }

    /// Ends all items that are open.
    fn close_all(&mut self) {
        self.close_section();
        while let Some(index) = self.blocks.end_oldest_call() {
            self.finish_item(index);
        }
    }

    fn add_item(&mut self, index: u64, item: OutputItem) {
        let json = item.json(index, "in_progress");
        self.items.push(item);
        self.event("response.output_item.added", json!({ "output_index": index, "item": json }));
    }

    fn append(&mut self, index: u64, kind: &str, text: &str) {
        if let Some(item) = self.item(index) {
            item.text.push_str(text);
            let id = item.id(index);
            let shape = item.shape();
            let event = json!({ "item_id": id, "output_index": index, "delta": text });
            self.event(kind, shape.complete(event));
        }
    }

    /// Ends an item with events that repeat it as a whole.
    fn finish_item(&mut self, index: u64) {
        let Some(item) = self.item(index) else { return };
        let (shape, text, id, whole) =
            (item.shape(), item.text.clone(), item.id(index), item.json(index, "completed"));
        if !text.is_empty() || shape.part.is_none() {
            let mut event = json!({ "item_id": id, "output_index": index, shape.member: text });
            if whole["name"].is_string() {
                event["name"] = whole["name"].clone();
            }
            self.event(shape.done, shape.complete(event));
            self.part(index, &shape, "done", &text);
        }
        self.event("response.output_item.done", json!({ "output_index": index, "item": whole }));
    }

    /// The event for the start (`added`) or the end (`done`) of an item's only part.
    fn part(&mut self, index: u64, shape: &Shape, what: &str, text: &str) {
        let (Some(part), Some(part_index), Some(item)) = (shape.part, shape.part_index, self.item(index))
        else {
            return;
        };
        let event = json!({
            "item_id": item.id(index), "output_index": index, part_index: 0, "part": item.part(text),
        });
        self.event(&format!("{part}.{what}"), event);
    }

    fn item(&mut self, index: u64) -> Option<&mut OutputItem> {
        self.items.get_mut(usize::try_from(index).ok()?)
    }

    fn end(&mut self, status: &str, details: &Value, error: &Value) {
        let response = self.response(status, details, error);
        self.event(&format!("response.{status}"), json!({ "response": response }));
    }

    fn response(&self, status: &str, details: &Value, error: &Value) -> Value {
        let Head { id, model, created, .. } = &self.head;
        let output: Vec<Value> =
            (0..).zip(&self.items).map(|(index, item)| item.json(index, "completed")).collect();
        json!({
            "id": id, "object": "response", "created_at": created, "status": status, "model": model,
            "output": output, "error": error, "incomplete_details": details,
            "usage": self.usage.as_ref().map(usage_object),
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "metadata": {}, "instructions": null,
            "temperature": null, "top_p": null,
        })
    }

    fn event(&mut self, kind: &str, mut event: Value) {
        event["type"] = json!(kind);
        event["sequence_number"] = json!(self.sequence);
        self.sequence += 1;
        self.events.push(event);
    }
}

fn usage_object(usage: &Usage) -> Value {
    let mut object = counts_object([
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("total_tokens", usage.total_tokens),
    ]);
    object["input_tokens_details"] = counts_object([
        ("cached_tokens", usage.cached_tokens),
        ("cache_write_tokens", usage.cache_write_tokens),
    ]);
    object["output_tokens_details"] = counts_object([("reasoning_tokens", usage.reasoning_tokens)]);
    object
}

fn error_object(error: &ProviderError) -> Value {
    json!({ "code": error.code.as_deref().unwrap_or("server_error"), "message": error.message })
}
