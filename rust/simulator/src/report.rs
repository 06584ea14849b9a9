//! The requests that the simulator got, for tests and benchmarks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// A snapshot of everything since the start or the last reset. All times are on the clock of
/// [`monotonic_ns`](crate::monotonic_ns).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The connections.
    pub connections: Connections,
    /// How many requests there were. Those that are not valid HTTP are answered, but not counted.
    pub requests_seen: u64,
    /// The latest requests, in order of arrival, at most [`Options::keep`](crate::Options::keep).
    pub requests: VecDeque<RequestReport>,
}

impl Report {
    /// The request with that number, if it is still kept.
    pub(crate) fn request_mut(&mut self, sequence: u64) -> Option<&mut RequestReport> {
        // The numbers of the kept requests have no gaps.
        let first = self.requests.front()?.sequence;
        let position = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.requests.get_mut(position)
    }
}

/// How many connections there were and are.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Connections {
    /// Accepted since the start or the last reset.
    pub accepted: u64,
    /// Open now.
    pub open: u64,
}

/// One request and how its answer went.
#[derive(Debug, Clone, Serialize)]
pub struct RequestReport {
    /// Its number, from 0. A reset does not restart the numbers, so each number means one request.
    pub sequence: u64,
    /// The number of its connection, from 0.
    pub connection: u64,
    /// Its method.
    pub method: String,
    /// Its target as sent.
    pub path: String,
    /// Its headers by lower-case name. Repeated headers are joined with a comma; credentials are `***`.
    pub headers: Arc<BTreeMap<String, String>>,
    /// Its body; null if it is not JSON.
    pub body: Arc<Value>,
    /// The turn of the script that answers it.
    pub turn: Option<usize>,
    /// The status of the response.
    pub status: Option<u16>,
    /// When it had arrived completely.
    pub received_ns: u64,
    /// When the socket accepted the first byte of the answer's body.
    pub first_byte_ns: Option<u64>,
    /// When each token of text was written, if the script has `stamp`: the stamps themselves.
    pub stamps_ns: Vec<u64>,
    /// When the answer ended, in any way.
    pub finished_ns: Option<u64>,
    /// When the simulator noticed that the client disconnected before the end.
    pub disconnected_ns: Option<u64>,
    /// How many bytes of the body the socket has accepted, including the HTTP chunk framing.
    pub bytes_written: u64,
    /// How many whole frames of the stream those are, including the ones for the role, the finish reason, the usage and
    /// `[DONE]`.
    pub frames_written: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not ended.
    Running,
    /// All of it was sent.
    Complete,
    /// The fault of its turn was played to the end.
    Fault,
    /// The client disconnected first.
    Disconnected,
}
