//! Bytes from Python, and responses and timings as Python objects.

use std::borrow::Cow;

use headrace_engine::Arrival;
use headrace_engine::timing::{Recorder, Spread};
use headrace_wire::response::{Choice, PlacedSignature, Thought};
use headrace_wire::{Delta, DeltaKind, Dialect, Response, SignatureKind, Usage};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::errors;

/// The dialect with this name.
pub(crate) fn dialect(py: Python<'_>, name: &str) -> PyResult<Dialect> {
    Dialect::from_name(name).ok_or_else(|| {
        let names = Dialect::ALL.map(Dialect::as_str).join(", ");
        errors::configuration(py, &format!("there is no dialect {name:?}; there are: {names}"))
    })
}

/// The bytes of a bytes-like object: borrowed from `bytes`, copied from anything mutable.
pub(crate) fn bytes_of<'a>(data: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = data.extract::<&[u8]>() {
        return Ok(Cow::Borrowed(bytes));
    }
    let buffer = PyBuffer::<u8>::get(data).map_err(|_| {
        let found = data.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "feed() takes a bytes-like object, not {found}; encode text as UTF-8 first"
        ))
    })?;
    Ok(Cow::Owned(buffer.to_vec(data.py())?))
}

/// A delta that the model produced, as a tuple that begins with its kind and its arrival; `None` for any other delta,
/// such as usage.
pub(crate) fn delta<'py>(py: Python<'py>, arrival: &Arrival) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let at = arrival.arrived_ns;
    match &arrival.delta.kind {
        DeltaKind::Text(text) => ("text", at, text.as_str()).into_pyobject(py),
        DeltaKind::Reasoning(text) => ("reasoning", at, text.as_str()).into_pyobject(py),
        DeltaKind::Refusal(text) => ("refusal", at, text.as_str()).into_pyobject(py),
        DeltaKind::Logprobs(json) => ("logprobs", at, &**json).into_pyobject(py),
        DeltaKind::ToolCallStart(start) => {
            ("tool_call_start", at, start.index, start.id.as_deref(), start.name.as_str()).into_pyobject(py)
        }
        DeltaKind::ToolCallArguments { index, fragment } => {
            ("tool_call_arguments", at, index, fragment.as_str()).into_pyobject(py)
        }
        DeltaKind::ToolCallEnd { .. }
        | DeltaKind::Signature(_)
        | DeltaKind::Finish(_)
        | DeltaKind::Usage(_)
        | DeltaKind::Response(_)
        | DeltaKind::Error(_) => return Ok(None),
    }
    .map(Some)
}

/// Any delta, as a tuple that begins with its kind and its choice.
pub(crate) fn any_delta<'py>(py: Python<'py>, delta: &Delta) -> PyResult<Bound<'py, PyTuple>> {
    let choice = delta.choice;
    match &delta.kind {
        DeltaKind::Text(text) => ("text", choice, text.as_str()).into_pyobject(py),
        DeltaKind::Reasoning(text) => ("reasoning", choice, text.as_str()).into_pyobject(py),
        DeltaKind::Refusal(text) => ("refusal", choice, text.as_str()).into_pyobject(py),
        DeltaKind::Logprobs(json) => ("logprobs", choice, &**json).into_pyobject(py),
        DeltaKind::ToolCallStart(start) => {
            ("tool_call_start", choice, start.index, start.id.as_deref(), start.name.as_str())
                .into_pyobject(py)
        }
        DeltaKind::ToolCallArguments { index, fragment } => {
            ("tool_call_arguments", choice, index, fragment.as_str()).into_pyobject(py)
        }
        DeltaKind::ToolCallEnd { index } => ("tool_call_end", choice, index).into_pyobject(py),
        DeltaKind::Signature(signature) => {
            let kind = match signature.kind {
                SignatureKind::Signed => "signed",
                SignatureKind::Encrypted => "encrypted",
            };
            (
                "signature",
                choice,
                kind,
                signature.value.as_str(),
                signature.id.as_deref(),
                signature.tool_call,
            )
                .into_pyobject(py)
        }
        DeltaKind::Finish(finish) => {
            ("finish", choice, finish.reason.as_str(), finish.raw.as_str()).into_pyobject(py)
        }
        DeltaKind::Usage(counts) => ("usage", choice, usage(py, counts)?).into_pyobject(py),
        DeltaKind::Response(info) => {
            ("response", choice, info.id.as_deref(), info.model.as_deref()).into_pyobject(py)
        }
        DeltaKind::Error(error) => {
            let (kind, code) = (error.kind.as_deref(), error.code.as_deref());
            ("error", choice, error.message.as_str(), kind, code, error.status).into_pyobject(py)
        }
    }
}

