//! What a task awaits: one read of an [`AsyncTokenIterator`].
//!
//! It is its own iterator, and what the task waits for: asyncio takes any object for a future that has
//! `_asyncio_future_blocking` (see `task_step_handle_result_impl` in `Modules/_asynciomodule.c` of `CPython`). The event loop's
//! notifier calls the task back, so a token costs neither a future nor a Python frame.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::AsyncTokenIterator;
use super::asynchronous::Progress;

/// One read.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Anext {
    iterator: Py<AsyncTokenIterator>,
    begun: AtomicBool,
    ended: AtomicBool,
    /// Whether it was yielded to a task, to wait for it.
    waited_for: AtomicBool,
    /// Whether the task is to wait for this object; it sets it to false when it does.
    blocking: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// The task was cancelled while it waited, with this message if it had one.
struct Cancelled(Option<Py<PyAny>>);

#[derive(Default)]
struct Waiting {
    /// What wakes the task, and the context to call it in.
    callback: Option<(Py<PyAny>, Option<Py<PyAny>>)>,
    /// The message with which the task was cancelled while it waited.
    cancelled: Option<Cancelled>,
}

#[pymethods]
impl Anext {
    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        this.check_not_ended()?;
        if this.begun.load(Ordering::Relaxed) {
            if this.has_callback(py) {
                // The task that waits for this read was not woken: this is another one.
                return Err(crate::errors::in_use(py));
            }
        } else {
            this.iterator.get().begin(py)?;
            this.begun.store(true, Ordering::Relaxed);
        }
        let progress = this.iterator.get().advance(py, slf);
        this.result_of(py, progress)
    }

    #[pyo3(signature = (value, /))]
    #[expect(unused_variables, reason = "nothing can be sent into a read")]
    fn send(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Self::__next__(slf)
    }

    #[pyo3(signature = (*exception))]
    fn throw(slf: &Bound<'_, Self>, exception: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        this.check_not_ended()?;
        if !this.begun.swap(true, Ordering::Relaxed) {
            // It has not begun, so there is nothing to undo.
            this.ended.store(true, Ordering::Relaxed);
            return Err(to_error(exception)?);
        }
        let progress = this.iterator.get().throw(py, slf, exception);
        this.lock(py).callback = None;
        this.result_of(py, progress)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.ended.swap(true, Ordering::Relaxed) || !self.begun.load(Ordering::Relaxed) {
            return Ok(());
        }
        let closed = self.iterator.get().close(py);
        self.finish(py);
        closed
    }

    // --- as a future ------------------------------------------------------------------------------------------

    /// None while no task is to wait for it: then `asyncio.isfuture` says no, and `ensure_future` wraps it as it does
    /// any other awaitable.
    #[getter(_asyncio_future_blocking)]
    fn is_blocking(&self) -> Option<bool> {
        self.waited_for.load(Ordering::Relaxed).then(|| self.blocking.load(Ordering::Relaxed))
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.blocking.store(blocking, Ordering::Relaxed);
    }

    fn get_loop<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.iterator.get().event_loop(py).unwrap_or_else(|| py.None().into_bound(py))
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(&self, py: Python<'_>, callback: Py<PyAny>, context: Option<Py<PyAny>>) {
        self.lock(py).callback = Some((callback, context));
    }

    fn remove_done_callback(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> usize {
        let mut waiting = self.lock(py);
        let is_it = waiting.callback.as_ref().is_some_and(|(known, _)| known.is(callback));
        if is_it {
            waiting.callback = None;
        }
        usize::from(is_it)
    }

    /// Cancels the wait: the task is called back, and then gets `CancelledError` from `result`.
    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let (py, this) = (slf.py(), slf.get());
        let Some((callback, context)) = this.lock(py).callback.take() else { return Ok(false) };
        this.iterator.get().stop_waiting(py);
        this.lock(py).cancelled = Some(Cancelled(msg));
        let options = PyDict::new(py);
        options.set_item("context", context)?;
        this.get_loop(py).call_method("call_soon", (callback, slf), Some(&options))?;
        Ok(true)
    }

    fn result(&self, py: Python<'_>) -> PyResult<()> {
        let Some(Cancelled(message)) = self.lock(py).cancelled.take() else { return Ok(()) };
        let class = py.import("asyncio")?.getattr("CancelledError")?;
        let error = match message {
            Some(message) => class.call1((message,))?,
            None => class.call0()?,
        };
        Err(PyErr::from_value(error))
    }

    #[expect(clippy::unused_self, reason = "a method of a future")]
    fn exception(&self) {}

    fn done(&self, py: Python<'_>) -> bool {
        self.lock(py).callback.is_none()
    }

    fn cancelled(&self, py: Python<'_>) -> bool {
        self.lock(py).cancelled.is_some()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.iterator)?;
        // Never wait here: another thread may hold the lock.
        if let Ok(waiting) = self.waiting.try_lock()
            && let Some((callback, context)) = &waiting.callback
        {
            visit.call(callback)?;
            visit.call(context)?;
        }
        Ok(())
    }
}

