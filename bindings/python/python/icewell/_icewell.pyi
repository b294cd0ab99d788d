"""The native part of :mod:`icewell`, where the same names are to be imported from."""

from collections.abc import Iterable, Sequence
from os import PathLike
from types import TracebackType
from typing import Self, final

from typing_extensions import Buffer

__version__: str

def check_image_id(image_id: str) -> None:
    """Does nothing for text that may be an image ID: one legal file name, and none of the cache's own folders.

    :raises InvalidImageIdError: any other text.
    """

@final
class Cache:
    """A cache directory, open for use by any number of threads.

    Nothing is kept in memory: what another process did is seen at once. Other Python threads run while a call waits for
    the disk. Every method that takes an image ID raises :exc:`InvalidImageIdError` for text that is none, and every
    method may raise :exc:`OSError` as the system says.
    """

    def __new__(cls, dir: str | PathLike[str], *, soft_limit: bool = False) -> Self:
        """Opens the cache at ``dir``, and makes the directory and its folders where they are missing.

        With ``soft_limit``, fills neither make room under the limit nor fail because of it: for somebody who prunes
        from time to time, as Glance does.

        :raises NoXattrSupportError: the file system keeps no user extended attributes.
        :raises UnknownFormatError: the cache of a newer Icewell.
        """

    @property
    def dir(self) -> str:
        """The path it was opened by."""

    def images(self) -> list[Image]:
        """The cached images, by ID, in one pass. Files that vanish meanwhile are skipped."""

    def summaries(self) -> list[tuple[str, int, int, int, int]]:
        """As :meth:`images`, but only ID, size, hits, last modified and last accessed (both in nanoseconds since the
        epoch) of each, and several times as fast."""

    def image(self, image_id: str) -> Image | None:
        """What is known of a cached image; None if it is not cached."""

    def usage(self) -> Usage:
        """Number, sizes and disk blocks of the cached images, in one pass."""

    def disk_usage(self) -> Usage:
        """As :meth:`usage`, but by name alone, with no look at the tags: half the work, and a file that only bears the
        name of an image counts, too."""

    def hits(self, image_id: str) -> int:
        """How often the image was read; 0 if it is not cached."""

    def is_cached(self, image_id: str) -> bool:
        """Whether the image is cached."""

    def is_being_cached(self, image_id: str) -> bool:
        """Whether somebody who is alive fills the image, or somebody unknown has begun to."""

    def is_cacheable(self, image_id: str) -> bool:
        """Whether the image is neither cached nor being filled."""

    def least_recently_used(self) -> tuple[str, int] | None:
        """ID and size of the least recently used image; None if there is none. One scan for each call."""

    def lru(self) -> Lru:
        """The order in which images would be pruned, for whoever removes them one by one."""

    def read(self, image_id: str) -> Reader:
        """Opens a cached image for reading.

        :raises NotCachedError: it is not cached.
        """

    def write(
        self,
        image_id: str,
        *,
        size: int | None = None,
        digests: Sequence[str] = (),
        name: str | None = None,
    ) -> Writer:
        """Begins to fill an image: nobody else can until this fill is over.

        ``size`` and ``digests`` (such as ``"sha256:e3b0…"``; the strongest is taken) are what the image must turn out to
        have, ``name`` is a name for people.

        :raises AlreadyCachedError: it is cached.
        :raises InProgressError: somebody else fills it, here, in another process, or in a Glance.
        :raises NoRoomError: an image of that size cannot fit the limit.
        """

    def copy_out(self, image_id: str, path: str | PathLike[str]) -> int:
        """Copies a cached image to the file at ``path``, over what it holds; counts a hit. Returns the bytes copied."""

    def verify(self, image_id: str) -> bool | None:
        """Reads the image and compares it with the digest its origin vouched for.

        True if it is right. None if nobody vouched for it. False if it is wrong: it is in ``invalid/`` then.
        """

    def set_pinned(self, image_id: str, pinned: bool = True) -> bool:
        """Keeps the image from ever being pruned, or no longer. Whether it is cached."""

    def remove(self, image_id: str) -> bool:
        """Removes a cached image; whether it was cached. Who has it open reads on."""

    def remove_all(self, *, pinned_too: bool = False) -> int:
        """Removes all cached images; how many."""

    def queue(self, image_id: str) -> bool:
        """Queues an image; False if it is cached, being filled or queued already. Of callers that race one gets True."""

    def queued(self) -> list[str]:
        """The queue, first come first."""

    def is_queued(self, image_id: str) -> bool:
        """Whether the image is queued."""

    def unqueue(self, image_id: str) -> bool:
        """Takes an image off the queue; whether it was on it."""

    def unqueue_all(self) -> int:
        """Empties the queue; how many were on it."""

    def incomplete(self) -> list[Incomplete]:
        """The fills under way, and those that were broken off, by ID."""

    def invalid(self) -> list[Invalid]:
        """The failed fills, by ID."""

    def reap_invalid(self, grace: float = 0.0) -> int:
        """Removes failed fills older than ``grace`` seconds, or all; how many."""

    def reap_stalled(self, stall_time: float) -> int:
        """Removes fills that stood still for more than ``stall_time`` seconds, or any for 0; how many. Never one that is
        alive."""

    def prune(self, max_size: int, *, allocated: bool = False, dry_run: bool = False) -> list[tuple[str, int]]:
        """Removes the least recently used images until no more than ``max_size`` bytes are left, of files or of disk
        blocks (``allocated``). Pinned ones stay. Returns ID and size of each that went, or with ``dry_run`` would go."""

    def max_size(self) -> int:
        """The limit in force, kept on the directory."""

    def set_max_size(self, max_size: int, *, allocated: bool = False) -> None:
        """Keeps the limit on the directory, for every process that uses it. What is to stay free stays as it is."""

    def origin(self) -> str | None:
        """The origin that the cache is bound to, if it is bound."""

