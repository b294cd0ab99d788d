"""A Debian of its own for a test: laid over target/package-bed/root, and thrown away with the test. With `Booted` its systemd
runs, in a container of systemd-nspawn; with `Machine` nothing does but what a test starts, as where containers are built."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BED = ROOT / "target" / "package-bed"

# A test that waits longer than this has failed.
PATIENCE = 60


def until(what, holds):
    """Waits until something holds; what it gave then."""
    end = time.monotonic() + PATIENCE
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"in vain: {what}; the last look gave {value!r}")
        time.sleep(0.05)


class Machine:
    """`with Machine() as machine: …` ends it, and all that runs in it."""

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="machine-", dir=BED))
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        self.root = self.folder / "root"
        layers = f"lowerdir={BED / 'root'},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, self.root], check=True)
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.end()
        # What was killed a moment ago may still be letting go.
        until("the machine lets go of its files", lambda: subprocess.run(["umount", self.root]).returncode == 0)
        shutil.rmtree(self.folder)

    def begin(self):
        """A network of its own, so that the daemon's usual ports are free."""
        self.init = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
             'mount --rbind /dev "$1/dev" && mount -t proc proc "$1/proc" && mount -t tmpfs tmpfs "$1/run" && '
             'ip link set lo up && echo up && exec cat', "sh", self.root],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.init.stdout.readline() == "up\n", "the machine has not begun"
        (self.leader,) = children(self.init.pid)
        self.enter = ["nsenter", f"--target={self.leader}", "--mount", "--net", "--pid", "chroot", self.root]

    def end(self):
        self.init.kill()
        self.init.wait()
        self.init.stdin.close()
        self.init.stdout.close()

    def tried(self, *command):
        """Runs a command in it, as root; what it printed on both streams, and its exit status."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        command = [*self.enter, "env", "-i", path, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout.strip(), done.returncode

    def run(self, *command):
        """Runs a command in it that has to succeed; what it printed."""
        printed, status = self.tried(*command)
        if status != 0:
            raise AssertionError(f"{shlex.join(map(str, command))}: {status}\n{printed}")
        return printed

    def start(self, *command):
        """Starts a command in it, in the background."""
        none = subprocess.DEVNULL
        return subprocess.Popen([*self.enter, *command], stdin=none, stdout=none, stderr=none)

    def stop(self, started):
        """Asks what was started to end, and waits for it; nsenter is only its parent."""
        for child in children(started.pid):
            os.kill(child, signal.SIGTERM)
        started.wait(PATIENCE)

    def curl(self, *arguments):
        return self.run("curl", "--silent", "--show-error", "--max-time", str(PATIENCE), *arguments)

    def path(self, name):
        """Where a file of it is, for this process."""
        return self.root / name.lstrip("/")

    def files(self):
        """All files in it but those that every installation of anything changes."""
        own = ("/var/log", "/var/lib/dpkg", "/var/lib/apt", "/var/cache/apt", "/run", "/proc", "/sys", "/dev", "/tmp", "/root")
        prune = [word for folder in own for word in ("-path", folder, "-o")]
        return set(self.run("find", "/", "(", *prune[:-1], ")", "-prune", "-o", "-print").splitlines())


class Booted(Machine):
    """Its systemd runs, and the unit's own filter of system calls is the only one."""

    def begin(self):
        self.log = open(self.folder / "console", "w")
        self.init = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--resolv-conf=off",
             "--timezone=off", "--link-journal=no", f"--machine={self.folder.name.replace('_', '0')}",
             f"--directory={self.root}", "--boot"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, "SYSTEMD_SECCOMP": "0"},
        )  # fmt: skip
        self.leader = until("systemd begins", self.systemd)
        self.enter = ["nsenter", f"--target={self.leader}", "--all"]
        until("systemd has started all", lambda: self.tried("systemctl", "is-system-running")[0] == "running")

    def systemd(self):
        if self.init.poll() is not None:
            raise AssertionError(f"systemd-nspawn has ended:\n{(self.folder / 'console').read_text()}")
        for child in children(self.init.pid):
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                return child
        return None

    def end(self):
        # With its first process a machine ends at once: no test is about how it shuts down.
        for child in children(self.init.pid):
            os.kill(child, signal.SIGKILL)
        self.init.wait(PATIENCE)
        self.log.close()

    def processes(self, name):
        """Those of its services that are called so, by this machine's numbers."""
        return [child for child in children(self.leader) if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == name]

    def show(self, what, unit="icewell.service"):
        return self.run("systemctl", "show", "--value", "--property", what, unit)

    def now(self):
        """Where the journal ends."""
        return self.run("journalctl", "--quiet", "--no-pager", "--lines=0", "--show-cursor").removeprefix("-- cursor: ")

    def journal(self, since):
        """What was said of the service, and by it."""
        return self.run("journalctl", "--quiet", "--no-pager", "--output=cat", "--unit=icewell.service", f"--after-cursor={since}")


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
