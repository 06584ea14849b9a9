//! The load generator.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headrace_engine::Request;
use headrace_load::{Load as Schedule, Plan, Run, Session};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::options::StreamOptions;
use crate::{convert, errors};

/// Requests that are being sent by a schedule.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Load {
    run: Arc<Run>,
}

#[pymethods]
impl Load {
    /// Starts at once. The requests are (URL, headers, body, dialect), sent in turn. Either `concurrency` or `dues`.
    #[new]
    #[pyo3(signature = (requests, options, *, concurrency=None, count=None, dues=None, duration=None, turns=1, think=0.0, stamped=false))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    #[expect(clippy::type_complexity, reason = "a request is a tuple, as in `open_stream`")]
    fn new(
        py: Python<'_>,
        requests: Vec<(String, Vec<(String, String)>, Vec<u8>, String)>,
        options: &StreamOptions,
        concurrency: Option<usize>,
        count: Option<usize>,
        dues: Option<Vec<f64>>,
        duration: Option<f64>,
        turns: usize,
        think: f64,
        stamped: bool,
    ) -> PyResult<Self> {
        let load = match (concurrency, dues) {
            (Some(concurrency), None) => Schedule::Closed { concurrency, count },
            (None, Some(dues)) => Schedule::Open { dues_ns: nanoseconds(py, dues)? },
            _ => {
                return Err(errors::configuration(
                    py,
                    "a load has a concurrency or the times of its requests",
                ));
            }
        };
        if requests.is_empty() {
            return Err(errors::configuration(py, "a load needs a request"));
        }
        let requests = requests.into_iter().map(|(url, headers, body, dialect)| {
            let dialect = convert::dialect(py, &dialect)?;
            let mut request = Request::new(url, headers, Bytes::from(body), dialect);
            options.apply(&mut request);
            Ok(request)
        });
        let requests = requests.collect::<PyResult<_>>()?;
        let duration = duration.map(|seconds| span(py, seconds)).transpose()?;
        let session = Session { turns: turns.max(1), think: span(py, think)? };
        let plan = Plan { requests, load, duration, session, stamped };
        let run = py.detach(|| Run::start(plan)).map_err(|error| errors::runtime(py, &error))?;
        Ok(Self { run })
    }

    /// Blocks until all answers have ended, for at most so many seconds; whether they have. Ctrl-C waits.
    fn wait(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let timeout = span(py, timeout)?;
        Ok(py.detach(|| self.run.wait(timeout)))
    }

    /// How many requests were sent, ended and failed; the TTFT so far in nanoseconds: the median, the 99th percentile.
    fn progress(&self) -> (usize, usize, usize, Option<u64>, Option<u64>) {
        let progress = self.run.progress();
        (progress.sent, progress.done, progress.failed, progress.ttft_p50_ns, progress.ttft_p99_ns)
    }

    /// Sends no more requests, and closes those that are open.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.run.stop());
    }

    /// What is known so far, as JSON.
    fn tally(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.run.tally(serde_json::to_string))
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }
}

fn nanoseconds(py: Python<'_>, dues: Vec<f64>) -> PyResult<Vec<u64>> {
    let spans = dues.into_iter().map(|seconds| span(py, seconds));
    spans.map(|span| span.map(|span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))).collect()
}

fn span(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| errors::configuration(py, &format!("{seconds} is no number of seconds from 0")))
}
