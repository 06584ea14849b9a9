//! The protocols that are served, and how each one writes an answer.

use headrace_wire::encode::{Api, Head, document};
use headrace_wire::{Delta, Response, StreamEncoder};
use serde_json::{Value, json};

use crate::asked::Names;
use crate::front::{A2a, AgUi, UiMessages};

/// A protocol that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// AG-UI, for front ends. Always streamed.
    AgUi,
    /// The UI messages of Vercel's AI SDK, for front ends. Always streamed.
    UiMessages,
    /// A2A, for other agents.
    A2a,
}

impl Protocol {
    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::AgUi => "ag_ui",
            Self::UiMessages => "ui_messages",
            Self::A2a => "a2a",
        }
    }

    /// What the ids of its answers begin with.
    pub(crate) const fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Responses => "resp_",
            Self::Messages | Self::AgUi | Self::UiMessages => "msg_",
            Self::A2a => "task_",
        }
    }

    /// Whether an error in a stream is followed by the stream's own end.
    pub(crate) const fn ends_after_error(self) -> bool {
        matches!(self, Self::AgUi | Self::UiMessages | Self::A2a)
    }

    /// The API whose answers it has; `None` for the protocols of front ends.
    const fn api(self) -> Option<Api> {
        match self {
            Self::Chat => Some(Api::OpenAiChat),
            Self::Responses => Some(Api::OpenAiResponses),
            Self::Messages => Some(Api::Anthropic),
            Self::AgUi | Self::UiMessages | Self::A2a => None,
        }
    }

    /// The document of an answer that is not streamed.
    pub(crate) fn document(self, head: &Head, response: &Response) -> String {
        document(self.api().unwrap_or(Api::OpenAiChat), head, response)
    }
}

/// What an agent did between its texts, as its event tells it: `{"type": "tool_result", …}`.
pub type Notice = Value;

/// Writes an answer as server-sent events.
pub(crate) enum Encoder {
    Api(Box<StreamEncoder>),
    AgUi(Box<AgUi>),
    UiMessages(Box<UiMessages>),
    A2a(Box<A2a>),
}

impl Encoder {
    pub(crate) fn new(protocol: Protocol, head: Head, names: &Names) -> Self {
        match protocol {
            Protocol::Chat => Self::Api(Box::new(StreamEncoder::new(Api::OpenAiChat, head))),
            Protocol::Responses => Self::Api(Box::new(StreamEncoder::new(Api::OpenAiResponses, head))),
            Protocol::Messages => Self::Api(Box::new(StreamEncoder::new(Api::Anthropic, head))),
            Protocol::AgUi => Self::AgUi(Box::new(AgUi::new(head, names))),
            Protocol::UiMessages => Self::UiMessages(Box::new(UiMessages::new(head))),
            Protocol::A2a => Self::A2a(Box::new(A2a::new(&head, names))),
        }
    }

    pub(crate) fn encode(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match self {
            Self::Api(encoder) => encoder.encode(delta, out),
            Self::AgUi(encoder) => encoder.encode(delta, out),
            Self::UiMessages(encoder) => encoder.encode(delta, out),
            Self::A2a(encoder) => encoder.encode(delta, out),
        }
    }

    /// Tells what the agent did. OpenAI's and Anthropic's protocols have no place for it, so it is a comment there, which
    /// every parser of server-sent events skips.
    pub(crate) fn tell(&mut self, notice: &Notice, out: &mut Vec<u8>) {
        match self {
            Self::Api(_) => out.extend_from_slice(format!(": headrace {notice}\n\n").as_bytes()),
            Self::AgUi(encoder) => encoder.tell(notice, out),
            Self::UiMessages(encoder) => encoder.tell(notice, out),
            Self::A2a(encoder) => encoder.tell(notice, out),
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Api(encoder) => encoder.finish(out),
            Self::AgUi(encoder) => encoder.finish(out),
            Self::UiMessages(encoder) => encoder.finish(out),
            Self::A2a(encoder) => encoder.finish(out),
        }
    }
}

/// Appends a server-sent event.
pub(crate) fn write_event(event: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("data: {event}\n\n").as_bytes());
}

/// The counts of tokens under the names of a front end.
pub(crate) fn usage_object(usage: &headrace_wire::Usage) -> Value {
    json!({
        "inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens, "totalTokens": usage.total_tokens,
    })
}
