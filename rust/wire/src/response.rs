//! Collects deltas into a whole response.

use compact_str::CompactString;
use serde::de::IgnoredAny;

use crate::delta::{Delta, DeltaKind, Finish, ProviderError, ResponseInfo, Signature, Usage};

/// A response, as far as it has arrived.
///
/// ```
/// use headrace_wire::{Delta, DeltaKind, Response};
///
/// let mut response = Response::default();
/// for text in ["Hello", " world"] {
///     response.apply(&Delta::first(DeltaKind::Text(text.into())));
/// }
/// assert_eq!(response.first().map(|choice| choice.text.as_str()), Some("Hello world"));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    /// The response's id and model, if they have arrived.
    pub info: ResponseInfo,
    /// The choices that have content, in order of their index.
    pub choices: Vec<Choice>,
    /// The latest token counts.
    pub usage: Option<Usage>,
    /// The error that ended the stream.
    pub error: Option<ProviderError>,
}

/// One choice of a response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// The index of the choice.
    pub index: u32,
    /// The text of the answer.
    pub text: String,
    /// The reasoning, which is never part of the text.
    pub reasoning: String,
    /// The signatures that the provider wants back with the next turn, in order.
    pub signatures: Vec<PlacedSignature>,
    /// The refusal.
    pub refusal: String,
    /// The tool calls, in order of appearance.
    pub tool_calls: Vec<ToolCall>,
    /// The finish reason; `None` until the choice has ended.
    pub finish: Option<Finish>,
}

/// A signature, and its position in the reasoning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedSignature {
    /// The length of [`Choice::reasoning`] in bytes when the signature arrived. Unless it belongs to a tool call, it
    /// signs the reasoning between the signature before it and this position.
    pub reasoning_end: usize,
    /// The signature.
    pub signature: Signature,
}

/// One tool call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's id of the call, if it sent one.
    pub id: Option<CompactString>,
    /// The tool's name.
    pub name: CompactString,
    /// The arguments as sent. They should be JSON text, but models make mistakes.
    pub arguments: String,
    /// Whether the call has ended. It may have been cut off: see [`Choice::is_complete`].
    pub ended: bool,
}

impl Response {
    /// Adds one delta.
    pub fn apply(&mut self, delta: &Delta) {
        match &delta.kind {
            DeltaKind::Usage(usage) => {
                let earlier = self.usage.take();
                self.usage = Some(earlier.map_or_else(|| (**usage).clone(), |earlier| usage.after(&earlier)));
            }
            DeltaKind::Response(info) => self.info = (**info).clone(),
            DeltaKind::Error(error) => self.error = Some((**error).clone()),
            kind => self.choice(delta.choice).apply(kind),
        }
    }

    /// The choice with index 0, if it has content.
    #[must_use]
    pub fn first(&self) -> Option<&Choice> {
        self.choices.first().filter(|choice| choice.index == 0)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = self.choices.partition_point(|choice| choice.index < index);
        if self.choices.get(at).is_none_or(|choice| choice.index != index) {
            if self.choices.is_empty() {
                // Nearly every response has one choice.
                self.choices.reserve_exact(1);
            }
            self.choices.insert(at, Choice { index, ..Choice::default() });
        }
        &mut self.choices[at]
    }
}

/// A part of the reasoning that has a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thought<'a> {
    /// The text; empty if only its encrypted form was sent.
    pub text: &'a str,
    /// The signature that the provider wants back with it.
    pub signature: &'a Signature,
}

impl Choice {
    /// The parts of the reasoning that have a signature, in order. Reasoning after the last signature is left out.
    pub fn thoughts(&self) -> impl Iterator<Item = Thought<'_>> {
        let mut start = 0;
        let reasoning_signatures =
            self.signatures.iter().filter(|placed| placed.signature.tool_call.is_none());
        reasoning_signatures.map(move |placed| {
            let text = &self.reasoning[start..placed.reasoning_end];
            start = placed.reasoning_end;
            Thought { text, signature: &placed.signature }
        })
    }

    /// Whether a tool call of this choice is whole, as opposed to one that was cut off.
    ///
    /// If the model finished by itself, what it sent is all: no arguments are an empty object. If a limit, a filter or a
    /// failure stopped it, or if it is not known why it stopped, then the arguments must be a whole JSON value.
    #[must_use]
    pub fn is_complete(&self, call: &ToolCall) -> bool {
        let is_normal = self.finish.as_ref().is_some_and(|finish| finish.reason.is_normal());
        let is_whole = || serde_json::from_str::<IgnoredAny>(&call.arguments).is_ok();
        call.ended && (is_normal || is_whole())
    }

    fn apply(&mut self, kind: &DeltaKind) {
        match kind {
            DeltaKind::Text(text) => self.text.push_str(text),
            DeltaKind::Reasoning(text) => self.reasoning.push_str(text),
            DeltaKind::Refusal(text) => self.refusal.push_str(text),
            DeltaKind::ToolCallStart(start) => match self.call(start.index) {
                Some(call) => {
                    call.id.clone_from(&start.id);
                    call.name.clone_from(&start.name);
                }
                None => self.tool_calls.push(ToolCall {
                    id: start.id.clone(),
                    name: start.name.clone(),
                    ..ToolCall::default()
                }),
            },
            DeltaKind::ToolCallArguments { index, fragment } => {
                if let Some(call) = self.call(*index) {
                    call.arguments.push_str(fragment);
                }
            }
            DeltaKind::ToolCallEnd { index } => {
                if let Some(call) = self.call(*index) {
                    call.ended = true;
                }
            }
            DeltaKind::Signature(signature) => self.signatures.push(PlacedSignature {
                reasoning_end: self.reasoning.len(),
                signature: (**signature).clone(),
            }),
            DeltaKind::Finish(finish) => self.finish = Some((**finish).clone()),
            DeltaKind::Logprobs(_) | DeltaKind::Usage(_) | DeltaKind::Response(_) | DeltaKind::Error(_) => {}
        }
    }

    fn call(&mut self, index: u32) -> Option<&mut ToolCall> {
        self.tool_calls.get_mut(usize::try_from(index).ok()?)
    }
}
