//! Finish reasons: the words of a dialect, and what they mean as a [`FinishReason`].

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, Finish, FinishReason};

/// The finish reasons of one dialect. If several words mean the same reason, the first one is used for writing.
#[derive(Debug)]
pub(crate) struct Reasons(pub(crate) &'static [(&'static str, FinishReason)]);

impl Reasons {
    /// The meaning of a provider's word: by this list, or else by those of all dialects, since gateways pass on the
    /// words of the provider behind them. [`FinishReason::Other`] if no list has it.
    pub(crate) fn read(&self, raw: &str) -> FinishReason {
        self.own(raw).or_else(|| bad_end(raw)).unwrap_or(FinishReason::Other)
    }

    /// The meaning of a word by this list alone.
    fn own(&self, raw: &str) -> Option<FinishReason> {
        self.0.iter().find(|(word, _)| *word == raw).map(|(_, reason)| *reason)
    }

    /// The word to write for a finish reason: its raw word if this dialect knows it, or else this dialect's own.
    pub(crate) fn write<'a>(&self, finish: &'a Finish) -> &'a str {
        if self.own(&finish.raw).unwrap_or(FinishReason::Other) == finish.reason {
            return &finish.raw;
        }
        let own = self.0.iter().find(|(_, reason)| *reason == finish.reason);
        own.map_or(&finish.raw, |(word, _)| word)
    }
}

/// Words that mean that the answer failed ([`FinishReason::Error`]) or was withheld ([`FinishReason::ContentFilter`]),
/// in lower case and without separators. They are the same for all dialects, and [`ErrorClass`](crate::ErrorClass) uses
/// them too.
const BAD_ENDS: &[(FinishReason, &[&str])] = &[
    (
        FinishReason::Error,
        &[
            // OpenRouter, Mistral, Cohere, vLLM, Groq.
            "error",
            "failed",
            "failure",
            "timeout",
            "servererror",
            "internalerror",
            "modelerror",
            // vLLM, SGLang: the request was taken from the server.
            "abort",
            "aborted",
            "cancelled",
            "canceled",
            // Zhipu.
            "networkerror",
            // DeepSeek.
            "insufficientsystemresource",
            // Google, and its endpoint for OpenAI's dialect (`function_call_filter: MALFORMED_FUNCTION_CALL`).
            "malformedfunctioncall",
            "malformedresponse",
            "unexpectedtoolcall",
            "toomanytoolcalls",
            "missingthoughtsignature",
            "noimage",
            "imageother",
            "functioncallfilter",
            // Bedrock.
            "malformedmodeloutput",
            "malformedtooluse",
        ],
    ),
    (
        FinishReason::ContentFilter,
        &[
            // OpenAI, Azure, Moonshot, DeepSeek, Bedrock.
            "contentfilter",
            "contentfiltered",
            "filtered",
            "moderation",
            "flagged",
            // Anthropic.
            "refusal",
            // Zhipu.
            "sensitive",
            // Google.
            "safety",
            "recitation",
            "blocklist",
            "prohibitedcontent",
            "spii",
            "language",
            "modelarmor",
            "jailbreak",
            "blocked",
            "imagesafety",
            "imageprohibitedcontent",
            "imagerecitation",
            // Cohere.
            "errortoxic",
            // Bedrock.
            "guardrailintervened",
            "guardrail",
            "intervened",
        ],
    ),
];

/// Words that are no reason: what servers write for none, in lower case and without separators.
/// <https://ai.google.dev/api/generate-content#FinishReason> has `FINISH_REASON_UNSPECIFIED`.
const NO_REASONS: [&str; 9] = [
    "",
    "null",
    "none",
    "nil",
    "undefined",
    "unspecified",
    "finishreasonunspecified",
    "blockreasonunspecified",
    "blockedreasonunspecified",
];

/// Whether a word says why an answer ended. `"null"` does not.
pub(crate) fn is_reason(raw: &str) -> bool {
    // None of them is longer. Most words need no copy to be told from them.
    raw.len() > 32 || !NO_REASONS.contains(&plain(raw).as_str())
}

/// [`FinishReason::Error`] or [`FinishReason::ContentFilter`], if that is what a word means. Some words have another
/// before a colon: `content_filter: SAFETY`.
pub(crate) fn bad_end(raw: &str) -> Option<FinishReason> {
    raw.split(':').find_map(|word| {
        let plain = plain(word);
        BAD_ENDS.iter().find(|(_, words)| words.contains(&plain.as_str())).map(|(reason, _)| *reason)
    })
}

/// A word in lower case and without separators: `MAX_TOKENS`, `maxTokens` and `max-tokens` are one.
pub(crate) fn plain(word: &str) -> CompactString {
    word.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect()
}

/// The finish reason of one choice, which is emitted once even if the provider repeats it.
#[derive(Debug, Default)]
pub(crate) struct Finished(Option<Finish>);

impl Finished {
    /// Whether a finish reason has been reported.
    pub(crate) const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the model has finished, and was not stopped by a limit, a filter or a failure.
    pub(crate) fn is_normal(&self) -> bool {
        self.0.as_ref().is_some_and(|finish| finish.reason.is_normal())
    }

    /// Whether this word differs from the last one. Some providers repeat theirs.
    pub(crate) fn is_new(&self, raw: &str) -> bool {
        self.0.as_ref().is_none_or(|finish| finish.raw != raw)
    }

    /// Corrects the reason, which some dialects do not tell: the model wants tools to be called, and has not just stopped.
    pub(crate) fn wants_tools(&mut self, choice: u32, out: &mut Vec<Delta>) {
        if let Some(Finish { reason: FinishReason::Stop, raw, .. }) = &self.0 {
            self.report(choice, &raw.clone(), FinishReason::ToolCalls, out);
        }
    }

    /// Takes a finish reason and emits a delta if it is new.
    pub(crate) fn report(&mut self, choice: u32, raw: &str, reason: FinishReason, out: &mut Vec<Delta>) {
        self.explain(choice, raw, reason, None, out);
    }

    /// Like [`Finished::report`], with what the provider says about the reason.
    pub(crate) fn explain(
        &mut self,
        choice: u32,
        raw: &str,
        reason: FinishReason,
        detail: Option<&str>,
        out: &mut Vec<Delta>,
    ) {
        let finish = Finish { reason, raw: CompactString::from(raw), detail: detail.map(Box::from) };
        if self.0.as_ref() != Some(&finish) {
            self.0 = Some(finish.clone());
            out.push(Delta { choice, kind: DeltaKind::Finish(Box::new(finish)) });
        }
    }
}
