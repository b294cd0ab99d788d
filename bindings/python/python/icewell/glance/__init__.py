"""Icewell inside OpenStack Glance: its image cache driver, in the place of Glance's own ``xattr`` driver.

Only this package knows of Glance. Three ways lead to it, none of which changes Glance:

- a WSGI server is told to load ``icewell.glance.wsgi:application`` instead of ``glance.wsgi.api:application``;
- Glance's paste configuration takes ``icewell.glance.paste:filter_factory`` as its cache filter;
- a program of one's own calls :func:`register` before it makes a ``glance.image_cache.ImageCache``.

``image_cache_driver = xattr`` means :class:`Driver` from then on, in this process. The directory stays as it is; Glance's
own driver, in other processes or after a step back, goes on with whatever this one leaves there.

This module can stand in for ``glance.image_cache.drivers.xattr``: it has that module's functions as well.
"""

import sys

from icewell.glance.driver import Driver
from icewell.glance.xattrs import (
    _make_namespaced_xattr_key,
    delete_cached_file,
    get_all_regular_files,
    get_xattr,
    inc_xattr,
    set_xattr,
)

__all__ = [
    "Driver",
    "_make_namespaced_xattr_key",
    "delete_cached_file",
    "get_all_regular_files",
    "get_xattr",
    "inc_xattr",
    "register",
    "set_xattr",
]

#: Where Glance looks for the driver that its configuration calls ``xattr``.
GLANCE_MODULE = "glance.image_cache.drivers.xattr"


def register() -> None:
    """Makes ``image_cache_driver = xattr`` mean :class:`Driver` in this process.

    An ``ImageCache`` that Glance made before keeps the driver it has. Calling it again does nothing.
    """
    from glance.image_cache import drivers

    here = sys.modules[__name__]
    sys.modules[GLANCE_MODULE] = here
    drivers.xattr = here
