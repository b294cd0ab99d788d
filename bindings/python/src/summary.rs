//! `icewell.Summary`.

use pyo3::prelude::*;

use crate::time::{nanoseconds, seconds};

#[pyclass(frozen, name = "Summary", module = "icewell")]
pub(crate) struct PySummary(pub(crate) icewell::Summary);

#[pymethods]
impl PySummary {
    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn hits(&self) -> u64 {
        self.0.hits
    }

    #[getter]
    fn last_modified(&self) -> f64 {
        seconds(self.0.last_modified)
    }

    #[getter]
    fn last_modified_ns(&self) -> i64 {
        nanoseconds(self.0.last_modified)
    }

    #[getter]
    fn last_accessed(&self) -> f64 {
        seconds(self.0.last_accessed)
    }

    #[getter]
    fn last_accessed_ns(&self) -> i64 {
        nanoseconds(self.0.last_accessed)
    }

    fn __repr__(&self) -> String {
        format!("<icewell.Summary {:?}, {} bytes, {} hits>", self.0.id, self.0.size, self.0.hits)
    }
}
