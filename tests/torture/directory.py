"""The cache directory as it lies on the disk, read without any of Icewell's code."""

import os
import stat
import threading

FOLDERS = ("", "incomplete", "incomplete/.icewell", "invalid")
CHUNK = 1 << 20


def regular_files(folder):
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield entry.name, status


def names(directory, folder=""):
    return {name for name, _ in regular_files(os.path.join(directory, folder))}


def tag(path, key):
    try:
        return os.getxattr(path, f"user.icewell.{key}").decode(errors="replace")
    except OSError:
        return None


def check_images(directory, origin, tally, where, misnamed=()):
    """Compares every cached image with what it should be; the names of those that are there.

    `misnamed` are names under which an operator may have put other files; such a file must bear another ID in its tag.
    """
    there = set()
    for name in sorted(names(directory)):
        path = os.path.join(directory, name)
        owner = tag(path, "id")
        if owner is not None and owner != name:
            tally.expect(name in misnamed, f"{where}: the file {name} bears the tag of {owner}")
            continue
        versions = origin.versions.get(name)
        if not tally.expect(versions, f"{where}: a file {name} that nobody put there"):
            continue
        verdict = compare(path, versions, tally)
        if verdict is None:
            continue
        tally.expect(verdict == "", f"{where}: the cached image {name} {verdict}")
        # It may have been removed between the listing and this look.
        if owner is None and os.path.exists(path):
            tally.wrong(f"{where}: the cached image {name} has no tag")
        there.add(name)
    return there


def compare(path, versions, tally):
    """None if it is gone, nothing if it is one of these versions, else what is wrong."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | getattr(os, "O_NOATIME", 0))
    except OSError:
        return None
    with os.fdopen(file, "rb", buffering=0) as data:
        at, candidates = 0, list(versions)
        while chunk := data.read(CHUNK):
            candidates = [image for image in candidates if image.bytes[at : at + len(chunk)] == chunk]
            if not candidates:
                return f"differs from what it should be, within 1 MiB from byte {at}"
            at += len(chunk)
            tally.add("compared", len(chunk))
    tally.add("files")
    if any(image.size == at for image in candidates):
        return ""
    return f"has {at} bytes and should have {candidates[0].size}"


class Watch:
    """Adds up the bytes under DIR again and again; more than the limit is wrong.

    A look is no moment: what vanishes and what comes meanwhile would both be counted. So there are two, and what counts is
    the lesser size of the files that both have seen: so much was there at one time.
    """

    def __init__(self, directory, limit, tally):
        self.directory, self.limit, self.tally = directory, limit, tally
        self.stopping, self.free, self.paused = threading.Event(), threading.Lock(), False
        self.most = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        before = {}
        while not self.stopping.wait(0.01):
            with self.free:
                now = self.look()
            there = sum(min(size, now[file]) for file, size in before.items() if file in now)
            self.most = max(self.most, there)
            self.tally.add("looks")
            if there > self.limit:
                self.tally.wrong(f"{there} bytes under DIR, of {self.limit} allowed: {self.listing()}")
                return
            before = now

    def look(self):
        seen = {}
        for folder in FOLDERS:
            for name, status in regular_files(os.path.join(self.directory, folder)):
                # The name as well, because the number of a removed file is soon another's.
                seen[name, status.st_ino] = status.st_size
        return seen

    def listing(self):
        return {folder: {name: status.st_size for name, status in regular_files(os.path.join(self.directory, folder))} for folder in FOLDERS}

    def pause(self):
        """Lets go of the directory, so that its file system can be unmounted."""
        self.free.acquire()
        self.paused = True

    def go_on(self):
        self.paused = False
        self.free.release()

    def stop(self):
        self.stopping.set()
        if self.paused:
            self.go_on()
        self.thread.join()


def error(directory, name):
    """Why a fill was set aside."""
    try:
        return os.getxattr(os.path.join(directory, "invalid", name), "user.error").decode(errors="replace")
    except OSError:
        return None
