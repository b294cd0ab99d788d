"""A pytest plugin (``-p stand_in``) that puts Icewell's driver in the place of Glance's own for a whole test run."""

import icewell.glance
from icewell.glance import Driver

icewell.glance.register()

_configure = Driver.configure
_configured = 0


def _counted(self):
    global _configured
    _configured += 1
    _configure(self)


Driver.configure = _counted


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"Icewell's driver was configured {_configured} times")
