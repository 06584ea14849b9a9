//! The scripted provider.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headrace_simulator::{Options, Report, Script, Simulator as Server};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::errors;

/// A simulator that runs until it is stopped.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Simulator {
    server: Mutex<Option<Arc<Server>>>,
    base_url: String,
}

#[pymethods]
impl Simulator {
    #[new]
    #[pyo3(signature = (script, *, port, workers))]
    fn new(py: Python<'_>, script: &str, port: u16, workers: usize) -> PyResult<Self> {
        let script =
            Script::from_json(script).map_err(|error| errors::configuration(py, &error.to_string()))?;
        let options = Options { port, worker_threads: workers, ..Options::default() };
        let server = py.detach(|| Server::start_with(script, options))?;
        Ok(Self { base_url: server.base_url(), server: Mutex::new(Some(Arc::new(server))) })
    }

    #[getter]
    fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What it has seen, as JSON.
    fn report(&self, py: Python<'_>) -> PyResult<String> {
        let server = self.running(py)?;
        // Detached, since a thread in `wait_for` holds the report's lock while its predicate takes the interpreter.
        json(&py.detach(|| server.report()))
    }

    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        let server = self.running(py)?;
        py.detach(|| server.reset());
        Ok(())
    }

    /// Waits until `predicate`, called with the report as JSON, is true; false if `timeout` seconds pass first.
    fn wait_for(&self, py: Python<'_>, predicate: &Bound<'_, PyAny>, timeout: f64) -> PyResult<bool> {
        let server = self.running(py)?;
        let timeout = Duration::try_from_secs_f64(timeout)
            .map_err(|_| errors::configuration(py, "the timeout must be a number of seconds from 0"))?;
        let predicate = predicate.clone().unbind();
        let mut raised = None;
        let met = py.detach(|| {
            server.wait_for(
                |report| {
                    let answer = Python::attach(|py| predicate.call1(py, (json(report)?,))?.is_truthy(py));
                    answer.unwrap_or_else(|error| {
                        raised = Some(error);
                        true
                    })
                },
                timeout,
            )
        });
        raised.map_or(Ok(met), Err)
    }

    /// Stops it: when this returns, the port is free and every connection is closed.
    fn stop(&self, py: Python<'_>) {
        let server = self.lock(py).take();
        py.detach(|| drop(server));
    }
}

impl Simulator {
    fn lock<'a>(&'a self, py: Python<'_>) -> MutexGuard<'a, Option<Arc<Server>>> {
        self.server.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self, py: Python<'_>) -> PyResult<Arc<Server>> {
        self.lock(py).clone().ok_or_else(|| PyRuntimeError::new_err("the simulator was stopped"))
    }
}

fn json(report: &Report) -> PyResult<String> {
    serde_json::to_string(report).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
