"""Servers as process trees: started, watched from /proc, and ended on every way out."""

import ctypes
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

START_TIMEOUT = 60
STOP_TIMEOUT = 10
PR_SET_PDEATHSIG = 1
PROCESS_MADVISE, MADV_PAGEOUT = 440, 21  # the same on all machines but Alpha
TICKS = os.sysconf("SC_CLK_TCK")

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Tree:
    """A process and all that it has started."""

    def __init__(self, command, log, environ=None, **options):
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=options.pop("stdin", subprocess.DEVNULL),
                stdout=options.pop("stdout", out),
                stderr=out,
                env=os.environ | (environ or {}),
                start_new_session=True,
                preexec_fn=_die_with_parent,
                **options,
            )
        self.log = pathlib.Path(log)
        self.root = self.process.pid

    def pids(self):
        """The processes of the tree that are alive."""
        return descendants(self.root)

    def wait_for_port(self, port):
        """Until somebody listens there; raises with the end of the log if the process ends or takes too long."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"ended with {self.process.returncode}: {self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"does not listen on {port}: {self.log_tail()}")

    def log_tail(self):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:])

    def stop(self):
        """Ends all of it, politely at first."""
        pids = self.pids()
        self._signal([self.root], signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            pids = self.pids()
        # A number may by now be another's: only what is still of our session may be ended by it.
        self._signal([pid for pid in pids if self._is_ours(pid)], signal.SIGKILL)
        self.process.wait()

    def _is_ours(self, pid):
        try:
            return os.getsid(pid) == self.root
        except OSError:
            return False

    @staticmethod
    def _signal(pids, number):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def descendants(root):
    """This process and all below it that are alive."""
    children = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int(_stat(folder)[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        if pathlib.Path(f"/proc/{pid}").exists():
            found.append(pid)
        todo += children.get(pid, [])
    return found


def _stat(folder):
    """The fields of /proc/PID/stat after the name, which may have blanks in it: state, parent, …"""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def usage(pids):
    """Processor seconds and bytes read from the disk by these processes so far."""
    cpu = disk = 0
    for pid in pids:
        folder = pathlib.Path(f"/proc/{pid}")
        try:
            fields = _stat(folder)
            cpu += (int(fields[11]) + int(fields[12])) / TICKS
            disk += _number(r"^read_bytes: (\d+)", (folder / "io").read_text())
        except OSError:
            continue
    return {"cpu_seconds": cpu, "disk_bytes": disk}


def memory(pids):
    """Resident bytes of these processes, shared ones in parts (PSS): all, and without the pages of files."""
    pss = files = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        pss += _number(r"^Pss:\s+(\d+)", text) * 1024
        files += _number(r"^Pss_File:\s+(\d+)", text) * 1024
    return {"pss": pss, "own": pss - files}


def socket_memory():
    """Bytes in buffers of all TCP sockets of the machine: what slow clients cost besides processes' memory."""
    text = pathlib.Path("/proc/net/sockstat").read_text()
    return _number(r"^TCP:.* mem (\d+)", text) * os.sysconf("SC_PAGE_SIZE")


class _Piece(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def page_out(pids, folder):
    """Takes from these processes the pages of files under `folder` that they have mapped, as want of memory would.

    Emptying the page cache spares mapped pages. What is dirty has to be on the disk before, so it is synced.
    """
    os.sync()
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
            lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if not line.endswith(")") and str(folder) in line:
                first, last = (int(end, 16) for end in line.split(maxsplit=1)[0].split("-"))
                piece = _Piece(first, last - first)
                _libc.syscall(PROCESS_MADVISE, handle, ctypes.byref(piece), ctypes.c_size_t(1), MADV_PAGEOUT, 0)
        os.close(handle)


def _number(pattern, text):
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match else 0
