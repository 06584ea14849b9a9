//! What is known of one answer.

use headrace_engine::{Arrival, End, Stream};
use headrace_wire::DeltaKind;
use serde::Serialize;

/// What is known of one answer. Times are of the engine's clock, in nanoseconds.
///
/// An *output* is a delta that the model produced: text, reasoning, refusal, a piece of a tool call. What has no output,
/// such as the chunk that only names the role, is never a first token.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record {
    /// The number of the request, from 0.
    pub index: usize,
    /// Its number in its conversation, from 0.
    pub turn: usize,
    /// When it should have been sent; `None` if it follows another one.
    pub due_ns: Option<u64>,
    /// When it was sent.
    pub opened_ns: u64,
    /// When the first delta of any kind arrived.
    pub first_chunk_ns: Option<u64>,
    /// When the first output arrived.
    pub first_output_ns: Option<u64>,
    /// When the first reasoning arrived.
    pub first_reasoning_ns: Option<u64>,
    /// When the first text arrived.
    pub first_text_ns: Option<u64>,
    /// When the first tool call began.
    pub first_call_ns: Option<u64>,
    /// When the last output arrived.
    pub last_output_ns: Option<u64>,
    /// When the answer ended.
    pub ended_ns: u64,
    /// How many outputs there were.
    pub chunks: u64,
    /// The longest time between two outputs.
    pub longest_gap_ns: u64,
    /// The longest time that a chunk waited to be read, as far as the kernel stamped its arrival.
    pub read_lag_ns: Option<u64>,
    /// The prompt's tokens, as the provider counted them.
    pub input_tokens: Option<u64>,
    /// The prompt's tokens that came from a cache.
    pub cached_tokens: Option<u64>,
    /// The answer's tokens, as the provider counted them.
    pub output_tokens: Option<u64>,
    /// The tokens of its reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// How the answer ended: `complete`, `cancelled`, or a state of a failure.
    pub state: &'static str,
    /// The HTTP status of a failure.
    pub status: Option<u16>,
    /// What a failure says.
    pub message: Option<String>,
}

/// What is collected while an answer is read.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) record: Record,
    /// The times between outputs.
    pub(crate) gaps_ns: Vec<u64>,
    /// How long chunks waited to be read.
    pub(crate) read_lags_ns: Vec<u64>,
    /// For stamped answers: from a stamp to its arrival.
    pub(crate) deliveries_ns: Vec<u64>,
    /// For stamped answers: how far the time between two arrivals was from that between their stamps.
    pub(crate) gap_errors_ns: Vec<u64>,
    pub(crate) last_stamp_ns: Option<u64>,
}

impl Seen {
    pub(crate) fn add(&mut self, arrival: &Arrival, stamped: bool) {
        let (at, record) = (arrival.arrived_ns, &mut self.record);
        record.first_chunk_ns.get_or_insert(at);
        match &arrival.delta.kind {
            DeltaKind::Reasoning(_) => _ = record.first_reasoning_ns.get_or_insert(at),
            DeltaKind::Text(_) => _ = record.first_text_ns.get_or_insert(at),
            DeltaKind::ToolCallStart(_) => _ = record.first_call_ns.get_or_insert(at),
            _ => {}
        }
        if !arrival.delta.is_output() {
            return;
        }
        let before = record.last_output_ns.replace(at);
        record.first_output_ns.get_or_insert(at);
        record.chunks += 1;
        let gap = before.map(|before| at.saturating_sub(before));
        if let Some(gap) = gap {
            record.longest_gap_ns = record.longest_gap_ns.max(gap);
            self.gaps_ns.push(gap);
        }
        if let Some(lag) = arrival.read_lag.ns() {
            record.read_lag_ns = Some(record.read_lag_ns.unwrap_or(0).max(lag));
            self.read_lags_ns.push(lag);
        }
        if let DeltaKind::Text(text) = &arrival.delta.kind
            && stamped
            && let Ok(stamp) = text.trim().parse()
        {
            self.delivered(at, stamp, gap);
        }
    }

    fn delivered(&mut self, at: u64, stamp: u64, gap: Option<u64>) {
        self.deliveries_ns.push(at.saturating_sub(stamp));
        if let (Some(last), Some(gap)) = (self.last_stamp_ns.replace(stamp), gap) {
            self.gap_errors_ns.push(gap.abs_diff(stamp.saturating_sub(last)));
        }
    }

    /// Adds what the stream knows at its end.
    pub(crate) fn end(&mut self, stream: &Stream, now_ns: u64) {
        let (record, response) = (&mut self.record, stream.response());
        record.ended_ns = stream.recorder().ended_ns().unwrap_or(now_ns);
        if let Some(usage) = &response.usage {
            record.input_tokens = usage.input_tokens;
            record.cached_tokens = usage.cached_tokens;
            record.output_tokens = usage.output_tokens;
            record.reasoning_tokens = usage.reasoning_tokens;
        }
        let finish = response.first().and_then(|choice| choice.finish.as_ref());
        record.finish_reason = finish.map(|finish| finish.reason.as_str().to_owned());
        match stream.end() {
            Some(End::Complete) => record.state = "complete",
            Some(End::Failed(failure)) => {
                record.state = failure.kind.state().as_str();
                record.status = failure.status;
                record.message = Some(failure.message.clone());
            }
            Some(End::Cancelled) | None => record.state = "cancelled",
        }
    }
}
