//! The iterator for `for`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};

use pyo3::prelude::*;
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
    /// Locked as long as a read takes, so a second reader finds it locked. Nobody waits for it.
    turn: Mutex<Turn>,
    /// Set when the caller closed the run: what was taken is not returned any more.
    dropped: AtomicBool,
}

#[pymethods]
impl TokenIterator {
    #[new]
    fn new(driver: Py<PyIterator>, check_open: Py<PyAny>) -> Self {
        Self { driver, check_open, turn: Mutex::default(), dropped: AtomicBool::new(false) }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let mut turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(errors::in_use(py)),
        };
        loop {
            if self.dropped.load(Ordering::Relaxed) {
                turn.tokens.clear();
            }
            if let Some(token) = turn.tokens.pop_front() {
                return Ok(Some(token.into_any()));
            }
            let Turn { tokens, stream } = &mut *turn;
            if let Some(reading) = stream {
                if !reading.get().wait_for_tokens(py, tokens)? {
                    // The driver finds out how it ended.
                    *stream = None;
                }
            } else {
                match self.driver.bind(py).clone().next().transpose()? {
                    Some(item) => match stream_of(&item) {
                        opened @ Some(_) => *stream = opened,
                        None => return Ok(Some(item.unbind())),
                    },
                    None => return self.check_open.call0(py).map(|_| None),
                }
            }
        }
    }

    /// Drops what was taken and not returned yet. Called when the run is closed, by any thread.
    fn discard(&self) {
        self.dropped.store(true, Ordering::Relaxed);
        if let Ok(mut turn) = self.turn.try_lock() {
            turn.tokens.clear();
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.driver)?;
        visit.call(&self.check_open)
    }
}
