//! Reads a request, in any API that is served, into one form: a conversation in OpenAI's format, and options.

use headrace_wire::encode::Api;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::refusal::{Refusal, RefusalKind};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The API that it speaks.
    pub api: Api,
    /// The name of the agent.
    pub model: String,
    /// The conversation, in the format of OpenAI's chat completions.
    pub messages: Vec<Value>,
    /// The sampling temperature.
    pub temperature: Option<f64>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream tells the token counts.
    pub include_usage: bool,
}

/// The members of a request that count; clients send many others.
#[derive(Deserialize)]
struct Members {
    model: String,
    messages: Vec<Value>,
    #[serde(default)]
    system: Option<Value>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    n: Option<u64>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

impl Asked {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal`] if it cannot be answered; the message says why.
    pub fn read(api: Api, body: &[u8]) -> Result<Self, Refusal> {
        let members: Members = serde_json::from_slice(body).map_err(|error| {
            Refusal::new(RefusalKind::Invalid, format!("the body cannot be read: {error}"))
        })?;
        if members.n.is_some_and(|count| count != 1) {
            return Err(Refusal::new(RefusalKind::Invalid, "n must be 1: an agent gives one answer"));
        }
        let is_anthropic = api == Api::Anthropic;
        let messages = if is_anthropic {
            from_anthropic(members.system.as_ref(), members.messages)?
        } else {
            members.messages
        };
        Ok(Self {
            api,
            model: members.model,
            messages,
            temperature: members.temperature,
            stream: members.stream.unwrap_or(false),
            include_usage: is_anthropic
                || members.stream_options.is_some_and(|options| options.include_usage == Some(true)),
        })
    }
}

/// Anthropic's messages in OpenAI's format.
fn from_anthropic(system: Option<&Value>, messages: Vec<Value>) -> Result<Vec<Value>, Refusal> {
    let mut converted = Vec::with_capacity(messages.len() + 1);
    if let Some(text) = system.map(text_of).filter(|text| !text.is_empty()) {
        converted.push(json!({ "role": "system", "content": text }));
    }
    for (number, message) in messages.into_iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        match (&message["content"], role) {
            (Value::String(_), "user" | "assistant") => converted.push(message),
            (Value::Array(blocks), "user") => user_messages(number, blocks, &mut converted)?,
            (Value::Array(blocks), "assistant") => converted.push(assistant_message(blocks)),
            _ => return Err(wrong(number, "needs the role user or assistant, and a content")),
        }
    }
    Ok(converted)
}

/// A user's message: the results of tools first, each a message of its own, as OpenAI has them.
fn user_messages(number: usize, blocks: &[Value], out: &mut Vec<Value>) -> Result<(), Refusal> {
    let mut parts = Vec::new();
    for block in blocks {
        match block["type"].as_str() {
            Some("text") => parts.push(json!({ "type": "text", "text": block["text"] })),
            Some("image") => parts.push(image(number, &block["source"])?),
            Some("tool_result") => {
                let (id, text) = (&block["tool_use_id"], text_of(&block["content"]));
                out.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
            }
            kind => {
                let kind = kind.unwrap_or("none");
                return Err(wrong(number, &format!("has a block of the type {kind}, which is not served")));
            }
        }
    }
    if !parts.is_empty() {
        out.push(json!({ "role": "user", "content": parts }));
    }
    Ok(())
}

fn image(number: usize, source: &Value) -> Result<Value, Refusal> {
    let url = match source["type"].as_str() {
        Some("url") => source["url"].as_str().map(str::to_owned),
        Some("base64") => source["media_type"]
            .as_str()
            .zip(source["data"].as_str())
            .map(|(media, data)| format!("data:{media};base64,{data}")),
        _ => None,
    };
    let url = url.ok_or_else(|| wrong(number, "has an image that is neither a URL nor base64"))?;
    Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
}

/// A message of the model. Its thoughts stay out: the agent's model need not be the one that had them.
fn assistant_message(blocks: &[Value]) -> Value {
    let text: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let calls: Vec<Value> = blocks
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| {
            let function = json!({ "name": block["name"], "arguments": block["input"].to_string() });
            json!({ "id": block["id"], "type": "function", "function": function })
        })
        .collect();
    let mut message = Map::from_iter([("role".to_owned(), json!("assistant"))]);
    let content = if text.is_empty() && !calls.is_empty() { Value::Null } else { json!(text) };
    message.insert("content".to_owned(), content);
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), json!(calls));
    }
    Value::Object(message)
}

/// The text of a string, or of a list of text blocks.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
            texts.join("\n\n")
        }
        _ => String::new(),
    }
}

fn wrong(number: usize, what: &str) -> Refusal {
    Refusal::new(RefusalKind::Invalid, format!("messages[{number}] {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(api: Api, body: &Value) -> Result<Asked, Refusal> {
        Asked::read(api, body.to_string().as_bytes())
    }

    #[test]
    fn unknown_members_are_tolerated() {
        let body = json!({
            "model": "poet", "messages": [{ "role": "user", "content": "Hi." }], "stream": true, "n": 1,
            "stream_options": { "include_usage": true, "new": 1 }, "logit_bias": {}, "user": "ann",
        });
        let asked = read(Api::OpenAiChat, &body).unwrap();
        assert!(asked.stream && asked.include_usage);
        assert_eq!(asked.model, "poet");
        assert_eq!(asked.messages, vec![json!({ "role": "user", "content": "Hi." })]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        let refused = |body: &[u8]| Asked::read(Api::OpenAiChat, body).unwrap_err().message;
        assert!(refused(b"{").contains("EOF"));
        assert!(refused(b"{\"messages\": []}").contains("missing field `model`"));
        assert!(refused(b"{\"model\": \"poet\", \"messages\": [], \"n\": 2}").contains("n must be 1"));
    }

    #[test]
    fn anthropics_conversation_becomes_openais() {
        let asked = read(
            Api::Anthropic,
            &json!({
                "model": "poet", "max_tokens": 10,
                "system": [{ "type": "text", "text": "You greet." }],
                "messages": [
                    { "role": "user", "content": [
                        { "type": "text", "text": "Look." },
                        { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "QQ==" } },
                    ] },
                    { "role": "assistant", "content": [
                        { "type": "thinking", "thinking": "Hm.", "signature": "x" },
                        { "type": "text", "text": "I add." },
                        { "type": "tool_use", "id": "toolu_1", "name": "add", "input": { "a": 1 } },
                    ] },
                    { "role": "user", "content": [
                        { "type": "tool_result", "tool_use_id": "toolu_1", "content": [{ "type": "text", "text": "1" }] },
                        { "type": "text", "text": "Go on." },
                    ] },
                ],
            }),
        );
        let function = json!({ "name": "add", "arguments": "{\"a\":1}" });
        assert_eq!(
            asked.unwrap().messages,
            vec![
                json!({ "role": "system", "content": "You greet." }),
                json!({ "role": "user", "content": [
                    { "type": "text", "text": "Look." },
                    { "type": "image_url", "image_url": { "url": "data:image/png;base64,QQ==" } },
                ] }),
                json!({ "role": "assistant", "content": "I add.", "tool_calls": [
                    { "id": "toolu_1", "type": "function", "function": function },
                ] }),
                json!({ "role": "tool", "tool_call_id": "toolu_1", "content": "1" }),
                json!({ "role": "user", "content": [{ "type": "text", "text": "Go on." }] }),
            ]
        );
    }

    #[test]
    fn a_message_that_cannot_be_converted_is_named() {
        let messages = json!([{ "role": "user", "content": "Hi." }, { "role": "user", "content": [{ "type": "audio" }] }]);
        let refused = read(Api::Anthropic, &json!({ "model": "poet", "messages": messages })).unwrap_err();
        assert!(refused.message.starts_with("messages[1] has a block of the type audio"));
    }
}