@final
class Image:
    """A cached image, as it was when it was looked at."""

    @property
    def id(self) -> str:
        """Its ID, the file's name."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    @property
    def allocated(self) -> int:
        """The bytes of disk blocks behind it: fewer than its size where it has holes."""

    @property
    def hits(self) -> int:
        """How often it was read."""

    @property
    def last_modified(self) -> float:
        """When its bytes were last written, in seconds since the epoch."""

    @property
    def last_modified_ns(self) -> int:
        """The same in nanoseconds."""

    @property
    def last_accessed(self) -> float:
        """When it was last read, or else committed, in seconds since the epoch."""

    @property
    def last_accessed_ns(self) -> int:
        """The same in nanoseconds."""

    @property
    def pinned(self) -> bool:
        """Whether it is never to be pruned."""

    @property
    def digest(self) -> str | None:
        """The digest its origin vouched for, as ``"sha512:…"``."""

    @property
    def computed_digest(self) -> str | None:
        """The digest Icewell computed itself where nobody vouched for one."""

    @property
    def name(self) -> str | None:
        """A name for people."""

@final
class Usage:
    """What the cached images take."""

    @property
    def files(self) -> int:
        """How many there are."""

    @property
    def size(self) -> int:
        """The sum of their sizes in bytes."""

    @property
    def allocated(self) -> int:
        """The bytes of disk blocks behind them."""

@final
class Incomplete:
    """An image that is being filled, or whose fill was broken off."""

    @property
    def id(self) -> str:
        """Its ID."""

    @property
    def by_icewell(self) -> bool:
        """Whether an Icewell fills it; else a Glance, or somebody unknown."""

    @property
    def active(self) -> bool:
        """Whether the filler is alive."""

    @property
    def written(self) -> int:
        """The bytes written so far."""

    @property
    def size(self) -> int | None:
        """The image's whole size, where it is known."""

    @property
    def last_modified(self) -> float:
        """When something was last written, in seconds since the epoch."""

@final
class Invalid:
    """A fill that failed, kept for a look."""

    @property
    def id(self) -> str:
        """Its ID."""

    @property
    def size(self) -> int:
        """The bytes of it that are kept."""

    @property
    def last_modified(self) -> float:
        """When it failed, in seconds since the epoch."""

    @property
    def error(self) -> str | None:
        """Why, where that is known."""

