//! Answers and stamps as Python objects.

use headrace_engine::Arrival;
use headrace_engine::timing::{Recorder, Spread};
use headrace_wire::{DeltaKind, Response, Usage};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

/// What the model produced, as a tuple that begins with its kind and its arrival; `None` for what it did not produce.
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

/// What has been said so far: the first choice, and what identifies the response.
pub(crate) fn response<'py>(py: Python<'py>, response: &Response) -> PyResult<Bound<'py, PyDict>> {
    let choice = response.first();
    let dict = PyDict::new(py);
    dict.set_item("text", choice.map_or("", |choice| &choice.text))?;
    dict.set_item("reasoning", choice.map_or("", |choice| &choice.reasoning))?;
    dict.set_item("refusal", choice.map_or("", |choice| &choice.refusal))?;
    let calls = PyList::empty(py);
    for call in choice.iter().flat_map(|choice| &choice.tool_calls) {
        calls.append((call.id.as_deref(), call.name.as_str(), call.arguments.as_str()))?;
    }
    dict.set_item("tool_calls", calls)?;
    let finish = choice.and_then(|choice| choice.finish.as_ref());
    dict.set_item("finish_reason", finish.map(|finish| finish.reason.as_str()))?;
    dict.set_item("finish_reason_raw", finish.map(|finish| finish.raw.as_str()))?;
    dict.set_item("usage", response.usage.as_ref().map(|told| usage(py, told)).transpose()?)?;
    dict.set_item("id", response.info.id.as_deref())?;
    dict.set_item("model", response.info.model.as_deref())?;
    Ok(dict)
}

fn usage<'py>(py: Python<'py>, usage: &Usage) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("input_tokens", usage.input_tokens)?;
    dict.set_item("output_tokens", usage.output_tokens)?;
    dict.set_item("total_tokens", usage.total_tokens)?;
    dict.set_item("cached_tokens", usage.cached_tokens)?;
    dict.set_item("reasoning_tokens", usage.reasoning_tokens)?;
    dict.set_item("raw", &*usage.raw)?;
    Ok(dict)
}

/// What the stamps say.
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
