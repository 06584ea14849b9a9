//! Latencies computed from the timestamps.
//!
//! These definitions hold for every way of reading a stream:
//!
//! - *chunk*: one delta that the model produced (text, reasoning, refusal, part of a tool call). Most providers send
//!   one token per chunk, but need not.
//! - *TTFT*: from the call that opened the stream until the arrival of the first chunk.
//! - *TTFT of the answer*: the same until the first text, so after any reasoning.
//! - *ITL*: the time between the arrivals of two consecutive chunks. Chunks of one socket read arrived together.
//! - *TPOT*: (arrival of the last − arrival of the first) / (n − 1), n being the output tokens that the provider
//!   counted, or the chunks where it counted none.
//! - *lag*: from a chunk's arrival until the reader took it.
//! - *read lag*: from a chunk's arrival by the kernel's stamp until its bytes were read from the socket; part of the lag.
//!
//! An arrival is the kernel's receive stamp where there is one (TCP on Linux), else the time of the read. A read of several
//! packets has the stamp of the last, so an arrival is an upper bound.

use hdrhistogram::Histogram;

use crate::stream::ReadLag;

/// Collects the timestamps of one stream.
#[derive(Debug, Clone)]
pub struct Recorder {
    opened_ns: u64,
    ended_ns: Option<u64>,
    first_text_ns: Option<u64>,
    arrivals_ns: Vec<u64>,
    read_lags: Vec<ReadLag>,
    /// Each time the reader took chunks: when, and how many had been taken by then.
    takes: Vec<(u64, usize)>,
}

/// Statistics of some durations, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// How many durations there were.
    pub count: u64,
    /// The shortest.
    pub min_ns: u64,
    /// The mean.
    pub mean_ns: f64,
    /// The median.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Recorder {
    pub(crate) const fn new(opened_ns: u64) -> Self {
        Self {
            opened_ns,
            ended_ns: None,
            first_text_ns: None,
            arrivals_ns: Vec::new(),
            read_lags: Vec::new(),
            takes: Vec::new(),
        }
    }

    pub(crate) fn chunk(&mut self, arrived_ns: u64, read_lag: ReadLag, is_text: bool) {
        if is_text && self.first_text_ns.is_none() {
            self.first_text_ns = Some(arrived_ns);
        }
        self.arrivals_ns.push(arrived_ns);
        self.read_lags.push(read_lag);
    }

    pub(crate) fn taken(&mut self, at_ns: u64) {
        let upto = self.arrivals_ns.len();
        if self.takes.last().map_or(0, |(_, last)| *last) < upto {
            self.takes.push((at_ns, upto));
        }
    }

    pub(crate) fn ended(&mut self, at_ns: u64) {
        self.ended_ns.get_or_insert(at_ns);
    }

    /// When the stream was opened.
    #[must_use]
    pub const fn opened_ns(&self) -> u64 {
        self.opened_ns
    }

    /// When the reader saw its end; `None` before.
    #[must_use]
    pub const fn ended_ns(&self) -> Option<u64> {
        self.ended_ns
    }

    /// The arrival of each chunk.
    #[must_use]
    pub fn arrivals_ns(&self) -> &[u64] {
        &self.arrivals_ns
    }

    /// Time to the first chunk.
    #[must_use]
    pub fn ttft_ns(&self) -> Option<u64> {
        self.arrivals_ns.first().map(|first| first.saturating_sub(self.opened_ns))
    }

    /// Time to the first text.
    #[must_use]
    pub fn ttft_answer_ns(&self) -> Option<u64> {
        self.first_text_ns.map(|first| first.saturating_sub(self.opened_ns))
    }

    /// Time per output token after the first, given how many the provider counted.
    #[must_use]
    pub fn tpot_ns(&self, output_tokens: Option<u64>) -> Option<f64> {
        let (first, last) = (self.arrivals_ns.first()?, self.arrivals_ns.last()?);
        let tokens = output_tokens.unwrap_or(self.arrivals_ns.len() as u64);
        (tokens > 1).then(|| ratio(last.saturating_sub(*first), tokens - 1))
    }

    /// The times between chunks.
    #[must_use]
    pub fn itl(&self) -> Option<Spread> {
        spread(self.arrivals_ns.windows(2).map(|pair| pair[1].saturating_sub(pair[0])))
    }

    /// How long chunks waited to be read from the socket, as far as the kernel stamped their arrivals.
    #[must_use]
    pub fn read_lag(&self) -> Option<Spread> {
        spread(self.read_lags.iter().filter_map(|lag| lag.ns()))
    }

    /// How long chunks waited for the reader.
    #[must_use]
    pub fn lag(&self) -> Option<Spread> {
        let starts = std::iter::once(0).chain(self.takes.iter().map(|(_, upto)| *upto));
        let waits = starts.zip(&self.takes).flat_map(|(from, (at_ns, upto))| {
            self.arrivals_ns[from..*upto].iter().map(|arrived| at_ns.saturating_sub(*arrived))
        });
        spread(waits)
    }
}

