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
    /// How many requests follow each other in one conversation, and what is between them.
    pub session: Session,
    /// The texts of the answers are the simulator's stamps, so that the delivery of each is measured.
    pub stamped: bool,
}

/// A conversation: each of its requests is sent when the one before was answered, and contains those answers.
///
/// The requests of a plan are then those of the first conversation, of the second, and so on. In the body of a request,
/// `@@headrace:answer:N@@` stands for the text of the conversation's answer N, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// How many requests it has, at least 1.
    pub turns: usize,
    /// From an answer's end to the next request.
    pub think: Duration,
}

impl Default for Session {
    fn default() -> Self {
        Self { turns: 1, think: Duration::ZERO }
    }
}

/// When to send requests. With conversations of several turns, these are the times of their first requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// As many at a time, each of them followed by the next: the server's pace sets the rate.
    Closed {
        /// How many at a time.
        concurrency: usize,
        /// How many requests altogether, those of all turns; `None` for as many as there is time for.
        count: Option<usize>,
    },
    /// Each at its own time, whatever became of the others: nanoseconds from the start, ascending.
    Open {
        /// The times.
        dues_ns: Vec<u64>,
    },
}
