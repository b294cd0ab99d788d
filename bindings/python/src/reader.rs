//! `icewell.Reader`.

use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;
use crate::image::PyImage;

#[pyclass(frozen, name = "Reader", module = "icewell")]
pub(crate) struct PyReader(Mutex<State>);

struct State {
    /// None when it is closed.
    reader: Option<icewell::Reader>,
    /// Where the next `read` begins.
    position: u64,
}

impl From<icewell::Reader> for PyReader {
    fn from(reader: icewell::Reader) -> Self {
        PyReader(Mutex::new(State { reader: Some(reader), position: 0 }))
    }
}

impl State {
    fn reader(&self) -> PyResult<&icewell::Reader> {
        self.reader.as_ref().ok_or_else(|| PyValueError::new_err("the reader is closed"))
    }

    fn read_at(&self, offset: u64, length: usize) -> PyResult<Vec<u8>> {
        let reader = self.reader()?;
        let left = reader.image().size.saturating_sub(offset);
        let mut bytes = vec![0; length.min(usize::try_from(left).unwrap_or(usize::MAX))];
        let mut filled = 0;
        while filled < bytes.len() {
            match reader.read_at(&mut bytes[filled..], offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl PyReader {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl PyReader {
    #[getter]
    fn image(&self, py: Python<'_>) -> PyResult<PyImage> {
        py.detach(|| Ok(PyImage(self.state().reader()?.image().clone())))
    }

    #[pyo3(signature = (size=-1, /))]
    fn read<'py>(&self, py: Python<'py>, size: i64) -> PyResult<Bound<'py, PyBytes>> {
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let bytes = py.detach(|| {
            let mut state = self.state();
            let bytes = state.read_at(state.position, length)?;
            state.position += bytes.len() as u64;
            PyResult::Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    #[pyo3(signature = (offset, size, /))]
    fn read_at<'py>(&self, py: Python<'py>, offset: u64, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.state().read_at(offset, size))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        py.detach(|| Ok(self.state().reader()?.file().as_raw_fd()))
    }

    #[pyo3(signature = (hits=1, /))]
    fn count_hit(&self, py: Python<'_>, hits: u64) -> PyResult<()> {
        py.detach(|| self.state().reader()?.count_hits(hits).map_err(raise))
    }

    fn touch(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.state().reader()?.touch().map_err(raise))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.state().reader = None);
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _type: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) {
        self.close(py);
    }
}
