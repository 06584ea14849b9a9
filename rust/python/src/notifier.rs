//! What wakes an event loop.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use pyo3::prelude::*;

/// Wakes one event loop.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Notifier {
    notifier: Arc<headrace_engine::notifier::Notifier>,
}

#[pymethods]
impl Notifier {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self { notifier: Arc::new(headrace_engine::notifier::Notifier::new()?) })
    }

    fn fileno(&self) -> i32 {
        self.notifier.descriptor().as_raw_fd()
    }

    fn waker(&self, key: u64) -> Waker {
        Waker { waker: self.notifier.waker(key) }
    }

    fn drain(&self) -> Vec<u64> {
        self.notifier.drain()
    }
}

/// Wakes the event loop on behalf of one stream.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Waker {
    pub(crate) waker: std::task::Waker,
}
