"""Takes the pictures of the page for docs/images: a daemon that has been busy for five minutes, in light, dark and on a phone."""

import os
import random
import struct
import sys
import threading
import time
import urllib.request
import zlib

from browser import Browser
from daemon import ROOT, Daemon, Origin

MIB, GIB = 1 << 20, 1 << 30
SECONDS = int(os.environ.get("ICEWELL_SECONDS", "300"))
NAMES = """debian-13-genericcloud-amd64.qcow2 debian-12-genericcloud-amd64.qcow2 ubuntu-26.04-server-cloudimg-amd64.img
ubuntu-24.04-server-cloudimg-amd64.img Rocky-10-GenericCloud.x86_64.qcow2 Rocky-9-GenericCloud.x86_64.qcow2
Fedora-Cloud-Base-44.x86_64.qcow2 alpine-3.24-x86_64-uefi-cloudinit.qcow2 cirros-0.6.3-x86_64-disk.img
opensuse-leap-16.0-cloud.qcow2 freebsd-15.0-release-amd64.qcow2 flatcar-4459.2.0-openstack.img
windows-server-2025-eval.qcow2 octavia-amphora-2026.1.qcow2 kubernetes-node-1.35-ubuntu.qcow2""".split()


def furnish(folder, origin):
    """A cache as it looks after some weeks in front of this origin. The files are sparse."""
    chance, now = random.Random(7), time.time()
    folder.mkdir()
    os.setxattr(folder, "user.icewell.version", b"1")
    os.setxattr(folder, "user.icewell.origin", origin.url.encode())
    for place, name in enumerate(NAMES):
        path = folder / name
        with open(path, "wb") as file:
            file.truncate(int(chance.uniform(0.1, 5.5) * GIB))
        os.setxattr(path, "user.hits", str(int(chance.expovariate(1 / 90))).encode())
        used = now - 3600 * chance.uniform(0.1, 3) * (place + 0.1) ** 1.5
        os.utime(path, (used, used))
    os.setxattr(folder / "octavia-amphora-2026.1.qcow2", "user.icewell.pinned", b"1")


def traffic(daemon, origin, end):
    """Clients that ask for the same few images, and for a new one now and then."""
    chance, number = random.Random(11), 0
    while time.monotonic() < end:
        if chance.random() < 0.12:
            number += 1
            origin.images[f"nightly-{number:03}.img"] = bytes(int(chance.uniform(4, 40) * MIB))
        name = f"nightly-{max(1, number - int(chance.expovariate(0.6))):03}.img"
        if number:
            daemon.get(name)
        time.sleep(chance.uniform(0.02, 0.5) * (1.5 if int(end - time.monotonic()) // 40 % 2 else 0.5))


def smaller(file):
    """The same picture, packed as well as can be."""
    data, at, kept, packed = file.read_bytes(), 8, [], b""
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at:at + 4]), data[at + 4:at + 8]
        if kind == b"IDAT":
            packed += data[at + 8:at + 8 + length]
        else:
            kept.append((kind, data[at + 8:at + 8 + length]))
        at += 12 + length
    kept.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(packed), 9)))
    chunks = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in kept]
    file.write_bytes(data[:8] + b"".join(chunks))


def main():
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    origin = Origin()
    furnished = lambda folder: furnish(folder, origin)
    with Daemon(origin, "--max-size", "48GiB", furnish=furnished) as daemon, Browser() as browser:
        # It goes on while the pictures are taken.
        clients = threading.Thread(target=traffic, args=(daemon, origin, time.monotonic() + SECONDS + 60), daemon=True)
        clients.start()
        clients.join(SECONDS)
        origin.images["broken-2026-11-26.img"] = bytes(3 * MIB)
        daemon.get("broken-2026-11-26.img")
        for name, size in [("slow-postgres-appliance.qcow2", 190), ("slow-ci-runner-2026-11-27.qcow2", 64)]:
            origin.images[name] = bytes(size * MIB)
            for _ in range(3 if size > 100 else 1):
                threading.Thread(target=daemon.get, args=(name,), daemon=True).start()
        time.sleep(2)
        for file, scheme, width, height, phone in [
            ("page-light.png", "light", 1200, 1060, False),
            ("page-dark.png", "dark", 1200, 1060, False),
            ("page-phone.png", "light", 390, 1280, True),
        ]:
            browser.looks(scheme, width, height, phone)
            take(browser, daemon.admin + "/", folder / file)
        origin.go_on.set()
        prune(daemon, 28 * GIB)
        daemon.get("down-for-maintenance.qcow2")
        browser.looks("light", 1200, 1240, False)
        take(browser, daemon.admin + "/#going", folder / "page-gone.png")


def prune(daemon, size):
    address = f"{daemon.admin}/v1/prune?dry_run=no&max_size={size}"
    request = urllib.request.Request(address, method="POST", headers={"X-Icewell-Request": "page"})
    with urllib.request.urlopen(request) as answer:
        answer.read()


def take(browser, address, file):
    browser.open(address)
    time.sleep(3)
    # What the page shows first, or what the address names.
    browser.run("document.getElementById(location.hash.slice(1) || 'health')?.scrollIntoView()" if "#" in address else "0")
    browser.picture(file, whole=False)
    smaller(file)
    print(file.name, file.stat().st_size // 1024, "KiB", file=sys.stderr)


main()
