//! Failures as the exceptions of `headrace.errors`. The only place that maps one to the other.

use std::collections::HashMap;
use std::time::SystemTime;

use headrace_engine::{Failure, FailureKind, RuntimeError};
use headrace_wire::sse::EventTooLarge;
use headrace_wire::{BodyError, DecodeError, Dialect, ErrorClass, ProviderError};
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyDict};

/// The exception for a stream that failed.
pub(crate) fn failure(py: Python<'_>, failure: &Failure, model: Option<&str>) -> PyErr {
    let name = exception_name(failure.kind, failure.class);
    let error = raised(py, name, &failure.message, |details| {
        details.set_item("status", failure.status)?;
        details.set_item("code", failure.code.as_deref())?;
        details.set_item("retry_after", failure.retry_after)?;
        details.set_item("should_retry", failure.should_retry)?;
        details.set_item("request_id", failure.request_id.as_deref())?;
        details.set_item("body", failure.body.as_deref())?;
        details.set_item("model", model)
    });
    // A configuration error has no state, and that of a bug is its class's.
    if matches!(failure.kind, FailureKind::InvalidRequest | FailureKind::Internal) {
        return error;
    }
    // Not left to the class: a provider may report the same class by status or inside the stream.
    error.value(py).setattr("state", failure.kind.state().as_str()).err().unwrap_or(error)
}

/// The exception for a recorded body that ends before its end marker.
pub(crate) fn truncated(py: Python<'_>, said: Option<&str>, model: Option<&str>) -> PyErr {
    let said = said.map(|said| format!("; it says: {said}")).unwrap_or_default();
    let message = format!("the stream ends before its end marker: the answer is not whole{said}");
    raised(py, "TruncatedError", &message, |details| details.set_item("model", model))
}

/// The exception for an error that the provider reported in a recorded body.
pub(crate) fn reported(py: Python<'_>, error: &ProviderError, model: Option<&str>) -> PyErr {
    let name = provider_exception_name(error.class(None));
    raised(py, name, &error.message, |details| {
        details.set_item("status", error.status)?;
        details.set_item("code", error.code.as_deref().or(error.kind.as_deref()))?;
        details.set_item("retry_after", error.retry_after)?;
        details.set_item("body", error.body.as_deref())?;
        details.set_item("model", model)
    })
}

/// The exception for a recorded body that cannot be decoded.
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

/// The exception for a read while another one is under way.
pub(crate) fn in_use(py: Python<'_>) -> PyErr {
    let message =
        "another thread or task is reading this stream at this moment: give each reader a stream of its own";
    raised(py, "StreamInUseError", message, |_| Ok(()))
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

/// The name of the exception class for a failure.
const fn exception_name(kind: FailureKind, class: Option<ErrorClass>) -> &'static str {
    match kind {
        FailureKind::InvalidRequest => "ConfigurationError",
        FailureKind::Connect | FailureKind::Broken => "ConnectionFailedError",
        FailureKind::Internal => "InternalError",
        FailureKind::Dns => "NameResolutionError",
        FailureKind::Tls => "TLSError",
        FailureKind::Proxy => "ProxyError",
        FailureKind::ConnectTimeout => "ConnectTimeoutError",
        FailureKind::PoolTimeout => "PoolTimeoutError",
        FailureKind::TotalTimeout => "TotalTimeoutError",
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
    // A configuration error is not about a response, and takes no details.
    let details = if class.hasattr("state")? { details } else { PyDict::new(py) };
    Ok(PyErr::from_value(class.call((message,), Some(&details))?))
}

fn exception<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("headrace.errors")?.getattr(name)
}

/// The exception class for an HTTP status; `None` if the status has none.
#[pyfunction]
pub(crate) fn error_class_of_status(py: Python<'_>, status: i64) -> PyResult<Option<Bound<'_, PyAny>>> {
    let class = u16::try_from(status).ok().and_then(ErrorClass::of_status);
    class.map(|class| exception(py, provider_exception_name(Some(class)))).transpose()
}

/// The seconds to wait that a response's headers name; those of a rate limit too, if the response was refused by one.
#[pyfunction]
#[pyo3(signature = (headers, limited = false))]
pub(crate) fn retry_after(headers: Vec<(String, String)>, limited: bool) -> Option<f64> {
    let headers: HashMap<String, String> =
        headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let (header, now) = (|name: &str| headers.get(name).map(String::as_str), SystemTime::now());
    let reset = || headrace_engine::rate_limit_reset(header, now).filter(|_| limited);
    headrace_engine::retry_after(header, now).or_else(reset)
}
