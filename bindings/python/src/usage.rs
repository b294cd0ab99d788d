//! `icewell.Usage`.

use pyo3::prelude::*;

#[pyclass(frozen, get_all, name = "Usage", module = "icewell")]
pub(crate) struct PyUsage {
    files: u64,
    size: u64,
    allocated: u64,
}

impl From<icewell::Usage> for PyUsage {
    fn from(usage: icewell::Usage) -> Self {
        PyUsage { files: usage.files, size: usage.size, allocated: usage.allocated }
    }
}

#[pymethods]
impl PyUsage {
    fn __repr__(&self) -> String {
        format!("<icewell.Usage {} files, {} bytes, {} allocated>", self.files, self.size, self.allocated)
    }
}
