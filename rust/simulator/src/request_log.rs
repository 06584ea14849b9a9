//! The log of requests: connections write it, and [`Report`]s are read from it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::monotonic_ns;
use crate::report::{Connections, Outcome, Report, RequestReport};

/// The log. One lock is enough: it is held for nanoseconds, once for each write to a socket.
#[derive(Debug)]
pub(crate) struct RequestLog {
    state: Mutex<State>,
    changed: Condvar,
    keep: usize,
}

#[derive(Debug, Default)]
struct State {
    report: Report,
    next_connection: u64,
    next_sequence: u64,
    /// How many threads wait for a change. With none, a change makes no system call to wake them.
    waiters: usize,
}

impl RequestLog {
    /// A log that keeps the latest `keep` requests, and at least one.
    pub(crate) fn new(keep: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), keep: keep.max(1) }
    }

    /// A snapshot.
    pub(crate) fn report(&self) -> Report {
        self.state().report.clone()
    }

    /// Clears the log, including requests that are being answered. Open connections stay open.
    pub(crate) fn reset(&self) {
        self.change(|state| {
            let open = state.report.connections.open;
            state.report = Report { connections: Connections { accepted: 0, open }, ..Report::default() };
        });
    }

    /// Waits until `predicate` is true, checking it at every change; false if `timeout` passes first.
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

    /// Records a new connection.
    pub(crate) fn connect(self: &Arc<Self>) -> ConnectionEntry {
        let number = self.change(|state| {
            state.report.connections.accepted += 1;
            state.report.connections.open += 1;
            state.next_connection += 1;
            state.next_connection - 1
        });
        ConnectionEntry { log: Arc::clone(self), number }
    }

    /// Records a new request, and numbers it.
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
        Entry { log: Arc::clone(self), sequence }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        let has_waiters = state.waiters > 0;
        drop(state);
        if has_waiters {
            self.changed.notify_all();
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Only a test's predicate can panic while the lock is held, and it cannot change the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection. It counts as open until this is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionEntry {
    log: Arc<RequestLog>,
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
        self.log.change(|state| state.report.connections.open -= 1);
    }
}

/// The entry of one request.
#[derive(Debug)]
pub(crate) struct Entry {
    log: Arc<RequestLog>,
    sequence: u64,
}

impl Entry {
    /// Its number.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Sets the turn that answers it.
    pub(crate) fn turn(&self, turn: usize) {
        self.update(|request| request.turn = Some(turn));
    }

    /// Sets the status of the response.
    pub(crate) fn status(&self, status: u16) {
        self.update(|request| request.status = Some(status));
    }

    /// Adds bytes of the body that the socket has accepted.
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

    /// Adds the stamps of tokens that are about to be written.
    pub(crate) fn stamped(&self, stamps_ns: &[u64]) {
        self.update(|request| request.stamps_ns.extend_from_slice(stamps_ns));
    }

    /// Sets how the answer ended.
    pub(crate) fn finish(&self, outcome: Outcome) {
        let now = monotonic_ns();
        self.update(|request| {
            request.outcome = outcome;
            request.finished_ns = Some(now);
            request.disconnected_ns = (outcome == Outcome::Disconnected).then_some(now);
        });
    }

    fn update(&self, update: impl FnOnce(&mut RequestReport)) {
        self.log.change(|state| state.report.request_mut(self.sequence).map(update));
    }
}
