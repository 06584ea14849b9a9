//! A2A, the protocol by which agents ask agents: JSON-RPC.
//!
//! Source: <https://a2a-protocol.org/latest/specification/>, version 1.0.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Asked, Names, ResponseOptions, invalid, named_or_only, parsed};
use crate::calls::random_id;
use crate::protocol::Protocol;
use crate::refusal::{Refusal, RefusalKind};

/// A call of JSON-RPC.
#[derive(Debug, Deserialize)]
pub(crate) struct Rpc {
    /// What the response must repeat.
    #[serde(default)]
    pub(crate) id: Value,
    method: String,
    #[serde(default)]
    params: Value,
}

/// What a call wants.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Ask the agent.
    Ask(Box<Asked>),
    /// Tell what a task has come to.
    Task(String),
    /// Cancel a task.
    Cancel(String),
}

impl Rpc {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// It is no call.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        parsed(body)
    }

    /// What it wants.
    ///
    /// # Errors
    /// It cannot be done.
    pub(crate) fn wanted(mut self, served: &[String]) -> Result<Wanted, Refusal> {
        let task = || {
            self.params["id"].as_str().map(str::to_owned).ok_or_else(|| invalid("params.id must be a task's"))
        };
        let stream = match self.method.as_str() {
            "SendMessage" => false,
            "SendStreamingMessage" => true,
            "GetTask" => return Ok(Wanted::Task(task()?)),
            "CancelTask" => return Ok(Wanted::Cancel(task()?)),
            other => {
                return Err(Refusal::new(RefusalKind::Method, format!("the method {other} is not served")));
            }
        };
        let message = self.params["message"].take();
        let mut asked =
            Asked::new(Protocol::A2a, named_or_only(None, served)?, vec![user_message(&message)?]);
        let context = message["contextId"].as_str().filter(|context| !context.is_empty());
        let thread = context.map_or_else(|| random_id("ctx_"), str::to_owned);
        asked.names = Names { thread: Some(thread), run: Some(self.id.to_string()) };
        asked.stream = stream;
        asked.response = ResponseOptions { previous: None, store: true, background: false };
        Ok(Wanted::Ask(Box::new(asked)))
    }
}

fn user_message(message: &Value) -> Result<Value, Refusal> {
    let parts = message["parts"].as_array().filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| invalid("params.message must have parts"))?;
    let parts: Result<Vec<Value>, Refusal> = parts.iter().map(user_part).collect();
    Ok(json!({ "role": "user", "content": parts? }))
}

fn user_part(part: &Value) -> Result<Value, Refusal> {
    let media = part["mediaType"].as_str().unwrap_or_default();
    let image = |url: String| json!({ "type": "image_url", "image_url": { "url": url } });
    if let Some(text) = part["text"].as_str() {
        return Ok(json!({ "type": "text", "text": text }));
    }
    if let (Some(url), true) = (part["url"].as_str(), media.starts_with("image/")) {
        return Ok(image(url.to_owned()));
    }
    if let (Some(data), true) = (part["raw"].as_str(), media.starts_with("image/")) {
        return Ok(image(format!("data:{media};base64,{data}")));
    }
    if !part["data"].is_null() {
        return Ok(json!({ "type": "text", "text": part["data"].to_string() }));
    }
    Err(invalid("params.message has a part that is neither text, data nor an image"))
}
