//! `icewell.Image`.

use pyo3::prelude::*;

use crate::time::{nanoseconds, seconds};

#[pyclass(frozen, name = "Image", module = "icewell")]
pub(crate) struct PyImage(pub(crate) icewell::Image);

#[pymethods]
impl PyImage {
    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn allocated(&self) -> u64 {
        self.0.allocated
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

    #[getter]
    fn pinned(&self) -> bool {
        self.0.pinned
    }

    #[getter]
    fn digest(&self) -> Option<String> {
        self.0.digest.as_ref().map(ToString::to_string)
    }

    #[getter]
    fn computed_digest(&self) -> Option<String> {
        self.0.computed_digest.as_ref().map(ToString::to_string)
    }

    #[getter]
    fn name(&self) -> Option<&str> {
        self.0.metadata.name.as_deref()
    }

    fn __repr__(&self) -> String {
        format!("<icewell.Image {:?}, {} bytes, {} hits>", self.0.id, self.0.size, self.0.hits)
    }
}
