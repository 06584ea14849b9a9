//! Deltas → the messages of `ConverseStream`; Anthropic's events → the messages of `InvokeModelWithResponseStream`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::converse::REASONS;
use crate::delta::{Delta, DeltaKind, ProviderError, Signature, SignatureKind, ToolCallStart, Usage};
use crate::encode::{Blocks, Section, counts_object};
use crate::framing::aws_event_stream::write_message;

/// Encodes one response as messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoder {
    started: bool,
    blocks: Blocks,
}

impl Encoder {
    /// Appends the messages of a delta. There is only one choice; deltas of others are left out. A refusal is sent as
    /// text.
    pub(crate) fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        if delta.choice == 0 {
            self.start(out);
            self.encode_kind(&delta.kind, out);
        }
    }

    /// Appends the ends of the content blocks that are still open.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.close_all(out);
    }

    fn encode_kind(&mut self, kind: &DeltaKind, out: &mut Vec<u8>) {
        match kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => {
                let index = self.open_section(Section::Text, out);
                write_delta(index, &json!({ "text": text }), out);
            }
            DeltaKind::Reasoning(text) => {
                let index = self.open_section(Section::Reasoning, out);
                write_delta(index, &json!({ "reasoningContent": { "text": text } }), out);
            }
            DeltaKind::Signature(signature) => self.signature(signature, out),
            DeltaKind::ToolCallStart(start) => self.begin_call(start, out),
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(index) = self.blocks.call(*index) {
                    write_delta(index, &json!({ "toolUse": { "input": fragment } }), out);
                }
            }
            DeltaKind::ToolCallEnd { index } => write_stop(self.blocks.end_call(*index), out),
            DeltaKind::Finish(finish) => {
                self.close_all(out);
                write_event("messageStop", &json!({ "stopReason": REASONS.write(finish) }), out);
            }
            DeltaKind::Usage(usage) => {
                let metadata = json!({ "usage": usage_object(usage), "metrics": { "latencyMs": 0 } });
                write_event("metadata", &metadata, out);
            }
            DeltaKind::Error(error) => write_exception(error, out),
            DeltaKind::Logprobs(_) | DeltaKind::Response(_) => {}
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            write_event("messageStart", &json!({ "role": "assistant" }), out);
        }
    }

    /// The index of the open block if it is of this section, or else of a new one.
    fn open_section(&mut self, section: Section, out: &mut Vec<u8>) -> u64 {
        self.blocks.current(section).unwrap_or_else(|| {
            self.close_section(out);
            self.blocks.open(section)
        })
    }

    /// A signature ends its block. Tool calls have no signatures in this dialect.
    fn signature(&mut self, signature: &Signature, out: &mut Vec<u8>) {
        if signature.tool_call.is_some() {
            return;
        }
        let member = match signature.kind {
            SignatureKind::Signed => "signature",
            SignatureKind::Encrypted => {
                self.close_section(out);
                "redactedContent"
            }
        };
        let index = self.open_section(Section::Reasoning, out);
        write_delta(index, &json!({ "reasoningContent": { member: signature.value } }), out);
        self.close_section(out);
    }

    fn begin_call(&mut self, call: &ToolCallStart, out: &mut Vec<u8>) {
        if self.blocks.call(call.index).is_some() {
            return;
        }
        self.close_section(out);
        let id = call.id.as_deref().map_or_else(|| format!("tooluse_{}", call.index), str::to_owned);
        let index = self.blocks.open_call(call.index);
        let start = json!({ "toolUse": { "toolUseId": id, "name": call.name } });
        write_event("contentBlockStart", &json!({ "contentBlockIndex": index, "start": start }), out);
    }

    fn close_section(&mut self, out: &mut Vec<u8>) {
        write_stop(self.blocks.close_section().map(|(_, index)| index), out);
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        self.close_section(out);
        while let Some(index) = self.blocks.end_oldest_call() {
            write_stop(Some(index), out);
        }
    }
}

/// Appends each event as the base64 payload of a `chunk` message.
pub(crate) fn write_chunks(events: &[Value], out: &mut Vec<u8>) {
    for event in events {
        write_event("chunk", &json!({ "bytes": STANDARD.encode(event.to_string()) }), out);
    }
}

fn write_delta(index: u64, delta: &Value, out: &mut Vec<u8>) {
    write_event("contentBlockDelta", &json!({ "contentBlockIndex": index, "delta": delta }), out);
}

fn write_stop(index: Option<u64>, out: &mut Vec<u8>) {
    if let Some(index) = index {
        write_event("contentBlockStop", &json!({ "contentBlockIndex": index }), out);
    }
}

fn write_event(kind: &str, payload: &Value, out: &mut Vec<u8>) {
    let headers = [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    write_message(&headers, payload.to_string().as_bytes(), out);
}

fn write_exception(error: &ProviderError, out: &mut Vec<u8>) {
    let kind = error.kind.as_deref().unwrap_or("modelStreamErrorException");
    let headers =
        [(":exception-type", kind), (":content-type", "application/json"), (":message-type", "exception")];
    let mut payload = json!({ "message": error.message });
    if let Some(status) = error.status {
        payload["originalStatusCode"] = json!(status);
    }
    write_message(&headers, payload.to_string().as_bytes(), out);
}

pub(super) fn usage_object(usage: &Usage) -> Value {
    counts_object([
        ("inputTokens", usage.input_tokens),
        ("outputTokens", usage.output_tokens),
        ("totalTokens", usage.total_tokens),
        ("cacheReadInputTokens", usage.cached_tokens),
        ("cacheWriteInputTokens", usage.cache_write_tokens),
    ])
}
