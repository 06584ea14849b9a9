//! Deltas → events. Each item of an answer is announced, told piece by piece, and told again as a whole; the last event
//! repeats the response.

use serde_json::{Value, json};

use super::REASONS;
use super::output::{OutputItem, Shape};
use crate::delta::{Delta, DeltaKind, Finish, ProviderError, Signature, SignatureKind, Usage};
use crate::encode::{Blocks, Head, Section, known};

/// Writes the events of one response.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    head: Head,
    started: bool,
    blocks: Blocks,
    /// The output items: the number of a block is its place in this list.
    items: Vec<OutputItem>,
    /// Told in the last event, with the usage.
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

    /// The events of a delta. A response has one choice.
    pub(crate) fn encode(&mut self, delta: &Delta) -> Vec<Value> {
        if delta.choice == 0 {
            self.start();
            self.say(&delta.kind);
        }
        std::mem::take(&mut self.events)
    }

    /// The end marker, which repeats the response.
    pub(crate) fn finish(&mut self) -> Vec<Value> {
        self.start();
        self.close();
        let (status, details) = match self.finish.take() {
            Some(finish) if REASONS.write(&finish) != "completed" => {
                ("incomplete", json!({ "reason": REASONS.write(&finish) }))
            }
            _ => ("completed", Value::Null),
        };
        self.end(status, &details, &Value::Null);
        std::mem::take(&mut self.events)
    }

    fn say(&mut self, kind: &DeltaKind) {
        match kind {
            DeltaKind::Text(text) => self.piece(Section::Text, text),
            DeltaKind::Refusal(text) => self.piece(Section::Refusal, text),
            DeltaKind::Reasoning(text) => self.piece(Section::Reasoning, text),
            DeltaKind::Signature(signature) => self.sign(signature),
            DeltaKind::ToolCallStart(start) if self.blocks.call(start.index).is_none() => {
                self.leave();
                let index = self.blocks.open_call(start.index);
                self.announce(index, OutputItem::call(start));
            }
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(index) = self.blocks.call(*index) {
                    self.extend(index, Shape::CALL.delta, fragment);
                }
            }
            DeltaKind::ToolCallEnd { index } => {
                if let Some(index) = self.blocks.end_call(*index) {
                    self.done(index);
                }
            }
            DeltaKind::Finish(finish) => {
                self.close();
                self.finish = Some((**finish).clone());
            }
            DeltaKind::Usage(usage) => self.usage = Some((**usage).clone()),
            DeltaKind::Error(error) => {
                self.close();
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

    fn piece(&mut self, section: Section, text: &str) {
        let shape = Shape::of(section);
        let index = self.blocks.current(section).unwrap_or_else(|| self.open(section));
        if self.item(index).is_some_and(|item| item.said.is_empty()) {
            self.part(index, &shape, "added", "");
        }
        self.extend(index, shape.delta, text);
    }

    fn open(&mut self, section: Section) -> u64 {
        self.leave();
        let index = self.blocks.open(section);
        self.announce(index, OutputItem::section(section));
        index
    }

    /// Reasoning that cannot be read is a member of its item, which it ends. Other signatures have no place here.
    fn sign(&mut self, signature: &Signature) {
        if (signature.kind, signature.tool_call) != (SignatureKind::Encrypted, None) {
            return;
        }
        let section = Section::Reasoning;
        let index = self.blocks.current(section).unwrap_or_else(|| self.open(section));
        if let Some(item) = self.item(index) {
            item.seal(signature);
        }
        self.leave();
    }

    fn leave(&mut self) {
        if let Some((_, index)) = self.blocks.leave() {
            self.done(index);
        }
    }

    fn close(&mut self) {
        self.leave();
        while let Some(index) = self.blocks.end_oldest_call() {
            self.done(index);
        }
    }

    fn announce(&mut self, index: u64, item: OutputItem) {
        let json = item.json(index, "in_progress");
        self.items.push(item);
        self.event("response.output_item.added", json!({ "output_index": index, "item": json }));
    }

    fn extend(&mut self, index: u64, kind: &str, text: &str) {
        if let Some(item) = self.item(index) {
            item.said.push_str(text);
            let id = item.id(index);
            let shape = item.shape();
            let event = json!({ "item_id": id, "output_index": index, "delta": text });
            self.event(kind, shape.complete(event));
        }
    }

    /// Tells an item again as a whole.
    fn done(&mut self, index: u64) {
        let Some(item) = self.item(index) else { return };
        let (shape, said, id, whole) =
            (item.shape(), item.said.clone(), item.id(index), item.json(index, "completed"));
        if !said.is_empty() || shape.part.is_none() {
            let mut event = json!({ "item_id": id, "output_index": index, shape.member: said });
            if whole["name"].is_string() {
                event["name"] = whole["name"].clone();
            }
            self.event(shape.done, shape.complete(event));
            self.part(index, &shape, "done", &said);
        }
        self.event("response.output_item.done", json!({ "output_index": index, "item": whole }));
    }

    /// Announces the one part of an item, or tells it again.
    fn part(&mut self, index: u64, shape: &Shape, what: &str, text: &str) {
        let (Some(part), Some(place), Some(item)) = (shape.part, shape.place, self.item(index)) else {
            return;
        };
        let event = json!({
            "item_id": item.id(index), "output_index": index, place: 0, "part": item.part(text),
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
    let mut object = known([
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("total_tokens", usage.total_tokens),
    ]);
    object["input_tokens_details"] =
        known([("cached_tokens", usage.cached_tokens), ("cache_write_tokens", usage.cache_write_tokens)]);
    object["output_tokens_details"] = known([("reasoning_tokens", usage.reasoning_tokens)]);
    object
}

fn error_object(error: &ProviderError) -> Value {
    json!({ "code": error.code.as_deref().unwrap_or("server_error"), "message": error.message })
}
