"""Real file systems for the campaign: on a disk whose power can be cut (`disk.py`), and small ones to be filled."""

import ctypes
import mmap
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
LOOPFS = HERE.parents[1] / "scripts" / "loopfs.sh"
MIB = 1 << 20
# sched.h, sys/mount.h
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 1 << 14, 1 << 18
# Below 300 MB there is no XFS; the file is sparse.
SIZE = {"ext4": 320 * MIB, "xfs": 320 * MIB}
MKFS = {"ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"], "xfs": ["mkfs.xfs", "-q"]}


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()


def patiently(*command):
    """What was killed a moment ago may still be letting go."""
    end = time.monotonic() + 20
    while True:
        try:
            return run(*command)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class PowerDisk:
    """A file system on a disk with a volatile cache."""

    def __init__(self, folder, kind, options=""):
        self.kind, self.options = kind, options
        self.image, self.fuse, self.path = folder / "disk.img", folder / "disk", folder / "mnt"
        self.fuse.mkdir()
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(SIZE[kind])
        run(*MKFS[kind], self.image)
        self.mounted = False
        self.process = subprocess.Popen(
            [sys.executable, "-B", HERE / "disk.py", self.image, self.fuse], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.read()
        self.mount()

    def order(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise OSError("the disk's process has ended")
        return line.strip()

    def mount(self):
        # Of two who look for a free one at once, one is told that it is busy.
        loop = patiently("losetup", "-f", "--show", self.fuse / "disk")
        run("mount", "-t", self.kind, "-o", "rw," + self.options if self.options else "rw", loop, self.path)
        self.mounted = True
        # It goes by itself with the mount, also where that goes because everybody was killed.
        run("losetup", "-d", loop)

    def unmount(self):
        # A file system that has shut down answers no question, not even whether it is mounted.
        if self.mounted:
            patiently("umount", self.path)
            self.mounted = False

    def cut(self, blocks, seed, share, patience=1):
        """The power goes when so many blocks more are written, or when nothing is written any more: the moment, how many
        blocks were not flushed then, and how many of them are lost."""
        self.order("cut", blocks, seed, share)
        end = time.monotonic() + patience
        while (state := self.order("state")) == "on":
            if time.monotonic() > end:
                self.order("cut", 0, seed, share)
            time.sleep(0.002)
        _, moment, unflushed, survived = state.split()
        return float(moment), int(unflushed), int(unflushed) - int(survived)

    def power(self):
        """After a cut, once nobody uses the file system any more: mounts what the disk then has."""
        self.unmount()
        self.order("power")
        self.mount()

    def sync(self):
        """Has what is not written yet written, whatever becomes of it."""
        subprocess.run(["sync", "-f", self.path], capture_output=True)

    def rot(self, content, at):
        """Turns a bit of this content over, wherever it lies on the disk, behind the file system's back."""
        wanted = content[at : at + 64]
        places = []
        with open(self.image, "rb") as image, mmap.mmap(image.fileno(), 0, prot=mmap.PROT_READ) as whole:
            place = whole.find(wanted)
            while place >= 0:
                places.append(place)
                place = whole.find(wanted, place + 1)
        for place in places:
            self.order("flip", place)
        return len(places)

    def close(self):
        try:
            self.unmount()
        finally:
            subprocess.run(["umount", "-l", self.fuse], capture_output=True)
            self.process.stdin.close()
            self.process.wait(20)


class SmallDisk:
    """A small file system, by the project's script."""

    def __init__(self, folder, kind, megabytes):
        self.path = folder / "small"
        run(LOOPFS, "mount", kind, megabytes, self.path)

    def free(self):
        room = os.statvfs(self.path)
        return room.f_bavail * room.f_frsize

    def remount(self, options):
        run("mount", "-o", f"remount,{options}", self.path)

    def close(self):
        run(LOOPFS, "umount", self.path)


def keep_to_ourselves():
    """Takes this process, and all that it starts, into a mount namespace of its own: nobody else holds on to what is mounted
    here, and nothing stays mounted when they are gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) == 0:
        libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)


def can_mount():
    """Why nothing can be mounted here, or nothing."""
    if os.geteuid() != 0:
        return "only root can mount"
    if not os.path.exists("/dev/fuse") or not os.path.exists("/dev/loop-control"):
        return "there is no /dev/fuse, or no /dev/loop-control"
    return ""
