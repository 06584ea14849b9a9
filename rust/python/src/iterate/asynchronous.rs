//! The iterator for `async for`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::{MutexExt, PyOnceLock};
use pyo3::types::{PyList, PyString, PyTuple, PyWeakrefMethods, PyWeakrefReference};
use pyo3::{PyTraverseError, PyVisit};

use super::anext::{Anext, to_error};
use super::stream_of;
use crate::errors;
use crate::notifier::Notifier;
use crate::stream::Stream;

/// Reads a run for `async for`.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct AsyncTokenIterator {
    driver: Py<PyAny>,
    run: Py<PyAny>,
    /// Returns the running event loop and its notifier.
    running_loop: Py<PyAny>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The turn that is being read.
    stream: Option<Py<Stream>>,
    /// How many tokens the driver can yield at once, without waiting.
    at_once: usize,
    phase: Phase,
    event_loop: Option<EventLoop>,
    /// Whether the last read was cancelled, and none has begun since.
    cancelled: bool,
}

/// What the current read is doing.
#[derive(Default)]
enum Phase {
    /// There is none.
    #[default]
    Idle,
    /// It awaits the driver.
    Driving(Py<PyAny>),
    /// It awaits tokens.
    Waiting,
}

/// The event loop in which tokens are awaited, and what wakes it.
struct EventLoop {
    /// A weak reference: the loop holds the notifier, and that the read.
    reference: Py<PyWeakrefReference>,
    notifier: Py<Notifier>,
    /// The stream of the turn. It keeps one waker only, so all who wait for it in this loop share a key.
    key: u64,
    waker: Waker,
}

/// How a read goes on.
pub(super) enum Progress {
    /// The task waits for this object.
    Wait(Py<PyAny>),
    /// The read has ended with this item.
    Item(Py<PyAny>),
}

#[pymethods]
impl AsyncTokenIterator {
    #[new]
    fn new(driver: Py<PyAny>, run: Py<PyAny>, running_loop: Py<PyAny>) -> Self {
        Self { driver, run, running_loop, state: Mutex::default() }
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let mut state = this.lock(py);
        if !matches!(state.phase, Phase::Idle) {
            return Err(errors::in_use(py));
        }
        if state.at_once > 0 {
            state.at_once -= 1;
            drop(state);
            return this.next_of_driver(py);
        }
        drop(state);
        Ok(Py::new(py, Anext::new(slf.clone().unbind()))?.into_any())
    }

    /// Ends the run, as closing an async generator does.
    fn aclose(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.discard(py);
        self.driver.call_method0(py, intern!(py, "aclose"))
    }

    /// Drops what was taken and not returned yet. Called when the run is closed, by any thread.
    fn discard(&self, py: Python<'_>) {
        // The driver drops what it has, and then yields no token.
        self.lock(py).at_once = 0;
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.driver)?;
        visit.call(&self.run)?;
        visit.call(&self.running_loop)?;
        // Never wait here: another thread may hold the lock.
        if let Ok(state) = self.state.try_lock()
            && let Phase::Driving(awaitable) = &state.phase
        {
            visit.call(awaitable)?;
        }
        Ok(())
    }
}

impl AsyncTokenIterator {
    /// The driver's next item, as an awaitable. Python's function finds the method in its slot, and not by its name.
    fn next_of_driver(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        static ANEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        ANEXT.import(py, "builtins", "anext")?.call1((&self.driver,)).map(Bound::unbind)
    }

