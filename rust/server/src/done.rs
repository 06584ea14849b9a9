//! Something that ends once, and who waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug, Default)]
pub(crate) struct Done(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    done: bool,
    waiting: Option<Waker>,
}

impl Done {
    pub(crate) fn set(&self) {
        let mut state = self.state();
        state.done = true;
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
    }

    /// Ready once it has ended. One waits at a time.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.done {
            return Poll::Ready(());
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
