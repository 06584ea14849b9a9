//! A stream, and the two ways in which Python waits for it: blocking a thread, or waking an event loop.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use headrace_engine::{Closer, End, FailureKind, Readiness, Request, Stream as EngineStream};
use headrace_wire::{DeltaKind, Dialect};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use crate::notifier::Waker;
use crate::options::StreamOptions;
use crate::source::{Raised, Source};
use crate::{convert, errors};

/// How long a blocking wait lasts between checks for signals such as Ctrl-C.
const SLICE: Duration = Duration::from_millis(50);

/// The id of a request, and headers.
type KeptHead = (Option<String>, Vec<(String, String)>);

/// An open stream.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Stream {
    // To avoid a deadlock: wait for this lock only while detached from the interpreter, and never wait for the
    // interpreter while holding it.
    inner: Arc<Mutex<EngineStream>>,
    closer: Closer,
    dialect: Dialect,
    model: Option<String>,
    raised: Raised,
    /// A token to yield before the first one.
    separator: Mutex<Option<Py<PyString>>>,
}

/// Sends a request and returns its stream at once.
#[pyfunction]
pub(crate) fn open_stream(
    py: Python<'_>,
    url: String,
    headers: Vec<(String, String)>,
    body: &[u8],
    dialect: &str,
    options: &StreamOptions,
) -> PyResult<Stream> {
    let dialect = convert::dialect(py, dialect)?;
    let mut request = Request::new(url, headers, Bytes::copy_from_slice(body), dialect);
    options.apply(&mut request);
    let stream = EngineStream::open(request).map_err(|error| errors::runtime(py, &error))?;
    Ok(Stream::new(stream, dialect, options.model.clone(), Raised::default()))
}

/// A stream whose bytes Python feeds, and the source that takes them.
#[pyfunction]
pub(crate) fn open_fed_stream(
    py: Python<'_>,
    name: &str,
    dialect: &str,
    options: &StreamOptions,
) -> PyResult<(Source, Stream)> {
    let dialect = convert::dialect(py, dialect)?;
    let mut request = Request::fed(name, dialect);
    options.apply(&mut request);
    let (source, stream) = EngineStream::fed(request).map_err(|error| errors::runtime(py, &error))?;
    let raised = Raised::default();
    let stream = Stream::new(stream, dialect, options.model.clone(), Arc::clone(&raised));
    Ok((Source::new(source, raised), stream))
}

#[pymethods]
impl Stream {
    /// Blocks this thread until the next tokens of text or of a refusal. `None` is the end.
    fn next_batch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.wait(py, || self.tokens(py))
    }

    /// The tokens of text or of a refusal that have arrived, perhaps none, without waiting. `None` is the end.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.look(py, || self.tokens(py))
    }

    /// Like `next_batch`, but every kind of delta.
    fn next_deltas<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.wait(py, || self.deltas(py))
    }

    /// Like `take`, but every kind of delta.
    fn take_deltas<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        self.look(py, || self.deltas(py))
    }

    /// Yields a token before the first one, if there is a first one.
    fn separate(&self, py: Python<'_>, token: Py<PyString>) {
        *self.separator.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// True if there is something to take. If not, the waker will be woken when there is.
    fn arm(&self, py: Python<'_>, waker: &Waker) -> bool {
        self.lock(py).poll(&mut Context::from_waker(&waker.waker)) != Readiness::Pending
    }

    /// True if the connection has been released. If not, the waker will be woken when that may have changed.
    fn arm_gone(&self, py: Python<'_>, waker: &Waker) -> bool {
        self.lock(py).poll_gone(&mut Context::from_waker(&waker.waker))
    }

    /// Closes the stream and its connection, and drops what was not taken.
    fn close(&self) {
        self.closer.close();
        // Another thread that holds the lock is about to take everything.
        if let Ok(mut stream) = self.inner.try_lock() {
            stream.discard();
        }
    }

    /// The response as far as it has been taken.
    fn response<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        convert::response(py, self.lock(py).response(), self.dialect)
    }

    /// What is kept of the head of the response: the id of the request, and headers; `None` before it has come.
    fn head(&self, py: Python<'_>) -> Option<KeptHead> {
        let stream = self.lock(py);
        stream.head().map(|head| (head.request_id.clone(), head.headers.to_vec()))
    }

    /// Latencies computed from the timestamps of what has been taken.
    fn timing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stream = self.lock(py);
        let output_tokens = stream.response().usage.as_ref().and_then(|usage| usage.output_tokens);
        convert::timing(py, stream.recorder(), output_tokens)
    }

    /// The arrival of each chunk, as native 64-bit integers.
    fn arrivals<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes: Vec<u8> =
            self.lock(py).recorder().arrivals_ns().iter().flat_map(|ns| ns.to_ne_bytes()).collect();
        PyBytes::new(py, &bytes)
    }
}

impl Stream {
    fn new(stream: EngineStream, dialect: Dialect, model: Option<String>, raised: Raised) -> Self {
        Self {
            closer: stream.closer(),
            inner: Arc::new(Mutex::new(stream)),
            dialect,
            model,
            raised,
            separator: Mutex::default(),
        }
    }

