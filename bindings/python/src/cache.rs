//! `icewell.Cache`.

use std::path::PathBuf;
use std::time::Duration;

use icewell::{Announced, Cache, Count, Digest, ImageId, Limit, Metadata, MinFree, Mode, Verdict};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::error::{raise, refuse};
use crate::image::PyImage;
use crate::incomplete::PyIncomplete;
use crate::invalid::PyInvalid;
use crate::lru::PyLru;
use crate::reader::PyReader;
use crate::time::nanoseconds;
use crate::usage::PyUsage;
use crate::writer::PyWriter;

#[pyclass(frozen, name = "Cache", module = "icewell")]
pub(crate) struct PyCache(Cache);

/// Text that may be an image ID goes through, other text raises.
#[pyfunction]
pub(crate) fn check_image_id(image_id: &str) -> PyResult<()> {
    id(image_id).map(drop)
}

fn id(text: &str) -> PyResult<ImageId> {
    ImageId::new(text).map_err(refuse)
}

fn seconds(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
}

impl PyCache {
    /// Does `work` while other Python threads run.
    fn on<T: Send>(&self, py: Python<'_>, work: impl Send + FnOnce(&Cache) -> icewell::Result<T>) -> PyResult<T> {
        py.detach(|| work(&self.0)).map_err(raise)
    }
}

#[pymethods]
impl PyCache {
    #[new]
    #[pyo3(signature = (dir, *, soft_limit=false))]
    fn new(py: Python<'_>, dir: PathBuf, soft_limit: bool) -> PyResult<Self> {
        let cache = py.detach(|| Cache::open(dir)).map_err(raise)?;
        Ok(PyCache(if soft_limit { cache.with_soft_limit() } else { cache }))
    }

    #[getter]
    fn dir(&self) -> PathBuf {
        self.0.dir().to_owned()
    }

    fn images(&self, py: Python<'_>) -> PyResult<Vec<PyImage>> {
        Ok(self.on(py, Cache::images)?.into_iter().map(PyImage).collect())
    }

