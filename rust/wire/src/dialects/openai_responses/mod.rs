//! OpenAI responses over SSE, from OpenAI, Azure, xAI and others.
//!
//! The format: <https://platform.openai.com/docs/api-reference/responses-streaming>. A response is a list of output
//! items; a delta refers to its item by `output_index` or `item_id`. `response.completed`, `response.incomplete` and
//! `response.failed` are the end markers, and repeat the whole response; some servers send `response.done`, or none. What
//! deltas leave out is taken from the events that repeat it (`items`). Annotations and the items of tools that the server
//! runs itself are skipped. Streamed transcriptions (`transcript.text.*`) are decoded too.

mod document;
mod encode;
mod event;
mod items;
mod output;

pub(crate) use self::document::document;
pub(crate) use self::encode::Encoder;

use std::collections::HashSet;

use compact_str::CompactString;

use self::event::{Event, Item, KNOWN_TYPES, Response, read_usage};
use self::items::{Items, Kind, Place};
use crate::delta::{Delta, DeltaKind, FinishReason, ProviderError, Signature};
use crate::dialects::emit::{push_error, push_text, push_usage};
use crate::dialects::identity::Identity;
use crate::dialects::json::{has_unknown_type, lenient};
use crate::dialects::reasons::{Finished, Reasons};
use crate::dialects::tool_calls::ToolCalls;
use crate::error::read_error;
use crate::stream::{DecodeError, Ending, Progress};

/// The values of `status`, and for `incomplete` those of `incomplete_details.reason`.
const REASONS: Reasons = Reasons(&[
    ("completed", FinishReason::Stop),
    // Tool calls have the same word; see `OpenAiResponses::end`.
    ("completed", FinishReason::ToolCalls),
    ("max_output_tokens", FinishReason::Length),
    ("content_filter", FinishReason::ContentFilter),
    ("failed", FinishReason::Error),
]);

/// Whether an event of this type shows the provider at work: all do, but for those that only keep the connection alive.
fn is_work(kind: &str) -> bool {
    !matches!(
        kind,
        "response.created" | "response.in_progress" | "response.queued" | "keepalive" | "ping" | "error"
    ) && !kind.contains("heartbeat")
}
/// The tools of xAI that its servers run, although their calls look like those of the user's tools:
/// <https://docs.x.ai/docs/guides/tools/search-tools>.
const HOSTED: [&str; 10] = [
    "x_keyword_search",
    "x_semantic_search",
    "x_user_search",
    "x_thread_fetch",
    "view_x_video",
    "view_image",
    "web_search",
    "web_search_with_snippets",
    "browse_page",
    "code_execution",
];

/// How many items of the last event are looked for among all that has been said.
const MAX_LOOKS: usize = 64;

/// Decodes one response.
#[derive(Debug, Default)]
pub struct OpenAiResponses {
    identity: Identity,
    items: Items,
    calls: ToolCalls,
    /// The names of the tools that the request offered, if the server tells them.
    offered: Vec<CompactString>,
    finish: Finished,
    ended: bool,
    /// A frame without deltas has shown the provider at work since it was asked for.
    has_work: bool,
}

impl OpenAiResponses {
    /// Whether frames without deltas have shown the provider at work since the last call of this.
    pub(crate) const fn take_work(&mut self) -> bool {
        std::mem::replace(&mut self.has_work, false)
    }

    /// Decodes one JSON document and appends its deltas to `out`: the data of an event, or a whole response that was
    /// not streamed.
    ///
    /// # Errors
    /// [`DecodeError::Json`] if it is not a JSON object.
    pub fn document(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<Progress, DecodeError> {
        lenient(data, |json| match serde_json::from_str::<Event<'_>>(json) {
            Ok(event) if event.kind.get().is_none() => {
                Ok(self.whole(&serde_json::from_str(json)?, json, out))
            }
            Ok(event) => {
                self.has_work |= is_work(event.kind.get().unwrap_or_default());
                Ok(self.translate(&event, json, out))
            }
            Err(_) if has_unknown_type(json, KNOWN_TYPES) => {
                self.has_work = true;
                Ok(Progress::Open)
            }
            Err(error) => Err(error),
        })
    }

