"""A pytest plugin (``-p stand_in``) that puts Icewell's driver in the place of Glance's own for a whole test run."""

import icewell.glance

icewell.glance.register()
