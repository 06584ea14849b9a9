//! The binding. It converts values, detaches from the interpreter while it waits, and maps errors. It makes no decisions.
//!
//! - `stream`: a stream, and how Python waits for it;
//! - `source`: the source of a stream whose bytes Python feeds;
//! - `iterate`: the iterators that a caller reads a run with;
//! - `notifier`: what wakes an event loop;
//! - `fork`: tells the engine about forks;
//! - `sse`: the event stream decoder on its own;
//! - `decode`: the decoder of recorded bodies;
//! - `convert`: responses and timings as Python objects;
//! - `errors`: failures as the exceptions of `headrace.errors`;
//! - `serve`: the server, and the exchanges that Python answers;
//! - `simulator`: the scripted provider.

mod convert;
mod decode;
mod errors;
mod fork;
mod iterate;
mod load;
mod notifier;
mod options;
mod serve;
mod simulator;
mod source;
mod sse;
mod stream;

/// The native part of headrace.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    use headrace_engine::{ConnectionOptions, Timeouts};
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::decode::RecordedBody;
    #[pymodule_export]
    use crate::errors::{error_class_of_status, retry_after};
    #[pymodule_export]
    use crate::iterate::{Anext, AsyncTokenIterator, TokenIterator};
    #[pymodule_export]
    use crate::load::Load;
    #[pymodule_export]
    use crate::notifier::{Notifier, Waker};
    #[pymodule_export]
    use crate::options::{Connection, StreamOptions};
    #[pymodule_export]
    use crate::serve::{Call, Exchange, Relay, Server};
    #[pymodule_export]
    use crate::simulator::Simulator;
    #[pymodule_export]
    use crate::source::Source;
    #[pymodule_export]
    use crate::sse::{SSEDecoder, ServerSentEvent};
    #[pymodule_export]
    use crate::stream::{Stream, open_fed_stream, open_stream};

    #[pymodule_export]
    const DEFAULT_MAX_EVENT_BYTES: usize = headrace_wire::sse::DEFAULT_MAX_EVENT_BYTES;
    #[pymodule_export]
    const DEFAULT_CONNECT_TIMEOUT: f64 = Timeouts::DEFAULT_CONNECT.as_secs_f64();
    #[pymodule_export]
    const DEFAULT_POOL_TIMEOUT: f64 = Timeouts::DEFAULT_POOL.as_secs_f64();
    #[pymodule_export]
    const DEFAULT_IDLE_CONNECTION: f64 = ConnectionOptions::DEFAULT_IDLE.as_secs_f64();
    #[pymodule_export]
    const DEFAULT_PING: f64 = ConnectionOptions::DEFAULT_PING.as_secs_f64();
    #[pymodule_export]
    const DEFAULT_FIRST_TOKEN_TIMEOUT: f64 = Timeouts::DEFAULT_FIRST_TOKEN.as_secs_f64();
    #[pymodule_export]
    const DEFAULT_IDLE_TIMEOUT: f64 = Timeouts::DEFAULT_IDLE.as_secs_f64();

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        let now_ns: u64 = py.import("time")?.call_method0("monotonic_ns")?.extract()?;
        headrace_engine::clock::align(now_ns);
        headrace_simulator::align(now_ns);
        crate::fork::watch(py)
    }
}
