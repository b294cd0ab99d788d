"""The origin of all: an nginx with static files, whose access log says what each cache has asked of it."""

import base64
import hashlib
import re
import time
import urllib.request

from harness import config, process

IDLE_TIMEOUT = 30


class Origin:
    """`/NAME` is a file, and so is `/slow/ANYTHING/NAME`, at a limited rate and cold under each new ANYTHING.

    `/vouched/NAME` is the same file, with its SHA-256 in the header.
    """

    def __init__(self, folder, port, rate):
        self.port = port
        self.folder = folder / "origin"
        self.files = self.folder / "files"
        self.log = self.folder / "access.log"
        self.files.mkdir(parents=True)
        self.log.touch()
        self.url = f"http://127.0.0.1:{port}"
        self._rate = rate
        self._digests = {}
        self.tree = None

    def make(self, name, size):
        """A file that compresses to nothing less: no server may gain by holes or by compression."""
        digest = hashlib.sha256()
        block = hashlib.shake_256(name.encode()).digest(1 << 20)
        with open(self.files / name, "wb") as file:
            for start in range(0, size, len(block)):
                # No two blocks alike, at the price of a counter.
                piece = (start.to_bytes(8, "big") + block[8:])[: size - start]
                file.write(piece)
                digest.update(piece)
        self._digests[name] = digest.hexdigest()

    def digest(self, name):
        return self._digests[name]

    def start(self):
        vouched = "".join(f"{name} sha-256=:{_base64(digest)}:;" for name, digest in self._digests.items())
        values = {"PORT": self.port, "FOLDER": self.folder, "RATE": self._rate, "USER": config.user()}
        conf = config.write("origin.conf", self.folder, VOUCHED=vouched, **values)
        self.tree = process.Tree(["nginx", "-c", conf, "-p", self.folder], self.folder / "stderr.log")
        self.tree.wait_for_port(self.port)

    def requests(self, part):
        """(status, bytes of the body) of each request so far whose path has `part` in it."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        return [(int(status), int(sent)) for path, status, sent in lines if part in path]

    def wait_idle(self):
        """Until no request is being answered: then the log has them all. False if that takes too long."""
        deadline = time.monotonic() + IDLE_TIMEOUT
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"{self.url}/stub_status") as answer:
                busy = re.search(r"Reading: (\d+) Writing: (\d+)", answer.read().decode())
            if int(busy[1]) + int(busy[2]) <= 1:  # the question itself
                return True
            time.sleep(0.05)
        return False


def _base64(digest):
    return base64.b64encode(bytes.fromhex(digest)).decode()
