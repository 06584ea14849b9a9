//! Forks, of which Python tells.

use pyo3::prelude::*;
use pyo3::types::PyDict;

#[pyfunction]
fn forked() {
    headrace_engine::forked();
}

/// Has the engine told of each fork, in its child.
pub(crate) fn watch(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    // Where there is no `fork`, there is nothing to register either.
    if os.hasattr("register_at_fork")? {
        let hooks = PyDict::new(py);
        hooks.set_item("after_in_child", wrap_pyfunction!(forked, py)?)?;
        os.call_method("register_at_fork", (), Some(&hooks))?;
    }
    Ok(())
}
