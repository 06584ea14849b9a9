//! The body of a response while it is written.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// How much may wait to be sent. If there is more, whoever writes waits, and in the end the model's socket does.
const MAX_PENDING: usize = 64 * 1024;

/// What is sent while there is nothing to send, so that no proxy takes the connection for dead. A comment, which every
/// parser of server-sent events skips.
const COMMENT: &[u8] = b": keep-alive\n\n";

#[derive(Debug, Default)]
struct State {
    /// What was written and not yet sent. Everything that waits goes out together.
    pending: Vec<u8>,
    ended: bool,
    /// The client has left.
    gone: bool,
    sender: Option<Waker>,
    writer: Option<Waker>,
}

/// The end that is written to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end that sends.
    pub(crate) fn body(
        &self,
        keep_alive: Duration,
        on_leave: impl FnOnce() + Send + 'static,
    ) -> StreamingBody {
        let alive = KeepAlive::new(keep_alive);
        StreamingBody { pipe: self.clone(), on_leave: Some(Box::new(on_leave)), alive }
    }

    /// Writes. What is written after the client has left is dropped.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut state = self.state();
        if !state.gone {
            state.pending.extend_from_slice(bytes);
            wake(&mut state.sender);
        }
    }

    /// Nothing more will be written.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        wake(&mut state.sender);
    }

    /// The client has left.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        state.gone = true;
        state.pending = Vec::new();
        wake(&mut state.writer);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// Whether there is room to write, or false if the client has left. The context's waker is woken when either may
    /// have changed, also if this is ready.
    pub(crate) fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        if state.gone {
            return Poll::Ready(false);
        }
        if !state.writer.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            state.writer = Some(context.waker().clone());
        }
        if state.pending.len() < MAX_PENDING { Poll::Ready(true) } else { Poll::Pending }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The end that the HTTP server reads. Dropping it before the end means that the client has left.
pub(crate) struct StreamingBody {
    pipe: Pipe,
    on_leave: Option<Box<dyn FnOnce() + Send>>,
    alive: KeepAlive,
}

impl Body for StreamingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let pipe = self.pipe.clone();
        let mut state = pipe.state();
        if !state.pending.is_empty() {
            let was_full = state.pending.len() >= MAX_PENDING;
            let pending = std::mem::take(&mut state.pending);
            if was_full {
                wake(&mut state.writer);
            }
            self.alive.sent();
            return Poll::Ready(Some(Ok(Frame::data(pending.into()))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.sender = Some(context.waker().clone());
        drop(state);
        self.alive.poll(context)
    }

    fn is_end_stream(&self) -> bool {
        let state = self.pipe.state();
        state.ended && state.pending.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Drop for StreamingBody {
    fn drop(&mut self) {
        let is_whole = {
            let state = self.pipe.state();
            state.ended && state.pending.is_empty()
        };
        if !is_whole && let Some(on_leave) = self.on_leave.take() {
            on_leave();
        }
    }
}

/// Sends a comment whenever nothing else was sent for a while.
pub(crate) struct KeepAlive {
    every: Duration,
    last: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl KeepAlive {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, last: Instant::now(), timer: None }
    }

    /// Something was sent. The timer is not touched: it looks at this when it is due.
    pub(crate) fn sent(&mut self) {
        self.last = Instant::now();
    }

    /// A comment if it is time for one.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let due = self.last + self.every;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            ready!(timer.as_mut().poll(context));
            let due = self.last + self.every;
            if Instant::now() >= due {
                self.last = Instant::now();
                timer.as_mut().reset(self.last + self.every);
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
            }
            timer.as_mut().reset(due);
        }
    }
}
