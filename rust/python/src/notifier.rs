//! What wakes an event loop.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::task::Waker;

use pyo3::prelude::*;

/// The bell of one event loop.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Bell {
    pub(crate) bell: Arc<headrace_engine::notifier::Bell>,
}

#[pymethods]
impl Bell {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self { bell: Arc::new(headrace_engine::notifier::Bell::new()?) })
    }

    fn fileno(&self) -> i32 {
        self.bell.descriptor().as_raw_fd()
    }

    fn rope(&self, key: u64) -> Rope {
        Rope { waker: self.bell.waker(key) }
    }

    fn answer(&self) -> Vec<u64> {
        self.bell.answer()
    }
}

/// What rings a bell for one stream.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Rope {
    pub(crate) waker: Waker,
}
