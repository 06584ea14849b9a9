//! Parses the body of a model request, with one function for each API.

use headrace_wire::encode::Api;
use serde_json::Value;

use super::ModelRequest;
use super::message::{ASSISTANT, Message, TOOL};

/// The most choices that a request may ask for. OpenAI has the same limit.
const MAX_CHOICES: u64 = 128;

/// What the path says about a model request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The API.
    pub(crate) api: Api,
    /// Whether to stream, for APIs where the path says so and not the body.
    pub(crate) stream: Option<bool>,
    /// The model, for APIs where it is in the path.
    pub(crate) model: Option<String>,
}

/// The messages, or an error message.
type Messages<'b> = Result<Vec<Message<'b>>, String>;

impl<'b> ModelRequest<'b> {
    /// Parses a body. The error says what is wrong with it.
    pub(crate) fn read(target: &'b Target, body: &'b Value) -> Result<Self, String> {
        if !body.is_object() {
            return Err("the body is not a JSON object".to_owned());
        }
        let api = target.api;
        let messages = match api {
            Api::OpenAiChat | Api::Cohere | Api::OllamaChat => chat(body),
            Api::OpenAiResponses => responses(body),
            Api::Anthropic | Api::InvokeModel => anthropic(body),
            Api::Gemini => gemini(body),
            Api::OllamaGenerate => generate(body),
            Api::Converse => converse(body),
        }?;
        let model = target.model.as_deref().or_else(|| body["model"].as_str());
        if model.is_none() && api == Api::Anthropic {
            return Err("`model` is missing".to_owned());
        }
        let stream = optional(&body["stream"], Value::as_bool, "`stream` is not a boolean")?;
        let streams_by_default = matches!(api, Api::OllamaChat | Api::OllamaGenerate);
        let tools = if api == Api::Converse { &body["toolConfig"]["tools"] } else { &body["tools"] };
        Ok(Self {
            messages,
            model,
            offers_tools: tools.as_array().is_some_and(|tools| !tools.is_empty()),
            wants_usage: api != Api::OpenAiChat
                || body["stream_options"]["include_usage"].as_bool().unwrap_or(false),
            stream: target.stream.or(stream).unwrap_or(streams_by_default),
            choices: choices(api, body)?,
        })
    }
}

fn choices(api: Api, body: &Value) -> Result<u64, String> {
    let (name, asked) = match api {
        Api::OpenAiChat => ("n", &body["n"]),
        Api::Gemini => {
            ("candidateCount", &either(body, "generationConfig", "generation_config")["candidateCount"])
        }
        _ => return Ok(1),
    };
    let choices = optional(asked, Value::as_u64, &format!("`{name}` is not a number"))?.unwrap_or(1);
    if (1..=MAX_CHOICES).contains(&choices) {
        Ok(choices)
    } else {
        Err(format!("`{name}` is not from 1 to {MAX_CHOICES}"))
    }
}

fn chat(body: &Value) -> Messages<'_> {
    let messages = list(body, "messages", "message")?.iter().enumerate();
    messages
        .map(|(position, message)| {
            let role = message["role"].as_str();
            let role = role.ok_or_else(|| format!("`messages[{position}].role` is not a string"))?;
            Ok(Message::new(role, &message["content"]))
        })
        .collect()
}

/// Tool results are messages of the user here; a script matches them as the role `tool`.
fn anthropic(body: &Value) -> Messages<'_> {
    if body["max_tokens"].as_u64().is_none_or(|tokens| tokens == 0) {
        return Err("`max_tokens` is missing, or no number from 1".to_owned());
    }
    user_and_assistant(body, |content| any_part(content, |block| block["type"] == "tool_result"))
}

fn converse(body: &Value) -> Messages<'_> {
    let messages = list(body, "messages", "message")?;
    if let Some(position) = messages.iter().position(|message| !message["content"].is_array()) {
        return Err(format!("`messages[{position}].content` is not a list"));
    }
    user_and_assistant(body, |content| any_part(content, |block| block["toolResult"].is_object()))
}

