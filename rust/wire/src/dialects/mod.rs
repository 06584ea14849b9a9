//! Frames → [`Delta`](crate::Delta)s: one module for each dialect, and what the dialects share.
//!
//! In most dialects' folders, `mod.rs` is the decoder and `event.rs` or `chunk.rs` has the structs that its JSON is read
//! into. `encode.rs` encodes a stream and `document.rs` a response that is not streamed.
//!
//! Shared: `json` (lenient reading), `emit` (pushes deltas), `identity` (id and model), `tool_calls` and `arguments` (which
//! pieces make up which call), `reasons` (finish
//! reasons), and `detect`, which finds out what dialect a recorded body is in.

pub mod anthropic;
mod arguments;
pub mod bedrock;
pub mod cohere;
pub(crate) mod detect;
pub(crate) mod emit;
pub mod gemini;
mod identity;
mod json;
pub mod ollama;
pub mod openai_chat;
pub mod openai_responses;
pub(crate) mod reasons;
mod tool_calls;

use crate::framing::Framing;

/// The format of a provider's responses, streamed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions over SSE; see [`openai_chat`].
    OpenAiChat,
    /// OpenAI responses over SSE; see [`openai_responses`].
    OpenAiResponses,
    /// Anthropic messages over SSE; see [`anthropic`].
    Anthropic,
    /// Gemini's `streamGenerateContent` over SSE; see [`gemini`].
    Gemini,
    /// Cohere's chat API, version 2, over SSE; see [`cohere`].
    Cohere,
    /// Ollama's own API over NDJSON; see [`ollama`].
    Ollama,
    /// Amazon Bedrock's `ConverseStream` and `InvokeModelWithResponseStream` over the AWS event stream; see
    /// [`bedrock`].
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

    /// The name as users see it, such as `openai_chat`.
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

    /// The dialect with this name, as [`Dialect::as_str`] returns it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == name)
    }

    /// The framing of its streams.
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
