//! The members of a chunk that are used. Serde skips all others.

use serde::Deserialize;

use crate::delta::Usage;
use crate::dialects::json::{Index, List, Object, Raw, Scalar, Text};

/// A `GenerateContentResponse`, or an event of the Interactions API, which has an `event_type`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) response_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model_version: Text<'a>,
    #[serde(borrow, default)]
    pub(super) candidates: List<Candidate<'a>>,
    #[serde(borrow, default)]
    pub(super) prompt_feedback: Object<PromptFeedback<'a>>,
    #[serde(borrow, default)]
    pub(super) usage_metadata: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) error: Raw<'a>,
    /// The chunk itself, where a gateway (Code Assist) wraps it.
    #[serde(borrow, default)]
    pub(super) response: Raw<'a>,
    #[serde(borrow, default, rename = "event_type")]
    pub(super) event_type: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(default)]
    pub(super) index: Index,
    #[serde(borrow, default)]
    pub(super) content: Object<Content<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) finish_message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) safety_ratings: List<SafetyRating<'a>>,
}

/// What a filter thinks of the answer or of the prompt.
#[derive(Debug, Deserialize)]
pub(super) struct SafetyRating<'a> {
    #[serde(borrow, default)]
    category: Text<'a>,
    #[serde(borrow, default)]
    blocked: Raw<'a>,
}

/// The categories for which something was blocked.
pub(super) fn blocked_for(ratings: &[SafetyRating<'_>]) -> Option<String> {
    let blocked = ratings.iter().filter(|rating| rating.blocked.get() == Some("true"));
    let categories: Vec<&str> = blocked.filter_map(|rating| rating.category.get()).collect();
    (!categories.is_empty()).then(|| categories.join(", "))
}

#[derive(Debug, Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub(super) parts: List<Part<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub(super) text: Scalar<'a>,
    /// True if the text is a summary of the model's reasoning.
    #[serde(borrow, default)]
    pub(super) thought: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) thought_signature: Text<'a>,
    #[serde(borrow, default)]
    pub(super) function_call: Object<FunctionCall<'a>>,
    /// Code that the server runs itself, and what came of it.
    #[serde(borrow, default)]
    executable_code: Raw<'a>,
    #[serde(borrow, default)]
    code_execution_result: Raw<'a>,
    /// A picture or speech.
    #[serde(borrow, default)]
    inline_data: Raw<'a>,
}

impl Part<'_> {
    /// Whether it shows the provider at work, although it gives no delta.
    pub(super) fn is_work(&self) -> bool {
        [&self.executable_code, &self.code_execution_result, &self.inline_data]
            .iter()
            .any(|part| part.get().is_some())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) args: Raw<'a>,
    /// Pieces of the arguments; see `partial_args`.
    #[serde(borrow, default, alias = "partial_args")]
    pub(super) partial_args: Raw<'a>,
    /// True if more parts of this call follow.
    #[serde(borrow, default, alias = "will_continue")]
    will_continue: Raw<'a>,
}

impl FunctionCall<'_> {
    /// Whether more parts of this call follow.
    pub(super) fn will_continue(&self) -> bool {
        self.will_continue.get() == Some("true")
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback<'a> {
    #[serde(borrow, default)]
    pub(super) block_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) block_reason_message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) safety_ratings: List<SafetyRating<'a>>,
}

#[derive(Debug, Deserialize)]
struct UsageMetadata<'a> {
    #[serde(borrow, default, rename = "promptTokenCount")]
    prompt: Raw<'a>,
    #[serde(borrow, default, rename = "candidatesTokenCount")]
    candidates: Raw<'a>,
    #[serde(borrow, default, rename = "totalTokenCount")]
    total: Raw<'a>,
    #[serde(borrow, default, rename = "cachedContentTokenCount")]
    cached: Raw<'a>,
    #[serde(borrow, default, rename = "thoughtsTokenCount")]
    thoughts: Raw<'a>,
}

/// Reads `usageMetadata`. Google does not count the thoughts among the candidates' tokens.
pub(super) fn read_usage(json: &str) -> Option<Usage> {
    let fields: UsageMetadata<'_> = serde_json::from_str(json).ok()?;
    Some(Usage {
        input_tokens: fields.prompt.count(),
        output_tokens: fields.candidates.count(),
        total_tokens: fields.total.count(),
        cached_tokens: fields.cached.count(),
        reasoning_tokens: fields.thoughts.count(),
        raw: json.into(),
        ..Usage::default()
    })
}
