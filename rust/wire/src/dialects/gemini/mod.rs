//! Gemini's `streamGenerateContent` over SSE (`alt=sse`), from the Gemini API and from Vertex.
//!
//! The format: <https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent>. Each event is a whole
//! `GenerateContentResponse` with the parts that are new. There is no end marker: a response is complete when each of
//! its candidates has a finish reason, or when the prompt was blocked. Lines end in CRLF.
//!
//! A tool call is sent in one part, its arguments as an object; or, if the request asked for it, in several parts, its
//! arguments member by member (`partial_args`). Parts marked `thought` are reasoning. A
//! `thoughtSignature` has to be sent back in the part that it came with
//! (<https://ai.google.dev/gemini-api/docs/thought-signatures>). Code that the server runs itself, its results, and
//! images are skipped.

mod chunk;
mod document;
mod encode;
mod interactions;
mod partial_args;

pub(crate) use self::document::document;
pub(crate) use self::encode::Encoder;

use std::collections::HashMap;

use compact_str::CompactString;
use serde_json::value::RawValue;

use self::chunk::{Candidate, Chunk, FunctionCall, Part, blocked_for, read_usage};
use self::partial_args::PartialArgs;
use crate::delta::{Delta, DeltaKind, FinishReason, Signature};
use crate::dialects::emit::{push_error, push_usage};
use crate::dialects::identity::Identity;
use crate::dialects::json::lenient;
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::{Piece, ToolCalls};
use crate::error::read_error;
use crate::framing::sse::text;
use crate::stream::{DecodeError, Ending, Progress};

/// <https://ai.google.dev/api/generate-content#FinishReason>.
const REASONS: Reasons = Reasons(&[
    ("STOP", FinishReason::Stop),
    // Tool calls have the same word; see `CandidateState::end`.
    ("STOP", FinishReason::ToolCalls),
    ("MAX_TOKENS", FinishReason::Length),
    ("SAFETY", FinishReason::ContentFilter),
    ("RECITATION", FinishReason::ContentFilter),
    ("BLOCKLIST", FinishReason::ContentFilter),
    ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
    ("SPII", FinishReason::ContentFilter),
    ("MODEL_ARMOR", FinishReason::ContentFilter),
    ("IMAGE_SAFETY", FinishReason::ContentFilter),
    ("IMAGE_PROHIBITED_CONTENT", FinishReason::ContentFilter),
    ("IMAGE_RECITATION", FinishReason::ContentFilter),
    ("MALFORMED_FUNCTION_CALL", FinishReason::Error),
    ("MALFORMED_RESPONSE", FinishReason::Error),
    ("MISSING_THOUGHT_SIGNATURE", FinishReason::Error),
    ("TOO_MANY_TOOL_CALLS", FinishReason::Error),
    ("UNEXPECTED_TOOL_CALL", FinishReason::Error),
]);

/// How many calls can be sent in parts at the same time.
const MAX_PARALLEL: usize = 64;

/// Decodes one response.
#[derive(Debug, Default)]
pub struct Gemini {
    identity: Identity,
    candidates: Vec<CandidateState>,
    /// Where each candidate is, by its index.
    places: HashMap<u32, usize>,
    /// A frame without deltas has shown the provider at work since it was asked for.
    has_work: bool,
}

/// The state of one candidate between two chunks.
#[derive(Debug, Default)]
struct CandidateState {
    index: u32,
    calls: ToolCalls,
    /// How many parts with a call there have been. Each is the key of its call.
    parts: u64,
    /// The calls that are sent in several parts, of which more are to come.
    partial: Vec<PartialCall>,
    finish: Finished,
}

/// A call that is sent in several parts.
#[derive(Debug)]
struct PartialCall {
    key: u64,
    index: u32,
    id: Option<CompactString>,
    name: Option<CompactString>,
    arguments: PartialArgs,
}

