//! The server, and the exchanges that Python answers.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use headrace_server::server::{StartError, listen};
use headrace_server::{
    Call as NativeCall, Event, Options, Refusal, RefusalKind, Relay as NativeRelay, Server as NativeServer,
};
use headrace_wire::{Delta, DeltaKind, FinishReason, ToolCallStart, Usage};
use http::Request;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};
use serde_json::json;

use crate::errors;
use crate::notifier::Waker;
use crate::stream::Stream;

/// A running server.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Server {
    server: Mutex<Option<NativeServer>>,
    #[pyo3(get)]
    address: Option<(String, u16)>,
}

#[pymethods]
impl Server {
    /// Starts a server; without a host it does not listen. The waker is woken when there is something to take.
    #[new]
    #[pyo3(signature = (host, port, waker, *, models, keys, max_streams, max_waiting, cors, own_names, goes_on, keep_alive,
        access_log, page, shares_port))]
    #[expect(clippy::too_many_arguments, reason = "one for each option")]
    fn new(
        py: Python<'_>,
        host: Option<&str>,
        port: u16,
        waker: &Waker,
        models: Vec<String>,
        keys: Option<PathBuf>,
        max_streams: Option<usize>,
        max_waiting: usize,
        cors: Vec<String>,
        own_names: bool,
        goes_on: bool,
        keep_alive: f64,
        access_log: Option<PathBuf>,
        page: Option<String>,
        shares_port: bool,
    ) -> PyResult<Self> {
        let waker = waker.waker.clone();
        let keep_alive = Duration::try_from_secs_f64(keep_alive)
            .map_err(|error| PyValueError::new_err(format!("keep_alive: {error}")))?;
        let options = Options {
            models,
            keys,
            max_streams,
            max_waiting,
            cors,
            own_names,
            goes_on,
            keep_alive,
            access_log,
            page,
        };
        let started = py.detach(|| {
            let listener = host.map(|host| listen(host, port, shares_port)).transpose()?;
            NativeServer::start(listener, options, waker)
        });
        let server = started.map_err(|error| match error {
            StartError::Io(error) => error.into(),
            StartError::Keys(why) => errors::configuration(py, &why),
            StartError::Runtime(error) => errors::runtime(py, &error),
        })?;
        let address = server.address().map(|address| (address.ip().to_string(), address.port()));
        Ok(Self { server: Mutex::new(Some(server)), address })
    }

    /// Answers a request that another HTTP server has read.
    fn call(
        &self,
        py: Python<'_>,
        method: &str,
        path: &str,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        body: Vec<u8>,
    ) -> PyResult<Call> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Bytes::from(body));
        let request = request.map_err(|error| PyValueError::new_err(format!("not a request: {error}")))?;
        let server = self.server.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let server = server.as_ref().ok_or_else(|| PyValueError::new_err("the server was stopped"))?;
        let call = server.call(request).map_err(|error| errors::runtime(py, &error))?;
        Ok(Call { call: Mutex::new(Some(call)) })
    }

    /// What has happened: exchanges to answer; the ids of those whose client has left or has cancelled; and ids with
    /// what their users say.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let events = self.server.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let events = events.as_ref().map(NativeServer::take).unwrap_or_default();
        let taken = PyList::empty(py);
        for event in events {
            match event {
                Event::Asked(exchange) => taken.append(Exchange { exchange })?,
                Event::Left(id) => taken.append(id)?,
                Event::Steered(id, message) => taken.append((id, message))?,
            }
        }
        Ok(taken)
    }

    /// Accepts nothing more. Requests under way go on.
    fn drain(&self, py: Python<'_>) {
        if let Some(server) = &*self.server.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner) {
            server.drain();
        }
    }

    /// True once it was drained: all responses have been sent. If not, the waker will be woken then.
    fn arm_drained(&self, py: Python<'_>, waker: &Waker) -> bool {
        let server = self.server.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let context = &mut Context::from_waker(&waker.waker);
        server.as_ref().is_none_or(|server| server.poll_drained(context).is_ready())
    }

    /// Closes all connections.
    fn stop(&self, py: Python<'_>) {
        drop(self.server.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// One request that another HTTP server has read.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Call {
    call: Mutex<Option<NativeCall>>,
}

type Head = (u16, Vec<(Vec<u8>, Vec<u8>)>);

#[pymethods]
impl Call {
    /// True if there is something to take. If not, the waker will be woken when there is.
    fn arm(&self, py: Python<'_>, waker: &Waker) -> bool {
        let call = self.call.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        call.as_ref().is_none_or(|call| call.poll(&mut Context::from_waker(&waker.waker)).is_ready())
    }

    /// The status and the headers, once there is something to take.
    fn head(&self, py: Python<'_>) -> Option<Head> {
        let call = self.call.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let (status, headers) = call.as_ref()?.head()?;
        let listed = headers.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec()));
        Some((status.as_u16(), listed.collect()))
    }

    /// What is there of the body; None if all of it was taken.
    fn take<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let call = self.call.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        call.as_ref()?.take().map(|taken| PyBytes::new(py, &taken))
    }

    /// The client has left, or has everything.
    fn close(&self, py: Python<'_>) {
        drop(self.call.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// One request and its response.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Exchange {
    exchange: Arc<headrace_server::Exchange>,
}

#[pymethods]
impl Exchange {
    #[getter]
    fn id(&self) -> u64 {
        self.exchange.id
    }

    #[getter]
    fn model(&self) -> &str {
        &self.exchange.asked.model
    }

    #[getter]
    fn is_gone(&self) -> bool {
        self.exchange.is_gone()
    }

    /// Whether the conversation is kept, for a response that goes on from this one.
    #[getter]
    fn is_kept(&self) -> bool {
        self.exchange.asked.response.store
    }

    /// What is asked for, as JSON in OpenAI's format: `messages`, `parameters`, `tools` and `tool_choice`.
    fn asked(&self) -> String {
        let asked = &self.exchange.asked;
        json!({
            "messages": asked.messages, "parameters": asked.parameters, "tools": asked.tools,
            "tool_choice": asked.tool_choice,
        })
        .to_string()
    }

    /// The headers that tell which trace the request belongs to.
    fn trace(&self) -> HashMap<String, String> {
        self.exchange.trace.iter().cloned().collect()
    }

    /// Keeps a conversation, a list of messages as JSON.
    fn keep(&self, conversation: &str) -> PyResult<()> {
        let messages = serde_json::from_str(conversation)
            .map_err(|error| PyValueError::new_err(format!("a conversation cannot be read: {error}")))?;
        self.exchange.keep(messages);
        Ok(())
    }

    /// Tells the client what the agent does: an event as JSON.
    fn tell(&self, event: &str) -> PyResult<()> {
        let notice = serde_json::from_str(event)
            .map_err(|error| PyValueError::new_err(format!("an event cannot be read: {error}")))?;
        self.exchange.tell(notice);
        Ok(())
    }

    /// Writes what a turn's stream says, without Python, until it ends or the client leaves.
    fn relay(&self, py: Python<'_>, stream: &Stream) -> PyResult<Relay> {
        let (stream, separator) = stream.for_relay(py);
        let relay = NativeRelay::start(stream, Arc::clone(&self.exchange), separator);
        Ok(Relay { relay: relay.map_err(|error| errors::runtime(py, &error))? })
    }

    /// Writes tokens.
    fn write(&self, tokens: Vec<String>) {
        let deltas: Vec<Delta> = tokens
            .into_iter()
            .filter(|token| !token.is_empty())
            .map(|token| Delta::first(DeltaKind::Text(token.into())))
            .collect();
        self.exchange.write(&deltas, None);
    }

    /// Writes reasoning.
    fn write_reasoning(&self, text: &str) {
        self.exchange.write(&[Delta::first(DeltaKind::Reasoning(text.into()))], None);
    }

    /// Writes whole calls of the client's tools: id, name and arguments.
    fn write_calls(&self, calls: Vec<(String, String, String)>) {
        let mut deltas = Vec::with_capacity(calls.len() * 3);
        for (index, (id, name, arguments)) in (0..).zip(calls) {
            let start = ToolCallStart { index, id: Some(id.into()), name: name.into() };
            deltas.extend([
                DeltaKind::ToolCallStart(Box::new(start)),
                DeltaKind::ToolCallArguments { index, fragment: arguments.into() },
                DeltaKind::ToolCallEnd { index },
            ]);
        }
        let deltas: Vec<Delta> = deltas.into_iter().map(Delta::first).collect();
        self.exchange.write(&deltas, None);
    }

    /// True if there is room to write, or the client has left. If not, the waker will be woken when that may have
    /// changed.
    fn arm_room(&self, waker: &Waker) -> bool {
        self.exchange.poll_room(&mut Context::from_waker(&waker.waker)).is_ready()
    }

    /// Ends the answer.
    #[pyo3(signature = (reason, input_tokens, output_tokens, total_tokens))]
    fn finish(
        &self,
        reason: &str,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        total_tokens: Option<u64>,
    ) {
        let reason = match reason {
            "length" => FinishReason::Length,
            "tool_calls" => FinishReason::ToolCalls,
            "content_filter" => FinishReason::ContentFilter,
            _ => FinishReason::Stop,
        };
        let usage = Usage { input_tokens, output_tokens, total_tokens, ..Usage::default() };
        let is_known = input_tokens.is_some() || output_tokens.is_some();
        self.exchange.finish(reason, is_known.then_some(usage));
    }

    /// Ends the answer with an error.
    #[pyo3(signature = (kind, message, retry_after = None))]
    fn fail(&self, kind: &str, message: String, retry_after: Option<f64>) {
        let kind = match kind {
            "invalid" => RefusalKind::Invalid,
            "rate_limit" => RefusalKind::RateLimit,
            "upstream" => RefusalKind::Upstream,
            "timeout" => RefusalKind::Timeout,
            "unavailable" => RefusalKind::Unavailable,
            _ => RefusalKind::Internal,
        };
        self.exchange.fail(Refusal { kind, message, retry_after });
    }
}

/// A relay of one turn.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Relay {
    relay: Arc<NativeRelay>,
}

#[pymethods]
impl Relay {
    /// True once the relay has ended. If not, the waker will be woken then.
    fn arm(&self, waker: &Waker) -> bool {
        self.relay.poll_done(&mut Context::from_waker(&waker.waker)) == Poll::Ready(())
    }
}