    fn summaries<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let summaries = self.on(py, Cache::summaries)?;
        // Plain tuples: there may be a hundred thousand, and an object with properties costs as much as its image.
        let tuples = summaries.iter().map(|image| {
            let (modified, accessed) = (nanoseconds(image.last_modified), nanoseconds(image.last_accessed));
            (image.id.as_str(), image.size, image.hits, modified, accessed)
        });
        PyList::new(py, tuples)
    }

    fn image(&self, py: Python<'_>, image_id: &str) -> PyResult<Option<PyImage>> {
        let id = id(image_id)?;
        Ok(self.on(py, |cache| cache.image(&id))?.map(PyImage))
    }

    fn usage(&self, py: Python<'_>) -> PyResult<PyUsage> {
        Ok(self.on(py, Cache::usage)?.into())
    }

    fn disk_usage(&self, py: Python<'_>) -> PyResult<PyUsage> {
        Ok(self.on(py, Cache::disk_usage)?.into())
    }

    fn hits(&self, py: Python<'_>, image_id: &str) -> PyResult<u64> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.hits(&id))
    }

    fn is_cached(&self, py: Python<'_>, image_id: &str) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.is_cached(&id))
    }

    fn is_being_cached(&self, py: Python<'_>, image_id: &str) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.is_being_cached(&id))
    }

    fn is_cacheable(&self, py: Python<'_>, image_id: &str) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.is_cacheable(&id))
    }

    fn least_recently_used(&self, py: Python<'_>) -> PyResult<Option<(String, u64)>> {
        let least = self.on(py, Cache::least_recently_used)?;
        Ok(least.map(|least| (least.id.as_str().to_owned(), least.size)))
    }

    fn lru(&self) -> PyLru {
        self.0.lru().into()
    }

    fn read(&self, py: Python<'_>, image_id: &str) -> PyResult<PyReader> {
        let id = id(image_id)?;
        Ok(self.on(py, |cache| cache.read(&id))?.into())
    }

    #[pyo3(signature = (image_id, *, size=None, digests=Vec::new(), name=None))]
    fn write(
        &self,
        py: Python<'_>,
        image_id: &str,
        size: Option<u64>,
        digests: Vec<String>,
        name: Option<String>,
    ) -> PyResult<PyWriter> {
        let id = id(image_id)?;
        let digests: Result<Vec<Digest>, _> = digests.iter().map(|text| text.parse()).collect();
        let digests = digests.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let announced = Announced { size, digests, metadata: Metadata { name, ..Metadata::default() } };
        let writer = self.on(py, |cache| {
            let mut writer = cache.write(&id)?;
            writer.start(announced)?;
            Ok(writer)
        })?;
        Ok(writer.into())
    }

    fn copy_out(&self, py: Python<'_>, image_id: &str, path: PathBuf) -> PyResult<u64> {
        let id = id(image_id)?;
        let mut copied = 0;
        self.on(py, |cache| cache.copy_out(&id, &path, &mut |bytes| copied += bytes))?;
        Ok(copied)
    }

    /// True for good, None where nobody vouched for the bytes, False for bad.
    fn verify(&self, py: Python<'_>, image_id: &str) -> PyResult<Option<bool>> {
        let id = id(image_id)?;
        Ok(match self.on(py, |cache| cache.verify(&id, &mut |_| {}))? {
            Verdict::Good(_) => Some(true),
            Verdict::Unverifiable { .. } => None,
            Verdict::Corrupt(_) => Some(false),
        })
    }

    #[pyo3(signature = (image_id, pinned=true))]
    fn set_pinned(&self, py: Python<'_>, image_id: &str, pinned: bool) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.set_pinned(&id, pinned))
    }

    fn remove(&self, py: Python<'_>, image_id: &str) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.remove(&id))
    }

    #[pyo3(signature = (*, pinned_too=false))]
    fn remove_all(&self, py: Python<'_>, pinned_too: bool) -> PyResult<u64> {
        self.on(py, |cache| cache.remove_all(pinned_too))
    }

    fn queue(&self, py: Python<'_>, image_id: &str) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.queue(&id))
    }

    fn queued(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let queued = self.on(py, Cache::queued)?;
        Ok(queued.into_iter().map(|queued| queued.id.as_str().to_owned()).collect())
    }

    fn is_queued(&self, py: Python<'_>, image_id: &str) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.is_queued(&id))
    }

    fn unqueue(&self, py: Python<'_>, image_id: &str) -> PyResult<bool> {
        let id = id(image_id)?;
        self.on(py, |cache| cache.unqueue(&id))
    }

    fn unqueue_all(&self, py: Python<'_>) -> PyResult<u64> {
        self.on(py, Cache::unqueue_all)
    }

    fn incomplete(&self, py: Python<'_>) -> PyResult<Vec<PyIncomplete>> {
        Ok(self.on(py, Cache::incomplete)?.into_iter().map(PyIncomplete).collect())
    }

    fn invalid(&self, py: Python<'_>) -> PyResult<Vec<PyInvalid>> {
        Ok(self.on(py, Cache::invalid)?.into_iter().map(PyInvalid).collect())
    }

    #[pyo3(signature = (grace=0.0))]
    fn reap_invalid(&self, py: Python<'_>, grace: f64) -> PyResult<u64> {
        let grace = seconds(grace)?;
        self.on(py, |cache| cache.reap_invalid(grace))
    }

    fn reap_stalled(&self, py: Python<'_>, stall_time: f64) -> PyResult<u64> {
        let stall_time = seconds(stall_time)?;
        self.on(py, |cache| cache.reap_stalled(stall_time))
    }

    #[pyo3(signature = (max_size, *, allocated=false, dry_run=false))]
    fn prune(&self, py: Python<'_>, max_size: u64, allocated: bool, dry_run: bool) -> PyResult<Vec<(String, u64)>> {
        let mode = if dry_run { Mode::DryRun } else { Mode::Act };
        let pruned = self.on(py, |cache| cache.prune(limit(max_size, allocated, None), mode))?;
        Ok(pruned.images.into_iter().map(|image| (image.id.as_str().to_owned(), image.size)).collect())
    }

    fn max_size(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.on(py, Cache::limit)?.max_size)
    }

    #[pyo3(signature = (max_size, *, allocated=false))]
    fn set_max_size(&self, py: Python<'_>, max_size: u64, allocated: bool) -> PyResult<()> {
        self.on(py, |cache| cache.set_limit(limit(max_size, allocated, cache.limit()?.min_free)))
    }

    fn origin(&self, py: Python<'_>) -> PyResult<Option<String>> {
        self.on(py, Cache::origin)
    }

    fn __repr__(&self) -> String {
        format!("<icewell.Cache {:?}>", self.0.dir())
    }
}

fn limit(max_size: u64, allocated: bool, min_free: Option<MinFree>) -> Limit {
    Limit { max_size, count: if allocated { Count::Allocated } else { Count::Size }, min_free }
}
