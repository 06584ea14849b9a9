//! What wakes an event loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyOSError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::iterate::Anext;

/// Wakes one event loop.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Notifier {
    notifier: Arc<headrace_engine::notifier::Notifier>,
    waiting: Mutex<Waiting>,
}

/// Who waits, by the key of the stream.
#[derive(Default)]
struct Waiting {
    /// Reads, which are woken once.
    reads: BTreeMap<u64, Py<Anext>>,
    /// Objects with a method `wake`, which stay until they are removed.
    listeners: BTreeMap<u64, Vec<Py<PyAny>>>,
}

#[pymethods]
impl Notifier {
    /// With a descriptor for an event loop to watch, or without one, for a thread to wait for.
    #[new]
    #[pyo3(signature = (*, descriptor=true))]
    fn new(descriptor: bool) -> PyResult<Self> {
        use headrace_engine::notifier::Notifier;
        let notifier = if descriptor { Notifier::new()? } else { Notifier::without_descriptor() };
        Ok(Self { notifier: Arc::new(notifier), waiting: Mutex::default() })
    }

    /// The descriptor.
    fn fileno(&self) -> PyResult<i32> {
        self.notifier.descriptor().ok_or_else(|| PyOSError::new_err("this notifier has no descriptor"))
    }

    /// Blocks this thread until there is something to drain, for at most so many seconds; whether there is.
    fn wait(&self, py: Python<'_>, timeout: f64) -> bool {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        py.detach(|| self.notifier.wait(timeout))
    }

    fn waker(&self, key: u64) -> Waker {
        Waker { waker: self.notifier.waker(key) }
    }

    /// Adds a listener for a stream.
    fn add(&self, py: Python<'_>, key: u64, listener: Py<PyAny>) {
        self.lock(py).listeners.entry(key).or_default().push(listener);
    }

    /// Removes a listener of a stream.
    fn remove(&self, py: Python<'_>, key: u64, listener: &Bound<'_, PyAny>) {
        let mut waiting = self.lock(py);
        if let Some(listeners) = waiting.listeners.get_mut(&key) {
            listeners.retain(|known| !known.is(listener));
            if listeners.is_empty() {
                waiting.listeners.remove(&key);
            }
        }
    }

    /// Wakes all who wait for streams that became ready. The event loop calls it when the descriptor is readable.
    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        let mut failed = Ok(());
        for key in self.notifier.drain() {
            let woken = self.wake(py, key);
            // The others are woken all the same: nothing would wake them later.
            failed = failed.and(woken);
        }
        failed
    }
}

impl Notifier {
    /// Adds a read, which is woken once.
    pub(crate) fn await_key(&self, py: Python<'_>, key: u64, read: Py<Anext>) {
        self.lock(py).reads.insert(key, read);
    }

    /// Removes a read.
    pub(crate) fn forget_key(&self, py: Python<'_>, key: u64) {
        let removed = self.lock(py).reads.remove(&key);
        drop(removed);
    }

    pub(crate) fn waker_for(&self, key: u64) -> std::task::Waker {
        self.notifier.waker(key)
    }

    fn wake(&self, py: Python<'_>, key: u64) -> PyResult<()> {
        let (read, listeners) = {
            let mut waiting = self.lock(py);
            let listeners = waiting.listeners.get(&key);
            let listeners: Vec<Py<PyAny>> = listeners
                .map(|known| known.iter().map(|one| one.clone_ref(py)).collect())
                .unwrap_or_default();
            (waiting.reads.remove(&key), listeners)
        };
        let mut failed = read.map_or(Ok(()), |read| Anext::wake(read.bind(py)));
        for listener in listeners {
            failed = failed.and(listener.call_method0(py, intern!(py, "wake")).map(drop));
        }
        failed
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Waiting> {
        self.waiting.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the event loop on behalf of one stream.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Waker {
    pub(crate) waker: std::task::Waker,
}
