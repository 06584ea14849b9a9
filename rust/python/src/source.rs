//! Where the bytes of a stream go in that Python has.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

/// What a source failed with: the reader is to get the very exception.
pub(crate) type Raised = Arc<OnceLock<Py<PyBaseException>>>;

/// The end of a stream that is fed.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Source {
    // `None` once it has ended.
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
    /// Feeds the next bytes, waiting where the reader is slow. False when nobody reads any more.
    fn feed(&self, py: Python<'_>, data: &[u8]) -> bool {
        let Some(source) = self.lock(py).clone() else { return false };
        let bytes = Bytes::copy_from_slice(data);
        py.detach(|| source.feed(bytes))
    }

    /// Ends the stream: the reader gets this exception, after what was fed before.
    fn fail(&self, py: Python<'_>, error: Bound<'_, PyBaseException>) {
        let Some(source) = self.lock(py).take() else { return };
        let message = error.to_string();
        let _ = self.raised.set(error.unbind());
        py.detach(|| source.fail(message));
    }

    /// Says that there are no more bytes.
    fn end(&self, py: Python<'_>) {
        drop(self.lock(py).take());
    }
}
