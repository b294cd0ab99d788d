"""The clients: wrk for many small requests, `bench-reader` (bench/http/src/reader) for all else."""

import json
import os
import re
import resource
import subprocess
import time

from harness import process
from harness.servers import CORES, ROOT

READER = ROOT / "target/release/bench-reader"


class Failed(Exception):
    """A server did not do what it was asked for; the text says what."""


def wrk(server, path, connections, seconds):
    """Requests a second over connections that stay open."""
    scheme = "https" if server.tls else "http"
    command = ["wrk", f"-t{min(CORES, connections)}", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += [word for field in _fields(server) for word in ("-H", field)]
    with _watched(server) as spent:
        said = _run([*command, f"{scheme}://127.0.0.1:{server.port}{path}"])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])
    count = int(re.search(r"(\d+) requests in", said)[1])
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    errors = re.search(r"Socket errors: (.*)", said)
    if bad or count == 0:
        raise Failed(f"{bad[1] if bad else 'no'} of {count} answers {'not 200' if bad else ''}".strip())
    result = {"requests_per_second": rate, "cpu_seconds_per_1000": 1000 * spent["cpu_seconds"] / count}
    return result | ({"errors": errors[1]} if errors else {}) | _client_share(spent)


def h2load(server, path, connections, streams, seconds):
    """Requests and bytes a second over HTTP/2. It decrypts and copies, unlike our own reader."""
    command = ["h2load", f"-t{min(CORES, connections)}", f"-c{connections}", f"-m{streams}", f"-D{seconds}"]
    with _watched(server) as spent:
        said = _run([*command, f"https://127.0.0.1:{server.port}{path}"])
    if "Application protocol: h2" not in said:
        raise Failed("no HTTP/2")
    rate = float(re.search(r"finished in [^,]*, ([\d.]+) req/s", said)[1])
    count = int(re.search(r"status codes: (\d+) 2xx", said)[1])
    data = int(re.search(r"\((\d+)\) data", said)[1])
    if re.search(r" [1-9]\d* [345]xx", said) or not data:
        raise Failed(re.search(r"requests: .*", said)[0])
    result = {"requests_per_second": rate, "cpu_seconds_per_1000": 1000 * spent["cpu_seconds"] / max(count, 1)}
    result |= {"bytes_per_second": data / seconds, "cpu_seconds_per_gb": spent["cpu_seconds"] / (data / 1e9)}
    return result | _client_share(spent)


def load(server, path, size, clients, seconds, range_bytes=None, at_half=None):
    """Bytes a second to clients that ask again and again. `at_half` is called in the middle, its answer kept."""
    command = [*_reader("load", server, path, size, clients), "--seconds", str(seconds)]
    if range_bytes:
        command += ["--range", str(range_bytes)]
    with _watched(server) as spent:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            seen = {}
            if at_half:
                time.sleep(seconds / 2)
                seen = at_half()
            out, err = running.communicate(timeout=seconds + 60)
        except subprocess.TimeoutExpired:
            raise Failed(f"not all of {clients} clients had an answer after {seconds + 60:.0f} s") from None
        finally:
            running.kill()
            running.wait()
    said = _report(running, out, err)
    if said["errors"] or not said["bytes"]:
        raise Failed(_errors(said) or "no byte came")
    return {
        "bytes_per_second": said["bytes"] / said["seconds"],
        "answers_per_second": said["answers"] / said["seconds"],
        "cpu_seconds_per_gb": spent["cpu_seconds"] / (said["all_bytes"] / 1e9),
        "disk_share": spent["disk_bytes"] / said["all_bytes"],
        **_client_share(spent),
        **seen,
    }


def once(server, path, size, clients, seconds, join_after=None):
    """One download for each client: the reader's report, with what it cost the server."""
    command = [*_reader("once", server, path, size, clients), "--seconds", str(seconds)]
    if join_after:
        command += ["--join-after", str(join_after)]
    with _watched(server) as spent:
        said = json.loads(_run(command))
    return said | {"cpu_seconds": spent["cpu_seconds"], "disk_bytes": spent["disk_bytes"]}


class Slow:
    """Clients that read little, while the block runs; `answered` is how many have got an answer."""

    def __init__(self, server, path, size, clients, rate, seconds):
        self._command = [*_reader("slow", server, path, size, clients), "--rate", str(rate)]
        self._command += ["--seconds", str(seconds)]

    def __enter__(self):
        pipe = subprocess.PIPE
        self._running = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        line = self._running.stdout.readline()
        if not line:
            raise Failed(self._running.communicate()[1].strip())
        self.answered = json.loads(line)["answered"]
        return self

    def end(self):
        """Ends it: how many connections were still good, and how much was read."""
        out, err = self._running.communicate("")
        return _report(self._running, out, err)

    def __exit__(self, *_):
        self._running.kill()
        self._running.wait()


def _reader(mode, server, path, size, clients):
    command = [str(READER), mode, "--server", f"127.0.0.1:{server.port}", "--path", path]
    command += ["--clients", str(clients), "--size", str(size)]
    command += [word for field in _fields(server) for word in ("--field", field)]
    return command + (["--tls", str(server.setting.certificate)] if server.tls else [])


def _fields(server):
    return [f"{name}: {value}" for name, value in server.fields.items()]


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{os.path.basename(command[0])}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _report(running, out, err):
    if running.returncode:
        raise Failed(f"{READER.name}: {err.strip()[-300:]}")
    return json.loads(out.splitlines()[-1])


def _errors(said):
    return "; ".join(f"{text} ({count}×)" for text, count in said["errors"].items())


class _watched(dict):
    """What a server's processes, and the client's, spend while the block runs."""

    def __init__(self, server):
        super().__init__()
        self._server = server

    def __enter__(self):
        self._begun = time.monotonic()
        self._client = _children()
        self._before = process.usage(self._server.pids())
        return self

    def __exit__(self, *_):
        after = process.usage(self._server.pids())
        self.update({name: max(0, after[name] - self._before[name]) for name in after})
        self["client_cpu_seconds"] = _children() - self._client
        self["elapsed"] = time.monotonic() - self._begun


def _children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _client_share(spent):
    """The part of the machine that the client took: near what the server took, it is a limit itself."""
    return {"client_cpu_share": spent["client_cpu_seconds"] / spent["elapsed"] / CORES}