    /// Handles `[DONE]`, which some servers send instead of an end marker. It ends the response if all that
    /// has begun is complete.
    pub fn done(&mut self) -> Progress {
        self.ended |= self.items.are_done();
        if self.ended { Progress::Ended } else { Progress::Open }
    }

    /// Whether the response is complete if the body ends here: after an end marker, or if all items have been sent.
    #[must_use]
    pub fn ending(&self) -> Ending {
        if self.ended || self.items.are_closed() { Ending::Complete } else { Ending::Truncated }
    }

    /// Call this at the end of the body: ends the tool calls that no end marker has ended.
    pub fn finish(&mut self, out: &mut Vec<Delta>) {
        if self.ending() == Ending::Complete {
            self.calls.end_all(out);
        }
    }

    fn translate(&mut self, event: &Event<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        let text = event.text.get();
        match event.kind.get().unwrap_or_default() {
            "response.output_text.delta"
            | "response.output_audio_transcript.delta"
            | "response.audio.transcript.delta" => self.delta(Kind::Text, event, out),
            "response.reasoning_summary_text.delta" => self.delta(Kind::Summary, event, out),
            "response.reasoning_text.delta" => self.delta(Kind::Reasoning, event, out),
            "response.refusal.delta" => self.delta(Kind::Refusal, event, out),
            "response.output_text.done" => self.part_done(Kind::Text, text, event, out),
            "response.reasoning_summary_text.done" => self.part_done(Kind::Summary, text, event, out),
            "response.reasoning_text.done" => self.part_done(Kind::Reasoning, text, event, out),
            "response.refusal.done" => self.part_done(Kind::Refusal, event.refusal.get(), event, out),
            kind @ ("response.content_part.done" | "response.reasoning_summary_part.done") => {
                if let Some(part) = &*event.part {
                    let is_summary = kind == "response.reasoning_summary_part.done";
                    let kind = if is_summary { Kind::Summary } else { part.event_kind() };
                    self.part_done(kind, part.text.get().or_else(|| part.refusal.get()), event, out);
                }
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                if let Some(at) = self.items.find(Kind::Call, event.place()) {
                    self.calls.arguments(key(at), event.delta.get().unwrap_or_default(), out);
                }
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                if let Some(at) = self.items.find(Kind::Call, event.place()) {
                    self.calls.set_full_arguments(key(at), event.arguments.get());
                    self.items.get(at).is_done = true;
                }
            }
            "response.output_item.added" => {
                if let Some(item) = &*event.item {
                    let kind = item.event_kind();
                    let at = self.items.find_or_open(kind, item.place(event.output_index.get(), true));
                    if kind == Kind::Call {
                        self.begin_call(at, item, out);
                    }
                }
            }
            "response.output_item.done" => {
                if let Some(item) = &*event.item {
                    let place = item.place(event.output_index.get(), true);
                    let at = self.items.find_or_open(item.event_kind(), place);
                    self.item_done(at, item, out);
                }
            }
            "response.created" | "response.in_progress" | "response.queued" => {
                if let Some(response) = &*event.response {
                    self.identity.update(&response.id, &response.model, out);
                    self.note_tools(response);
                }
            }
            kind @ ("response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled"
            | "response.done") => {
                let status = kind.strip_prefix("response.").filter(|status| *status != "done");
                let nothing = Response::default();
                let response = event.response.as_ref().unwrap_or(&nothing);
                return self.end(response, status.unwrap_or("completed"), out);
            }
            "transcript.text.delta" => push_text(DeltaKind::Text, &event.delta, out),
            "transcript.text.done" => {
                push_usage(event.usage.get().and_then(read_usage), out);
                self.ended = true;
                return Progress::Ended;
            }
            "error" => {
                push_error(read_error(json), out);
                return Progress::Ended;
            }
            _ => {}
        }
        Progress::Open
    }

