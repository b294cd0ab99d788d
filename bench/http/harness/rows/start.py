"""How long a daemon takes to answer, with many images in its directory."""

import http.client
import os
import pathlib
import time

from harness.client import Failed
from harness.rows.plan import SMALL
from harness.rows.row import Row, drop_caches
from harness.servers import Apart

IMAGES = 100_000
BYTES = b"x" * 64


class Start(Row):
    """From exec to the first answer, a hit. The directory is made once for each build."""

    group = "start"
    lower = True
    key, unit, scale = "warm", "ms", 1e3
    details = (("cold", "ms after the system's caches were emptied", 1e3), ("images", "images", 1))

    def __init__(self, images):
        super().__init__("start", f"start to the first answer, {images:,} images in the directory")
        self.images = images

    def wants(self, server):
        return server.name in server.setting.icewells

    def run(self, server, plan, number):
        daemon = Apart(server, server.setting.folder / f"start-{server.name}")
        if not daemon.cache.exists():
            self._make(daemon)
        warm = _started(daemon)
        # Directory, inodes, and the tags in them; the program itself is read again, for its size is not the question.
        drop_caches("3\n")
        pathlib.Path(daemon.binary()).read_bytes()
        return {"warm": warm, "cold": _started(daemon), "images": self.images}

    def _make(self, daemon):
        """Images as a commit leaves them, without its syncing. First the daemon takes the empty directory as its own."""
        _started(daemon)
        for number in range(self.images - 1):
            name = f"{number:08}-d94f-49cd-a114-e12490b328d9"
            file = os.open(daemon.cache / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            try:
                os.write(file, BYTES)
                os.setxattr(file, "user.icewell.id", name.encode())
                os.setxattr(file, "user.hits", b"0")
            finally:
                os.close(file)
        os.sync()


def _started(daemon):
    begun = time.monotonic()
    daemon.begin()
    try:
        while daemon.tree.process.poll() is None and time.monotonic() < begun + 30:
            connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
            try:
                connection.request("GET", f"/{SMALL}")
                answer = connection.getresponse()
                answer.read()
            except ConnectionRefusedError:
                time.sleep(0.0005)
                continue
            finally:
                connection.close()
            if answer.status != 200:
                raise Failed(f"the first answer was {answer.status}")
            return time.monotonic() - begun
        raise Failed(f"no answer: {daemon.tree.log_tail()}")
    finally:
        daemon.stop()