impl Gemini {
    /// Whether frames without deltas have shown the provider at work since the last call of this.
    pub(crate) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Decodes one JSON document and appends its deltas to `out`: a chunk, or the array of chunks that is sent without
    /// `alt=sse`.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is neither a JSON object nor an array of them.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        if !data.trim_ascii_start().starts_with(b"[") {
            return lenient(data, |json| self.read(json, out));
        }
        let json = text(data);
        let chunks: Vec<&RawValue> =
            serde_json::from_str(&json).map_err(|error| DecodeError::json(&error, &json))?;
        for chunk in chunks {
            if lenient(chunk.get().as_bytes(), |json| self.read(json, out))? == Progress::Ended {
                return Ok(Progress::Ended);
            }
        }
        Ok(Progress::Open)
    }

    /// Whether the response is complete if the body ends here.
    #[must_use]
    pub fn ending(&self) -> Ending {
        let finished = self.candidates.iter().all(CandidateState::is_finished);
        if finished && !self.candidates.is_empty() { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body: ends the tool calls.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.ending() == Ending::Complete {
            for candidate in &mut self.candidates {
                candidate.end_calls(out);
            }
        }
    }

    fn read(&mut self, json: &str, out: &mut Vec<Delta>) -> Result<Progress, serde_json::Error> {
        let chunk: Chunk<'_> = serde_json::from_str(json)?;
        if chunk.event_type.get().is_some() {
            return Ok(self.interaction(&serde_json::from_str(json)?, json, out));
        }
        match chunk.response.get().filter(|inner| inner.starts_with('{')) {
            Some(inner) => Ok(self.translate(&serde_json::from_str(inner)?, inner, out)),
            None => Ok(self.translate(&chunk, json, out)),
        }
    }

    fn translate(&mut self, chunk: &Chunk<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        self.identity.update(&chunk.response_id, &chunk.model_version, out);
        for candidate in chunk.candidates.iter() {
            let mut parts = candidate.content.iter().flat_map(|content| content.parts.iter());
            self.has_work |= parts.any(Part::is_work);
            self.candidate(candidate.index.choice()).read(candidate, out);
        }
        if let Some(feedback) = &*chunk.prompt_feedback
            && let Some(raw) = feedback.block_reason.reason()
        {
            let detail = feedback.block_reason_message.get().map(str::to_owned);
            let detail = detail.or_else(|| blocked_for(&feedback.safety_ratings));
            self.candidate(0).end(raw, FinishReason::ContentFilter, detail.as_deref(), out);
        }
        push_usage(chunk.usage_metadata.get().and_then(read_usage), out);
        if chunk.error.error().is_some() {
            push_error(read_error(json), out);
            return Progress::Ended;
        }
        Progress::Open
    }

    fn candidate(&mut self, index: u32) -> &mut CandidateState {
        let place = *self.places.entry(index).or_insert(self.candidates.len());
        if place == self.candidates.len() {
            let calls = ToolCalls::for_choice(index);
            self.candidates.push(CandidateState { index, calls, ..CandidateState::default() });
        }
        &mut self.candidates[place]
    }
}

impl PartialCall {
    /// Whether a part belongs to this call: one without a name, or with the same name and more arguments.
    fn continues_with(&self, call: &FunctionCall<'_>) -> bool {
        let is_piece = call.partial_args.get().is_some();
        let same_id = call.id.get().is_none_or(|id| self.id.as_deref().is_none_or(|own| own == id));
        let same_name = call.name.get().is_none_or(|name| is_piece && self.name.as_deref() == Some(name));
        same_id && same_name
    }
}

impl CandidateState {
    fn read(&mut self, candidate: &Candidate<'_>, out: &mut Vec<Delta>) {
        for part in candidate.content.iter().flat_map(|content| content.parts.iter()) {
            self.part(part, out);
        }
        if let Some(raw) = candidate.finish_reason.reason() {
            let detail = candidate.finish_message.get().map(str::to_owned);
            let detail = detail.or_else(|| blocked_for(&candidate.safety_ratings));
            self.end(raw, REASONS.read(raw), detail.as_deref(), out);
        }
    }

