//! Deltas, folded into the answer that they make up.

use compact_str::CompactString;

use crate::delta::{Delta, DeltaKind, Finish, ProviderError, ResponseInfo, Signature, Usage};

/// What has been said so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Response {
    /// The response's id and model, as far as told.
    pub info: ResponseInfo,
    /// The choices that have said anything, in order of their index.
    pub choices: Vec<Choice>,
    /// The latest token counts.
    pub usage: Option<Usage>,
    /// The error that ended the stream.
    pub error: Option<ProviderError>,
}

/// One alternative of a response.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// The choice's number.
    pub index: u32,
    /// The answer.
    pub text: String,
    /// The reasoning, which is never part of the text.
    pub reasoning: String,
    /// What the provider wants back with the next turn, in order.
    pub signatures: Vec<PlacedSignature>,
    /// The refusal.
    pub refusal: String,
    /// The tool calls, in order of appearance.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended; `None` while it has not.
    pub finish: Option<Finish>,
}

/// A signature, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedSignature {
    /// How many bytes of [`Choice::reasoning`] had been said when it came: unless it names a tool call, it belongs to
    /// those since the signature before it.
    pub reasoning_end: usize,
    /// The signature.
    pub signature: Signature,
}

/// One tool call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// The provider's id, where it sent one.
    pub id: Option<CompactString>,
    /// The tool's name.
    pub name: CompactString,
    /// The arguments as sent: JSON text, or what was meant to be.
    pub arguments: String,
    /// All arguments have been seen.
    pub complete: bool,
}

impl Response {
    /// Adds what one delta says.
    pub fn apply(&mut self, delta: &Delta) {
        match &delta.kind {
            DeltaKind::Usage(usage) => self.usage = Some((**usage).clone()),
            DeltaKind::Response(info) => self.info = (**info).clone(),
            DeltaKind::Error(error) => self.error = Some((**error).clone()),
            kind => self.choice(delta.choice).apply(kind),
        }
    }

    /// The choice that nearly every request is about.
    #[must_use]
    pub fn first(&self) -> Option<&Choice> {
        self.choices.first().filter(|choice| choice.index == 0)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = self.choices.partition_point(|choice| choice.index < index);
        if self.choices.get(at).is_none_or(|choice| choice.index != index) {
            self.choices.insert(at, Choice { index, ..Choice::default() });
        }
        &mut self.choices[at]
    }
}

/// A stretch of reasoning that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thought<'a> {
    /// What was said; empty where it is not shown.
    pub text: &'a str,
    /// What the provider wants back with it.
    pub signature: &'a Signature,
}

impl Choice {
    /// The reasoning, cut where it was signed. What no signature follows is not among it.
    pub fn thoughts(&self) -> impl Iterator<Item = Thought<'_>> {
        let mut start = 0;
        let of_reasoning = self.signatures.iter().filter(|placed| placed.signature.tool_call.is_none());
        of_reasoning.map(move |placed| {
            let text = &self.reasoning[start..placed.reasoning_end];
            start = placed.reasoning_end;
            Thought { text, signature: &placed.signature }
        })
    }

    fn apply(&mut self, kind: &DeltaKind) {
        match kind {
            DeltaKind::Text(text) => self.text.push_str(text),
            DeltaKind::Reasoning(text) => self.reasoning.push_str(text),
            DeltaKind::Refusal(text) => self.refusal.push_str(text),
            DeltaKind::ToolCallStart(start) => match self.call(start.index) {
                Some(call) => call.id.clone_from(&start.id),
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
                    call.complete = true;
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
