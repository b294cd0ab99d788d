"""The real daemon, in front of an origin that holds bytes back until the test lets them go."""

import http.server
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
ICEWELL = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "icewell"


class Origin(http.server.ThreadingHTTPServer):
    """Images by name; `slow-…` stops in the middle until `go_on` is set, `broken-…` breaks off there; `down-…` is a 503."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.images = {}
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        image = self.server.images.get(name)
        if image is None:
            self.send_error(503 if name.startswith("down-") else 404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(image)))
        self.send_header("ETag", f'"{len(image)}"')
        self.send_header("Cache-Control", "max-age=3600")
        self.end_headers()
        half = len(image) // 2
        self.wfile.write(image[:half])
        self.wfile.flush()
        if "broken-" in name:
            self.close_connection = True
            return
        if "slow-" in name:
            self.server.go_on.wait(60)
        self.wfile.write(image[half:])

    def log_message(self, *_):
        pass


class Daemon:
    """`icewell serve`, with a directory of its own; `with Daemon(origin) as daemon: …` ends it."""

    def __init__(self, origin, *options, furnish=None):
        self.origin, self.options, self.furnish = origin, options, furnish

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="icewell-page-")
        self.dir = pathlib.Path(self.folder.name) / "cache"
        if self.furnish:
            self.furnish(self.dir)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ICEWELL_")}
        command = [ICEWELL, "serve", "--dir", self.dir, "--origin", self.origin.url, "--listen", "127.0.0.1:0",
                   "--admin", "127.0.0.1:0", *self.options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r" listen=(\S+) .* admin=Some\(([^)]+)\)", line)
            if found:
                break
        else:
            raise AssertionError("the daemon does not start: " + "".join(self.log))
        self.url, self.admin = (f"http://{address}" for address in found.groups())
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.folder.cleanup()

    def get(self, name):
        """What a client gets; None where it broke off."""
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.url}/{name}", timeout=60) as answer:
                return answer.read()
        except OSError:
            return None
        except Exception:  # http.client.IncompleteRead is no OSError
            return None

    def cached(self):
        return {path.name for path in self.dir.iterdir() if path.is_file()}
