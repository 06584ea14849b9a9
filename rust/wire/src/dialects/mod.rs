//! From one frame to [`Delta`](crate::Delta)s: one module for each provider's format, and what they share.

pub mod anthropic;
pub mod bedrock;
pub mod cohere;
mod detect;
pub(crate) mod emit;
pub mod gemini;
mod identity;
mod json;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;
mod reasons;
mod tool_calls;

use crate::framing::Framing;

/// How a provider writes its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions over server-sent events.
    OpenAiChat,
    /// OpenAI responses over server-sent events.
    OpenAiResponses,
    /// Anthropic messages over server-sent events.
    Anthropic,
    /// Gemini's `streamGenerateContent` over server-sent events.
    Gemini,
    /// Cohere's chat, version 2, over server-sent events.
    Cohere,
    /// Ollama's own API, newline-delimited JSON.
    Ollama,
    /// Amazon Bedrock's `ConverseStream` and `InvokeModelWithResponseStream` over the AWS event stream.
    Bedrock,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 7] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Gemini,
        Self::Cohere,
        Self::Ollama,
        Self::Bedrock,
    ];

    /// The name as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Ollama => "ollama",
            Self::Bedrock => "bedrock",
        }
    }

    /// The dialect of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }

    /// What its streams are made of.
    #[must_use]
    pub const fn framing(self) -> Framing {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses | Self::Anthropic | Self::Gemini | Self::Cohere => {
                Framing::Sse
            }
            Self::Ollama => Framing::Ndjson,
            Self::Bedrock => Framing::AwsEventStream,
        }
    }
}
