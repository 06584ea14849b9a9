//! The event stream decoder on its own.

use headrace_wire::sse::{DEFAULT_MAX_EVENT_BYTES, EventTooLarge, SseDecoder};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::convert::bytes_of;
use crate::errors;

/// One server-sent event.
#[pyclass(frozen, eq, hash, module = "headrace.sse")]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerSentEvent {
    #[pyo3(get)]
    event: String,
    #[pyo3(get)]
    data: String,
    #[pyo3(get)]
    id: String,
    #[pyo3(get)]
    retry: Option<u64>,
}

#[pymethods]
impl ServerSentEvent {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    const MATCH_ARGS: (&'static str, &'static str, &'static str, &'static str) =
        ("event", "data", "id", "retry");

    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?.getattr("loads")?.call1((&self.data,))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let repr = |text: &str| -> PyResult<String> { Ok(text.into_pyobject(py)?.repr()?.to_string()) };
        let (event, data, id) = (repr(&self.event)?, repr(&self.data)?, repr(&self.id)?);
        let retry = self.retry.map_or_else(|| "None".to_owned(), |retry| retry.to_string());
        Ok(format!("ServerSentEvent(event={event}, data={data}, id={id}, retry={retry})"))
    }
}

/// An incremental decoder of one event stream.
#[pyclass(frozen, module = "headrace.sse")]
pub(crate) struct SSEDecoder {
    state: Mutex<State>,
}

struct State {
    decoder: SseDecoder,
    /// An error that is raised by the next call: the events before it are returned first.
    failed: Option<EventTooLarge>,
}

#[pymethods]
impl SSEDecoder {
    #[new]
    #[pyo3(signature = (*, max_event_bytes = DEFAULT_MAX_EVENT_BYTES))]
    fn new(max_event_bytes: usize) -> Self {
        let decoder = SseDecoder::with_limit(max_event_bytes);
        Self { state: Mutex::new(State { decoder, failed: None }) }
    }

    fn feed(&self, data: &Bound<'_, PyAny>) -> PyResult<Vec<ServerSentEvent>> {
        let py = data.py();
        let bytes = bytes_of(data)?;
        let mut state = self.state(py);
        state.raise_failure(py)?;
        let events = state.feed(&bytes);
        if events.is_empty() {
            state.raise_failure(py)?;
        }
        Ok(events)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.state(py).raise_failure(py)
    }

    #[getter]
    fn mid_event(&self, py: Python<'_>) -> bool {
        self.state(py).decoder.is_mid_event()
    }

    #[getter]
    fn last_event_id(&self, py: Python<'_>) -> String {
        self.state(py).decoder.last_event_id().to_owned()
    }

    #[getter]
    fn retry(&self, py: Python<'_>) -> Option<u64> {
        self.state(py).decoder.retry()
    }

    #[getter]
    fn comments(&self, py: Python<'_>) -> u64 {
        self.state(py).decoder.comments()
    }
}

impl SSEDecoder {
    fn state<'a>(&'a self, py: Python<'_>) -> MutexGuard<'a, State> {
        self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn feed(&mut self, bytes: &[u8]) -> Vec<ServerSentEvent> {
        let mut events = Vec::new();
        let mut decoded = self.decoder.feed(bytes);
        loop {
            match decoded.next_event() {
                Ok(Some(event)) => events.push(ServerSentEvent {
                    event: event.event_type().into_owned(),
                    data: event.data_text().into_owned(),
                    id: event.id().to_owned(),
                    retry: event.retry(),
                }),
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        events
    }

    fn raise_failure(&self, py: Python<'_>) -> PyResult<()> {
        self.failed.map_or(Ok(()), |error| Err(errors::event_too_large(py, error)))
    }
}
