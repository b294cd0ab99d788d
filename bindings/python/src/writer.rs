//! `icewell.Writer`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use icewell::Commit;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;

#[pyclass(frozen, name = "Writer", module = "icewell")]
pub(crate) struct PyWriter {
    image_id: String,
    /// The process whose fill it is.
    process: u32,
    /// None when the fill is over.
    writer: Mutex<Option<icewell::Writer>>,
}

impl From<icewell::Writer> for PyWriter {
    fn from(writer: icewell::Writer) -> Self {
        PyWriter { image_id: writer.id().to_string(), process: std::process::id(), writer: Mutex::new(Some(writer)) }
    }
}

/// A process that was forked during the fill has a copy of this object, and must leave the fill alone.
impl Drop for PyWriter {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            std::mem::forget(self.writer().take());
        }
    }
}

fn over() -> PyErr {
    PyValueError::new_err("the fill is over")
}

impl PyWriter {
    fn writer(&self) -> MutexGuard<'_, Option<icewell::Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> PyResult<icewell::Writer> {
        self.writer().take().ok_or_else(over)
    }

    fn append(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        py.detach(|| self.writer().as_mut().ok_or_else(over)?.write(bytes).map_err(raise))
    }
}

#[pymethods]
impl PyWriter {
    #[getter]
    fn image_id(&self) -> &str {
        &self.image_id
    }

    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        if let Ok(bytes) = data.cast::<PyBytes>() {
            // Bytes never change, so they can be read while other threads run.
            self.append(py, bytes.as_bytes())?;
            return Ok(bytes.as_bytes().len());
        }
        let copied = PyBuffer::<u8>::get(data)?.to_vec(py)?;
        self.append(py, &copied)?;
        Ok(copied.len())
    }

    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(lines.py(), &line?)?;
        }
        Ok(())
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.writer().as_ref().map(drop).ok_or_else(over))
    }

    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| Ok(self.writer().as_ref().ok_or_else(over)?.written()))
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| self.writer().is_none())
    }

    fn readable(&self) -> bool {
        false
    }

    fn seekable(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        true
    }

    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.writer().as_mut().ok_or_else(over)?.verify().map_err(raise))
    }

    fn commit(&self, py: Python<'_>) -> PyResult<bool> {
        let committed = py.detach(|| self.take()?.commit().map_err(raise))?;
        Ok(committed == Commit::Stored)
    }

    fn roll_back(&self, py: Python<'_>, why: &str) -> PyResult<()> {
        py.detach(|| {
            self.take()?.roll_back(why);
            Ok(())
        })
    }

    fn suspend(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.take()?.suspend().map_err(raise))
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.take()?.release().map_err(raise))
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Commits, or rolls back with the exception as the reason; nothing where the caller has done either.
    fn __exit__(
        &self,
        py: Python<'_>,
        _type: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if self.closed(py) {
            return Ok(());
        }
        if value.is_none() {
            return self.commit(py).map(drop);
        }
        // What is no error of the work, as a generator's end or an interrupt, is a fill that was left.
        let why =
            if value.is_instance_of::<PyException>() { value.str()?.to_string() } else { "incomplete fetch".into() };
        self.roll_back(py, &why)
    }
}