impl Anext {
    pub(super) fn new(iterator: Py<AsyncTokenIterator>) -> Self {
        Self {
            iterator,
            begun: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            waited_for: AtomicBool::new(false),
            blocking: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    /// The task is to wait for this object.
    pub(super) fn wait(&self) {
        self.waited_for.store(true, Ordering::Relaxed);
        self.blocking.store(true, Ordering::Relaxed);
    }

    /// Whether a task waits for this object.
    pub(super) fn has_callback(&self, py: Python<'_>) -> bool {
        self.lock(py).callback.is_some()
    }

    /// Calls the task back, if it waits. Called by the event loop's notifier, when nothing else runs in that loop, so
    /// the task may go on at once.
    pub(crate) fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let Some((callback, context)) = slf.get().lock(slf.py()).callback.take() else { return Ok(()) };
        match context {
            Some(context) => context.bind(slf.py()).call_method1(intern!(slf.py(), "run"), (callback, slf)),
            None => callback.bind(slf.py()).call1((slf,)),
        }
        .map(drop)
    }

    /// What the task gets: what to wait for, or the exception that ends the read.
    fn result_of(&self, py: Python<'_>, progress: PyResult<Progress>) -> PyResult<Py<PyAny>> {
        let ended = match progress {
            Ok(Progress::Wait(awaited)) => return Ok(awaited),
            Ok(Progress::Item(item)) => stop_iteration(item.into_bound(py)),
            Err(error) => error,
        };
        self.finish(py);
        Err(ended)
    }

    fn finish(&self, py: Python<'_>) {
        self.ended.store(true, Ordering::Relaxed);
        self.waited_for.store(false, Ordering::Relaxed);
        self.iterator.get().end(py);
    }

    fn check_not_ended(&self) -> PyResult<()> {
        if self.ended.load(Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("cannot reuse already awaited anext() of a stream"));
        }
        Ok(())
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Waiting> {
        self.waiting.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exception that ends an iteration with a value. A tuple or an exception would be taken apart, so it is wrapped.
fn stop_iteration(item: Bound<'_, PyAny>) -> PyErr {
    if item.is_instance_of::<PyTuple>() || item.is_instance_of::<PyBaseException>() {
        PyStopIteration::new_err((item.unbind(),))
    } else {
        PyStopIteration::new_err(item.unbind())
    }
}

/// The exception that `throw` was called with: an exception, or a class and its argument.
pub(super) fn to_error(arguments: &Bound<'_, PyTuple>) -> PyResult<PyErr> {
    let first = arguments.get_item(0)?;
    let value = arguments.get_item(1).ok().filter(|value| !value.is_none());
    Ok(match value {
        Some(value) if value.is_instance_of::<PyBaseException>() => PyErr::from_value(value),
        Some(value) => PyErr::from_value(first.call1((value,))?),
        None => PyErr::from_value(first),
    })
}
