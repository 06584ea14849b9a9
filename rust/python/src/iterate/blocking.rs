//! The iterator for `for`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::PyIterator;
use pyo3::{PyTraverseError, PyVisit};

use super::{Turn, stream_of};
use crate::errors;

/// Reads a run for `for`.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct TokenIterator {
    driver: Py<PyIterator>,
    /// Raises if the stream was closed.
    check_open: Py<PyAny>,
    turn: Mutex<Turn>,
    in_use: AtomicBool,
}

/// Marks the iterator as not in use when it is dropped.
struct InUse<'a>(&'a AtomicBool);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

#[pymethods]
impl TokenIterator {
    #[new]
    fn new(driver: Py<PyIterator>, check_open: Py<PyAny>) -> Self {
        Self { driver, check_open, turn: Mutex::default(), in_use: AtomicBool::new(false) }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if self.in_use.swap(true, Ordering::Acquire) {
            return Err(errors::in_use(py));
        }
        let _in_use = InUse(&self.in_use);
        let mut taken = VecDeque::new();
        loop {
            let stream = {
                let mut turn = self.lock(py);
                if let Some(token) = turn.pop() {
                    return Ok(Some(token.into_any()));
                }
                turn.stream.as_ref().map(|stream| stream.clone_ref(py))
            };
            let Some(stream) = stream else {
                match self.drive(py)? {
                    Some(item) => match stream_of(&item) {
                        Some(stream) => self.lock(py).open(stream),
                        None => return Ok(Some(item.unbind())),
                    },
                    None => return self.check_open.call0(py).map(|_| None),
                }
                continue;
            };
            if stream.get().wait_for_tokens(py, &mut taken)? {
                self.lock(py).add(&mut taken);
            } else {
                // The driver finds out how it ended.
                self.lock(py).stream = None;
            }
        }
    }

    /// Drops what was taken and not returned yet. Called when the run is closed, by any thread.
    fn discard(&self, py: Python<'_>) {
        self.lock(py).discard();
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.driver)?;
        visit.call(&self.check_open)
    }
}

impl TokenIterator {
    fn drive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.driver.bind(py).clone().next().transpose()
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Turn> {
        self.turn.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}
