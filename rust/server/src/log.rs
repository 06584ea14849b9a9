//! The events of an answer that goes on without its client, so that the client can come back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::body::KeepAlive;

/// How many bytes of one answer are kept. Of a longer one the oldest events are gone.
const MAX_KEPT: usize = 8 * 1024 * 1024;

/// The most that is sent at once.
const MAX_FRAME: usize = 64 * 1024;

/// What a reader gets whose events are gone. In a form that clients of all protocols take for an error.
const TOO_SLOW: &[u8] = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"code\":null,\
\"param\":null,\"message\":\"this client was too slow: the next events of its run are not kept any more\"}}\n\n";

/// The events of an answer, in order. Each has a number, from 1, except comments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// How many entries are gone.
    gone: u64,
    bytes: usize,
    last_id: u64,
    ended: bool,
    readers: Vec<Waker>,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The number of the event; of a comment that of the event before it.
    id: u64,
    bytes: Bytes,
}

impl Log {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds whole server-sent events.
    pub(crate) fn write(&self, events: &[u8]) {
        let mut state = self.state();
        for event in split(events) {
            let is_comment = event.starts_with(b":");
            state.last_id += u64::from(!is_comment);
            let id = state.last_id;
            let bytes = if is_comment {
                Bytes::copy_from_slice(event)
            } else {
                Bytes::from([format!("id: {id}\n").as_bytes(), event].concat())
            };
            state.bytes += bytes.len();
            state.entries.push_back(Entry { id, bytes });
        }
        while state.bytes > MAX_KEPT
            && let Some(oldest) = state.entries.pop_front()
        {
            state.bytes -= oldest.bytes.len();
            state.gone += 1;
        }
        state.wake();
    }

    /// Nothing more will be written.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        state.wake();
    }

    /// The events after the one with this number; `None` if some of them are gone, or if there is no such event yet.
    pub(crate) fn after(&self, id: u64, keep_alive: Duration) -> Option<LogBody> {
        let state = self.state();
        let kept_from = state.entries.front().map_or(state.last_id, |entry| entry.id.saturating_sub(1));
        let is_here = id <= state.last_id && (state.gone == 0 || id >= kept_from);
        if !is_here {
            return None;
        }
        let before = state.entries.iter().take_while(|entry| id > 0 && entry.id <= id).count() as u64;
        let next = state.gone + before;
        Some(LogBody { log: self.clone(), next, told: false, alive: KeepAlive::new(keep_alive) })
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }
}

impl State {
    fn wake(&mut self) {
        for reader in self.readers.drain(..) {
            reader.wake();
        }
    }
}

/// The single events of a block.
fn split(events: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memmem::find(rest, b"\n\n").map_or(rest.len(), |at| at + 2);
        let (event, after) = rest.split_at(end);
        rest = after;
        Some(event)
    })
}

/// Sends the events of a log, those to come too. Dropping it changes nothing for the answer.
pub(crate) struct LogBody {
    log: Log,
    next: u64,
    /// Whether it was told that it is too slow.
    told: bool,
    alive: KeepAlive,
}

impl Body for LogBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let log = self.log.clone();
        let mut state = log.state();
        if self.next < state.gone {
            // It reads more slowly than events come, and those that it needs are gone: it must not get the later ones,
            // nor take this for the end.
            let told = std::mem::replace(&mut self.told, true);
            return Poll::Ready((!told).then(|| Ok(Frame::data(Bytes::from_static(TOO_SLOW)))));
        }
        let from = usize::try_from(self.next - state.gone).unwrap_or(usize::MAX);
        let mut block = Vec::new();
        for entry in state.entries.iter().skip(from) {
            if !block.is_empty() && block.len() + entry.bytes.len() > MAX_FRAME {
                break;
            }
            block.extend_from_slice(&entry.bytes);
            self.next += 1;
        }
        if !block.is_empty() {
            self.alive.sent();
            return Poll::Ready(Some(Ok(Frame::data(block.into()))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if !state.readers.iter().any(|reader| reader.will_wake(context.waker())) {
            state.readers.push(context.waker().clone());
        }
        drop(state);
        self.alive.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn read(log: &Log, after: u64) -> Option<String> {
        let body = log.after(after, Duration::from_secs(60))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let bytes = runtime.block_on(body.collect()).unwrap().to_bytes();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_reader_goes_on_after_any_event() {
        let log = Log::default();
        log.write(b"data: a\n\ndata: b\n\n: a comment\n\n");
        log.write(b"event: x\ndata: c\n\n");
        log.end();
        let whole = "id: 1\ndata: a\n\nid: 2\ndata: b\n\n: a comment\n\nid: 3\nevent: x\ndata: c\n\n";
        assert_eq!(read(&log, 0).as_deref(), Some(whole));
        assert_eq!(
            read(&log, 1).as_deref(),
            Some("id: 2\ndata: b\n\n: a comment\n\nid: 3\nevent: x\ndata: c\n\n")
        );
        assert_eq!(read(&log, 2).as_deref(), Some("id: 3\nevent: x\ndata: c\n\n"));
        assert_eq!(read(&log, 3).as_deref(), Some(""));
        assert_eq!(read(&log, 4), None);
    }

    #[test]
    fn a_reader_that_is_too_slow_gets_an_error_and_no_later_events() {
        let log = Log::default();
        let event = format!("data: {}\n\n", "x".repeat(MAX_KEPT / 4));
        log.write(b"data: first\n\n");
        let reader = log.after(0, Duration::from_secs(60)).unwrap();
        for _ in 0..6 {
            log.write(event.as_bytes());
        }
        log.end();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert_eq!(runtime.block_on(reader.collect()).unwrap().to_bytes(), TOO_SLOW);
    }

    #[test]
    fn who_needs_events_that_are_gone_is_told() {
        let log = Log::default();
        let event = format!("data: {}\n\n", "x".repeat(MAX_KEPT / 4));
        for _ in 0..6 {
            log.write(event.as_bytes());
        }
        log.end();
        assert_eq!(read(&log, 1), None);
        assert!(read(&log, 3).is_some_and(|text| text.starts_with("id: 4\n")));
        assert_eq!(read(&log, 0), None);
    }
}
