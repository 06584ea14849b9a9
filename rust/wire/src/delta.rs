//! The one vocabulary that every dialect is translated into.

use compact_str::CompactString;
use serde::Serialize;

/// One step of a response, as the provider sent it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delta {
    /// Which of the response's alternatives this belongs to (0 unless the request asked for several).
    pub choice: u32,
    /// What happened.
    #[serde(flatten)]
    pub kind: DeltaKind,
}

impl Delta {
    /// A delta of the first choice, which is the only one for nearly every request.
    #[must_use]
    pub const fn first(kind: DeltaKind) -> Self {
        Self { choice: 0, kind }
    }

    /// Whether this is the provider's error, after which nothing follows.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.kind, DeltaKind::Error(_))
    }

    /// Whether the model produced this: text, reasoning, a refusal or a part of a tool call. What the provider adds
    /// (usage, ids, the finish reason) is not output, and does not count as a token.
    #[must_use]
    pub const fn is_output(&self) -> bool {
        matches!(
            self.kind,
            DeltaKind::Text(_)
                | DeltaKind::Reasoning(_)
                | DeltaKind::Refusal(_)
                | DeltaKind::ToolCallStart(_)
                | DeltaKind::ToolCallArguments { .. }
        )
    }
}

// Every token crosses the channel as one of these, beside its arrival stamp of 8 bytes.
const _: () = assert!(size_of::<Delta>() <= 40);

/// What one delta says. Rare and large contents are boxed, so that a text token stays small in the channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum DeltaKind {
    /// A piece of the answer; never empty.
    Text(CompactString),
    /// A piece of the model's reasoning; never empty.
    Reasoning(CompactString),
    /// A piece of a refusal; never empty.
    Refusal(CompactString),
    /// The log probabilities of the text that follows: the provider's object as it was sent (JSON text).
    Logprobs(Box<str>),
    /// A tool call begins. Its arguments follow under the same index. Said again, with the same index, when the
    /// provider told the call's id only after its name.
    ToolCallStart(Box<ToolCallStart>),
    /// A fragment of a tool call's arguments, raw JSON text; never empty.
    ToolCallArguments {
        /// Which call of this choice: its ordinal, from 0, in order of appearance.
        index: u32,
        /// The text as sent.
        fragment: CompactString,
    },
    /// All arguments of the call have been seen.
    ToolCallEnd {
        /// Which call of this choice.
        index: u32,
    },
    /// What the provider wants back, unchanged, with the next turn. It belongs to the reasoning before it, or to the
    /// tool call that it names.
    Signature(Box<Signature>),
    /// The choice has ended.
    Finish(Box<Finish>),
    /// Token counts. Where a provider sends several, each replaces the one before.
    Usage(Box<Usage>),
    /// What identifies the response; once, as early as the provider tells it.
    Response(Box<ResponseInfo>),
    /// The provider failed in mid-stream. Nothing follows.
    Error(Box<ProviderError>),
}

/// The start of a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCallStart {
    /// The call's ordinal within its choice, from 0.
    pub index: u32,
    /// The provider's id, where it sent one.
    pub id: Option<CompactString>,
    /// The tool's name.
    pub name: CompactString,
}

/// An opaque text that lets a provider trust, or restore, the reasoning of an earlier turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// What it stands for.
    pub kind: SignatureKind,
    /// The tool call that it came with (Gemini wants it back in the same place); `None` for the reasoning before it.
    pub tool_call: Option<u32>,
    /// The provider's id of the reasoning, where it has one.
    pub id: Option<CompactString>,
    /// The text, to be sent back as it is.
    pub value: CompactString,
}

impl Signature {
    /// The signature of the reasoning that was said before it.
    #[must_use]
    pub const fn signed(value: CompactString) -> Self {
        Self { kind: SignatureKind::Signed, tool_call: None, id: None, value }
    }

    /// Reasoning that is not shown.
    #[must_use]
    pub const fn encrypted(value: CompactString) -> Self {
        Self { kind: SignatureKind::Encrypted, tool_call: None, id: None, value }
    }
}

/// What a [`Signature`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureKind {
    /// It vouches for reasoning that was shown: Anthropic's `signature`, Gemini's `thoughtSignature`.
    Signed,
    /// It is the reasoning, unreadable: Anthropic's `redacted_thinking`, the `encrypted_content` of OpenAI responses.
    Encrypted,
}

/// Why a choice ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finish {
    /// The reason in the common vocabulary.
    pub reason: FinishReason,
    /// The provider's own word.
    pub raw: CompactString,
}

/// The common vocabulary of finish reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model came to its end, or to a stop sequence.
    Stop,
    /// The token limit cut the answer.
    Length,
    /// The model wants tools to be called.
    ToolCalls,
    /// A filter withheld the rest.
    ContentFilter,
    /// The provider gave up.
    Error,
    /// A word that this list does not know; see [`Finish::raw`].
    Other,
}

impl FinishReason {
    /// The name as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
            Self::Other => "other",
        }
    }
}

/// Token counts, in the provider's own way of counting. `None` is "not told", never zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer, reasoning included where the provider counts it there.
    pub output_tokens: Option<u64>,
    /// The provider's total.
    pub total_tokens: Option<u64>,
    /// Prompt tokens that came from a cache.
    pub cached_tokens: Option<u64>,
    /// Prompt tokens that were written to a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// The provider's object as it was sent (JSON text).
    #[serde(skip)]
    pub raw: Box<str>,
}

/// What identifies a response.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ResponseInfo {
    /// The provider's id of the response.
    pub id: Option<CompactString>,
    /// The model that answered, in the provider's words.
    pub model: Option<CompactString>,
}

/// An error that the provider reported, inside the stream or as the body of a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProviderError {
    /// What the provider says happened.
    pub message: String,
    /// Its class of error.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Its code, as text also where it was a number.
    pub code: Option<String>,
    /// The HTTP status that the error stands for, where the provider wrote one.
    #[serde(skip)]
    pub status: Option<u16>,
}
