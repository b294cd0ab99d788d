"""The real daemon and the real command, and how they are killed."""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
ICEWELL = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "icewell"
# Whatever takes longer than this hangs.
PATIENCE = 60

ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("ICEWELL_") and not name.lower().endswith("_proxy") and name != "RUST_LOG"
}


def until(holds, what, tally, patience=PATIENCE):
    """Waits until something holds; that it never does is wrong."""
    end = time.monotonic() + patience
    while not holds():
        if time.monotonic() > end:
            return tally.expect(False, f"in vain: {what}")
        time.sleep(0.005)
    return True


def dies_at(point):
    """Has a build for development die at this failpoint (CONTRIBUTING.md), `any:37` or `commit.renamed:2`."""
    return {"ICEWELL_FAIL": f"{point}=kill"}


class Commands:
    """Runs `icewell` on one directory, and knows how long each verb takes, so that it can be killed within that."""

    def __init__(self, directory, tally):
        self.directory, self.tally = directory, tally
        self.usual = {}

    def start(self, verb, *arguments, stdin=subprocess.DEVNULL, **environment):
        command = [ICEWELL, verb, "--dir", self.directory, *map(str, arguments)]
        return subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **environment}
        )

    def run(self, verb, *arguments):
        """Exit status and output."""
        began = time.monotonic()
        process = self.start(verb, *arguments)
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.tally.wrong(f"icewell {verb} {arguments} hangs")
            return None, ""
        self.learn(verb, time.monotonic() - began)
        return process.returncode, output.decode(errors="replace")

    def learn(self, verb, seconds):
        self.usual[verb] = (self.usual.get(verb, seconds) + seconds) / 2

    def kill(self, when, verb, *arguments):
        """Starts it and kills it: after a share of the time that it usually takes, or at a failpoint. It may
        have ended before."""
        if verb not in self.usual:
            self.run(verb, *arguments)
        began = time.monotonic()
        if "point" in when:
            process, patience = self.start(verb, *arguments, **dies_at(when["point"])), PATIENCE
        else:
            process, patience = self.start(verb, *arguments), self.usual[verb] * when["share"]
        try:
            process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.tally.expect("share" in when, f"icewell {verb} {arguments} hangs")
        if process.returncode == -signal.SIGKILL:
            self.tally.add("kills")
            self.tally.add("kills of a command")
            self.tally.add("kills at a point", "point" in when)
        else:
            self.tally.expect(process.returncode in (0, 1), f"icewell {verb} {arguments} ends with {process.returncode}")
            self.learn(verb, time.monotonic() - began)


class Daemon:
    """`icewell serve`, which can be killed and started again."""

    def __init__(self, directory, origin, tally, *options):
        self.directory, self.origin, self.tally, self.options = directory, origin, tally, options
        self.process, self.address, self.admin = None, None, None
        self.up = threading.Event()
        self.log = []
        # Whether it is to die by itself.
        self.doomed = False

    def start(self, point=None):
        """Starts it and waits until it listens. One that is to die at a failpoint may never do."""
        self.doomed = point is not None
        environment = dies_at(point) if self.doomed else {}
        command = [ICEWELL, "serve", "--dir", self.directory, "--origin", self.origin.url, "--listen", "127.0.0.1:0"]
        command += ["--admin", "127.0.0.1:0", "--drain-timeout", "300ms", *self.options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, "ICEWELL_MIN_FREE": "0", **environment})
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r" listen=(\S+) .* admin=Some\(([^)]+)\)", line)
            if found:
                break
        else:
            status = self.process.wait()
            if self.doomed and status == -signal.SIGKILL:
                return self
            raise RuntimeError(f"the daemon does not start and ends with {status}: {''.join(self.log[-20:])}")
        threading.Thread(target=self.log.extend, args=(self.process.stderr,), daemon=True).start()
        self.address, self.admin = (address_of(text) for text in found.groups())
        self.up.set()
        return self

    def kill(self):
        self.up.clear()
        ended = self.process.poll()
        if ended is not None and not (self.doomed and ended == -signal.SIGKILL):
            self.tally.wrong(f"the daemon had ended by itself with {ended}: {''.join(self.log[-20:])}")
        self.tally.add("kills at a point", ended is not None)
        self.process.kill()
        self.process.wait()
        self.tally.add("kills")
        self.tally.add("kills of the daemon")

    def stop(self):
        """Asks it to end, as an operator does."""
        if self.process is None or self.process.poll() is not None:
            return
        self.up.clear()
        self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
            self.tally.expect(status == 0, f"the daemon stopped with {status}: {''.join(self.log[-20:])}")
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self.tally.wrong("the daemon does not stop")

    def metric(self, name):
        url = "http://%s:%d/metrics" % self.admin
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=PATIENCE) as answer:
            page = answer.read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if re.match(name + r"[ {]", line))

    def idle(self):
        """Waits until no fill is under way."""
        return until(lambda: self.metric("icewell_fills") == 0, "fills end", self.tally)


def address_of(text):
    host, _, port = text.rpartition(":")
    return host, int(port)
