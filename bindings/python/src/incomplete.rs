//! `icewell.Incomplete`.

use pyo3::prelude::*;

use crate::time::seconds;

#[pyclass(frozen, name = "Incomplete", module = "icewell")]
pub(crate) struct PyIncomplete(pub(crate) icewell::Incomplete);

#[pymethods]
impl PyIncomplete {
    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[getter]
    fn by_icewell(&self) -> bool {
        self.0.filler == icewell::Filler::Icewell
    }

    #[getter]
    fn active(&self) -> bool {
        self.0.active
    }

    #[getter]
    fn written(&self) -> u64 {
        self.0.written
    }

    #[getter]
    fn size(&self) -> Option<u64> {
        self.0.size
    }

    #[getter]
    fn last_modified(&self) -> f64 {
        seconds(self.0.last_modified)
    }

    fn __repr__(&self) -> String {
        let state = if self.0.active { "under way" } else { "broken off" };
        format!("<icewell.Incomplete {:?}, {} bytes, {state}>", self.0.id, self.0.written)
    }
}
