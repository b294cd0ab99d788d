"""A real Glance under a real WSGI server, gunicorn or uWSGI: file store, sqlite, nobody has to log in, image cache on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import requests

BIN = Path(sys.executable).parent

CONF = """
[DEFAULT]
image_cache_dir = {base}/cache
image_cache_driver = xattr
image_cache_max_size = {max_size}
enabled_backends = files:file
node_staging_uri = file://{base}/staging
enabled_import_methods = []
[database]
connection = sqlite:///{base}/glance.sqlite
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = {base}/store
[os_glance_staging_store]
filesystem_store_datadir = {base}/staging
[os_glance_tasks_store]
filesystem_store_datadir = {base}/tasks
[paste_deploy]
config_file = {base}/paste.ini
flavor = cachemanagement
[oslo_policy]
policy_file = {base}/policy.json
[oslo_concurrency]
lock_path = {base}/locks
"""


class GlanceServer:
    """One Glance with a directory of its own."""

    def __init__(
        self,
        base,
        database,
        *,
        application="icewell.glance.wsgi:application",
        server="gunicorn",
        cache_filter=None,
        preload=True,
        workers=2,
        max_size=10 << 30,
    ):
        self.base = base
        self.cache_dir = base / "cache"
        self._application = application
        # With `preload` the application is loaded and configured, and then the workers are forked.
        self._command = {"gunicorn": _gunicorn, "uwsgi": _uwsgi}[server](preload, workers)
        for folder in ("store", "staging", "tasks", "locks", "cache"):
            (base / folder).mkdir(parents=True)
        shutil.copy(database, base / "glance.sqlite")
        (base / "glance-api.conf").write_text(CONF.format(base=base, max_size=max_size))
        (base / "policy.json").write_text(json.dumps(_everything_is_allowed()))
        paste = (BIN.parent / "etc/glance/glance-api-paste.ini").read_text()
        if cache_filter is not None:
            paste, replaced = re.subn(
                r"(\[filter:cache\]\npaste.filter_factory = ).*", rf"\g<1>{cache_filter}", paste
            )
            assert replaced == 1
        (base / "paste.ini").write_text(paste)

    @staticmethod
    def make_database(folder):
        """Makes an empty database of Glance's in the folder; its path."""
        database = folder / "glance.sqlite"
        (folder / "glance.conf").write_text(f"[database]\nconnection = sqlite:///{database}\n")
        command = [BIN / "glance-manage", "--config-file", folder / "glance.conf", "db", "sync"]
        subprocess.run(command, check=True, capture_output=True)
        return database

    def start(self):
        log = open(self.base / "log", "wb")
        self._process = subprocess.Popen(
            [*self._command, self._application],
            env=os.environ | {"OS_GLANCE_CONFIG_DIR": str(self.base), "NO_PROXY": "*"},
            stdout=log,
            stderr=log,
        )
        self.url = wait_for(lambda: self._listening(), 180, self.log)
        wait_for(lambda: len(self.workers()) > 0, 60, self.log)

    def _listening(self):
        assert self._process.poll() is None, self.log()
        said = re.search(r"(?:Listening at: http://|bound to TCP address )([\d.:]+)", self.log())
        return said and f"http://{said[1]}"

    def log(self):
        return (self.base / "log").read_text(errors="replace")

    def workers(self):
        """The IDs of its worker processes."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(child) for child in children.read_text().split()]

    def kill_workers(self):
        """Kills its workers as a crash would; others take their place."""
        for worker in self.workers():
            os.kill(worker, signal.SIGKILL)

    def serve_by(self, application):
        """Names another application for the next start."""
        self._application = application

    def stop(self):
        self._process.terminate()
        self._process.wait(30)

    # What a client does.

    def create(self, data):
        """A new image; its ID."""
        image_id = str(uuid.uuid4())
        image = {"id": image_id, "name": "a name", "disk_format": "raw", "container_format": "bare"}
        requests.post(f"{self.url}/v2/images", json=image, timeout=60).raise_for_status()
        upload = requests.put(
            self.file_url(image_id), data=data, headers={"Content-Type": "application/octet-stream"}, timeout=60
        )
        upload.raise_for_status()
        return image_id

    def file_url(self, image_id):
        return f"{self.url}/v2/images/{image_id}/file"

    def download(self, image_id, **headers):
        return requests.get(self.file_url(image_id), headers=headers, timeout=60)

    def cached(self):
        """What its API says is cached: ID to the whole entry."""
        listed = requests.get(f"{self.url}/v2/cache", timeout=60)
        listed.raise_for_status()
        return {image["image_id"]: image for image in listed.json()["cached_images"]}


def _gunicorn(preload, workers):
    command = [BIN / "gunicorn", "--bind", "127.0.0.1:0", "--timeout", "120", "--graceful-timeout", "2"]
    command += ["--workers", str(workers), "--worker-class", "gthread", "--threads", "8"]
    return [*command, "--preload"] if preload else command


def _uwsgi(preload, workers):
    command = [BIN / "uwsgi", "--http-socket", "127.0.0.1:0", "--virtualenv", sys.prefix, "--master", "--die-on-term"]
    command += ["--processes", str(workers), "--threads", "8", "--enable-threads", "--worker-reload-mercy", "2"]
    return [*command, *([] if preload else ["--lazy-apps"]), "--module"]


def _everything_is_allowed():
    from glance import policies

    return {rule.name: "" for rule in policies.list_rules()}


def wait_for(question, seconds, what=lambda: ""):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what()}"
        time.sleep(0.02)
