//! Icewell for Python: the module `icewell._icewell`, whose names the package `icewell` gives out.
//!
//! Each class is one type of the library in a file of its own, each method a few lines: text becomes an image ID, the
//! interpreter is let go for as long as the disk may take, an error becomes an exception. Python's documentation of all
//! of it is in `python/icewell/_icewell.pyi`. Nothing here knows of Glance.

mod cache;
mod fill;
mod image;
mod incomplete;
mod invalid;
mod lru;
mod reader;
mod usage;
mod writer;

mod error;
mod log;
mod time;

/// The native part of the package `icewell`.
#[pyo3::pymodule(name = "_icewell")]
mod module {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::cache::PyCache;
    #[pymodule_export]
    use crate::cache::check_image_id;
    #[pymodule_export]
    use crate::image::PyImage;
    #[pymodule_export]
    use crate::incomplete::PyIncomplete;
    #[pymodule_export]
    use crate::invalid::PyInvalid;
    #[pymodule_export]
    use crate::lru::PyLru;
    #[pymodule_export]
    use crate::reader::PyReader;
    #[pymodule_export]
    use crate::usage::PyUsage;
    #[pymodule_export]
    use crate::writer::PyWriter;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::log::install();
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::error::add_to(module)
    }
}
