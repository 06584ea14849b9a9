//! Deltas: the steps of a response, the same for all dialects.

use compact_str::CompactString;
use serde::Serialize;

/// One step of a response, as the provider sent it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delta {
    /// The index of the choice that this belongs to: 0, unless the request asked for several choices.
    pub choice: u32,
    /// The content.
    #[serde(flatten)]
    pub kind: DeltaKind,
}

impl Delta {
    /// A delta of the first choice, which is the only one of nearly every response.
    #[must_use]
    pub const fn first(kind: DeltaKind) -> Self {
        Self { choice: 0, kind }
    }

    /// The length of what the provider sent in it, in bytes. Small parts such as ids are not counted.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.kind {
            DeltaKind::Text(text)
            | DeltaKind::Reasoning(text)
            | DeltaKind::Refusal(text)
            | DeltaKind::ToolCallArguments { fragment: text, .. } => text.len(),
            DeltaKind::Logprobs(json) => json.len(),
            DeltaKind::Signature(signature) => signature.value.len(),
            DeltaKind::Error(error) => error.message.len(),
            _ => 0,
        }
    }

    /// Whether this is the provider's error, after which nothing follows.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self.kind, DeltaKind::Error(_))
    }

    /// Whether the model generated this: text, reasoning, a refusal or a part of a tool call. What the provider adds
    /// (usage, ids, the finish reason) is not output and does not count as a token.
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

// Every token goes through the channel as one of these, with an arrival time of 8 bytes.
const _: () = assert!(size_of::<Delta>() <= 40);

/// The content of a delta. Rare and large variants are boxed, so that a text delta takes little memory in the channel.
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
    /// A tool call starts. Its arguments follow with the same index. Sent again, with the same index, if the provider
    /// sends the call's id later than its name, or its name in pieces: the last one counts.
    ToolCallStart(Box<ToolCallStart>),
    /// A fragment of a tool call's arguments, raw JSON text; never empty.
    ToolCallArguments {
        /// The index of the call in its choice, from 0, in order of appearance.
        index: u32,
        /// The text as sent.
        fragment: CompactString,
    },
    /// The call has ended. It may have been cut off: see [`Choice::is_complete`](crate::response::Choice::is_complete).
    ToolCallEnd {
        /// The index of the call in its choice.
        index: u32,
    },
    /// A text that the provider wants back unchanged with the next turn. It belongs to the reasoning before it, or to
    /// the tool call in [`Signature::tool_call`].
    Signature(Box<Signature>),
    /// The choice has ended.
    Finish(Box<Finish>),
    /// Token counts. If a provider sends them several times, each replaces the one before; a count that is not told
    /// replaces none.
    Usage(Box<Usage>),
    /// The response's id and model. Sent again if the provider sends one of the two later than the other.
    Response(Box<ResponseInfo>),
    /// The provider reported an error in mid-stream. Nothing follows.
    Error(Box<ProviderError>),
}

/// The start of a tool call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ToolCallStart {
    /// The index of the call in its choice, from 0.
    pub index: u32,
    /// The provider's id of the call, if it sent one.
    pub id: Option<CompactString>,
    /// The tool's name.
    pub name: CompactString,
}

/// An opaque text with which a provider can verify or restore the reasoning of an earlier turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Whether it signs the reasoning or contains it.
    pub kind: SignatureKind,
    /// The index of the tool call that it came with (Gemini wants it back in the same place). `None` if it belongs to
    /// the reasoning before it.
    pub tool_call: Option<u32>,
    /// The provider's id of the reasoning, if it has one.
    pub id: Option<CompactString>,
    /// The text, to be sent back unchanged.
    pub value: CompactString,
}

impl Signature {
    /// The signature of the reasoning before it.
    #[must_use]
    pub const fn signed(value: CompactString) -> Self {
        Self { kind: SignatureKind::Signed, tool_call: None, id: None, value }
    }

    /// Encrypted reasoning.
    #[must_use]
    pub const fn encrypted(value: CompactString) -> Self {
        Self { kind: SignatureKind::Encrypted, tool_call: None, id: None, value }
    }
}

/// The two kinds of [`Signature`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureKind {
    /// It signs readable reasoning: Anthropic's `signature`, Gemini's `thoughtSignature`.
    Signed,
    /// It is the reasoning itself, encrypted: Anthropic's `redacted_thinking`, `encrypted_content` of OpenAI responses.
    Encrypted,
}

