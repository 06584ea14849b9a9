//! The members of a chunk that are used. Serde skips all others.

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::delta::{DeltaKind, ProviderError, Signature, Usage};
use crate::dialects::json::{Index, List, Object, Raw, Scalar, Text, float_text};
use crate::error::read_error;

#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) choices: List<Choice<'a>>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    x_groq: Object<XGroq<'a>>,
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    code: Raw<'a>,
    #[serde(borrow, default)]
    base_resp: Object<BaseResp<'a>>,
    /// The text, in chunks that have no choices: Writer's legacy completions (`value`) and Cloudflare's models
    /// (`response`).
    #[serde(borrow, default, alias = "response")]
    pub(super) value: Scalar<'a>,
    /// The tool calls, in chunks that have no choices: Cloudflare's,
    /// <https://developers.cloudflare.com/workers-ai/features/function-calling/>.
    #[serde(borrow, default)]
    pub(super) tool_calls: List<CallFragment<'a>>,
}

/// What `MiniMax` says of each chunk: <https://platform.minimax.io/docs/api-reference/errorcode>.
#[derive(Debug, Deserialize)]
struct BaseResp<'a> {
    #[serde(borrow, default)]
    status_code: Raw<'a>,
    #[serde(borrow, default)]
    status_msg: Text<'a>,
}

impl BaseResp<'_> {
    fn error(&self) -> Option<ProviderError> {
        let code = self.status_code.get()?.trim_matches('"');
        let message = self.status_msg.get().map_or_else(|| format!("status {code}"), str::to_owned);
        let code = Some(code).filter(|code| !matches!(*code, "" | "0"))?;
        let body = Some(format!("{code} {message}").into());
        Some(ProviderError { message, code: Some(code.to_owned()), body, ..ProviderError::default() })
    }
}

/// Where Groq sends the usage of a stream.
#[derive(Debug, Deserialize)]
struct XGroq<'a> {
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(default)]
    pub(super) index: Index,
    #[serde(borrow, default)]
    pub(super) delta: Object<Message<'a>>,
    /// Replaces `delta` in a response that was not streamed.
    #[serde(borrow, default)]
    pub(super) message: Object<Message<'a>>,
    /// Replaces `delta` in the legacy completions (`text_completion`).
    #[serde(borrow, default)]
    pub(super) text: Scalar<'a>,
    #[serde(borrow, default)]
    finish_reason: Text<'a>,
    /// Bedrock's name for the finish reason. Other providers send both; there, this is the stop sequence that matched.
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
    /// `OpenRouter`'s: the word of the provider behind it.
    #[serde(borrow, default)]
    native_finish_reason: Text<'a>,
    #[serde(borrow, default)]
    pub(super) logprobs: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    /// Where Moonshot sends the usage.
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    reasoning_content: Scalar<'a>,
    #[serde(borrow, default)]
    reasoning: Scalar<'a>,
    /// GitHub Copilot's names for the reasoning and its encrypted form.
    #[serde(borrow, default)]
    reasoning_text: Scalar<'a>,
    #[serde(borrow, default)]
    reasoning_opaque: Text<'a>,
    #[serde(borrow, default)]
    reasoning_details: List<ReasoningDetail<'a>>,
    /// `LiteLLM`'s proxy repeats Anthropic's blocks here: <https://docs.litellm.ai/docs/reasoning_content>.
    #[serde(borrow, default)]
    thinking_blocks: List<ReasoningDetail<'a>>,
    /// Speech, and what is said in it.
    #[serde(borrow, default)]
    pub(super) audio: Object<Audio<'a>>,
    /// Tools that Groq runs itself: <https://console.groq.com/docs/compound>.
    #[serde(borrow, default)]
    executed_tools: Raw<'a>,
    /// `OpenRouter`'s pictures.
    #[serde(borrow, default)]
    images: Raw<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: List<CallFragment<'a>>,
    #[serde(borrow, default)]
    pub(super) function_call: Object<Function<'a>>,
}

/// <https://platform.openai.com/docs/guides/audio>.
#[derive(Debug, Deserialize)]
pub(super) struct Audio<'a> {
    #[serde(borrow, default)]
    pub(super) transcript: Scalar<'a>,
    #[serde(borrow, default)]
    data: Text<'a>,
}

/// `OpenRouter` repeats the reasoning here, with the signatures that the model's provider wants back in the next turn:
/// <https://openrouter.ai/docs/use-cases/reasoning-tokens>.
#[derive(Debug, Deserialize)]
struct ReasoningDetail<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Text<'a>,
    #[serde(borrow, default)]
    summary: Text<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    data: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CallFragment<'a> {
    #[serde(default)]
    pub(super) index: Index,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    function: Object<Function<'a>>,
    /// Replaces `function` for a tool whose argument is any text:
    /// <https://platform.openai.com/docs/guides/function-calling#custom-tools>.
    #[serde(borrow, default)]
    custom: Object<Function<'a>>,
    /// Cloudflare has name and arguments in the call itself.
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
    #[serde(borrow, default)]
    extra_content: Object<ExtraContent<'a>>,
}