/// Messages of user and assistant, and a separate `system`. Some of the user's messages are tool results.
fn user_and_assistant(body: &Value, is_tool_result: impl Fn(&Value) -> bool) -> Messages<'_> {
    let mut messages = instructions(body.get("system"));
    for (position, message) in list(body, "messages", "message")?.iter().enumerate() {
        let content = &message["content"];
        let role = match message["role"].as_str() {
            Some("user") if is_tool_result(content) => TOOL,
            Some(role @ ("user" | ASSISTANT)) => role,
            _ => return Err(format!("`messages[{position}].role` is neither `user` nor `assistant`")),
        };
        messages.push(Message::new(role, content));
    }
    Ok(messages)
}

fn gemini(body: &Value) -> Messages<'_> {
    let mut messages = instructions(Some(either(body, "systemInstruction", "system_instruction")));
    for (position, content) in list(body, "contents", "content")?.iter().enumerate() {
        let parts = &content["parts"];
        if parts.as_array().is_none_or(Vec::is_empty) {
            return Err(format!("`contents[{position}].parts` is not a list of at least one part"));
        }
        let role = match content["role"].as_str() {
            _ if any_part(parts, |part| part["functionResponse"].is_object()) => TOOL,
            None | Some("user") => "user",
            Some("model") => ASSISTANT,
            Some(role) => {
                return Err(format!("`contents[{position}].role` is neither `user` nor `model`: {role}"));
            }
        };
        messages.push(Message::new(role, parts));
    }
    Ok(messages)
}

/// The input is a text or a list of items. Each part of an answer is an item of its own.
fn responses(body: &Value) -> Messages<'_> {
    let mut messages = instructions(body.get("instructions"));
    if body["input"].is_string() {
        messages.push(Message::new("user", &body["input"]));
        return Ok(messages);
    }
    for (position, item) in list(body, "input", "item")?.iter().enumerate() {
        let kind = item["type"].as_str().unwrap_or("message");
        let message = match (kind, item["role"].as_str()) {
            ("message", Some(role)) => Message::new(role, &item["content"]),
            ("message", None) => return Err(format!("`input[{position}].role` is not a string")),
            _ if kind.ends_with("_output") => Message::new(TOOL, &item["output"]),
            _ => Message::new(ASSISTANT, &Value::Null),
        };
        let message = message.after(&messages);
        messages.push(message);
    }
    Ok(messages)
}

fn generate(body: &Value) -> Messages<'_> {
    let mut messages = instructions(body.get("system"));
    if !body["prompt"].is_string() {
        return Err("`prompt` is not a string".to_owned());
    }
    messages.push(Message::new("user", &body["prompt"]));
    Ok(messages)
}

/// Separate instructions, as the first message of the conversation.
fn instructions(value: Option<&Value>) -> Vec<Message<'_>> {
    let value = value.filter(|value| !value.is_null());
    value.map(|value| Message::new("system", value)).into_iter().collect()
}

/// A member that must be a list with at least one item.
fn list<'b>(body: &'b Value, name: &str, what: &str) -> Result<&'b Vec<Value>, String> {
    let value = body.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    let list = value.as_array().filter(|list| !list.is_empty());
    list.ok_or_else(|| format!("`{name}` is not a list of at least one {what}"))
}

/// Whether a list has such a part.
fn any_part(list: &Value, is_wanted: impl Fn(&Value) -> bool) -> bool {
    list.as_array().is_some_and(|parts| parts.iter().any(is_wanted))
}

/// Google accepts either name of a member.
fn either<'b>(body: &'b Value, camel: &str, snake: &str) -> &'b Value {
    if body[camel].is_null() { &body[snake] } else { &body[camel] }
}

/// A member that may be missing or null.
fn optional<T>(value: &Value, read: fn(&Value) -> Option<T>, problem: &str) -> Result<Option<T>, String> {
    if value.is_null() { Ok(None) } else { read(value).map(Some).ok_or_else(|| problem.to_owned()) }
}