    /// A read begins.
    pub(super) fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = self.lock(py);
        if !matches!(state.phase, Phase::Idle) {
            return Err(errors::in_use(py));
        }
        if state.cancelled {
            state.cancelled = false;
            drop(state);
            self.run.call_method0(py, intern!(py, "read_again"))?;
        }
        Ok(())
    }

    /// A read has ended, in whichever way.
    pub(super) fn end(&self, py: Python<'_>) {
        self.lock(py).phase = Phase::Idle;
    }

    /// Goes on with a read, until it has to wait or has ended.
    pub(super) fn advance(&self, py: Python<'_>, read: &Bound<'_, Anext>) -> PyResult<Progress> {
        let mut taken = VecDeque::new();
        loop {
            let state = self.lock(py);
            if let Phase::Driving(awaitable) = &state.phase {
                let awaitable = awaitable.clone_ref(py);
                drop(state);
                let stepped = awaitable.call_method1(py, intern!(py, "send"), (py.None(),));
                match self.driven(py, stepped)? {
                    Some(progress) => return Ok(progress),
                    None => continue,
                }
            }
            let Some(stream) = state.stream.as_ref().map(|stream| stream.clone_ref(py)) else {
                drop(state);
                let awaitable = self.next_of_driver(py)?;
                self.lock(py).phase = Phase::Driving(awaitable);
                continue;
            };
            let waker = state.event_loop.as_ref().map(|event_loop| event_loop.waker.clone());
            drop(state);
            let Some(waker) = waker else {
                self.bind(py)?;
                continue;
            };
            match stream.get().poll_tokens(py, &waker, &mut taken) {
                Poll::Ready(true) => {
                    if taken.len() == 1
                        && let Some(token) = taken.pop_front()
                    {
                        return Ok(Progress::Item(token.into_any()));
                    }
                    self.yield_at_once(py, &mut taken)?;
                }
                // The driver finds out how it ended.
                Poll::Ready(false) => self.lock(py).stream = None,
                Poll::Pending => return Ok(self.wait(py, read)),
            }
        }
    }

    /// Gives several tokens to the driver, which yields them one by one: an async generator is faster at that.
    fn yield_at_once(&self, py: Python<'_>, tokens: &mut VecDeque<Py<PyString>>) -> PyResult<()> {
        let count = tokens.len();
        let batch = PyList::new(py, tokens.drain(..))?;
        let awaitable = self.driver.call_method1(py, intern!(py, "asend"), (batch,))?;
        let mut state = self.lock(py);
        state.stream = None;
        state.at_once = count - 1;
        state.phase = Phase::Driving(awaitable);
        Ok(())
    }

    /// Tokens are awaited: the task waits for the read.
    fn wait(&self, py: Python<'_>, read: &Bound<'_, Anext>) -> Progress {
        self.lock(py).phase = Phase::Waiting;
        if let Some((notifier, key)) = self.waiting_at(py) {
            notifier.get().await_key(py, key, read.clone().unbind());
        }
        read.get().wait();
        Progress::Wait(read.clone().into_any().unbind())
    }

    /// Throws an exception into the read.
    ///
    /// Only the driver gets it, if it is the driver that is awaited. Where tokens are awaited, the read ends, and
    /// the next one goes on as if it had not been.
    pub(super) fn throw(
        &self,
        py: Python<'_>,
        read: &Bound<'_, Anext>,
        exception: &Bound<'_, PyTuple>,
    ) -> PyResult<Progress> {
        let driven = match &self.lock(py).phase {
            Phase::Driving(awaitable) => Some(awaitable.clone_ref(py)),
            _ => None,
        };
        if let Some(awaitable) = driven {
            let stepped = awaitable.call_method1(py, intern!(py, "throw"), exception.clone());
            return match self.driven(py, stepped)? {
                Some(progress) => Ok(progress),
                None => self.advance(py, read),
            };
        }
        let was_refused = !read.get().has_callback(py);
        self.stop_waiting(py);
        let error = to_error(exception)?;
        if was_refused && error.is_instance_of::<PyRuntimeError>(py) {
            // The task belongs to another event loop than the one of the last read.
            self.lock(py).phase = Phase::Idle;
            self.bind(py)?;
            return self.advance(py, read);
        }
        self.cancelled(py)?;
        Err(error)
    }

    /// Closes the read: the coroutine that awaits it is closed.
    pub(super) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let driven = match &self.lock(py).phase {
            Phase::Driving(awaitable) => Some(awaitable.clone_ref(py)),
            _ => None,
        };
        if let Some(awaitable) = driven {
            return awaitable.call_method0(py, intern!(py, "close")).map(drop);
        }
        self.stop_waiting(py);
        Ok(())
    }

    /// The event loop of the last wait, for the task that asks.
    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        let reference =
            self.lock(py).event_loop.as_ref().map(|event_loop| event_loop.reference.clone_ref(py));
        reference.and_then(|reference| reference.bind(py).upgrade())
    }

    /// Nobody is to be woken any more.
    pub(super) fn stop_waiting(&self, py: Python<'_>) {
        if let Some((notifier, key)) = self.waiting_at(py) {
            notifier.get().forget_key(py, key);
        }
    }

    /// What wakes the read, and by which key.
    fn waiting_at(&self, py: Python<'_>) -> Option<(Py<Notifier>, u64)> {
        let state = self.lock(py);
        state.event_loop.as_ref().map(|event_loop| (event_loop.notifier.clone_ref(py), event_loop.key))
    }

    /// What a step of the driver led to: how the read goes on, or `None` if a turn was opened.
    fn driven(&self, py: Python<'_>, stepped: PyResult<Py<PyAny>>) -> PyResult<Option<Progress>> {
        let error = match stepped {
            Ok(awaited) => return Ok(Some(Progress::Wait(awaited))),
            Err(error) => error,
        };
        self.lock(py).phase = Phase::Idle;
        if error.is_instance_of::<PyStopIteration>(py) {
            let item = error.value(py).getattr(intern!(py, "value"))?;
            return match stream_of(&item) {
                Some(stream) => {
                    let mut state = self.lock(py);
                    let key = stream.as_ptr().addr() as u64;
                    if state.event_loop.as_ref().is_some_and(|event_loop| event_loop.key != key) {
                        state.event_loop = None;
                    }
                    state.stream = Some(stream);
                    Ok(None)
                }
                None => Ok(Some(Progress::Item(item.unbind()))),
            };
        }
        if error.is_instance_of::<PyStopAsyncIteration>(py) {
            self.run.call_method0(py, intern!(py, "check_open"))?;
        }
        Err(error)
    }

    /// Looks up the running event loop.
    fn bind(&self, py: Python<'_>) -> PyResult<()> {
        let found = self.running_loop.call0(py)?;
        let (reference, notifier): (Bound<'_, PyWeakrefReference>, Bound<'_, Notifier>) =
            found.extract(py)?;
        let reference = reference.unbind();
        let mut state = self.lock(py);
        let key = state.stream.as_ref().map_or(0, |stream| stream.as_ptr().addr() as u64);
        let waker = notifier.get().waker_for(key);
        state.event_loop = Some(EventLoop { reference, notifier: notifier.unbind(), key, waker });
        Ok(())
    }

    /// A read was cancelled. If its task ends without reading on, the run does.
    fn cancelled(&self, py: Python<'_>) -> PyResult<()> {
        {
            let mut state = self.lock(py);
            state.phase = Phase::Idle;
            state.cancelled = true;
        }
        self.run.call_method0(py, intern!(py, "read_cancelled")).map(drop)
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, State> {
        self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}
