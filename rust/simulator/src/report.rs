//! What the simulator has seen, as tests and benchmarks read it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

/// A snapshot of everything since the start or the last reset. All times are of [`monotonic_ns`](crate::monotonic_ns).
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The connections.
    pub connections: Connections,
    /// How many requests there were. Those that could not be read as HTTP are answered, but not counted.
    pub requests_seen: u64,
    /// The latest requests, in order of arrival: as many as [`Options::keep`](crate::Options::keep) says.
    pub requests: VecDeque<RequestReport>,
}

impl Report {
    /// The request of that number, unless it was forgotten.
    pub(crate) fn request_mut(&mut self, sequence: u64) -> Option<&mut RequestReport> {
        // The numbers of those that are kept have no gaps.
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
    /// Its number, from 0. A reset does not start again, so a number always means the same request.
    pub sequence: u64,
    /// The number of its connection, from 0.
    pub connection: u64,
    /// Its method.
    pub method: String,
    /// Its target as sent.
    pub path: String,
    /// Its headers by lower-case name. Repeated ones are joined with a comma; credentials are `***`.
    pub headers: Arc<BTreeMap<String, String>>,
    /// Its body; null where that is not JSON.
    pub body: Arc<Value>,
    /// The turn of the script that answers it.
    pub turn: Option<usize>,
    /// The status of the response.
    pub status: Option<u16>,
    /// When all of it had arrived.
    pub received_ns: u64,
    /// When the socket accepted the first byte of the answer's body.
    pub first_byte_ns: Option<u64>,
    /// When the answer ended, in whatever way.
    pub finished_ns: Option<u64>,
    /// When the client was seen to have left before the end.
    pub disconnected_ns: Option<u64>,
    /// How many bytes of the body the socket has accepted: what follows the head, HTTP chunk framing included.
    pub bytes_written: u64,
    /// How many whole events of the stream those are, the one for the role, the finish reason, the usage and `[DONE]`
    /// included.
    pub frames_written: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has not.
    Running,
    /// All of it was sent.
    Complete,
    /// The fault of its turn was played to the end.
    Fault,
    /// The client left first.
    Disconnected,
}
