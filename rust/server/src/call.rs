//! One request that another HTTP server has read, and the response for it to send.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use headrace_engine::{RuntimeError, spawn};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::task::AbortHandle;

use crate::routes::Routes;

/// How much may wait to be taken. If there is more, the response is not read on.
const MAX_PENDING: usize = 64 * 1024;

/// A call. Dropping it means that the client has left.
#[derive(Debug)]
pub struct Call {
    state: Arc<Mutex<State>>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct State {
    head: Option<(StatusCode, HeaderMap)>,
    pending: VecDeque<Bytes>,
    bytes: usize,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Call {
    pub(crate) fn start(routes: Arc<Routes>, request: Request<Bytes>) -> Result<Self, RuntimeError> {
        let state: Arc<Mutex<State>> = Arc::default();
        let writing = Arc::clone(&state);
        let task = spawn(async move {
            let response = routes.respond(request.map(Full::new)).await;
            let (head, mut body) = response.into_parts();
            change(&writing, |state| state.head = Some((head.status, head.headers)));
            while let Some(frame) = body.frame().await {
                let frame: Result<_, Infallible> = frame;
                if let Ok(data) = frame.map_err(drop).and_then(|frame| frame.into_data().map_err(drop)) {
                    change(&writing, |state| {
                        state.bytes += data.len();
                        state.pending.push_back(data);
                    });
                    poll_fn(|context| room(&writing, context)).await;
                }
            }
            change(&writing, |state| state.ended = true);
        })?;
        Ok(Self { state, task })
    }

    /// Ready once there is something new to take: the head, more of the body, or its end.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.head.is_some() && (state.ended || !state.pending.is_empty()) {
            return Poll::Ready(());
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// The status and the headers, once they are there.
    #[must_use]
    pub fn head(&self) -> Option<(StatusCode, HeaderMap)> {
        lock(&self.state).head.clone()
    }

    /// What is there of the body; `None` if all of it was taken.
    #[must_use]
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        if state.pending.is_empty() && state.ended {
            return None;
        }
        state.bytes = 0;
        let taken = state.pending.drain(..).flatten().collect();
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        Some(taken)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.task.abort();
        // Whoever waits for more of it need not wait any longer.
        change(&self.state, |state| state.ended = true);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes the state, and wakes who waits for that.
fn change(state: &Mutex<State>, change: impl FnOnce(&mut State)) {
    let mut state = lock(state);
    change(&mut state);
    if let Some(reader) = state.reader.take() {
        reader.wake();
    }
}

fn room(state: &Mutex<State>, context: &mut Context<'_>) -> Poll<()> {
    let mut state = lock(state);
    if state.bytes < MAX_PENDING {
        return Poll::Ready(());
    }
    state.writer = Some(context.waker().clone());
    Poll::Pending
}
