//! OpenAI chat completions (`chat.completion.chunk` over SSE), and the dozens of providers that speak this dialect.
//!
//! The format: <https://platform.openai.com/docs/api-reference/chat-streaming>. How other providers deviate from it was
//! learned from recorded streams: reasoning beside the content, usage in odd places, tool calls without index or id,
//! errors in mid-stream, no `[DONE]`.

mod chunk;
mod encode;
mod template;

pub use crate::error::read_error;
pub use encode::ChunkEncoder;

use std::collections::HashMap;

use self::chunk::{CallFragment, Choice, Chunk, Message};
use self::template::Template;
use crate::delta::{Delta, DeltaKind, FinishReason, Signature};
use crate::dialects::identity::Identity;
use crate::dialects::json::lenient;
use crate::dialects::reasons::{Finished, Reasons, bad_end};
use crate::dialects::tool_calls::{Piece, ToolCalls};
use crate::framing::sse::Event;
use crate::stream::{DecodeError, Ending, Progress};

/// The finish reasons that providers of this dialect send.
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

/// The index of the deprecated `function_call`. No provider counts so far.
const LEGACY: u64 = u64::MAX;

/// Decodes one response.
#[derive(Debug, Default)]
pub struct OpenAiChat {
    identity: Identity,
    choices: Vec<ChoiceState>,
    /// Where each choice is, by its index.
    places: HashMap<u32, usize>,
    /// How many choices have no finish reason yet.
    unfinished: usize,
    template: Template,
    /// A chunk without choices had text.
    has_text: bool,
    done: bool,
    /// A frame without deltas has shown the provider at work since it was asked for.
    has_work: bool,
}

/// The state of one choice between two chunks.
#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    calls: ToolCalls,
    finish: Finished,
    /// A chunk had a `delta`, as opposed to a whole `message`.
    is_streamed: bool,
}

impl OpenAiChat {
    /// Whether frames without deltas have shown the provider at work since the last call of this.
    pub(crate) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Decodes one event and appends its deltas to `out`.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if the data begin as a JSON object does and are none.
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
        if event.is_error() {
            out.push(Delta::first(DeltaKind::Error(Box::new(read_error(&event.data_text())))));
            return Ok(Progress::Ended);
        }
        if event.is_json() { self.document(data, out) } else { Ok(Progress::Open) }
    }

    /// Decodes one JSON document and appends its deltas to `out`: a chunk, or a whole response that was not streamed.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        let first = out.len();
        let progress = lenient(data, |json| {
            let chunk: Chunk<'_> = serde_json::from_str(json)?;
            Ok(self.chunk(&chunk, json, out))
        })?;
        self.template.learn(data, &out[first..]);
        Ok(progress)
    }

    /// Whether the response is complete if the body ends here: after `[DONE]`, unless that is all, or, since some
    /// providers never send it, when every choice has a finish reason. A finish reason in the middle of a call is not
    /// enough: some servers send it too early.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let is_cut = |choice: &ChoiceState| choice.finish.is_normal() && choice.calls.is_partial();
        let finished = !self.choices.is_empty() && self.unfinished == 0 && !self.choices.iter().any(is_cut);
        let answered = self.has_text || !self.choices.is_empty();
        if (self.done && answered) || finished { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body: ends the tool calls.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.ending() == Ending::Complete {
            for choice in &mut self.choices {
                choice.calls.end_all(out);
            }
        }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        self.identity.update(&chunk.id, &chunk.model, out);
        if let Some(text) = chunk.value.compact().filter(|_| chunk.choices.is_empty()) {
            self.has_text = true;
            out.push(Delta::first(DeltaKind::Text(text)));
        }
        if chunk.choices.is_empty() && !chunk.tool_calls.is_empty() {
            call_list(0, &chunk.tool_calls, &mut self.state(0).calls, out);
        }
        for choice in chunk.choices.iter() {
            self.choice(choice, out);
        }
        if let Some(usage) = chunk.usage() {
            out.push(Delta::first(DeltaKind::Usage(Box::new(usage))));
        }
        // The error goes last, because nothing after it is read.
        if let Some(error) = chunk.error(json) {
            out.push(Delta::first(DeltaKind::Error(Box::new(error))));
            return Progress::Ended;
        }
        Progress::Open
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut Vec<Delta>) {
        let index = choice.index.choice();
        self.has_work |= choice.delta.as_ref().is_some_and(Message::is_work);
        let state = self.state(index);
        if let Some(json) = choice.logprobs.get() {
            out.push(Delta { choice: index, kind: DeltaKind::Logprobs(json.into()) });
        }
        if let Some(delta) = &*choice.delta {
            state.is_streamed = true;
            message_deltas(index, delta, &mut state.calls, out);
        } else if let Some(message) = choice.message.as_ref() {
            // MiniMax repeats the whole message after its deltas.
            if !state.is_streamed {
                message_deltas(index, message, &mut state.calls, out);
            }
        } else if let Some(text) = choice.text.compact() {
            out.push(Delta { choice: index, kind: DeltaKind::Text(text) });
        }
        if let Some(raw) = choice.finish()
            && state.finish.is_new(raw)
        {
            let own = REASONS.read(&raw.to_ascii_lowercase());
            // Some gateways call every end a stop.
            let native = choice.native().filter(|_| matches!(own, FinishReason::Stop | FinishReason::Other));
            let reason = native.and_then(bad_end).unwrap_or(own);
            let is_first = !state.finish.is_set();
            state.finish.explain(index, raw, reason, choice.native(), out);
            self.unfinished -= usize::from(is_first);
        }
    }

    fn state(&mut self, index: u32) -> &mut ChoiceState {
        // Nearly every response has one choice.
        let place = match self.choices.first() {
            Some(first) if first.index == index => 0,
            _ => *self.places.entry(index).or_insert(self.choices.len()),
        };
        if place == self.choices.len() {
            let calls = ToolCalls::for_choice(index);
            if self.choices.is_empty() {
                self.choices.reserve_exact(1);
            }
            self.choices.push(ChoiceState { index, calls, ..ChoiceState::default() });
            self.unfinished += 1;
        }
        &mut self.choices[place]
    }
}

