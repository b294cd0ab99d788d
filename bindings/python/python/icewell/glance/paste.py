"""Icewell's driver by way of Glance's paste configuration, for a WSGI server whose configuration is not to change.

In ``glance-api-paste.ini``::

    [filter:cache]
    paste.filter_factory = icewell.glance.paste:filter_factory

Importing this module puts the driver into its place. Paste imports every filter's module before it makes the first part
of a pipeline, so that the cache's API behind the filter gets the same driver.
"""

import icewell.glance

icewell.glance.register()

from glance.api.middleware.cache import CacheFilter  # noqa: E402

filter_factory = CacheFilter.factory

__all__ = ["filter_factory"]