/// Why a choice ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finish {
    /// The reason, the same for all dialects.
    pub reason: FinishReason,
    /// The provider's own word for it.
    pub raw: CompactString,
    /// What the provider says about it, if anything: why it was withheld, or what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
}

impl Finish {
    /// A reason without a detail.
    #[must_use]
    pub const fn new(reason: FinishReason, raw: CompactString) -> Self {
        Self { reason, raw, detail: None }
    }

    /// The error that this end is, if the answer failed or was withheld. Its code is the provider's word.
    #[must_use]
    pub fn error(&self) -> Option<ProviderError> {
        let what = match self.reason {
            FinishReason::Error => "the provider failed to finish its answer",
            FinishReason::ContentFilter => "the provider withheld its answer",
            _ => return None,
        };
        let message = match self.detail.as_deref() {
            Some(detail) => format!("{what} ({}): {detail}", self.raw),
            None => format!("{what} ({})", self.raw),
        };
        // The reason decides over the word, which may be that of a dialect only.
        let kind = if self.reason == FinishReason::Error { "error" } else { "content_filter" };
        Some(ProviderError {
            body: Some(self.detail.clone().unwrap_or_else(|| self.raw.as_str().into())),
            kind: Some(kind.to_owned()),
            code: Some(self.raw.to_string()),
            message,
            ..ProviderError::default()
        })
    }
}

/// Finish reasons, the same for all dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model finished its answer, or generated a stop sequence.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model wants tools to be called.
    ToolCalls,
    /// A content filter withheld the rest.
    ContentFilter,
    /// The provider failed to finish the answer.
    Error,
    /// Any other; see [`Finish::raw`].
    Other,
}

impl FinishReason {
    /// Whether the model finished by itself, so that what it said is whole.
    #[must_use]
    pub const fn is_normal(self) -> bool {
        matches!(self, Self::Stop | Self::ToolCalls)
    }

    /// The name as users see it, such as `tool_calls`.
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

/// Token counts, as the provider counts. `None` means that the provider did not report the count; it does not mean
/// zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer. Whether reasoning is included depends on the provider: Gemini counts it apart.
    pub output_tokens: Option<u64>,
    /// The total, as the provider reports it.
    pub total_tokens: Option<u64>,
    /// Prompt tokens that were read from a cache.
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

impl Usage {
    /// These counts, and for those that are not told here, those of `earlier`. So an empty object takes nothing back.
    #[must_use]
    pub fn after(&self, earlier: &Self) -> Self {
        let counts = |usage: &Self| {
            let Self { input_tokens, output_tokens, total_tokens, cached_tokens, .. } = *usage;
            [
                input_tokens,
                output_tokens,
                total_tokens,
                cached_tokens,
                usage.cache_write_tokens,
                usage.reasoning_tokens,
            ]
        };
        if counts(self) == [None; 6] {
            return earlier.clone();
        }
        Self {
            input_tokens: self.input_tokens.or(earlier.input_tokens),
            output_tokens: self.output_tokens.or(earlier.output_tokens),
            total_tokens: self.total_tokens.or(earlier.total_tokens),
            cached_tokens: self.cached_tokens.or(earlier.cached_tokens),
            cache_write_tokens: self.cache_write_tokens.or(earlier.cache_write_tokens),
            reasoning_tokens: self.reasoning_tokens.or(earlier.reasoning_tokens),
            raw: self.raw.clone(),
        }
    }
}

/// The id and model of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ResponseInfo {
    /// The provider's id of the response.
    pub id: Option<CompactString>,
    /// The model that answered, as the provider names it.
    pub model: Option<CompactString>,
}

/// An error that the provider reported, in a stream or as the body of an HTTP error.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProviderError {
    /// The message. If the error has none, its JSON.
    pub message: String,
    /// The provider's type of error, such as `overloaded_error`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The provider's error code, as text even if it was a number.
    pub code: Option<String>,
    /// The HTTP status that the error contains, if any.
    #[serde(skip)]
    pub status: Option<u16>,
    /// How many seconds the error asks to wait, if it does.
    #[serde(skip)]
    pub retry_after: Option<f64>,
    /// The error as it was sent; at most 64 KiB.
    #[serde(skip)]
    pub body: Option<Box<str>>,
}