    /// A piece of a text.
    fn delta(&mut self, kind: Kind, event: &Event<'_>, out: &mut Vec<Delta>) {
        if let Some(text) = event.delta.get() {
            let at = self.items.find_or_open(kind, event.place());
            self.items.push(at, kind, event.part_index(), text, out);
        }
    }

    /// The whole text of a part.
    fn part_done(&mut self, kind: Kind, text: Option<&str>, event: &Event<'_>, out: &mut Vec<Delta>) {
        let at = self.items.find_or_open(kind, event.place());
        self.items.complete_part(at, kind, event.part_index(), text.unwrap_or_default(), out);
    }

    fn begin_call(&mut self, at: usize, item: &Item<'_>, out: &mut Vec<Delta>) {
        self.items.name(at, item.call_id.get());
        if self.is_hosted(item) {
            self.items.get(at).is_hosted = true;
            return;
        }
        let id = item.call_id.get().or_else(|| item.id.get());
        self.calls.start(key(at), id, item.name.get(), out);
        if item.kind.get() == Some("custom_tool_call") {
            self.calls.set_free(key(at));
        }
        self.calls.set_full_arguments(key(at), item.all_arguments());
    }

    /// Whether this is the call of a tool that the server runs itself.
    fn is_hosted(&self, item: &Item<'_>) -> bool {
        let name = item.name.get().unwrap_or_default();
        let is_custom = item.kind.get() == Some("custom_tool_call");
        let is_offered = self.offered.iter().any(|offered| offered == name);
        let is_search = item.call_id.get().is_some_and(|id| id.starts_with("xs_call"));
        let knows = !self.offered.is_empty();
        !is_offered && (is_custom || knows) && (is_search || HOSTED.contains(&name))
    }

    /// Notes the names of the tools that the request offered.
    fn note_tools(&mut self, response: &Response<'_>) {
        if self.offered.is_empty() {
            let names = response.tools.iter().flat_map(|tool| {
                let inner = tool.tools.iter().filter_map(|tool| tool.name.compact());
                tool.name.compact().into_iter().chain(inner)
            });
            self.offered = names.collect();
        }
    }

    /// An item is complete, and this is all of it.
    fn item_done(&mut self, at: usize, item: &Item<'_>, out: &mut Vec<Delta>) {
        match item.event_kind() {
            Kind::Call => self.call_done(at, item, out),
            Kind::Text => {
                let texts = numbered(item.content.iter().map(|part| part.text.get()));
                self.items.complete(at, Kind::Text, &texts, out);
                let refusals = numbered(item.content.iter().map(|part| part.refusal.get()));
                self.items.complete(at, Kind::Refusal, &refusals, out);
            }
            Kind::Summary => {
                let summary = numbered(item.summary.iter().map(|part| part.text.get()));
                self.items.complete(at, Kind::Summary, &summary, out);
                let content = numbered(item.content.iter().map(|part| part.text.get()));
                // Some servers send the same text as both.
                if content != summary {
                    self.items.complete(at, Kind::Reasoning, &content, out);
                }
            }
            _ => {}
        }
        let state = self.items.get(at);
        state.is_done = true;
        state.is_closed = true;
        // Only read at the end of the item: at its start, this member is not complete yet.
        if let Some(value) = item.encrypted_content.compact().filter(|_| !state.is_signed) {
            state.is_signed = true;
            let signature = Signature { id: item.id.compact(), ..Signature::encrypted(value) };
            out.push(Delta::first(DeltaKind::Signature(Box::new(signature))));
        }
    }

