//! The book that the connections write and [`Report`]s are read from.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::report::{Connections, Outcome, Report, RequestReport};

/// The book. One lock is enough: it is held for nanoseconds, once for each write to a socket.
#[derive(Debug)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
    keep: usize,
}

#[derive(Debug, Default)]
struct State {
    report: Report,
    next_connection: u64,
    next_sequence: u64,
    /// How many wait: with none, a change costs no wake-up, which would be a system call.
    waiters: usize,
}

impl Ledger {
    /// A book that remembers the latest `keep` requests, and at least one.
    pub(crate) fn new(keep: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), keep: keep.max(1) }
    }

    /// Everything up to now.
    pub(crate) fn report(&self) -> Report {
        self.state().report.clone()
    }

    /// Forgets what has been. Connections that are open stay open, and requests that run are forgotten too.
    pub(crate) fn reset(&self) {
        self.change(|state| {
            let open = state.report.connections.open;
            state.report = Report { connections: Connections { accepted: 0, open }, ..Report::default() };
        });
    }

    /// Waits until `predicate` holds, looking again at every change. Whether it came to hold in time.
    pub(crate) fn wait_for(&self, mut predicate: impl FnMut(&Report) -> bool, timeout: Duration) -> bool {
        let mut state = self.state();
        state.waiters += 1;
        let (mut state, timeout) = self
            .changed
            .wait_timeout_while(state, timeout, |state| !predicate(&state.report))
            .unwrap_or_else(PoisonError::into_inner);
        state.waiters -= 1;
        !timeout.timed_out()
    }

    /// Notes a new connection.
    pub(crate) fn connect(self: &Arc<Self>) -> ConnectionEntry {
        let number = self.change(|state| {
            state.report.connections.accepted += 1;
            state.report.connections.open += 1;
            state.next_connection += 1;
            state.next_connection - 1
        });
        ConnectionEntry { ledger: Arc::clone(self), number }
    }

    /// Notes a new request, and numbers it.
    pub(crate) fn open(self: &Arc<Self>, mut request: RequestReport) -> Entry {
        let sequence = self.change(|state| {
            request.sequence = state.next_sequence;
            state.next_sequence += 1;
            let Report { requests, requests_seen, .. } = &mut state.report;
            *requests_seen += 1;
            if requests.len() >= self.keep {
                requests.pop_front();
            }
            requests.push_back(request);
            state.next_sequence - 1
        });
        Entry { ledger: Arc::clone(self), sequence }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        let waited_for = state.waiters > 0;
        drop(state);
        if waited_for {
            self.changed.notify_all();
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only a predicate of a test can panic under the lock, and it changes nothing: the state is always whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection; it counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionEntry {
    ledger: Arc<Ledger>,
    number: u64,
}

impl ConnectionEntry {
    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for ConnectionEntry {
    fn drop(&mut self) {
        self.ledger.change(|state| state.report.connections.open -= 1);
    }
}

/// The line of one request.
#[derive(Debug)]
pub(crate) struct Entry {
    ledger: Arc<Ledger>,
    sequence: u64,
}

impl Entry {
    /// Its number.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Which turn answers it.
    pub(crate) fn turn(&self, turn: usize) {
        self.update(|request| request.turn = Some(turn));
    }

    /// The status of the response.
    pub(crate) fn status(&self, status: u16) {
        self.update(|request| request.status = Some(status));
    }

    /// The socket has accepted more of the body.
    pub(crate) fn written(&self, bytes: usize, frames: usize) {
        if bytes == 0 {
            return;
        }
        self.update(|request| {
            request.first_byte_ns.get_or_insert_with(monotonic_ns);
            request.bytes_written += bytes as u64;
            request.frames_written += frames as u64;
        });
    }

    /// The answer has ended.
    pub(crate) fn finish(&self, outcome: Outcome) {
        let now = monotonic_ns();
        self.update(|request| {
            request.outcome = outcome;
            request.finished_ns = Some(now);
            request.disconnected_ns = (outcome == Outcome::Disconnected).then_some(now);
        });
    }

    fn update(&self, update: impl FnOnce(&mut RequestReport)) {
        self.ledger.change(|state| state.report.request_mut(self.sequence).map(update));
    }
}
