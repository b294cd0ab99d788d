//! `icewell.Writer`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use icewell::Commit;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;
use crate::fill::Fill;

#[pyclass(frozen, name = "Writer", module = "icewell")]
pub(crate) struct PyWriter {
    image_id: String,
    /// The process whose fill it is.
    process: u32,
    fill: Mutex<Fill>,
}

impl From<icewell::Writer> for PyWriter {
    fn from(writer: icewell::Writer) -> Self {
        let (image_id, process) = (writer.id().to_string(), std::process::id());
        PyWriter { image_id, process, fill: Mutex::new(Fill::Here(writer)) }
    }
}

impl Drop for PyWriter {
    fn drop(&mut self) {
        // Not by the lock: where a process was forked, the thread that held it may not exist.
        let fill = std::mem::replace(self.fill.get_mut().unwrap_or_else(PoisonError::into_inner), Fill::Over);
        if std::process::id() != self.process {
            // A process that was forked during the fill has a copy of this object, and must leave the fill alone.
            std::mem::forget(fill);
        } else if let Fill::There(_) = fill {
            // Its thread may have something to log, and needs the interpreter for that. One that is ending logs nothing.
            let mut fill = Some(fill);
            Python::try_attach(|py| py.detach(|| drop(fill.take())));
        }
    }
}

pub(crate) fn over() -> PyErr {
    PyValueError::new_err("the fill is over")
}

impl PyWriter {
    fn fill(&self) -> MutexGuard<'_, Fill> {
        self.fill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer, for its last step, with everything written; or what could not be written.
    fn take(&self) -> PyResult<(icewell::Writer, PyResult<()>)> {
        let mut fill = self.fill();
        let written = fill.writer().map(drop);
        match std::mem::replace(&mut *fill, Fill::Over) {
            Fill::Here(writer) | Fill::Back(writer) => Ok((writer, written)),
            Fill::There(_) | Fill::Over => Err(over()),
        }
    }

    fn append(&self, py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
        py.detach(|| self.fill().write(bytes))
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
        py.detach(|| self.fill().taken().map(drop))
    }

    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.fill().taken())
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        py.detach(|| matches!(*self.fill(), Fill::Over))
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
        py.detach(|| self.fill().writer()?.verify().map_err(raise))
    }

    fn commit(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| {
            let (writer, written) = self.take()?;
            if let Err(error) = written {
                writer.roll_back(&Python::attach(|py| error.value(py).getattr("strerror").map(|why| why.to_string()))?);
                return Err(error);
            }
            Ok(writer.commit().map_err(raise)? == Commit::Stored)
        })
    }

    fn roll_back(&self, py: Python<'_>, why: &str) -> PyResult<()> {
        py.detach(|| {
            self.take()?.0.roll_back(why);
            Ok(())
        })
    }

    fn suspend(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let (writer, written) = self.take()?;
            writer.suspend().map_err(raise).and(written)
        })
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.take()?.0.release().map_err(raise))
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