/// The response so far: its first choice, usage, id and model.
pub(crate) fn response<'py>(
    py: Python<'py>,
    response: &Response,
    dialect: Dialect,
) -> PyResult<Bound<'py, PyDict>> {
    let empty = Choice::default();
    let dict = choice(py, response.first().unwrap_or(&empty))?;
    dict.set_item("dialect", dialect.as_str())?;
    set_metadata(&dict, response)?;
    Ok(dict)
}

/// The response so far, with every choice.
pub(crate) fn whole_response<'py>(py: Python<'py>, response: &Response) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let choices = PyList::empty(py);
    for each in &response.choices {
        let item = choice(py, each)?;
        item.set_item("index", each.index)?;
        choices.append(item)?;
    }
    dict.set_item("choices", choices)?;
    set_metadata(&dict, response)?;
    Ok(dict)
}

/// Adds usage, id and model.
fn set_metadata(dict: &Bound<'_, PyDict>, response: &Response) -> PyResult<()> {
    let py = dict.py();
    dict.set_item("usage", response.usage.as_ref().map(|counts| usage(py, counts)).transpose()?)?;
    dict.set_item("id", response.info.id.as_deref())?;
    dict.set_item("model", response.info.model.as_deref())
}

fn choice<'py>(py: Python<'py>, choice: &Choice) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("text", &choice.text)?;
    dict.set_item("reasoning", &choice.reasoning)?;
    dict.set_item("refusal", &choice.refusal)?;
    let calls = PyList::empty(py);
    for call in &choice.tool_calls {
        let is_complete = choice.is_complete(call);
        calls.append((call.id.as_deref(), call.name.as_str(), call.arguments.as_str(), is_complete))?;
    }
    dict.set_item("tool_calls", calls)?;
    dict.set_item("thoughts", thoughts(py, choice)?)?;
    dict.set_item("call_signatures", call_signatures(py, choice)?)?;
    dict.set_item("finish_reason", choice.finish.as_ref().map(|finish| finish.reason.as_str()))?;
    dict.set_item("finish_reason_raw", choice.finish.as_ref().map(|finish| finish.raw.as_str()))?;
    Ok(dict)
}

/// The signed parts of the reasoning: text, kind of signature, id, signature.
fn thoughts<'py>(py: Python<'py>, choice: &Choice) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for Thought { text, signature } in choice.thoughts() {
        let kind = match signature.kind {
            SignatureKind::Signed => "signed",
            SignatureKind::Encrypted => "encrypted",
        };
        list.append((text, kind, signature.id.as_deref(), signature.value.as_str()))?;
    }
    Ok(list)
}

/// The signatures of tool calls, by the index of the call.
fn call_signatures<'py>(py: Python<'py>, choice: &Choice) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for PlacedSignature { signature, .. } in &choice.signatures {
        if let Some(index) = signature.tool_call {
            dict.set_item(index, signature.value.as_str())?;
        }
    }
    Ok(dict)
}

fn usage<'py>(py: Python<'py>, usage: &Usage) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("input_tokens", usage.input_tokens)?;
    dict.set_item("output_tokens", usage.output_tokens)?;
    dict.set_item("total_tokens", usage.total_tokens)?;
    dict.set_item("cached_tokens", usage.cached_tokens)?;
    dict.set_item("cache_write_tokens", usage.cache_write_tokens)?;
    dict.set_item("reasoning_tokens", usage.reasoning_tokens)?;
    dict.set_item("raw", &*usage.raw)?;
    Ok(dict)
}

/// Latencies computed from the timestamps.
pub(crate) fn timing<'py>(
    py: Python<'py>,
    recorder: &Recorder,
    output_tokens: Option<u64>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("chunks", recorder.arrivals_ns().len())?;
    dict.set_item("opened_ns", recorder.opened_ns())?;
    dict.set_item("ended_ns", recorder.ended_ns())?;
    dict.set_item("ttft_ns", recorder.ttft_ns())?;
    dict.set_item("ttft_answer_ns", recorder.ttft_answer_ns())?;
    dict.set_item("tpot_ns", recorder.tpot_ns(output_tokens))?;
    dict.set_item("itl", recorder.itl().map(|itl| spread(py, itl)).transpose()?)?;
    dict.set_item("read_lag", recorder.read_lag().map(|lag| spread(py, lag)).transpose()?)?;
    dict.set_item("lag", recorder.lag().map(|lag| spread(py, lag)).transpose()?)?;
    Ok(dict)
}

fn spread(py: Python<'_>, spread: Spread) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("count", spread.count)?;
    dict.set_item("min_ns", spread.min_ns)?;
    dict.set_item("mean_ns", spread.mean_ns)?;
    dict.set_item("p50_ns", spread.p50_ns)?;
    dict.set_item("p90_ns", spread.p90_ns)?;
    dict.set_item("p99_ns", spread.p99_ns)?;
    dict.set_item("max_ns", spread.max_ns)?;
    Ok(dict)
}
