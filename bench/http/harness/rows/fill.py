"""What a fill with a digest check takes, beside digest and disk alone."""

import json
import shutil
import subprocess
import time

from harness import client
from harness.client import Failed
from harness.rows.plan import file_name, in_words
from harness.rows.row import Row
from harness.servers import Apart

APPEARS = 10  # seconds, in which an image that was sent has to be in the directory


class Fill(Row):
    """One client, a fast origin that vouches for the image by its SHA-256, and a daemon with an empty directory."""

    group = "fill"
    details = (
        ("digest_alone", "digest alone, GB/s", 1e-9),
        ("disk_alone", "disk alone, GB/s", 1e-9),
        ("of_slower", "of the slower of both", 1),
        ("sent", "s to the client's last byte", 1),
        ("cpu_seconds_per_gb", "server CPU s/GB", 1),
    )

    def __init__(self, size):
        super().__init__("fill", f"fill of a {in_words(size)} image, its SHA-256 checked, until it is in the directory")
        self.size = size

    def wants(self, server):
        return server.name in server.setting.icewells

    def run(self, server, plan, number):
        folder = server.setting.folder / f"fill-{server.name}"
        try:
            return self._measured(Apart(server, folder), folder, server.setting.origin, plan)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _measured(self, daemon, folder, origin, plan):
        name = file_name(self.size)
        # The first to use memory that a virtual machine's host has to find yet pays for all after it: that is neither.
        before = self._disk_alone(origin.files / name, folder / "copy")
        daemon.start()
        try:
            begun = time.monotonic()
            said = client.once(daemon, f"/vouched/{name}", self.size, 1, plan.give_up)
            if not said["done"]:
                raise Failed(next(iter(said["errors"]), "the client did not get the image"))
            image = _appeared(folder / "cache", begun + said["done"][0] + APPEARS)
            taken = max(said["done"][0], time.monotonic() - begun)
        finally:
            daemon.stop()
        digest_alone = self._digest_alone(daemon, folder / "cache", image, origin.digest(name))
        image.unlink()
        disk_alone = max(before, self._disk_alone(origin.files / name, folder / "copy"))
        rate = self.size / taken
        return {
            "bytes_per_second": rate,
            "digest_alone": digest_alone,
            "disk_alone": disk_alone,
            "of_slower": rate / min(digest_alone, disk_alone),
            "sent": said["done"][0],
            "cpu_seconds_per_gb": said["cpu_seconds"] / (self.size / 1e9),
        }

    def _digest_alone(self, daemon, cache, image, wanted):
        """The faster of OpenSSL and our own over the page cache; both have to find right what was filled."""
        begun = time.monotonic()
        command = ["openssl", "dgst", "-sha256", "-r", image]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        openssl = time.monotonic() - begun
        if said.split()[0] != wanted:
            raise Failed("wrong bytes in the directory")
        begun = time.monotonic()
        command = [daemon.binary(), "verify", "--dir", cache, "--json"]
        verified = subprocess.run(command, capture_output=True, text=True)
        ours = time.monotonic() - begun
        if verified.returncode or [one["result"] for one in json.loads(verified.stdout)] != ["good"]:
            raise Failed(f"not verified: {verified.stdout} {verified.stderr[-200:]}")
        return self.size / min(openssl, ours)

    def _disk_alone(self, source, copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
        begun = time.monotonic()
        command = ["dd", f"if={source}", f"of={copy}", "bs=2M", "conv=fsync", "status=none"]
        subprocess.run(command, check=True, capture_output=True)
        taken = time.monotonic() - begun
        copy.unlink()
        return self.size / taken


def _appeared(cache, deadline):
    """The image, once it has its name: it is on the disk then."""
    while time.monotonic() < deadline:
        for file in cache.iterdir():
            if file.is_file():
                return file
        time.sleep(0.002)
    raise Failed("the image is not in the directory")
