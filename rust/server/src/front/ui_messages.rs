//! The UI message stream of Vercel's AI SDK.
//!
//! Source: <https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol#data-stream-protocol>.

use headrace_wire::encode::Head;
use headrace_wire::{Delta, DeltaKind, FinishReason};
use serde_json::{Value, json};

use super::agui::parsed;
use super::calls::{OpenCall, OpenCalls};
use crate::protocol::{Notice, usage_object, write_event};

pub(crate) struct UiMessages {
    head: Head,
    started: bool,
    failed: bool,
    /// What is being written (`text` or `reasoning`), and the id of the part.
    open: Option<(&'static str, String)>,
    parts: u32,
    calls: OpenCalls,
    reason: &'static str,
    usage: Option<Value>,
}

impl UiMessages {
    pub(crate) fn new(head: Head) -> Self {
        let (started, failed, open, parts, reason) = (false, false, None, 0, "stop");
        Self { head, started, failed, open, parts, calls: OpenCalls::default(), reason, usage: None }
    }

    pub(crate) fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        self.start(out);
        match &delta.kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => self.piece("text", text, out),
            DeltaKind::Reasoning(text) => self.piece("reasoning", text, out),
            DeltaKind::ToolCallStart(start) => {
                if let Some(call) = self.calls.begin(start) {
                    self.close(out);
                    let event =
                        json!({ "type": "tool-input-start", "toolCallId": call.id, "toolName": call.name });
                    write_event(&event, out);
                }
            }
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(id) = self.calls.add(*index, fragment) {
                    let event = json!({
                        "type": "tool-input-delta", "toolCallId": id, "inputTextDelta": fragment.as_str(),
                    });
                    write_event(&event, out);
                }
            }
            DeltaKind::ToolCallEnd { index } => {
                if let Some(call) = self.calls.end(*index) {
                    called(&call, out);
                }
            }
            DeltaKind::Usage(usage) => self.usage = Some(usage_object(usage)),
            DeltaKind::Finish(finish) => {
                self.reason = match finish.reason {
                    FinishReason::Length => "length",
                    FinishReason::ToolCalls => "tool-calls",
                    FinishReason::ContentFilter => "content-filter",
                    _ => "stop",
                };
                self.close_all(out);
            }
            DeltaKind::Error(error) => {
                self.close_all(out);
                self.failed = true;
                write_event(&json!({ "type": "error", "errorText": error.message }), out);
            }
            DeltaKind::Logprobs(_) | DeltaKind::Signature(_) | DeltaKind::Response(_) => {}
        }
    }

    pub(crate) fn tell(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let call = &notice["call"];
        match notice["type"].as_str().unwrap_or_default() {
            "tool_call" => write_event(
                &json!({
                    "type": "tool-input-available", "toolCallId": call["id"], "toolName": call["name"],
                    "input": parsed(call["arguments"].as_str().unwrap_or_default()), "dynamic": true,
                }),
                out,
            ),
            "tool_result" if notice["error"].is_null() => write_event(
                &json!({
                    "type": "tool-output-available", "toolCallId": call["id"], "output": notice["content"],
                    "dynamic": true,
                }),
                out,
            ),
            "tool_result" => write_event(
                &json!({
                    "type": "tool-output-error", "toolCallId": call["id"], "errorText": notice["content"],
                    "dynamic": true,
                }),
                out,
            ),
            kind => write_event(
                &json!({ "type": format!("data-{}", kind.replace('_', "-")), "data": notice, "transient": true }),
                out,
            ),
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close_all(out);
        if !self.failed {
            write_event(&json!({ "type": "finish-step" }), out);
            let mut event = json!({ "type": "finish", "finishReason": self.reason });
            if let Some(usage) = self.usage.take() {
                event["messageMetadata"] = json!({ "usage": usage });
            }
            write_event(&event, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            write_event(&json!({ "type": "start", "messageId": self.head.id }), out);
            write_event(&json!({ "type": "start-step" }), out);
        }
    }

    fn piece(&mut self, kind: &'static str, text: &str, out: &mut Vec<u8>) {
        let id = match &self.open {
            Some((open, id)) if *open == kind => id.clone(),
            _ => self.open(kind, out),
        };
        write_event(&json!({ "type": format!("{kind}-delta"), "id": id, "delta": text }), out);
    }

    fn open(&mut self, kind: &'static str, out: &mut Vec<u8>) -> String {
        self.close(out);
        self.parts += 1;
        let id = format!("{kind}-{}", self.parts);
        write_event(&json!({ "type": format!("{kind}-start"), "id": id }), out);
        self.open = Some((kind, id.clone()));
        id
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some((kind, id)) = self.open.take() {
            write_event(&json!({ "type": format!("{kind}-end"), "id": id }), out);
        }
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        while let Some(call) = self.calls.end_first() {
            called(&call, out);
        }
    }
}

/// A call is whole.
fn called(call: &OpenCall, out: &mut Vec<u8>) {
    let input = parsed(&call.arguments);
    write_event(
        &json!({ "type": "tool-input-available", "toolCallId": call.id, "toolName": call.name, "input": input }),
        out,
    );
}
