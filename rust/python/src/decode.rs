//! The decoder of recorded bodies.

use std::sync::{Mutex, MutexGuard, PoisonError};

use headrace_wire::sse::DEFAULT_MAX_EVENT_BYTES;
use headrace_wire::{Delta, Dialect, RecordedBody as Body, RecordedEnd};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyDict, PyList};

use crate::{convert, errors};

/// Decodes one recorded body.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct RecordedBody {
    body: Mutex<Body>,
}

#[pymethods]
impl RecordedBody {
    #[new]
    #[pyo3(signature = (dialect = None, *, max_event_bytes = DEFAULT_MAX_EVENT_BYTES))]
    fn new(py: Python<'_>, dialect: Option<&str>, max_event_bytes: usize) -> PyResult<Self> {
        let dialect = dialect.map(|name| convert::dialect(py, name)).transpose()?;
        Ok(Self { body: Mutex::new(Body::new(dialect, max_event_bytes)) })
    }

    fn feed<'py>(&self, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let py = data.py();
        let bytes = convert::bytes_of(data)?;
        let mut deltas = Vec::new();
        let body = &mut *self.lock(py);
        py.detach(|| body.feed(&bytes, &mut deltas));
        list_of(py, &deltas)
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyDict>)> {
        let mut deltas = Vec::new();
        let body = &mut *self.lock(py);
        let end = py.detach(|| body.finish(&mut deltas));
        let dict = convert::whole_response(py, body.response())?;
        let dialect = body.dialect().map(Dialect::as_str);
        let model = body.response().info.model.as_deref();
        let error = match &end {
            RecordedEnd::Complete => None,
            RecordedEnd::Truncated => Some(errors::truncated(py, body.excerpt().as_deref(), model)),
            RecordedEnd::Error => {
                body.response().error.as_ref().map(|error| errors::reported(py, error, model))
            }
            RecordedEnd::Protocol(error) => Some(errors::body(py, error, model)),
        };
        dict.set_item("state", end.state().as_str())?;
        dict.set_item("dialect", dialect)?;
        dict.set_item("error", error.map(|error| error.into_value(py)))?;
        Ok((list_of(py, &deltas)?, dict))
    }
}

impl RecordedBody {
    fn lock<'a>(&'a self, py: Python<'_>) -> MutexGuard<'a, Body> {
        self.body.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

fn list_of<'py>(py: Python<'py>, deltas: &[Delta]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for delta in deltas {
        list.append(convert::any_delta(py, delta)?)?;
    }
    Ok(list)
}