/// Statistics of some durations in nanoseconds; `None` if there are none. Percentiles come from an `HdrHistogram` with
/// three significant digits.
fn spread(durations_ns: impl Iterator<Item = u64>) -> Option<Spread> {
    let mut histogram = Histogram::<u64>::new(3).ok()?;
    histogram.auto(true);
    for duration in durations_ns {
        // Not `saturating_record`, which does not resize the histogram and would record every duration as 2 ns.
        histogram.record(duration).ok()?;
    }
    (!histogram.is_empty()).then(|| Spread {
        count: histogram.len(),
        min_ns: histogram.min(),
        mean_ns: histogram.mean(),
        p50_ns: histogram.value_at_quantile(0.50),
        p90_ns: histogram.value_at_quantile(0.90),
        p99_ns: histogram.value_at_quantile(0.99),
        max_ns: histogram.max(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a stream of 2^53 ns lasts a hundred days")]
fn ratio(numerator: u64, denominator: u64) -> f64 {
    numerator as f64 / denominator as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Stamp;

    fn recorder() -> Recorder {
        let mut recorder = Recorder::new(1_000);
        let unknown = lag(2_000, 2_000, false);
        recorder.chunk(2_000, unknown, false);
        recorder.chunk(2_500, lag(2_500, 2_550, true), true);
        recorder.taken(2_600);
        recorder.chunk(4_000, lag(4_000, 4_070, true), true);
        recorder.taken(4_100);
        recorder
    }

    fn lag(arrived_ns: u64, read_ns: u64, by_kernel: bool) -> ReadLag {
        ReadLag::of(Stamp { arrived_ns, read_ns, by_kernel })
    }

    #[test]
    fn read_lag_is_of_what_the_kernel_stamped() {
        let spread = recorder().read_lag().unwrap();
        assert_eq!((spread.count, spread.min_ns, spread.max_ns), (2, 50, 70));
        assert_eq!(lag(0, u64::MAX, true).ns(), Some(u64::from(u32::MAX) - 1));
    }

    #[test]
    fn ttft_is_of_the_first_chunk_and_of_the_first_text() {
        assert_eq!(recorder().ttft_ns(), Some(1_000));
        assert_eq!(recorder().ttft_answer_ns(), Some(1_500));
    }

    #[test]
    fn tpot_divides_by_the_tokens_after_the_first() {
        assert_eq!(recorder().tpot_ns(None), Some(1_000.0));
        assert_eq!(recorder().tpot_ns(Some(5)), Some(500.0));
        assert_eq!(recorder().tpot_ns(Some(1)), None);
    }

    #[test]
    fn itl_and_lag_cover_every_chunk() {
        let itl = recorder().itl().unwrap();
        assert_eq!((itl.count, itl.min_ns, itl.max_ns), (2, 500, 1_500));
        let lag = recorder().lag().unwrap();
        assert_eq!((lag.count, lag.min_ns, lag.max_ns), (3, 100, 600));
    }

    #[test]
    fn long_durations_are_not_clamped() {
        let itl = spread([1_000_000_000, 60_000_000_000].into_iter()).unwrap();
        assert!(itl.min_ns.abs_diff(1_000_000_000) < 1_000_000, "{itl:?}");
        assert!(itl.max_ns.abs_diff(60_000_000_000) < 60_000_000, "{itl:?}");
    }

    #[test]
    fn a_stream_without_chunks_has_no_statistics() {
        assert_eq!(Recorder::new(0).itl(), None);
        assert_eq!(Recorder::new(0).lag(), None);
        assert_eq!(Recorder::new(0).tpot_ns(None), None);
    }
}
