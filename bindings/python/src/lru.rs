//! `icewell.Lru`.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::error::raise;

#[pyclass(frozen, name = "Lru", module = "icewell")]
pub(crate) struct PyLru(Mutex<icewell::Lru>);

impl From<icewell::Lru> for PyLru {
    fn from(lru: icewell::Lru) -> Self {
        PyLru(Mutex::new(lru))
    }
}

#[pymethods]
impl PyLru {
    fn least(&self, py: Python<'_>) -> PyResult<Option<(String, u64)>> {
        // Waited for without the interpreter: whoever has it may log, and for that wait for the interpreter.
        let least = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).least()).map_err(raise)?;
        Ok(least.map(|least| (least.id.as_str().to_owned(), least.size)))
    }
}