    fn call_done(&mut self, at: usize, item: &Item<'_>, out: &mut Vec<Delta>) {
        if self.items.get(at).is_hosted {
            return;
        }
        if !self.calls.is_open(key(at)) {
            self.begin_call(at, item, out);
        }
        self.calls.end(key(at), item.all_arguments(), out);
    }

    /// A document without a type: a response that was not streamed, or an error.
    fn whole(&mut self, response: &Response<'_>, json: &str, out: &mut Vec<Delta>) -> Progress {
        if response.status.get().is_none() && response.error.error().is_some() {
            push_error(read_error(json), out);
            return Progress::Ended;
        }
        if response.is_response() { self.end(response, "completed", out) } else { Progress::Open }
    }

    /// The response has ended. Its status is `completed` even if the model wants tools to be called.
    fn end(&mut self, response: &Response<'_>, status: &str, out: &mut Vec<Delta>) -> Progress {
        self.identity.update(&response.id, &response.model, out);
        self.note_tools(response);
        self.output(response, out);
        self.calls.end_all(out);
        let details = response.incomplete_details.as_ref().and_then(|details| details.reason.reason());
        let status = response.status.reason().unwrap_or(status);
        if status != "failed" {
            let raw = details.unwrap_or(status);
            let reason = REASONS.read(raw);
            let wants_tools = reason == FinishReason::Stop && self.calls.count() > 0;
            self.finish.report(0, raw, if wants_tools { FinishReason::ToolCalls } else { reason }, out);
        }
        push_usage(response.usage.get().and_then(read_usage), out);
        if status == "failed" {
            let unexplained =
                || ProviderError { message: "the response failed".to_owned(), ..ProviderError::default() };
            push_error(response.error.error().map_or_else(unexplained, read_error), out);
        }
        self.ended = true;
        Progress::Ended
    }

    /// Whether the texts of an item have been emitted in any of the first `count` items.
    fn have_said(&self, count: usize, item: &Item<'_>) -> bool {
        let parts = || item.summary.iter().chain(item.content.iter());
        let text: String = parts().filter_map(|part| part.text.get()).collect();
        let refusal: String = parts().filter_map(|part| part.refusal.get()).collect();
        let kinds: &[Kind] =
            if item.event_kind() == Kind::Text { &[Kind::Text] } else { &[Kind::Summary, Kind::Reasoning] };
        !(text.is_empty() && refusal.is_empty())
            && self.items.have_said(count, kinds, &text)
            && self.items.have_said(count, &[Kind::Refusal], &refusal)
    }

    /// Emits what is new in the output of the whole response.
    fn output(&mut self, response: &Response<'_>, out: &mut Vec<Delta>) {
        let mut told = HashSet::new();
        let count = self.items.count();
        let mut looks = 0;
        for (index, item) in (0..).zip(response.output.iter()) {
            let kind = item.event_kind();
            let place = item.place(Some(index), false);
            let by_call =
                || self.items.find(kind, Place { index: None, id: item.call_id.get(), is_item: true });
            let found = item.call_id.get().and_then(|_| by_call()).or_else(|| self.items.find(kind, place));
            if let Some(at) = found.filter(|at| told.insert(*at)) {
                let is_told =
                    kind == Kind::Call && self.items.get(at).is_done && !self.calls.is_open(key(at));
                if !is_told {
                    self.item_done(at, item, out);
                }
                continue;
            }
            // Each look costs as much as what has been said, so there are only so many.
            looks += 1;
            if looks > MAX_LOOKS || !self.have_said(count, item) {
                let at = self.items.open(kind, place);
                told.insert(at);
                self.item_done(at, item, out);
            }
        }
    }
}

/// The texts that there are, with their positions.
fn numbered<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Vec<(u64, &'a str)> {
    (0..).zip(texts).filter_map(|(part, text)| Some((part, text?))).collect()
}

/// The key of the call that is this item.
const fn key(item: usize) -> u64 {
    item as u64
}
