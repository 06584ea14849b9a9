//! What is known of all answers together.

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use crate::record::{Record, Seen};

/// What is known of all answers together. The histograms have three significant digits, and are lists of durations in
/// nanoseconds with how often each occurred, so that those of several runs can be added.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// When the first request was due, on the engine's clock.
    pub began_ns: u64,
    /// When the last answer ended.
    pub ended_ns: u64,
    /// The answers, in the order in which they ended.
    pub records: Vec<Record>,
    /// From sending a request to its first output, of complete answers; for those who watch, since the records have it.
    #[serde(skip)]
    pub first_outputs: Durations,
    /// The times between outputs, of complete answers.
    pub gaps: Durations,
    /// The same, each divided by how many tokens the answer has for each output, as far as its provider counts tokens.
    pub token_gaps: Durations,
    /// How long chunks waited to be read.
    pub read_lags: Durations,
    /// For stamped answers: from a stamp to its arrival.
    pub deliveries: Durations,
    /// For stamped answers: how far the time between two arrivals was from that between their stamps.
    pub gap_errors: Durations,
}

impl Tally {
    pub(crate) fn add(&mut self, seen: Seen) {
        self.ended_ns = self.ended_ns.max(seen.record.ended_ns);
        if seen.record.state == "complete" {
            self.gaps.add(&seen.gaps_ns);
            let first = seen.record.first_output_ns.map(|at| at.saturating_sub(seen.record.opened_ns));
            self.first_outputs.add(first.as_slice());
            if let Some(tokens) = seen.record.output_tokens.filter(|tokens| *tokens > 0) {
                let outputs = seen.record.chunks;
                let split = seen.gaps_ns.iter().map(|gap| gap.saturating_mul(outputs) / tokens.max(outputs));
                self.token_gaps.add(&split.collect::<Vec<_>>());
            }
        }
        self.read_lags.add(&seen.read_lags_ns);
        self.deliveries.add(&seen.deliveries_ns);
        self.gap_errors.add(&seen.gap_errors_ns);
        self.records.push(seen.record);
    }
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct Durations {
    histogram: Option<Histogram<u64>>,
}

impl Durations {
    fn add(&mut self, durations_ns: &[u64]) {
        if durations_ns.is_empty() {
            return;
        }
        if self.histogram.is_none() {
            self.histogram = Histogram::new(3).ok();
        }
        let Some(histogram) = &mut self.histogram else { return };
        histogram.auto(true);
        for duration in durations_ns {
            // Cannot fail, since the histogram grows.
            let _ = histogram.record(*duration);
        }
    }

    /// The duration that this share of them does not exceed; `None` if there are none.
    #[must_use]
    pub fn at(&self, quantile: f64) -> Option<u64> {
        self.histogram.as_ref().map(|histogram| histogram.value_at_quantile(quantile))
    }

    /// Each duration with how often it occurred, ascending.
    #[must_use]
    pub fn steps(&self) -> Vec<(u64, u64)> {
        let Some(histogram) = &self.histogram else { return Vec::new() };
        let steps = histogram.iter_recorded();
        steps.map(|step| (step.value_iterated_to(), step.count_since_last_iteration())).collect()
    }
}

impl Serialize for Durations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.steps().serialize(serializer)
    }
}