/// Gemini's OpenAI-compatible endpoint sends the signature of a tool call here, and wants it back with the call:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
#[derive(Debug, Deserialize)]
struct ExtraContent<'a> {
    #[serde(borrow, default)]
    google: Object<Google<'a>>,
}

#[derive(Debug, Deserialize)]
struct Google<'a> {
    #[serde(borrow, default)]
    thought_signature: Text<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
    /// The argument of a custom tool.
    #[serde(borrow, default)]
    input: Raw<'a>,
}

impl Chunk<'_> {
    /// The error that the chunk reports: in `error`, in `x_groq` (Groq), in a choice (`OpenRouter`), in `base_resp`
    /// (`MiniMax`), or the chunk itself if its `object` is `error` (vLLM).
    pub(super) fn error(&self, json: &str) -> Option<ProviderError> {
        if self.error.error().is_some() {
            return Some(read_error(json));
        }
        let nested = self
            .x_groq
            .as_ref()
            .and_then(|groq| groq.error.error())
            .or_else(|| self.choices.iter().find_map(|choice| choice.error.error()));
        if let Some(error) = nested {
            return Some(read_error(error));
        }
        if let Some(error) = self.base_resp.as_ref().and_then(BaseResp::error) {
            return Some(error);
        }
        (self.object.get() == Some("error")).then(|| {
            let mut error = read_error(self.message.get().unwrap_or_default());
            error.code = self.code.get().map(str::to_owned);
            error
        })
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let groq = || self.x_groq.as_ref().and_then(|groq| groq.usage.get());
        let moonshot = || self.choices.iter().find_map(|choice| choice.usage.get());
        read_usage(self.usage.get().or_else(groq).or_else(moonshot)?)
    }
}

impl Choice<'_> {
    /// The word of the provider behind a gateway, unless it is the gateway's too.
    pub(super) fn native(&self) -> Option<&str> {
        self.native_finish_reason.reason().filter(|native| self.finish() != Some(native))
    }

    /// The finish reason, in the provider's word.
    pub(super) fn finish(&self) -> Option<&str> {
        self.finish_reason.reason().or_else(|| self.stop_reason.reason())
    }
}

impl Message<'_> {
    /// Whether it shows the provider at work, although it may give no delta.
    pub(super) fn is_work(&self) -> bool {
        let speaks = self.audio.as_ref().is_some_and(|audio| audio.data.get().is_some());
        let has = |list: &Raw<'_>| list.get().is_some_and(|list| list != "[]");
        speaks || has(&self.executed_tools) || has(&self.images)
    }

    /// The reasoning. Providers use four different members; some fill several with the same text, so only the first one
    /// that has text is used.
    pub(super) fn reasoning(&self) -> Option<CompactString> {
        let details = || {
            let texts = self.details().filter_map(|detail| {
                detail.text.get().or_else(|| detail.summary.get()).or_else(|| detail.thinking.get())
            });
            Some(texts.collect()).filter(|text: &CompactString| !text.is_empty())
        };
        [&self.reasoning_content, &self.reasoning, &self.reasoning_text]
            .into_iter()
            .find_map(|text| text.compact())
            .or_else(details)
    }

    /// The signatures of the reasoning.
    pub(super) fn signatures(&self) -> impl Iterator<Item = Signature> {
        let opaque = self.reasoning_opaque.compact().map(Signature::encrypted);
        let details = self.details().filter_map(|detail| {
            let signed = detail.signature.compact().map(Signature::signed);
            let signature = signed.or_else(|| detail.data.compact().map(Signature::encrypted))?;
            Some(Signature { id: detail.id.compact(), ..signature })
        });
        opaque.into_iter().chain(details)
    }

    fn details(&self) -> impl Iterator<Item = &ReasoningDetail<'_>> {
        self.reasoning_details.iter().chain(self.thinking_blocks.iter())
    }
}

impl<'a> CallFragment<'a> {
    /// Whether this is a call of a custom tool.
    pub(super) const fn is_custom(&self) -> bool {
        self.custom.0.is_some()
    }

    /// The name of the tool.
    pub(super) fn name(&self) -> Option<&str> {
        self.function().map_or_else(|| self.name.get(), |function| function.name.get())
    }

