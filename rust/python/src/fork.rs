//! Tells the engine about forks.

use pyo3::prelude::*;
use pyo3::types::PyDict;

#[pyfunction]
fn forked() {
    headrace_engine::forked();
}

/// Registers a hook that tells the engine in the child of each fork.
pub(crate) fn watch(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    // Platforms without `fork` have no `register_at_fork`.
    if os.hasattr("register_at_fork")? {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", wrap_pyfunction!(forked, py)?)?;
        os.call_method("register_at_fork", (), Some(&hooks))?;
    }
    Ok(())
}
