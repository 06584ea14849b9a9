//! The provider APIs that responses can be encoded for. Two APIs may share a dialect but differ in their JSON.

use crate::dialects::Dialect;
use crate::framing::Framing;

/// A provider's API, as what the encoders write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// OpenAI's `chat/completions`.
    OpenAiChat,
    /// OpenAI's `responses`.
    OpenAiResponses,
    /// Anthropic's `messages`.
    Anthropic,
    /// Gemini's `streamGenerateContent` and `generateContent`.
    Gemini,
    /// Cohere's `v2/chat`.
    Cohere,
    /// Ollama's `api/chat`.
    OllamaChat,
    /// Ollama's `api/generate`, which has no messages and no tools.
    OllamaGenerate,
    /// Bedrock's `ConverseStream` and `Converse`.
    Converse,
    /// Bedrock's `InvokeModelWithResponseStream` and `InvokeModel`, as one of Anthropic's models answers them.
    InvokeModel,
}

impl Api {
    /// All APIs.
    pub const ALL: [Self; 9] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Gemini,
        Self::Cohere,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::Converse,
        Self::InvokeModel,
    ];

    /// The dialect that decodes its responses.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::OpenAiChat => Dialect::OpenAiChat,
            Self::OpenAiResponses => Dialect::OpenAiResponses,
            Self::Anthropic => Dialect::Anthropic,
            Self::Gemini => Dialect::Gemini,
            Self::Cohere => Dialect::Cohere,
            Self::OllamaChat | Self::OllamaGenerate => Dialect::Ollama,
            Self::Converse | Self::InvokeModel => Dialect::Bedrock,
        }
    }

    /// The framing of its streams.
    #[must_use]
    pub const fn framing(self) -> Framing {
        self.dialect().framing()
    }
}

impl From<Dialect> for Api {
    /// The API that is used most with this dialect.
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenAiChat => Self::OpenAiChat,
            Dialect::OpenAiResponses => Self::OpenAiResponses,
            Dialect::Anthropic => Self::Anthropic,
            Dialect::Gemini => Self::Gemini,
            Dialect::Cohere => Self::Cohere,
            Dialect::Ollama => Self::OllamaChat,
            Dialect::Bedrock => Self::Converse,
        }
    }
}
