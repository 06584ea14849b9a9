//! What wakes an event loop.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use pyo3::prelude::*;

/// The bell of one event loop.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Bell {
    pub(crate) bell: Arc<headrace_engine::bell::Bell>,
}

#[pymethods]
impl Bell {
    #[new]
    fn new() -> PyResult<Self> {
        Ok(Self { bell: Arc::new(headrace_engine::bell::Bell::new()?) })
    }

    fn fileno(&self) -> i32 {
        self.bell.descriptor().as_raw_fd()
    }

    fn answer(&self) -> Vec<u64> {
        self.bell.answer()
    }
}
