//! `icewell.Invalid`.

use pyo3::prelude::*;

use crate::time::seconds;

#[pyclass(frozen, name = "Invalid", module = "icewell")]
pub(crate) struct PyInvalid(pub(crate) icewell::Invalid);

#[pymethods]
impl PyInvalid {
    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn last_modified(&self) -> f64 {
        seconds(self.0.last_modified)
    }

    #[getter]
    fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<icewell.Invalid {:?}, {} bytes, {:?}>", self.0.id, self.0.size, self.0.error)
    }
}
