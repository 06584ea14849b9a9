//! The source of a stream whose bytes Python feeds.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

/// The exception that a source failed with. The reader gets the same object.
pub(crate) type Raised = Arc<OnceLock<Py<PyBaseException>>>;

/// Takes the bytes of a stream.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Source {
    // `None` once the stream has ended.
    inner: Mutex<Option<Arc<headrace_engine::Source>>>,
    raised: Raised,
}

impl Source {
    pub(crate) fn new(source: headrace_engine::Source, raised: Raised) -> Self {
        Self { inner: Mutex::new(Some(Arc::new(source))), raised }
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Option<Arc<headrace_engine::Source>>> {
        self.inner.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Source {
    /// Feeds the next bytes, and blocks while the reader is behind. False if the stream is no longer read.
    fn feed(&self, py: Python<'_>, data: &[u8]) -> bool {
        let Some(source) = self.lock(py).clone() else { return false };
        let bytes = Bytes::copy_from_slice(data);
        py.detach(|| source.feed(bytes))
    }

    /// Ends the stream: the reader gets this exception, after the bytes fed so far.
    fn fail(&self, py: Python<'_>, error: Bound<'_, PyBaseException>) {
        let Some(source) = self.lock(py).take() else { return };
        let message = error.to_string();
        let _ = self.raised.set(error.unbind());
        py.detach(|| source.fail(message));
    }

    /// Ends the bytes.
    fn end(&self, py: Python<'_>) {
        drop(self.lock(py).take());
    }
}
