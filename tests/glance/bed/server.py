"""One WSGI application under gunicorn, as a process group of its own."""

import ctypes
import http.client
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time

START_TIMEOUT = 120  # on a busy machine the imports alone take a while
STOP_TIMEOUT = 10
PR_SET_PDEATHSIG = 1


class Server:
    """A gunicorn that answers `ready_path` on `url` while it runs. It keeps its port over a restart.

    `tls` is None or a certificate's file and its key's.
    """

    def __init__(self, name, application, environ, folder, ready_path, threads=16, workers=1, tls=None):
        self.name = name
        self.log = pathlib.Path(folder) / f"{name}.log"
        self._ready_path = ready_path
        self._process = None
        self._reserved = _bind(0)
        self.port = self._reserved.getsockname()[1]
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._config = pathlib.Path(folder) / f"{name}.gunicorn.py"
        # Keystone reads our command line as its own: so gunicorn's is empty.
        self._environ = environment(folder) | {"GUNICORN_CMD_ARGS": f"--config {self._config}"} | environ
        self._settings = {
            "proc_name": name,
            "wsgi_app": application,
            # One process unless said otherwise, so that what a test changes under it is seen at once. Gunicorn closes
            # idle connections after two seconds, which is hard on a proxy that keeps them: so it stays.
            "workers": workers,
            "worker_class": "gthread",
            "threads": threads,
            "timeout": 300,
            "graceful_timeout": 1,
            # The application alone is to judge X-Forwarded-*.
            "forwarded_allow_ips": "",
            "limit_request_line": 0,
            "control_socket_disable": True,
            "accesslog": "-",
        } | (dict(zip(("certfile", "keyfile"), map(str, tls))) if tls else {})

    @property
    def pid(self):
        """The first process while it runs; its workers are its children."""
        return self._process.pid

    def launch(self):
        """Starts it without waiting, so that others can start meanwhile."""
        reserved = self._reserved or _bind(self.port)
        self._reserved = None
        with reserved, self.log.open("ab") as log:
            settings = self._settings | {"bind": f"fd://{reserved.fileno()}"}
            self._config.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn"],
                env=self._environ,
                pass_fds=[reserved.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        return self

    def wait_ready(self):
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}")
            connection = self._connection(deadline - time.monotonic())
            try:
                connection.request("GET", self._ready_path)
                if connection.getresponse().status < 500:
                    return self
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not answer {self._ready_path} in time:\n{self.log_tail()}")

    def _connection(self, timeout):
        if not self._tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        context = ssl._create_unverified_context()
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=context)

    def start(self):
        return self.launch().wait_ready()

    def stop(self):
        """Ends the whole process group; nobody listens on the port afterwards."""
        if self._reserved:
            self._reserved.close()
            self._reserved = None
        if self._process is None:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, how)
            except ProcessLookupError:
                pass
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def log_tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


def environment(folder):
    """A clean environment: no cloud's credentials, no proxy, no configuration of the user's own."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "no_proxy": "*",
        "PYTHONWARNINGS": "ignore",
    }


def _bind(port):
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound


_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
