//! Events of the Interactions API: <https://ai.google.dev/gemini-api/docs/interactions/streaming>.
//!
//! A response is a list of steps (`content` in the first version of the API), each with a start, deltas and a stop. The
//! last event has the status.

use serde::Deserialize;

use super::{CandidateState, Gemini};
use crate::delta::{Delta, DeltaKind, FinishReason, Signature, Usage};
use crate::dialects::emit::{push_error, push_signature, push_text, push_usage};
use crate::dialects::json::{Index, Object, Raw, Scalar, Text, is_empty_object};
use crate::dialects::reasons::Reasons;
use crate::error::read_error;
use crate::stream::Progress;

/// The values of `status` that end an interaction.
const STATUSES: Reasons = Reasons(&[
    ("completed", FinishReason::Stop),
    ("incomplete", FinishReason::Length),
    ("budget_exceeded", FinishReason::Length),
    ("requires_action", FinishReason::ToolCalls),
    ("failed", FinishReason::Error),
]);

#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, default, rename = "event_type")]
    kind: Text<'a>,
    #[serde(default)]
    index: Index,
    #[serde(borrow, default, alias = "content")]
    step: Object<Step<'a>>,
    #[serde(borrow, default)]
    delta: Object<EventDelta<'a>>,
    #[serde(borrow, default)]
    interaction: Object<Interaction<'a>>,
    #[serde(borrow, default)]
    error: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct Step<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct EventDelta<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Scalar<'a>,
    #[serde(borrow, default)]
    signature: Text<'a>,
    #[serde(borrow, default)]
    content: Object<Summary<'a>>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    arguments: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct Summary<'a> {
    #[serde(borrow, default)]
    text: Scalar<'a>,
}

#[derive(Debug, Deserialize)]
struct Interaction<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    usage: Raw<'a>,
}

#[derive(Debug, Deserialize)]
struct Counts<'a> {
    #[serde(borrow, default, rename = "total_input_tokens")]
    input: Raw<'a>,
    #[serde(borrow, default, rename = "total_output_tokens")]
    output: Raw<'a>,
    #[serde(borrow, default, rename = "total_tokens")]
    total: Raw<'a>,
    #[serde(borrow, default, rename = "total_cached_tokens")]
    cached: Raw<'a>,
    #[serde(borrow, default, rename = "total_thought_tokens")]
    thoughts: Raw<'a>,
}

impl Gemini {
    /// Decodes one event of the Interactions API.
    pub(super) fn interaction(&mut self, event: &Event<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        let index = event.index.get().unwrap_or(0);
        self.has_work |= event.step.is_some() || event.delta.is_some();
        match event.kind.get() {
            Some("step.start" | "content.start") => {
                if let Some(step) = &*event.step {
                    self.only_candidate().step(index, step, out);
                }
            }
            Some("step.delta" | "content.delta") => {
                if let Some(delta) = &*event.delta {
                    self.only_candidate().step_delta(index, delta, out);
                }
            }
            Some("step.stop" | "content.stop") => self.only_candidate().calls.end(index, None, out),
            _ => {}
        }
        if let Some(interaction) = &*event.interaction {
            self.identity.update(&interaction.id, &interaction.model, out);
            self.only_candidate().status(&interaction.status, out);
            push_usage(interaction.usage.get().and_then(read_counts), out);
        }
        if event.error.error().is_some() {
            push_error(read_error(json), out);
            return Progress::Ended;
        }
        Progress::Open
    }

    /// An interaction has no candidates to choose from: it is decoded as one.
    fn only_candidate(&mut self) -> &mut CandidateState {
        self.candidate(0)
    }
}

impl CandidateState {
    fn step(&mut self, index: u64, step: &Step<'_>, out: &mut Vec<Delta>) {
        if step.kind.get() == Some("function_call") {
            self.calls.start(index, step.id.get(), step.name.get(), out);
            self.calls.set_full_arguments(
                index,
                step.arguments.arguments().filter(|arguments| !is_empty_object(arguments)).as_deref(),
            );
        }
    }

    fn step_delta(&mut self, index: u64, delta: &EventDelta<'_>, out: &mut Vec<Delta>) {
        match delta.kind.get() {
            Some("text") => push_text(DeltaKind::Text, &delta.text, out),
            Some("thought_summary") => {
                let text = delta.content.as_ref().map_or(&delta.text, |content| &content.text);
                push_text(DeltaKind::Reasoning, text, out);
            }
            Some("thought_signature") => push_signature(Signature::signed, &delta.signature, out),
            Some("arguments_delta") => {
                self.calls.arguments(index, &delta.arguments.arguments().unwrap_or_default(), out);
            }
            Some("function_call") => {
                let arguments = delta.arguments.arguments();
                self.calls.push_complete(delta.id.get(), delta.name.get(), arguments.as_deref(), out);
            }
            _ => {}
        }
    }

    fn status(&mut self, status: &Text<'_>, out: &mut Vec<Delta>) {
        match status.reason() {
            None | Some("in_progress" | "queued") => {}
            Some(raw) => self.end(raw, STATUSES.read(raw), None, out),
        }
    }
}

fn read_counts(json: &str) -> Option<Usage> {
    let counts: Counts<'_> = serde_json::from_str(json).ok()?;
    Some(Usage {
        input_tokens: counts.input.count(),
        output_tokens: counts.output.count(),
        total_tokens: counts.total.count(),
        cached_tokens: counts.cached.count(),
        reasoning_tokens: counts.thoughts.count(),
        raw: json.into(),
        ..Usage::default()
    })
}
