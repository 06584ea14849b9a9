//! The scripted provider.
use pyo3::prelude::*;

/// In progress.
#[pyclass(frozen, module = "headrace._native")]
pub(crate) struct Simulator {}
