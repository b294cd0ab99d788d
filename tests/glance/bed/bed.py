"""A Keystone and as many Glances as are asked for, in one folder that goes away with them."""

import pathlib
import shutil
import tempfile

from bed.api import Api
from bed.glance import Glance
from bed.keystone import Keystone
from bed.template import template

TARGET = pathlib.Path(__file__).parents[3] / "target"


class Bed:
    """A cloud. Use it in a `with`; set `keep` to find its folder, with all logs, afterwards."""

    def __init__(self):
        self.keep = False
        self._template = template(TARGET)
        runs = TARGET / "glance-bed"
        runs.mkdir(parents=True, exist_ok=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=runs, prefix="run-"))
        home = self.folder / "keystone"
        shutil.copytree(self._template, home)
        self.keystone = Keystone(home)
        self._glances = {}

    def __enter__(self):
        self.keystone.server.launch()
        return self

    def __exit__(self, *_):
        for glance in self._glances.values():
            glance.server.stop()
        self.keystone.server.stop()
        if self.keep:
            print(f"\nglance bed: everything is kept in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def glance(self, name="glance", **options):
        """The Glance of that name, running; `options` (see `Glance`) count when it is first asked for.

        The catalogue names the one called "glance", until `publish` says otherwise.
        """
        if name not in self._glances:
            folder = self.folder / name
            folder.mkdir()
            shutil.copy(self._template / "glance.sqlite", folder)
            glance = self._glances[name] = Glance(name, folder, self.keystone, **options)
            glance.server.launch()
            self.keystone.server.wait_ready()
            glance.server.wait_ready()
            if name == "glance":
                self.publish(glance.url)
        return self._glances[name]

    def publish(self, url):
        """The image service's address in the catalogue from now on: a proxy's, say."""
        self.keystone.point("image", url)

    def api(self, url, ca=None):
        """The calls of `glance.api`, sent to another address; `ca` is whom to trust if that is an https one."""
        return Api(url, self.keystone, ca)
