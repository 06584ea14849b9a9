//! What each dialect can express.

use headrace_wire::Dialect;
use headrace_wire::FinishReason::{self, ContentFilter, Length, Stop, ToolCalls};
use headrace_wire::SignatureKind::{self, Encrypted, Signed};

/// What a dialect can express.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties of a dialect")]
pub(crate) struct Abilities {
    pub(crate) dialect: Dialect,
    /// Bedrock's `InvokeModel` with Anthropic's events.
    pub(crate) invoke: bool,
    pub(crate) id: bool,
    pub(crate) model: bool,
    pub(crate) refusals: bool,
    /// The kinds of reasoning signatures, and whether they have ids.
    pub(crate) signatures: &'static [(SignatureKind, bool)],
    pub(crate) call_signatures: bool,
    pub(crate) calls: Calls,
    pub(crate) total: bool,
    pub(crate) cached: bool,
    pub(crate) cache_write: bool,
    pub(crate) reasoning: bool,
    /// The finish reasons for stop, length, content filter and tool calls.
    pub(crate) words: [(FinishReason, &'static str); 4],
}

/// How tool calls are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Calls {
    /// In fragments, each call with its own end.
    Fragments,
    /// In fragments; all calls end with the body, since the finish reason may come too early.
    EndingTogether,
    /// In one piece, the arguments as an object. They end with the body.
    Whole,
    /// Like `Whole`, but a call without arguments has `{}`. They end before the finish reason.
    WholeWithArguments,
}

const ANTHROPIC: Abilities = Abilities {
    dialect: Dialect::Anthropic,
    invoke: false,
    id: true,
    model: true,
    refusals: false,
    signatures: &[(Signed, false), (Encrypted, false)],
    call_signatures: false,
    calls: Calls::Fragments,
    total: false,
    cached: true,
    cache_write: true,
    reasoning: true,
    words: [(Stop, "end_turn"), (Length, "max_tokens"), (ContentFilter, "refusal"), (ToolCalls, "tool_use")],
};

/// All dialects; Bedrock twice, with `InvokeModel` and with `Converse`.
pub(crate) const ABILITIES: [Abilities; 8] = [
    ANTHROPIC,
    Abilities { dialect: Dialect::Bedrock, invoke: true, ..ANTHROPIC },
    Abilities {
        dialect: Dialect::Bedrock,
        id: false,
        model: false,
        total: true,
        reasoning: false,
        words: [
            (Stop, "stop_sequence"),
            (Length, "max_tokens"),
            (ContentFilter, "guardrail_intervened"),
            (ToolCalls, "tool_use"),
        ],
        ..ANTHROPIC
    },
    Abilities {
        dialect: Dialect::OpenAiChat,
        refusals: true,
        signatures: &[(Signed, false), (Encrypted, false), (Signed, true), (Encrypted, true)],
        call_signatures: true,
        calls: Calls::EndingTogether,
        total: true,
        words: [
            (Stop, "stop"),
            (Length, "length"),
            (ContentFilter, "content_filter"),
            (ToolCalls, "tool_calls"),
        ],
        ..ANTHROPIC
    },
    Abilities {
        dialect: Dialect::OpenAiResponses,
        refusals: true,
        signatures: &[(Encrypted, true)],
        total: true,
        words: [
            (Stop, "completed"),
            (Length, "max_output_tokens"),
            (ContentFilter, "content_filter"),
            (ToolCalls, "completed"),
        ],
        ..ANTHROPIC
    },
    Abilities {
        dialect: Dialect::Gemini,
        cache_write: false,
        signatures: &[(Signed, false)],
        call_signatures: true,
        calls: Calls::Whole,
        total: true,
        words: [(Stop, "STOP"), (Length, "MAX_TOKENS"), (ContentFilter, "SAFETY"), (ToolCalls, "STOP")],
        ..ANTHROPIC
    },
    Abilities {
        dialect: Dialect::Cohere,
        cache_write: false,
        model: false,
        signatures: &[],
        reasoning: false,
        words: [
            (Stop, "COMPLETE"),
            (Length, "MAX_TOKENS"),
            (ContentFilter, "ERROR_TOXIC"),
            (ToolCalls, "TOOL_CALL"),
        ],
        ..ANTHROPIC
    },
    Abilities {
        dialect: Dialect::Ollama,
        cache_write: false,
        id: false,
        signatures: &[],
        calls: Calls::WholeWithArguments,
        cached: false,
        reasoning: false,
        words: [(Stop, "stop"), (Length, "length"), (Length, "length"), (Stop, "stop")],
        ..ANTHROPIC
    },
];
