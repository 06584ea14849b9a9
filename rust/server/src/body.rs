//! The body of a response while it is written.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How much may wait to be sent. If there is more, whoever writes waits, and in the end the model's socket does.
const MAX_PENDING: usize = 64 * 1024;

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
    pub(crate) fn body(&self, on_leave: impl FnOnce() + Send + 'static) -> StreamingBody {
        StreamingBody { pipe: self.clone(), on_leave: Some(Box::new(on_leave)) }
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
}

impl Body for StreamingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut state = self.pipe.state();
        if !state.pending.is_empty() {
            let was_full = state.pending.len() >= MAX_PENDING;
            let pending = std::mem::take(&mut state.pending);
            if was_full {
                wake(&mut state.writer);
            }
            return Poll::Ready(Some(Ok(Frame::data(pending.into()))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.sender = Some(context.waker().clone());
        Poll::Pending
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
