"""Glance's WSGI application on Icewell's driver.

Where the WSGI server has ``glance.wsgi.api:application``, name ``icewell.glance.wsgi:application``: nothing else of Glance
changes, neither code nor configuration. ``image_cache_driver = xattr`` then means Icewell's driver.
"""

import icewell.glance

icewell.glance.register()

# Loads Glance's configuration and its whole pipeline, so it comes after the driver has taken its place.
from glance.wsgi.api import application  # noqa: E402

__all__ = ["application"]
