//! What to send, and when.

use std::time::Duration;

use headrace_engine::Request;

/// What to send, and when.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The requests; they are sent in turn, from the first again after the last.
    pub requests: Vec<Request>,
    /// When to send them.
    pub load: Load,
    /// No request is sent after this time. Those that were sent are read to their end.
    pub duration: Option<Duration>,
    /// The texts of the answers are the simulator's stamps, so that the delivery of each is measured.
    pub stamped: bool,
}

/// When to send requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// As many at a time, each of them followed by the next: the server's pace sets the rate.
    Closed {
        /// How many at a time.
        concurrency: usize,
        /// How many altogether; `None` for as many as there is time for.
        count: Option<usize>,
    },
    /// Each at its own time, whatever became of the others: nanoseconds from the start, ascending.
    Open {
        /// The times.
        dues_ns: Vec<u64>,
    },
}
