"""A real Glance with its own image cache (the `xattr` driver): `glance_with_cache.py`, run by the Python of its bed."""

import json
import pathlib
import subprocess
import sys

from harness import process

ROOT = pathlib.Path(__file__).parents[3]
PYTHON = ROOT / "target/glance-bed-venv/bin/python"
PROGRAM = ROOT / "bench/http/glance_with_cache.py"


class Glance:
    """See `servers.Server`; the images are the origin's files, by Glance's web store."""

    caches = warm = True
    tls = authorised = False
    fields = {"X-Auth-Token": "a-token-of-the-benchmark"}

    def __init__(self, name, setting, port):
        self.name = name
        self.setting = setting
        self.folder = setting.folder / name
        self.tree = None
        self._ids = {}

    def start(self):
        subprocess.run([ROOT / "scripts/glance-bed.sh"], check=True, stdout=sys.stderr)
        self.folder.mkdir()
        self.tree = process.Tree(
            [PYTHON, PROGRAM],
            self.folder / "stderr.log",
            {"PYTHONPATH": str(ROOT / "tests/glance")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        said = self._said()
        self.port, self._root = said["port"], said["pid"]
        self.setting.glance = self

    def _said(self):
        line = self.tree.process.stdout.readline()
        if not line:
            raise RuntimeError(self.tree.log_tail())
        return json.loads(line)

    def path(self, name):
        return f"/v2/images/{self._ids[name]}/file"

    def prepare(self, path, size):
        if path not in self._ids:
            print(f"{self.setting.origin.url}/{path}", file=self.tree.process.stdin, flush=True)
            self._ids[path] = self._said()["id"]
        return self.path(path)

    def pids(self):
        """Glance's own, without Keystone and the bed."""
        return process.descendants(self._root)

    def forget(self):
        """It has no image in memory of its own."""

    def stop(self):
        if self.tree:
            self.tree.process.stdin.close()
            try:
                self.tree.process.wait(30)
            except subprocess.TimeoutExpired:
                pass
            self.tree.stop()
