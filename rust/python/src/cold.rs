//! Awaitables for what happens once per stream, never once per token: Rust futures awaited by asyncio through
//! pyo3-async-runtimes.
//!
//! Its tokio runtime is not used, since a forked child could not build it anew. Nor do these futures run on the
//! engine's network threads, since their last step takes the interpreter, which those threads never do: the engine keeps
//! one thread apart for them all.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

use headrace_engine::RuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::generic::{ContextExt, JoinError, Runtime, future_into_py_with_locals};
use pyo3_async_runtimes::{TaskLocals, get_running_loop};

use crate::errors;

/// An asyncio future for a Rust one.
pub(crate) fn awaitable(
    py: Python<'_>,
    future: impl Future<Output = ()> + Send + 'static,
) -> PyResult<Bound<'_, PyAny>> {
    headrace_engine::cold_handle().map_err(|error| errors::runtime(py, &error))?;
    let locals = TaskLocals::new(get_running_loop(py)?);
    future_into_py_with_locals::<Cold, _, _>(py, locals, async move {
        future.await;
        Ok(())
    })
}

struct Cold;

impl Runtime for Cold {
    type JoinError = Lost;
    type JoinHandle = Join;

    fn spawn<F>(future: F) -> Join
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Join(headrace_engine::cold_handle().map(|handle| handle.spawn(future)))
    }

    /// On the same thread: what is handed in here sets a result, and a thread for each would be a thread per stream.
    fn spawn_blocking<F>(work: F) -> Join
    where
        F: FnOnce() + Send + 'static,
    {
        Self::spawn(async move { work() })
    }
}

impl ContextExt for Cold {
    fn scope<F, R>(_locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}

/// A future that was spawned, or could not be.
struct Join(Result<tokio::task::JoinHandle<()>, RuntimeError>);

impl Future for Join {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Ok(handle) => Pin::new(handle).poll(context).map_err(|error| Lost(error.try_into_panic().ok())),
            Err(_) => Poll::Ready(Err(Lost(None))),
        }
    }
}

/// A spawned future did not come to its end.
struct Lost(Option<Box<dyn Any + Send>>);

impl JoinError for Lost {
    fn is_panic(&self) -> bool {
        self.0.is_some()
    }

    fn into_panic(self) -> Box<dyn Any + Send + 'static> {
        self.0.unwrap_or_else(|| Box::new("the task was cancelled"))
    }
}