    fn part(&mut self, part: &Part<'_>, out: &mut Vec<Delta>) {
        let choice = self.index;
        let kind = if part.thought.get() == Some("true") { DeltaKind::Reasoning } else { DeltaKind::Text };
        out.extend(part.text.compact().map(|text| Delta { choice, kind: kind(text) }));
        let signature = part.thought_signature.compact().map(Signature::signed);
        let to_delta = |signature| Delta { choice, kind: DeltaKind::Signature(Box::new(signature)) };
        let Some(call) = &*part.function_call else {
            out.extend(signature.map(to_delta));
            return;
        };
        let index = self.call(call, out);
        out.extend(signature.map(|signature| to_delta(Signature { tool_call: index, ..signature })));
        // Without an id, nothing can refer to it any more.
        if call.id.get().is_none() && self.partial.iter().all(|partial| partial.key != self.parts) {
            self.calls.end(self.parts, None, out);
        }
    }

    /// Takes a part of a call, and returns the call's index.
    fn call(&mut self, call: &FunctionCall<'_>, out: &mut Vec<Delta>) -> Option<u32> {
        let latest = self.partial.iter().enumerate().rev().take(MAX_PARALLEL);
        let mut continued = latest.filter(|(_, partial)| partial.continues_with(call));
        if let Some((position, _)) = continued.next() {
            return Some(self.partial_call(position, call, out));
        }
        self.parts += 1;
        let key = self.parts;
        let index = self.calls.count();
        if call.partial_args.get().is_some() || call.will_continue() {
            self.calls.start(key, call.id.get(), call.name.get(), out);
            let (id, name) = (call.id.compact(), call.name.compact());
            self.partial.push(PartialCall { key, index, id, name, arguments: PartialArgs::default() });
            return Some(self.partial_call(self.partial.len() - 1, call, out));
        }
        self.calls.begin_list();
        let id = call.id.get();
        let key = Some(key).filter(|_| id.is_none());
        let piece = Piece { key, id, name: call.name.get(), ..Piece::default() };
        self.calls.piece(Piece { arguments: call.args.get(), ..piece }, out)
    }

    /// Takes a part of a call that is sent in several parts.
    fn partial_call(&mut self, position: usize, call: &FunctionCall<'_>, out: &mut Vec<Delta>) -> u32 {
        let PartialCall { index, arguments, .. } = &mut self.partial[position];
        let index = *index;
        if let Some(members) = call.args.get() {
            arguments.add_members(members);
        }
        if let Some(pieces) = call.partial_args.get() {
            arguments.add(pieces);
        }
        if !call.will_continue() {
            let PartialCall { key, arguments, .. } = self.partial.remove(position);
            self.calls.arguments(key, &arguments.text(true), out);
            self.calls.end(key, None, out);
        }
        index
    }

    /// The answer has ended, and with it the calls. What is missing of them does not come any more.
    fn end_calls(&mut self, out: &mut Vec<Delta>) {
        for PartialCall { key, arguments, .. } in std::mem::take(&mut self.partial) {
            self.calls.arguments(key, &arguments.text(false), out);
        }
        self.calls.end_all(out);
        if self.calls.count() > 0 {
            self.finish.wants_tools(self.index, out);
        }
    }

    /// Whether the candidate has a finish reason, and not in the middle of a call.
    fn is_finished(&self) -> bool {
        let is_early = self.finish.is_normal() && (!self.partial.is_empty() || self.calls.is_partial());
        self.finish.is_set() && !is_early
    }

    /// The candidate has ended. Google sends `STOP` even if the model wants tools to be called.
    fn end(&mut self, raw: &str, reason: FinishReason, detail: Option<&str>, out: &mut Vec<Delta>) {
        let wants_tools = reason == FinishReason::Stop && self.calls.count() > 0;
        let reason = if wants_tools { FinishReason::ToolCalls } else { reason };
        self.finish.explain(self.index, raw, reason, detail, out);
    }
}