fn message_deltas(choice: u32, message: &Message<'_>, calls: &mut ToolCalls, out: &mut Vec<Delta>) {
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
    if let Some(text) = message.audio.as_ref().and_then(|audio| audio.transcript.compact()) {
        push(DeltaKind::Text(text));
    }
    if let Some(refusal) = message.refusal.compact() {
        push(DeltaKind::Refusal(refusal));
    }
    call_list(choice, &message.tool_calls, calls, out);
    if let Some(function) = &*message.function_call {
        calls.begin_list();
        let arguments = function.arguments();
        let piece = Piece { key: Some(LEGACY), name: function.name.get(), ..Piece::default() };
        calls.piece(Piece { arguments: arguments.as_deref(), ..piece }, out);
    }
}

fn call_list(choice: u32, fragments: &[CallFragment<'_>], calls: &mut ToolCalls, out: &mut Vec<Delta>) {
    if !fragments.is_empty() {
        calls.begin_list();
    }
    let is_only = fragments.len() == 1;
    for (position, fragment) in fragments.iter().enumerate() {
        call_deltas(choice, Some(position).filter(|_| !is_only), fragment, calls, out);
    }
}

fn call_deltas(
    choice: u32,
    position: Option<usize>,
    fragment: &CallFragment<'_>,
    calls: &mut ToolCalls,
    out: &mut Vec<Delta>,
) {
    let arguments = fragment.arguments();
    let call = calls.piece(
        Piece {
            key: fragment.index.get(),
            id: fragment.id.get(),
            name: fragment.name(),
            arguments: arguments.as_deref(),
            position,
            is_free: fragment.is_custom(),
        },
        out,
    );
    if let Some(value) = fragment.signature() {
        let signature = Signature { tool_call: call, ..Signature::signed(value) };
        out.push(Delta { choice, kind: DeltaKind::Signature(Box::new(signature)) });
    }
}
