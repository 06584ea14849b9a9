//! The shape of a chunk: only what is used; everything else is skipped unread.

use std::borrow::Cow;
use std::fmt;

use compact_str::CompactString;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::read_error;
use crate::delta::{DeltaKind, ProviderError, Usage};
use crate::json::{Raw, Text, read_string};

#[derive(Debug, Deserialize)]
pub(super) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) model: Text<'a>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
    #[serde(borrow, default)]
    x_groq: Option<XGroq<'a>>,
    #[serde(borrow, default)]
    object: Text<'a>,
    #[serde(borrow, default)]
    message: Raw<'a>,
    #[serde(borrow, default)]
    code: Raw<'a>,
}

/// Groq puts the usage of a stream here.
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
    pub(super) index: Option<u32>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Message<'a>>,
    /// Stands in the place of `delta` in an answer that was not streamed.
    #[serde(borrow, default)]
    pub(super) message: Option<Message<'a>>,
    #[serde(borrow, default)]
    pub(super) finish_reason: Text<'a>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    reasoning_content: Text<'a>,
    #[serde(borrow, default)]
    reasoning: Text<'a>,
    #[serde(borrow, default)]
    pub(super) refusal: Text<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<CallFragment<'a>>>,
    #[serde(borrow, default)]
    pub(super) function_call: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CallFragment<'a> {
    #[serde(default)]
    pub(super) index: Option<u64>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
}

impl Chunk<'_> {
    /// The error that the chunk reports: under `error`, under Groq's `x_groq`, in a choice (`OpenRouter`), or, as vLLM
    /// sends it, the object itself.
    pub(super) fn error(&self) -> Option<ProviderError> {
        let choices = self.choices.iter().flatten();
        let nested = self
            .error
            .get()
            .or_else(|| self.x_groq.as_ref().and_then(|groq| groq.error.get()))
            .or_else(|| choices.into_iter().find_map(|choice| choice.error.get()));
        if let Some(error) = nested {
            return Some(read_error(error));
        }
        (self.object.get() == Some("error")).then(|| {
            let mut error = read_error(self.message.get().unwrap_or_default());
            error.code = self.code.get().map(str::to_owned);
            error
        })
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        let json = self.usage.get().or_else(|| self.x_groq.as_ref().and_then(|groq| groq.usage.get()))?;
        read_usage(json)
    }
}

impl Message<'_> {
    /// Two names are in use. Some providers send both with the same text, so the first that is filled counts.
    pub(super) fn reasoning(&self) -> Option<CompactString> {
        self.reasoning_content.compact().or_else(|| self.reasoning.compact())
    }
}

impl Function<'_> {
    /// The arguments as JSON text. They come as a string that holds JSON; some providers send the object itself.
    pub(super) fn arguments(&self) -> Option<CompactString> {
        let json = self.arguments.get()?;
        let text = if json.starts_with('"') { read_string(json)? } else { Cow::Borrowed(json) };
        (!text.is_empty()).then(|| CompactString::from(text))
    }
}

#[derive(Debug, Deserialize)]
struct UsageFields {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    prompt_cache_hit_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

fn read_usage(json: &str) -> Option<Usage> {
    let fields: UsageFields = serde_json::from_str(json).ok()?;
    Some(Usage {
        input_tokens: fields.prompt_tokens,
        output_tokens: fields.completion_tokens,
        total_tokens: fields.total_tokens,
        cached_tokens: fields
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens)
            .or(fields.prompt_cache_hit_tokens),
        reasoning_tokens: fields
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens)
            .or(fields.reasoning_tokens),
        raw: json.into(),
    })
}

/// The content of a message: a string, or Mistral's list of parts.
#[derive(Debug, Default)]
pub(super) enum Content<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    thinking: Content<'a>,
}

impl Content<'_> {
    /// The content's deltas, in order.
    pub(super) fn parts(&self) -> Vec<DeltaKind> {
        match self {
            Self::Text(text) if !text.is_empty() => vec![DeltaKind::Text(CompactString::from(text.as_ref()))],
            Self::None | Self::Text(_) => Vec::new(),
            Self::Parts(parts) => parts.iter().flat_map(Part::deltas).collect(),
        }
    }

    fn plain(&self) -> CompactString {
        match self {
            Self::None => CompactString::default(),
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

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Content::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = seq.next_element()? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::None)
    }
}
