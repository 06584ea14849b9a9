//! AG-UI's events.
//!
//! Source: <https://docs.ag-ui.com/concepts/events>; the types of the package `ag-ui-protocol` judge them in the tests.

use headrace_wire::encode::Head;
use headrace_wire::{Delta, DeltaKind, Usage};
use serde_json::{Value, json};

use super::calls::OpenCalls;
use crate::asked::Names;
use crate::protocol::{Notice, usage_object, write_event};

/// What is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Text,
    Reasoning,
}

pub(crate) struct AgUi {
    head: Head,
    thread: String,
    run: String,
    started: bool,
    failed: bool,
    /// What is being written, and the id of the message that it belongs to.
    open: Option<(Section, String)>,
    messages: u32,
    calls: OpenCalls,
    usage: Option<Usage>,
}

impl AgUi {
    pub(crate) fn new(head: Head, names: &Names) -> Self {
        let thread = names.thread.clone().unwrap_or_else(|| head.id.clone());
        let run = names.run.clone().unwrap_or_else(|| head.id.clone());
        let (started, failed, open, messages) = (false, false, None, 0);
        Self { head, thread, run, started, failed, open, messages, calls: OpenCalls::default(), usage: None }
    }

    pub(crate) fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        self.start(out);
        match &delta.kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => self.piece(Section::Text, text, out),
            DeltaKind::Reasoning(text) => self.piece(Section::Reasoning, text, out),
            DeltaKind::ToolCallStart(start) => {
                if let Some(call) = self.calls.begin(start) {
                    self.close(out);
                    write_event(
                        &json!({ "type": "TOOL_CALL_START", "toolCallId": call.id, "toolCallName": call.name }),
                        out,
                    );
                }
            }
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(id) = self.calls.add(*index, fragment) {
                    let event =
                        json!({ "type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": fragment.as_str() });
                    write_event(&event, out);
                }
            }
            DeltaKind::ToolCallEnd { index } => {
                if let Some(call) = self.calls.end(*index) {
                    write_event(&json!({ "type": "TOOL_CALL_END", "toolCallId": call.id }), out);
                }
            }
            DeltaKind::Usage(usage) => self.usage = Some((**usage).clone()),
            DeltaKind::Error(error) => {
                self.close_all(out);
                self.failed = true;
                write_event(
                    &json!({ "type": "RUN_ERROR", "message": error.message, "code": error.kind }),
                    out,
                );
            }
            DeltaKind::Finish(_) => self.close_all(out),
            DeltaKind::Logprobs(_) | DeltaKind::Signature(_) | DeltaKind::Response(_) => {}
        }
    }

    pub(crate) fn tell(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let call = &notice["call"];
        match notice["type"].as_str().unwrap_or_default() {
            "tool_call" => {
                let id = &call["id"];
                for event in [
                    json!({ "type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": call["name"] }),
                    json!({ "type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": call["arguments"] }),
                    json!({ "type": "TOOL_CALL_END", "toolCallId": id }),
                ] {
                    write_event(&event, out);
                }
            }
            "tool_result" => {
                let message = self.next_message();
                write_event(
                    &json!({
                        "type": "TOOL_CALL_RESULT", "messageId": message, "toolCallId": call["id"],
                        "content": notice["content"], "role": "tool",
                    }),
                    out,
                );
            }
            kind @ ("phase_start" | "phase_end" | "agent_start" | "agent_end") => {
                let phase = notice["phase"].as_str().or_else(|| notice["agent"].as_str()).unwrap_or_default();
                let name = match notice["subtask"].as_str() {
                    Some(subtask) => format!("{phase} {subtask}"),
                    None => phase.to_owned(),
                };
                let kind = if kind.ends_with("start") { "STEP_STARTED" } else { "STEP_FINISHED" };
                write_event(&json!({ "type": kind, "stepName": name }), out);
            }
            name => write_event(&json!({ "type": "CUSTOM", "name": name, "value": notice }), out),
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close_all(out);
        if !self.failed {
            let mut event = json!({ "type": "RUN_FINISHED", "threadId": self.thread, "runId": self.run });
            if let Some(usage) = &self.usage {
                event["usage"] = json!([usage_object(usage)]);
            }
            write_event(&event, out);
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            write_event(&json!({ "type": "RUN_STARTED", "threadId": self.thread, "runId": self.run }), out);
        }
    }

    fn piece(&mut self, section: Section, text: &str, out: &mut Vec<u8>) {
        let message = match &self.open {
            Some((open, message)) if *open == section => message.clone(),
            _ => self.open(section, out),
        };
        let kind = match section {
            Section::Text => "TEXT_MESSAGE_CONTENT",
            Section::Reasoning => "REASONING_MESSAGE_CONTENT",
        };
        write_event(&json!({ "type": kind, "messageId": message, "delta": text }), out);
    }

    fn open(&mut self, section: Section, out: &mut Vec<u8>) -> String {
        self.close(out);
        let message = self.next_message();
        match section {
            Section::Text => write_event(
                &json!({ "type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant" }),
                out,
            ),
            Section::Reasoning => {
                write_event(&json!({ "type": "REASONING_START", "messageId": message }), out);
                let event =
                    json!({ "type": "REASONING_MESSAGE_START", "messageId": message, "role": "reasoning" });
                write_event(&event, out);
            }
        }
        self.open = Some((section, message.clone()));
        message
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let Some((section, message)) = self.open.take() else { return };
        let kinds: &[&str] = match section {
            Section::Text => &["TEXT_MESSAGE_END"],
            Section::Reasoning => &["REASONING_MESSAGE_END", "REASONING_END"],
        };
        for kind in kinds {
            write_event(&json!({ "type": kind, "messageId": message }), out);
        }
    }

    fn close_all(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        while let Some(call) = self.calls.end_first() {
            write_event(&json!({ "type": "TOOL_CALL_END", "toolCallId": call.id }), out);
        }
    }

    fn next_message(&mut self) -> String {
        self.messages += 1;
        format!("{}_{}", self.head.id, self.messages)
    }
}

/// The parsed arguments of a call; the text itself if they are no JSON.
pub(super) fn parsed(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments))
}
