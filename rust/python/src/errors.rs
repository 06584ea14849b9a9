//! Failures as the exceptions of `headrace.errors`. The one place where the two trees meet.

use std::time::SystemTime;

use headrace_engine::{Failure, FailureKind, RuntimeError};
use headrace_wire::sse::EventTooLarge;
use headrace_wire::{BodyError, DecodeError, Dialect, EndState, ErrorClass, ProviderError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

/// The exception for a stream that failed.
pub(crate) fn failure(py: Python<'_>, failure: &Failure, model: Option<&str>) -> PyErr {
    let name = exception_name(failure.kind, failure.class);
    let error = raised(py, name, &failure.message, |details| {
        details.set_item("status", failure.status)?;
        details.set_item("code", failure.code.as_deref())?;
        details.set_item("retry_after", failure.retry_after)?;
        details.set_item("request_id", failure.request_id.as_deref())?;
        details.set_item("body", failure.body.as_deref())?;
        details.set_item("model", model)
    });
    let state = failure.kind.state();
    // A provider may refuse by status or inside the stream: the class is the same, and says the second.
    if state == EndState::Rejected {
        return error.value(py).setattr("state", state.as_str()).err().unwrap_or(error);
    }
    error
}

/// The exception for a recorded body that ends before its end marker.
pub(crate) fn truncated(py: Python<'_>, model: Option<&str>) -> PyErr {
    let message = "the stream ends before its end marker: the answer is not whole";
    raised(py, "TruncatedError", message, |details| details.set_item("model", model))
}

/// The exception for an error that a recorded body tells.
pub(crate) fn reported(py: Python<'_>, error: &ProviderError, model: Option<&str>) -> PyErr {
    let name = provider_exception_name(error.class(None));
    raised(py, name, &error.message, |details| {
        details.set_item("status", error.status)?;
        details.set_item("code", error.code.as_deref().or(error.kind.as_deref()))?;
        details.set_item("model", model)
    })
}

/// The exception for a recorded body that is not what it should be.
pub(crate) fn body(py: Python<'_>, error: &BodyError, model: Option<&str>) -> PyErr {
    let name = match error {
        BodyError::Decode(DecodeError::EventTooLarge(_)) => "EventTooLargeError",
        _ => "ProtocolError",
    };
    let mut message = error.to_string();
    if matches!(error, BodyError::Unknown { .. }) {
        let names = Dialect::ALL.map(Dialect::as_str).join(", ");
        message = format!("{message} (the dialects are: {names})");
    }
    raised(py, name, &message, |details| details.set_item("model", model))
}

/// The exception for a stream of the parent process.
pub(crate) fn forked(py: Python<'_>) -> PyErr {
    let message =
        "this stream was opened before os.fork(): it can only be read in the process that opened it";
    raised(py, "ForkedError", message, |_| Ok(()))
}

pub(crate) fn runtime(py: Python<'_>, error: &RuntimeError) -> PyErr {
    let message = match error {
        RuntimeError::WorkerThreads(value) => {
            format!("HEADRACE_WORKER_THREADS must be a whole number from 1, not {value:?}")
        }
        RuntimeError::Io(error) => format!("the network threads could not be started: {error}"),
    };
    configuration(py, &message)
}

pub(crate) fn configuration(py: Python<'_>, message: &str) -> PyErr {
    raised(py, "ConfigurationError", message, |_| Ok(()))
}

pub(crate) fn event_too_large(py: Python<'_>, error: EventTooLarge) -> PyErr {
    raised(py, "EventTooLargeError", &error.to_string(), |_| Ok(()))
}

const fn exception_name(kind: FailureKind, class: Option<ErrorClass>) -> &'static str {
    match kind {
        FailureKind::InvalidRequest => "ConfigurationError",
        FailureKind::Connect | FailureKind::Broken | FailureKind::Internal => "ConnectionFailedError",
        FailureKind::Dns => "NameResolutionError",
        FailureKind::Tls => "TLSError",
        FailureKind::ConnectTimeout => "ConnectTimeoutError",
        FailureKind::FirstTokenTimeout => "FirstTokenTimeoutError",
        FailureKind::IdleTimeout => "IdleTimeoutError",
        FailureKind::Truncated => "TruncatedError",
        FailureKind::Protocol => "ProtocolError",
        FailureKind::EventTooLarge => "EventTooLargeError",
        FailureKind::Rejected | FailureKind::InBand | FailureKind::Source => provider_exception_name(class),
    }
}

/// The exception class for an error of a provider.
const fn provider_exception_name(class: Option<ErrorClass>) -> &'static str {
    match class {
        Some(ErrorClass::BadRequest) => "BadRequestError",
        Some(ErrorClass::ContextWindow) => "ContextWindowExceededError",
        Some(ErrorClass::ContentPolicy) => "ContentPolicyViolationError",
        Some(ErrorClass::Authentication) => "AuthenticationError",
        Some(ErrorClass::PermissionDenied) => "PermissionDeniedError",
        Some(ErrorClass::NotFound) => "NotFoundError",
        Some(ErrorClass::RateLimit) => "RateLimitError",
        Some(ErrorClass::Overloaded) => "OverloadedError",
        Some(ErrorClass::Server) => "ServerError",
        None => "ProviderError",
    }
}

fn raised(
    py: Python<'_>,
    class: &str,
    message: &str,
    fill: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>,
) -> PyErr {
    build(py, class, message, fill).unwrap_or_else(|error| error)
}

fn build(
    py: Python<'_>,
    class: &str,
    message: &str,
    fill: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>,
) -> PyResult<PyErr> {
    let details = Vec::<(&str, &str)>::new().into_py_dict(py)?;
    fill(&details)?;
    let class = exception(py, class)?;
    // A configuration error has no details: it is not about a response.
    let details = if class.hasattr("state")? { details } else { PyDict::new(py) };
    Ok(PyErr::from_value(class.call((message,), Some(&details))?))
}

fn exception<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("headrace.errors")?.getattr(name)
}

/// The exception class that an HTTP status means; `None` where it means none.
#[pyfunction]
pub(crate) fn error_class_of_status(py: Python<'_>, status: i64) -> PyResult<Option<Bound<'_, PyAny>>> {
    let class = u16::try_from(status).ok().and_then(ErrorClass::of_status);
    class.map(|class| exception(py, provider_exception_name(Some(class)))).transpose()
}

/// How many seconds a response's headers ask to wait.
#[pyfunction]
pub(crate) fn retry_after(headers: Vec<(String, String)>) -> Option<f64> {
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    headrace_engine::retry_after(header, SystemTime::now())
}