@final
class Lru:
    """The order in which images would be pruned. One scan serves many questions."""

    def least(self) -> tuple[str, int] | None:
        """ID and size of the least recently used image that is not pinned; None if there is none.

        It is looked at again before it is named, so that it is there and has not been used since the scan.
        """

@final
class Reader:
    """A cached image, open for reading: the same bytes whatever becomes of its name.

    Reading counts no hit and is no use; say so with :meth:`count_hit` when the read came to a good end.
    """

    @property
    def image(self) -> Image:
        """What was known of the image when it was opened."""

    def read(self, size: int = -1, /) -> bytes:
        """The next ``size`` bytes, fewer at the end; all that is left for -1."""

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Up to ``size`` bytes at ``offset``."""

    def fileno(self) -> int:
        """The open file's descriptor, good until the reader is closed."""

    def count_hit(self, hits: int = 1, /) -> None:
        """Counts successful reads, and makes now the image's access time. Exact under any number of processes."""

    def touch(self) -> None:
        """Makes now the image's access time."""

    def close(self) -> None:
        """Closes the file."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

@final
class Writer:
    """A fill, as a binary file to write to. At the end of a ``with`` it is committed, or rolled back for an exception.

    After :meth:`commit`, :meth:`roll_back`, :meth:`suspend` or :meth:`release` the fill is over, and everything but
    :attr:`image_id` and :attr:`closed` raises :exc:`ValueError`. A writer that is dropped before rolls back.

    From 4 MiB on the bytes are written and digested on a thread of the fill's own while the caller goes on. What cannot
    be written is then told by a later call, at the latest by the commit.
    """

    @property
    def image_id(self) -> str:
        """The image that is being filled."""

    @property
    def closed(self) -> bool:
        """Whether the fill is over."""

    def write(self, data: Buffer, /) -> int:
        """Appends all of ``data``; an error may be that of bytes that came before.

        :raises SizeMismatchError: more bytes than announced.
        :raises NoRoomError: an image of unknown size grows out of the limit.
        :raises StorageFullError: the disk is full, and nothing more can be removed.
        """

    def writelines(self, lines: Iterable[Buffer], /) -> None:
        """Appends one after the other."""

    def flush(self) -> None:
        """Does nothing: bytes are handed on as they come, and durable they are at commit."""

    def tell(self) -> int:
        """How many bytes were taken."""

    def readable(self) -> bool: ...
    def seekable(self) -> bool: ...
    def writable(self) -> bool: ...
    def verify(self) -> None:
        """Checks size and digest of the whole image.

        :raises SizeMismatchError:
        :raises DigestMismatchError: roll back then.
        """

    def commit(self) -> bool:
        """Makes the fill the cached image, durably. False if a Glance has cached the image meanwhile: then that one
        stays. What :meth:`verify` raises goes to ``invalid/`` with the reason."""

    def roll_back(self, why: str) -> None:
        """Gives the fill up: its bytes go to ``invalid/`` with ``why`` in their ``user.error`` tag."""

    def suspend(self) -> None:
        """Breaks the fill off and keeps its bytes, for a program of Icewell that can resume it."""

    def release(self) -> None:
        """Gives the claim back; what was written is removed."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

class InvalidImageIdError(ValueError):
    """The text is no image ID."""

class NotCachedError(FileNotFoundError):
    """There is no such cached image."""

class AlreadyCachedError(FileExistsError):
    """The image is cached already; nothing was changed."""

class InProgressError(BlockingIOError):
    """Somebody else is filling the image."""

class NoRoomError(OSError):
    """The image cannot fit the limit, whatever is removed; nothing was removed."""

class StorageFullError(OSError):
    """The file system or a quota is full, and nothing more could be removed."""

class SizeMismatchError(OSError):
    """The image has another size than was announced."""

class DigestMismatchError(OSError):
    """The image has another digest than its origin vouched for."""

class NoXattrSupportError(OSError):
    """The file system of the cache directory keeps no user extended attributes."""

class OtherOriginError(PermissionError):
    """The cache directory belongs to another origin."""

class UnknownFormatError(OSError):
    """The cache directory was written by a newer Icewell."""