    /// For a relay: the stream, and the token to yield before the first one.
    pub(crate) fn for_relay(&self, py: Python<'_>) -> (Arc<Mutex<EngineStream>>, Option<String>) {
        let separator = self.separator.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take();
        (Arc::clone(&self.inner), separator.map(|token| token.bind(py).to_string()))
    }

    fn lock<'a>(&'a self, py: Python<'_>) -> MutexGuard<'a, EngineStream> {
        self.inner.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'py>(
        &self,
        py: Python<'py>,
        take: impl Fn() -> PyResult<Bound<'py, PyList>>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        loop {
            let readiness =
                py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).wait(SLICE));
            match readiness {
                Readiness::Ready => {
                    let batch = take()?;
                    if !batch.is_empty() {
                        return Ok(Some(batch));
                    }
                }
                Readiness::Pending => {}
                Readiness::Ended => return self.ended(py).map(|()| None),
                Readiness::Forked => return Err(errors::forked(py)),
            }
            py.check_signals()?;
        }
    }

    fn look<'py>(
        &self,
        py: Python<'py>,
        take: impl Fn() -> PyResult<Bound<'py, PyList>>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let readiness = self.lock(py).readiness();
        match readiness {
            Readiness::Ready => take().map(Some),
            Readiness::Pending => Ok(Some(PyList::empty(py))),
            Readiness::Ended => self.ended(py).map(|()| None),
            Readiness::Forked => Err(errors::forked(py)),
        }
    }

    fn tokens<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut tokens = VecDeque::new();
        self.take_tokens(py, &mut tokens);
        PyList::new(py, tokens)
    }

    /// Takes the tokens of text or of a refusal that have arrived.
    fn take_tokens(&self, py: Python<'_>, tokens: &mut VecDeque<Py<PyString>>) {
        self.lock(py).take(|arrival| {
            // A refusal is shown to the user like text.
            if let (0, DeltaKind::Text(text) | DeltaKind::Refusal(text)) =
                (arrival.delta.choice, &arrival.delta.kind)
            {
                tokens.push_back(PyString::new(py, text).unbind());
            }
        });
        if !tokens.is_empty() {
            let separator =
                self.separator.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take();
            if let Some(separator) = separator {
                tokens.push_front(separator);
            }
        }
    }

    /// Blocks this thread until there are tokens, and takes them. False at the end, however the stream ended: `take`
    /// tells.
    pub(crate) fn wait_for_tokens(
        &self,
        py: Python<'_>,
        tokens: &mut VecDeque<Py<PyString>>,
    ) -> PyResult<bool> {
        loop {
            let readiness =
                py.detach(|| self.inner.lock().unwrap_or_else(PoisonError::into_inner).wait(SLICE));
            match readiness {
                Readiness::Ready => {
                    self.take_tokens(py, tokens);
                    if !tokens.is_empty() {
                        return Ok(true);
                    }
                }
                Readiness::Pending => {}
                Readiness::Ended | Readiness::Forked => return Ok(false),
            }
            py.check_signals()?;
        }
    }

    /// Takes the tokens that have arrived; if there are none, the waker will be woken when there are. False at the
    /// end, however the stream ended: `take` tells.
    pub(crate) fn poll_tokens(
        &self,
        py: Python<'_>,
        waker: &std::task::Waker,
        tokens: &mut VecDeque<Py<PyString>>,
    ) -> Poll<bool> {
        loop {
            let readiness = self.lock(py).poll(&mut Context::from_waker(waker));
            match readiness {
                Readiness::Ready => {
                    self.take_tokens(py, tokens);
                    if !tokens.is_empty() {
                        return Poll::Ready(true);
                    }
                }
                Readiness::Pending => return Poll::Pending,
                Readiness::Ended | Readiness::Forked => return Poll::Ready(false),
            }
        }
    }

    fn deltas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let mut arrivals = Vec::new();
        self.lock(py).take(|arrival| arrivals.push(arrival));
        let deltas = PyList::empty(py);
        for arrival in arrivals.iter().filter(|arrival| arrival.delta.choice == 0) {
            if let Some(delta) = convert::delta(py, arrival)? {
                deltas.append(delta)?;
            }
        }
        Ok(deltas)
    }

    fn ended(&self, py: Python<'_>) -> PyResult<()> {
        match self.lock(py).end() {
            Some(End::Failed(failure)) if failure.kind == FailureKind::Source => Err(self.raised(py)),
            Some(End::Failed(failure)) => Err(errors::failure(py, failure, self.model.as_deref())),
            _ => Ok(()),
        }
    }

    /// The exception that the source failed with.
    fn raised(&self, py: Python<'_>) -> PyErr {
        let error = self.raised.get().map(|error| PyErr::from_value(error.bind(py).clone().into_any()));
        error.unwrap_or_else(|| PyRuntimeError::new_err("the source of the stream failed"))
    }
}
