"""The databases of a cloud just made, kept under target/: making them takes ten times as long as starting on them."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from bed import ini, users
from bed.keystone import Keystone, populate, write_config
from bed.server import environment

HERE = pathlib.Path(__file__).parent


def template(target):
    """The folder to copy from: keystone.sqlite with its keys, and glance.sqlite. Made at the first call."""
    ready = target / "glance-bed-template" / _recipe()
    if not ready.exists():
        ready.parent.mkdir(parents=True, exist_ok=True)
        for outdated in ready.parent.iterdir():
            shutil.rmtree(outdated, ignore_errors=True)
        work = pathlib.Path(tempfile.mkdtemp(dir=target, prefix="glance-bed-template."))
        try:
            _make(work)
            work.rename(ready)
        except OSError:
            if not ready.exists():  # else another run was faster
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return ready


def _recipe():
    """What the template is made from, in short."""
    digest = hashlib.sha256(sys.version.encode())
    for source in ("../requirements.txt", "users.py", "keystone.py", "template.py"):
        digest.update((HERE / source).read_bytes())
    return digest.hexdigest()[:16]


def _make(folder):
    keystone_conf, glance_conf = write_config(folder), folder / "glance-api.conf"
    ini.write(glance_conf, {"database": ini.sqlite(folder / "glance.sqlite")})
    whose = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    _run(folder, "glance-manage", glance_conf, "db", "sync")
    _run(folder, "keystone-manage", keystone_conf, "db_sync")
    _run(folder, "keystone-manage", keystone_conf, "fernet_setup", *whose)
    _run(folder, "keystone-manage", keystone_conf, "credential_setup", *whose)
    url = "http://127.0.0.1:9"  # the real one is written at each start
    _run(
        *(folder, "keystone-manage", keystone_conf, "bootstrap", "--bootstrap-password", users.password_of("admin")),
        *("--bootstrap-public-url", url, "--bootstrap-internal-url", url, "--bootstrap-admin-url", url),
        *("--bootstrap-region-id", "RegionOne"),
    )
    keystone = Keystone(folder)
    try:
        keystone.server.start()
        populate(keystone)
    finally:
        keystone.server.stop()


def _run(folder, program, config, *arguments):
    command = [sys.executable, pathlib.Path(sys.prefix) / "bin" / program, "--config-file", config, *arguments]
    done = subprocess.run(command, env=environment(folder), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{program} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
