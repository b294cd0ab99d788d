"""The driver: Glance's interface of an image cache on top of :class:`icewell.Cache`."""

import os
import weakref

from oslo_config import cfg
from oslo_log import log as logging

from glance.common import exception
from glance.image_cache.drivers import base

import icewell

LOG = logging.getLogger(__name__)

CONF = cfg.CONF

#: Origins whose image IDs are those of a Glance; others' images must never be given out under them.
GLANCE_ORIGINS = ("glance+http://", "glance+https://")

SECOND = 10**9


#: The drivers that have their directory open in this process.
_OPEN = weakref.WeakSet()


class Driver(base.Driver):
    """Keeps images as files in ``image_cache_dir``, and what is known of them in the files' extended attributes.

    What differs from Glance's own driver:

    - one filler for each image: who comes second gets a :exc:`BlockingIOError`, and with an image that is cached already
      a :exc:`FileExistsError`; both are errors that Glance's tee survives, its client gets the image from the store;
    - nothing is visible as cached before it is whole and on disk, and what is cached is never replaced;
    - hits are exact, and the order of use does not depend on how the file system is mounted;
    - a fill that is alive is never cleaned away, an image that is pinned never pruned;
    - text that cannot be an image ID is not cached, not queued and not cacheable, instead of a path.

    The limit is Glance's: nothing keeps a fill from going over it until the next prune. It is noted on the directory, so
    that other programs of Icewell that use the directory know it.
    """

    def configure(self):
        """Makes the directory and its folders, and tries whether it can be used.

        :raises glance.common.exception.BadDriverConfiguration: no directory is set, its file system keeps no user
            extended attributes, or what is in it must not be used by this Glance. Glance takes its fallback driver then.
        :raises OSError: anything else, as the system says it.
        """
        self.set_paths()
        self._dir = os.path.abspath(self.base_dir)
        self._forget()
        try:
            cache = icewell.Cache(self._dir, soft_limit=True)
            _check_origin(cache)
            if cache.max_size() != CONF.image_cache_max_size:
                cache.set_max_size(CONF.image_cache_max_size)
        except (icewell.NoXattrSupportError, icewell.OtherOriginError, icewell.UnknownFormatError) as error:
            reason = error.strerror or str(error)
            LOG.error("The image cache cannot be used: %s", reason)
            raise exception.BadDriverConfiguration(driver_name="xattr", reason=reason) from error

    # A WSGI server forks after it has configured Glance, and some close what they do not know: so nothing stays open
    # after `configure`, and each process opens the directory when it first needs it. Python comes here for attributes
    # that are not there yet, so that this costs nothing later.

    def __getattr__(self, name):
        if name == "_cache":
            self._cache = icewell.Cache(self._dir, soft_limit=True)
            _OPEN.add(self)
            return self._cache
        if name == "_lru":
            self._lru = self._cache.lru()
            return self._lru
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def _forget(self):
        """Lets go of what this process, or the one it was forked from, has opened."""
        self.__dict__.pop("_lru", None)
        self.__dict__.pop("_cache", None)

    # What is there.

    def get_cache_size(self):
        """The sum of the sizes of the files in the directory in bytes."""
        return self._cache.disk_usage().size

    def get_hit_count(self, image_id):
        """How often the image was read from the cache; 0 if it is not cached."""
        try:
            return self._cache.hits(str(image_id))
        except ValueError:
            return 0

    def get_cached_images(self):
        """The cached images, by ID: a list of dicts with ``image_id``, ``hits``, ``last_modified``, ``last_accessed``
        (whole seconds since the epoch) and ``size``."""
        return [
            {
                "image_id": image_id,
                "hits": hits,
                "last_modified": modified // SECOND,
                "last_accessed": accessed // SECOND,
                "size": size,
            }
            for image_id, size, hits, modified, accessed in self._cache.summaries()
        ]

    def is_cached(self, image_id):
        """Whether the image is cached. A disk that cannot tell is as good as none: the store is asked instead."""
        try:
            return self._cache.is_cached(str(image_id))
        except ValueError:
            return False
        except OSError as error:
            LOG.warning("Cannot tell whether image '%s' is cached: %s", image_id, error)
            return False

    def is_cacheable(self, image_id):
        """Whether the image is neither cached nor being cached."""
        try:
            return self._cache.is_cacheable(str(image_id))
        except ValueError:
            return False
        except OSError as error:
            LOG.warning("Cannot tell whether image '%s' can be cached: %s", image_id, error)
            return False

    def is_being_cached(self, image_id):
        """Whether somebody is filling the image."""
        try:
            return self._cache.is_being_cached(str(image_id))
        except ValueError:
            return False

    def get_image_size(self, image_id):
        """The size of a cached image.

        :raises FileNotFoundError: it is not cached.
        """
        with self._cache.read(str(image_id)) as reader:
            return reader.image.size

    def get_image_filepath(self, image_id, cache_status="active"):
        """The path of an image's file in one of its states.

        :raises ValueError: the text cannot be an image ID.
        """
        icewell.check_image_id(str(image_id))
        return super().get_image_filepath(image_id, cache_status)

    def get_least_recently_accessed(self):
        """ID and size of the image to be pruned next; None if there is none that may be."""
        return self._lru.least()

    # In and out.

    def open_for_write(self, image_id):
        """A context with a file to write the image to. Its end commits the image, an exception in it rolls back.

        :raises BlockingIOError: somebody else fills the image.
        :raises FileExistsError: the image is cached.
        """
        return _Fill(self, image_id)

    def open_for_read(self, image_id):
        """A context with the image's file to read. Its end counts a hit, an exception in it does not.

        :raises FileNotFoundError: the image is not cached.
        """
        return _Read(self, image_id)

    def delete_cached_image(self, image_id):
        """Removes a cached image, if it is there."""
        try:
            self._cache.remove(str(image_id))
        except ValueError:
            LOG.debug("There is no cached image '%s' to remove", image_id)

    def delete_all_cached_images(self):
        """Removes all cached images, pinned ones too; how many."""
        return self._cache.remove_all(pinned_too=True)

    # The queue.

    def is_queued(self, image_id):
        """Whether the image is queued."""
        try:
            return self._cache.is_queued(str(image_id))
        except ValueError:
            return False

    def queue_image(self, image_id):
        """Queues an image to be fetched; whether it was not cached, being cached or queued before."""
        try:
            queued = self._cache.queue(str(image_id))
        except ValueError as error:
            LOG.warning("Image not queued: %s", error)
            return False
        if not queued:
            LOG.info("Image '%s' is cached, being cached or queued already", image_id)
        return queued

    def get_queued_images(self):
        """The IDs of the queued images, first come first."""
        return self._cache.queued()

    def delete_queued_image(self, image_id):
        """Takes an image off the queue, if it is on it."""
        try:
            self._cache.unqueue(str(image_id))
        except ValueError:
            LOG.debug("There is no queued image '%s' to remove", image_id)

    def delete_all_queued_images(self):
        """Empties the queue; how many images were on it."""
        return self._cache.unqueue_all()

    # Tidying.

    def reap_invalid(self, grace=None):
        """Removes failed fills older than so many seconds, or all of them; how many."""
        reaped = self._cache.reap_invalid(max(grace or 0, 0))
        LOG.info("Reaped %d failed fills", reaped)
        return reaped

    def reap_stalled(self, grace=None):
        """Removes fills that stood still for so many seconds, or for any time; how many. Never one that is alive."""
        reaped = self._cache.reap_stalled(max(grace or 0, 0))
        LOG.info("Reaped %d stalled fills", reaped)
        return reaped

    def clean(self, stall_time=None):
        """Removes all failed fills, and those that stood still for ``image_cache_stall_time`` or the time given."""
        self.reap_invalid()
        self.reap_stalled(CONF.image_cache_stall_time if stall_time is None else stall_time)


