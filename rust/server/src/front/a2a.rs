//! A2A's events: a task, its answer as an artifact that grows, and its states.
//!
//! Source: <https://a2a-protocol.org/latest/specification/>, version 1.0; `a2a-sdk` judges it in the tests.

use headrace_wire::encode::Head;
use headrace_wire::{Delta, DeltaKind, Response};
use serde_json::{Value, json};

use crate::asked::Names;
use crate::protocol::{Notice, write_event};

const WORKING: &str = "TASK_STATE_WORKING";
const COMPLETED: &str = "TASK_STATE_COMPLETED";
const FAILED: &str = "TASK_STATE_FAILED";
const CANCELLED: &str = "TASK_STATE_CANCELED";

/// The one artifact of a task: its answer.
const ANSWER: &str = "answer";

pub(crate) struct A2a {
    task: String,
    context: String,
    rpc: Value,
    started: bool,
    ended: bool,
    said: bool,
}

impl A2a {
    pub(crate) fn new(head: &Head, names: &Names) -> Self {
        let (started, ended, said) = (false, false, false);
        Self { task: head.id.clone(), context: context(names), rpc: rpc_id(names), started, ended, said }
    }

    pub(crate) fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        self.start(out);
        match &delta.kind {
            DeltaKind::Text(text) | DeltaKind::Refusal(text) => {
                let append = std::mem::replace(&mut self.said, true);
                let update = json!({
                    "taskId": self.task, "contextId": self.context, "append": append, "lastChunk": false,
                    "artifact": { "artifactId": ANSWER, "parts": [{ "text": text.as_str() }] },
                });
                self.event(&json!({ "artifactUpdate": update }), out);
            }
            DeltaKind::Error(error) => {
                let state = if error.kind.as_deref() == Some("cancelled") { CANCELLED } else { FAILED };
                self.state(state, Some(&error.message), &Value::Null, out);
                self.ended = true;
            }
            // There is no place for reasoning, and calls of the client's tools are not part of the protocol.
            _ => {}
        }
    }

    pub(crate) fn tell(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        self.start(out);
        self.state(WORKING, None, &json!({ "headrace": notice }), out);
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        if !std::mem::replace(&mut self.ended, true) {
            self.state(COMPLETED, None, &Value::Null, out);
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.started, true) {
            let task = json!({ "id": self.task, "contextId": self.context, "status": { "state": WORKING } });
            self.event(&json!({ "task": task }), out);
        }
    }

    fn state(&self, state: &str, message: Option<&str>, metadata: &Value, out: &mut Vec<u8>) {
        let status = status(state, &self.task, &self.context, message);
        let mut update = json!({ "taskId": self.task, "contextId": self.context, "status": status });
        if !metadata.is_null() {
            update["metadata"] = metadata.clone();
        }
        self.event(&json!({ "statusUpdate": update }), out);
    }

    fn event(&self, result: &Value, out: &mut Vec<u8>) {
        write_event(&result_of(&self.rpc, result), out);
    }
}

/// The result of a call.
pub(crate) fn result_of(rpc: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": rpc, "result": result })
}

/// A task as a document.
///
/// # Arguments
/// - `status`: `completed`, `in_progress`, `failed` or `cancelled`;
/// - `error`: what happened, if it failed.
pub(crate) fn task(
    head: &Head,
    names: &Names,
    response: &Response,
    status_name: &str,
    error: &Value,
) -> Value {
    let (id, context) = (&head.id, context(names));
    let state = match status_name {
        "in_progress" => WORKING,
        "failed" => FAILED,
        "cancelled" => CANCELLED,
        _ => COMPLETED,
    };
    let said =
        response.first().map(|choice| format!("{}{}", choice.text, choice.refusal)).unwrap_or_default();
    let status = status(state, id, &context, error["message"].as_str());
    let mut task = json!({ "id": id, "contextId": context, "status": status });
    if !said.is_empty() {
        task["artifacts"] = json!([{ "artifactId": ANSWER, "parts": [{ "text": said }] }]);
    }
    task
}

fn status(state: &str, task: &str, context: &str, message: Option<&str>) -> Value {
    let Some(message) = message else { return json!({ "state": state }) };
    let said = json!({
        "messageId": format!("{task}_status"), "role": "ROLE_AGENT", "taskId": task, "contextId": context,
        "parts": [{ "text": message }],
    });
    json!({ "state": state, "message": said })
}

/// The id of the call, which is kept as JSON.
pub(crate) fn rpc_id(names: &Names) -> Value {
    names.run.as_deref().and_then(|id| serde_json::from_str(id).ok()).unwrap_or_default()
}

fn context(names: &Names) -> String {
    names.thread.clone().unwrap_or_default()
}

/// The card of an agent.
///
/// # Arguments
/// - `name`: the agent's;
/// - `url`: where it is asked;
/// - `needs_key`: whether it wants a key.
pub(crate) fn card(name: &str, url: &str, needs_key: bool) -> Value {
    let mut card = json!({
        "name": name, "description": format!("The agent {name}."), "version": "1.0",
        "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }],
        "capabilities": { "streaming": true, "pushNotifications": false },
        "defaultInputModes": ["text/plain", "image/*"], "defaultOutputModes": ["text/plain"],
        "skills": [{ "id": "ask", "name": name, "description": format!("Ask {name}."), "tags": ["chat"] }],
    });
    if needs_key {
        card["securitySchemes"] = json!({ "key": { "httpAuthSecurityScheme": { "scheme": "Bearer" } } });
        card["securityRequirements"] = json!([{ "schemes": { "key": { "list": [] } } }]);
    }
    card
}