    /// The arguments as JSON text, or a custom tool's as they are.
    pub(super) fn arguments(&self) -> Option<Cow<'_, str>> {
        self.function().map_or_else(|| self.arguments.arguments(), Function::arguments)
    }

    fn function(&self) -> Option<&Function<'a>> {
        self.function.as_ref().or(self.custom.as_ref())
    }

    /// The signature of the call.
    pub(super) fn signature(&self) -> Option<CompactString> {
        self.extra_content.as_ref()?.google.as_ref()?.thought_signature.compact()
    }
}

impl Function<'_> {
    /// The arguments as JSON text.
    pub(super) fn arguments(&self) -> Option<Cow<'_, str>> {
        self.arguments.arguments().or_else(|| self.input.arguments())
    }
}

#[derive(Debug, Deserialize)]
struct UsageFields<'a> {
    #[serde(borrow, default)]
    prompt_tokens: Raw<'a>,
    #[serde(borrow, default)]
    completion_tokens: Raw<'a>,
    #[serde(borrow, default)]
    total_tokens: Raw<'a>,
    #[serde(borrow, default)]
    prompt_tokens_details: Object<Details<'a>>,
    #[serde(borrow, default)]
    prompt_cache_hit_tokens: Raw<'a>,
    /// Mistral's.
    #[serde(borrow, default)]
    num_cached_tokens: Raw<'a>,
    #[serde(borrow, default)]
    completion_tokens_details: Object<Details<'a>>,
    #[serde(borrow, default)]
    reasoning_tokens: Raw<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow, default, rename = "cached_tokens")]
    cached: Raw<'a>,
    /// Sent by `OpenRouter`.
    #[serde(borrow, default, rename = "cache_write_tokens")]
    cache_write: Raw<'a>,
    #[serde(borrow, default, rename = "reasoning_tokens")]
    reasoning: Raw<'a>,
}

fn read_usage(json: &str) -> Option<Usage> {
    let fields: UsageFields<'_> = serde_json::from_str(json).ok()?;
    let prompt = fields.prompt_tokens_details.0.unwrap_or_default();
    let completion = fields.completion_tokens_details.0.unwrap_or_default();
    Some(Usage {
        input_tokens: fields.prompt_tokens.count(),
        output_tokens: fields.completion_tokens.count(),
        total_tokens: fields.total_tokens.count(),
        cached_tokens: prompt
            .cached
            .count()
            .or_else(|| fields.prompt_cache_hit_tokens.count())
            .or_else(|| fields.num_cached_tokens.count()),
        cache_write_tokens: prompt.cache_write.count(),
        reasoning_tokens: completion.reasoning.count().or_else(|| fields.reasoning_tokens.count()),
        raw: json.into(),
    })
}

/// The content of a message: a string, or, from Mistral and Databricks, a list of parts.
#[derive(Debug, Default)]
pub(super) enum Content<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    /// A number or a boolean, as text; see [`Scalar`].
    Scalar(String),
    Parts(Vec<Part<'a>>),
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    text: Scalar<'a>,
    /// The reasoning: `thinking` from Mistral, `summary` from Databricks.
    #[serde(borrow, default, alias = "summary")]
    thinking: Content<'a>,
}

impl Content<'_> {
    /// The deltas of the content, in order.
    pub(super) fn parts(&self) -> Vec<DeltaKind> {
        match self {
            Self::Text(text) if !text.is_empty() => vec![DeltaKind::Text(CompactString::from(text.as_ref()))],
            Self::Scalar(text) => vec![DeltaKind::Text(text.into())],
            Self::None | Self::Text(_) => Vec::new(),
            Self::Parts(parts) => parts.iter().flat_map(Part::deltas).collect(),
        }
    }

    /// All text of the content.
    fn plain(&self) -> CompactString {
        match self {
            Self::None | Self::Scalar(_) => CompactString::default(),
            Self::Text(text) => CompactString::from(text.as_ref()),
            Self::Parts(parts) => parts.iter().filter_map(|part| part.text.get()).collect(),
        }
    }
}

impl Part<'_> {
    fn deltas(&self) -> impl Iterator<Item = DeltaKind> {
        let thinking =
            Some(self.thinking.plain()).filter(|thinking| !thinking.is_empty()).map(DeltaKind::Reasoning);
        thinking.into_iter().chain(self.text.compact().map(DeltaKind::Text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a list of parts or null")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(content) = seq.next_element()? {
            match content {
                Content::None | Content::Scalar(_) => {}
                Content::Text(text) => parts.push(Part { text: Scalar::from(text), ..Part::default() }),
                Content::Parts(inner) => parts.extend(inner),
            }
        }
        Ok(Content::Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Part::deserialize(MapAccessDeserializer::new(map)).map(|part| Content::Parts(vec![part]))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Content::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Content::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Content::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Content::Scalar(float_text(value)))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::None)
    }
}
