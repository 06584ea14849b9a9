//! OpenAI chat completions (`chat.completion.chunk` over SSE), and the dozens of providers that speak it.
//!
//! The format: <https://platform.openai.com/docs/api-reference/chat-streaming>. What others do to it was read off
//! recorded streams: reasoning beside the content, usage in odd places, tool calls without index or id, errors in
//! mid-stream, no `[DONE]`.

mod calls;
mod chunk;
mod encode;
mod template;

pub use crate::error::read_error;
pub use encode::ChunkEncoder;

use self::calls::Calls;
use self::chunk::{Choice, Chunk, Message};
use self::template::Template;
use crate::delta::{Delta, DeltaKind, FinishReason};
use crate::dialects::identity::Identity;
use crate::dialects::json::lenient;
use crate::dialects::reasons::{Finished, Reasons};
use crate::framing::sse::Event;
use crate::stream::{DecodeError, Ending, Progress};

/// The words that providers use for why a choice ended.
const REASONS: Reasons = Reasons(&[
    ("stop", FinishReason::Stop),
    ("end_turn", FinishReason::Stop),
    ("eos", FinishReason::Stop),
    ("eos_token", FinishReason::Stop),
    ("stop_sequence", FinishReason::Stop),
    ("completed", FinishReason::Stop),
    ("length", FinishReason::Length),
    ("max_tokens", FinishReason::Length),
    ("model_length", FinishReason::Length),
    ("max_output_tokens", FinishReason::Length),
    ("tool_calls", FinishReason::ToolCalls),
    ("function_call", FinishReason::ToolCalls),
    ("tool_use", FinishReason::ToolCalls),
    ("content_filter", FinishReason::ContentFilter),
    ("safety", FinishReason::ContentFilter),
    ("sensitive", FinishReason::ContentFilter),
    ("error", FinishReason::Error),
]);

/// Decodes the events of one response.
#[derive(Debug, Default)]
pub struct OpenAiChat {
    identity: Identity,
    choices: Vec<ChoiceState>,
    template: Template,
    done: bool,
}

/// What must be remembered of one choice between two chunks.
#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    calls: Calls,
    finish: Finished,
    /// Something was said in deltas.
    is_streamed: bool,
}

impl OpenAiChat {
    /// Translates one event into deltas.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when the data is neither JSON nor `[DONE]`.
    pub fn event(&mut self, event: &Event<'_>, out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        let data = event.data();
        if event.has_default_type()
            && let Some(delta) = self.template.text_of(data)
        {
            out.push(delta);
            return Ok(Progress::Open);
        }
        if event.is_done() {
            self.done = true;
            return Ok(Progress::Ended);
        }
        if event.event_type() == "error" {
            out.push(Delta::first(DeltaKind::Error(Box::new(read_error(&event.data_text())))));
            return Ok(Progress::Ended);
        }
        if event.is_aside() { Ok(Progress::Open) } else { self.document(data, out) }
    }

    /// Translates one JSON document: a chunk, or the whole answer of a provider that did not stream.
    ///
    /// # Errors
    /// [`DecodeError::Json`] when it is not JSON, or not an object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        let first = out.len();
        let progress = lenient(data, |json| {
            let chunk: Chunk<'_> = serde_json::from_str(json)?;
            Ok(self.chunk(&chunk, out))
        })?;
        self.template.learn(data, &out[first..]);
        Ok(progress)
    }

    /// How the response ends if the bytes end here. `[DONE]` is proof; where a provider never sends it, a finish
    /// reason for every choice is.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let finished = !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finish.is_told());
        if self.done || finished { Ending::Complete } else { Ending::Truncated }
    }

    /// What the end of the bytes adds: the ends of tool calls that no finish reason closed.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.ending() == Ending::Complete {
            for choice in &mut self.choices {
                choice.calls.close(choice.index, out);
            }
        }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut Vec<Delta>) -> Progress {
        self.identity.tell(&chunk.id, &chunk.model, out);
        if let Some(text) = chunk.value.compact().filter(|_| chunk.choices.is_empty()) {
            out.push(Delta::first(DeltaKind::Text(text)));
        }
        for choice in chunk.choices.iter() {
            self.choice(choice, out);
        }
        if let Some(usage) = chunk.usage() {
            out.push(Delta::first(DeltaKind::Usage(Box::new(usage))));
        }
        // Last, so that what came in the same chunk is not lost.
        if let Some(error) = chunk.error() {
            out.push(Delta::first(DeltaKind::Error(Box::new(error))));
            return Progress::Ended;
        }
        Progress::Open
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<Delta>) {
        let index = choice.index.choice();
        let state = self.state(index);
        if let Some(json) = choice.logprobs.get() {
            out.push(Delta { choice: index, kind: DeltaKind::Logprobs(json.into()) });
        }
        if let Some(delta) = &*choice.delta {
            state.is_streamed = true;
            message_deltas(index, delta, &mut state.calls, out);
        } else if let Some(message) = choice.message.as_ref() {
            // MiniMax repeats the whole message at the end of its deltas.
            if !state.is_streamed {
                message_deltas(index, message, &mut state.calls, out);
            }
        } else if let Some(text) = choice.text.compact() {
            out.push(Delta { choice: index, kind: DeltaKind::Text(text) });
        }
        if let Some(raw) = choice.finish()
            && state.finish.is_news(raw)
        {
            state.calls.close(index, out);
            state.finish.tell(index, raw, REASONS.read(&raw.to_ascii_lowercase()), out);
        }
    }

    fn state(&mut self, index: u32) -> &mut ChoiceState {
        let position = self.choices.iter().position(|choice| choice.index == index);
        let position = position.unwrap_or_else(|| {
            self.choices.push(ChoiceState { index, ..ChoiceState::default() });
            self.choices.len() - 1
        });
        &mut self.choices[position]
    }
}

fn message_deltas(choice: u32, message: &Message<'_>, calls: &mut Calls, out: &mut Vec<Delta>) {
    let mut push = |kind| out.push(Delta { choice, kind });
    if let Some(reasoning) = message.reasoning() {
        push(DeltaKind::Reasoning(reasoning));
    }
    for signature in message.signatures() {
        push(DeltaKind::Signature(Box::new(signature)));
    }
    for part in message.content.parts() {
        push(part);
    }
    if let Some(refusal) = message.refusal.compact() {
        push(DeltaKind::Refusal(refusal));
    }
    for (position, fragment) in message.tool_calls.iter().enumerate() {
        calls.fragment(choice, position, fragment, out);
    }
    if let Some(function) = &*message.function_call {
        calls.legacy(choice, function, out);
    }
}
