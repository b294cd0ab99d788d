"""What a run was made on and with."""

import contextlib
import datetime
import os
import pathlib
import re
import resource
import subprocess

from harness.servers import ROOT

COMMANDS = {
    "nginx": ["nginx", "-v"],
    "varnish": ["varnishd", "-V"],
    "trafficserver": ["traffic_server", "-V"],
    "squid": ["squid", "-v"],
    "wrk": ["wrk", "-v"],
    "h2load": ["h2load", "--version"],
}
CONGESTION = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")


@contextlib.contextmanager
def congestion(name):
    """Has new connections of the whole machine controlled by this, while the block runs. It takes root."""
    before = CONGESTION.read_text()
    CONGESTION.write_text(name)
    try:
        yield
    finally:
        CONGESTION.write_text(before)


def many_files():
    """As many open files as this user may have, for us and what we start: thousands of connections need it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def shape(folder):
    """Processor, memory, kernel and the file system under `folder`."""
    cpu = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "cpu": cpu[1].strip() if cpu else os.uname().machine,
        "cores": os.cpu_count(),
        "memory_bytes": int(memory[1]) * 1024,
        "kernel": os.uname().release.split("-")[0],
        "file_system": _said(["findmnt", "-n", "-o", "FSTYPE", "-T", folder]).strip(),
        "congestion": CONGESTION.read_text().strip(),
        "load_before": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(),
    }


def versions(icewells):
    """Each program's own word for its version; programs that are not there are left out."""
    found = {}
    for name, command in COMMANDS.items():
        version = re.search(r"\d+(\.\d+)+", _said(command))
        if version:
            found[name] = version[0]
    for name, binary in icewells.items():
        found[name] = _said([binary, "--version"]).strip()
    commit = _said(["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=12"]).strip()
    pinned = re.search(r"^glance==(.*)", (ROOT / "tests/glance/requirements.txt").read_text(), re.MULTILINE)
    return found | {"glance": pinned[1] if pinned else "?", "commit": commit}


def available_memory():
    memory = re.search(r"^MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(memory[1]) * 1024


def _said(command):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