def _forget_after_fork():
    for driver in list(_OPEN):
        driver._forget()
    _OPEN.clear()


os.register_at_fork(after_in_child=_forget_after_fork)


def _check_origin(cache):
    origin = cache.origin()
    if origin is not None and not origin.startswith(GLANCE_ORIGINS):
        reason = f"{cache.dir} is the cache of {origin}, which is no Glance; set image_cache_dir to another directory"
        raise icewell.OtherOriginError(1, reason, cache.dir)


class _Fill:
    """An image on its way in. Nothing is claimed before the context is entered."""

    __slots__ = ("_driver", "_image_id", "_writer")

    def __init__(self, driver, image_id):
        self._driver = driver
        self._image_id = image_id

    def __enter__(self):
        self._writer = self._driver._cache.write(str(self._image_id))
        return self._writer

    def __exit__(self, kind, error, traceback):
        self._writer.__exit__(kind, error, traceback)


class _Read:
    """An image on its way out."""

    __slots__ = ("_driver", "_file", "_image_id", "_reader")

    def __init__(self, driver, image_id):
        self._driver = driver
        self._image_id = image_id

    def __enter__(self):
        self._reader = self._driver._cache.read(str(self._image_id))
        # One of Python's own files, for whoever wants lines, or a descriptor to send from.
        self._file = open(self._reader.fileno(), "rb", closefd=False)
        return self._file

    def __exit__(self, kind, error, traceback):
        self._file.close()
        with self._reader as reader:
            if kind is None:
                try:
                    reader.count_hit()
                except OSError as failure:
                    # The image was given out whole: that its hit is lost is no reason to break the answer off.
                    LOG.warning("A hit of image '%s' is not counted: %s", self._image_id, failure)
