//! Reads a request, in any protocol that is served, into one form: a conversation and tools in OpenAI's format, and
//! options under OpenAI's names.

mod a2a;
mod agui;
mod anthropic;
mod chat;
mod responses;
mod ui_messages;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(crate) use self::a2a::{Rpc, Wanted};
pub(crate) use self::responses::opening;
use crate::protocol::Protocol;
use crate::refusal::{Refusal, RefusalKind};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The protocol that it speaks.
    pub protocol: Protocol,
    /// The name of the agent.
    pub model: String,
    /// The conversation, in the format of OpenAI's chat completions.
    pub messages: Vec<Value>,
    /// Options of the request to the model, under the names of OpenAI's chat completions.
    pub parameters: Map<String, Value>,
    /// The tools that the client runs itself, in the format of OpenAI's chat completions.
    pub tools: Vec<Value>,
    /// Which tool the model may or must call, in the same format.
    pub tool_choice: Option<Value>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream tells the token counts.
    pub include_usage: bool,
    /// What only OpenAI's responses have.
    pub response: ResponseOptions,
    /// What the client calls the run and its conversation, where the protocol wants that back.
    pub names: Names,
}

/// What only a request for one of OpenAI's responses has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseOptions {
    /// The id of the response that this one goes on from.
    pub previous: Option<String>,
    /// Whether the response is kept, so that others can go on from it.
    pub store: bool,
    /// Whether the client asks for the response later.
    pub background: bool,
}

/// The client's own names, which the protocols of front ends repeat in their events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The conversation's.
    pub thread: Option<String>,
    /// The run's.
    pub run: Option<String>,
}

impl Asked {
    /// Reads the body of a request.
    ///
    /// # Arguments
    /// - `protocol`: what the client speaks;
    /// - `body`: the body;
    /// - `served`: the names of what is served; if it is one, a request of a front end need not name it;
    /// - `only`: the name in the path, if there is one.
    ///
    /// # Errors
    /// [`Refusal`] if it cannot be answered; the message says why.
    pub fn read(
        protocol: Protocol,
        body: &[u8],
        served: &[String],
        only: Option<&[String]>,
    ) -> Result<Self, Refusal> {
        let named = only.unwrap_or(served);
        let asked = match protocol {
            Protocol::Chat => chat::read(parsed(body)?),
            Protocol::Messages => anthropic::read(parsed(body)?),
            Protocol::Responses => responses::read(parsed(body)?),
            Protocol::AgUi => agui::read(parsed(body)?, named),
            Protocol::UiMessages => ui_messages::read(parsed(body)?, named),
            Protocol::A2a => match Rpc::read(body)?.wanted(named)? {
                Wanted::Ask(asked) => Ok(*asked),
                Wanted::Task(_) | Wanted::Cancel(_) => Err(invalid("this is no message to an agent")),
            },
        }?;
        asked.checked(served)
    }

    /// Checks what all protocols have in common.
    ///
    /// # Errors
    /// [`Refusal`] if the model is not served, or the tools cannot be.
    pub(crate) fn checked(self, served: &[String]) -> Result<Self, Refusal> {
        let asked = self;
        asked.check_tools()?;
        if served.contains(&asked.model) {
            return Ok(asked);
        }
        let (wanted, served) = (&asked.model, served.join(", "));
        Err(Refusal::new(
            RefusalKind::NotFound,
            format!("there is no model {wanted:?} here; served: {served}"),
        ))
    }

    /// A request with a conversation, and nothing else.
    fn new(protocol: Protocol, model: String, messages: Vec<Value>) -> Self {
        Self {
            protocol,
            model,
            messages,
            parameters: Map::new(),
            tools: Vec::new(),
            tool_choice: None,
            stream: true,
            include_usage: true,
            response: ResponseOptions::default(),
            names: Names::default(),
        }
    }

    /// The names of the tools that the client runs itself.
    pub fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.tools.iter().filter_map(|tool| tool["function"]["name"].as_str())
    }

    fn check_tools(&self) -> Result<(), Refusal> {
        if self.tool_names().count() < self.tools.len() {
            return Err(invalid("tools: each tool must be a function with a name"));
        }
        let different: BTreeSet<&str> = self.tool_names().collect();
        if different.len() < self.tools.len() {
            return Err(invalid("tools: two tools have the same name"));
        }
        Ok(())
    }

    /// Copies an option, under the name that OpenAI's chat completions give it.
    fn option(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value.filter(|value| !value.is_null()) {
            self.parameters.insert(name.to_owned(), value);
        }
    }
}

/// The model of a front end's request, which has no standard place for it.
fn named_or_only(named: Option<String>, served: &[String]) -> Result<String, Refusal> {
    match (named, served) {
        (_, [only]) => Ok(only.clone()),
        (Some(named), _) => Ok(named),
        (None, several) => Err(invalid(format!(
            "say which agent: the path ends with /{{agent}}, or the body has its name as `model`; served: {}",
            several.join(", ")
        ))),
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| invalid(format!("the body cannot be read: {error}")))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, message)
}

/// The error for one message of the conversation.
fn wrong(number: usize, what: &str) -> Refusal {
    invalid(format!("messages[{number}] {what}"))
}

/// A tool in the format of OpenAI's chat completions.
fn function_tool(name: &Value, description: Option<&Value>, parameters: &Value) -> Value {
    let mut function = Map::from_iter([("name".to_owned(), name.clone())]);
    if let Some(description) = description.filter(|description| !description.is_null()) {
        function.insert("description".to_owned(), description.clone());
    }
    function.insert("parameters".to_owned(), parameters.clone());
    serde_json::json!({ "type": "function", "function": function })
}

/// A member that may be left out or null, in any form.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Any(Option<Value>);

impl Any {
    fn take(&mut self) -> Option<Value> {
        self.0.take().filter(|value| !value.is_null())
    }
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
