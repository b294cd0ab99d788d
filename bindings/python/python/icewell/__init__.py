"""An on-disk cache of large, immutable files: one directory is the whole database.

>>> import icewell, tempfile
>>> cache = icewell.Cache(tempfile.mkdtemp())
>>> with cache.write("debian-12") as writer:
...     _ = writer.write(b"an image")
>>> with cache.read("debian-12") as reader:
...     reader.read()
...     reader.count_hit()
b'an image'
>>> [(image.id, image.size, image.hits) for image in cache.images()]
[('debian-12', 8, 1)]

Any number of threads and processes may use one directory at the same time, and so may a Glance with its ``xattr`` driver
and every other program of Icewell. The driver inside Glance is :mod:`icewell.glance`.
"""

from icewell._icewell import (
    AlreadyCachedError,
    Cache,
    DigestMismatchError,
    Image,
    Incomplete,
    InProgressError,
    Invalid,
    InvalidImageIdError,
    Lru,
    NoRoomError,
    NotCachedError,
    NoXattrSupportError,
    OtherOriginError,
    Reader,
    SizeMismatchError,
    StorageFullError,
    UnknownFormatError,
    Usage,
    Writer,
    __version__,
    check_image_id,
)

__all__ = [
    "AlreadyCachedError",
    "Cache",
    "DigestMismatchError",
    "Image",
    "InProgressError",
    "Incomplete",
    "Invalid",
    "InvalidImageIdError",
    "Lru",
    "NoRoomError",
    "NoXattrSupportError",
    "NotCachedError",
    "OtherOriginError",
    "Reader",
    "SizeMismatchError",
    "StorageFullError",
    "UnknownFormatError",
    "Usage",
    "Writer",
    "__version__",
    "check_image_id",
]
