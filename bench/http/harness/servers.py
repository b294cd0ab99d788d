"""The servers, one class each: how it is started and what its paths are. What tunes them stands beside each option."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.request

from harness import config, process
from harness.glance import Glance

ROOT = pathlib.Path(__file__).parents[3]
CORES = os.cpu_count()
AUTHORISED = "icewell-glance"
WRITTEN = 1  # seconds, after which Traffic Server has written what it was to keep


class Setting:
    """What a run lends to its servers: folder, origin, storage for each in bytes, ports, certificate, Icewells."""

    def __init__(self, folder, origin, storage, port, icewells):
        self.folder = folder
        self.origin = origin
        self.storage = storage
        self.port = port
        self.icewells = icewells
        self.glance = None  # once it runs
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"

    def make_certificate(self):
        """For 127.0.0.1, its own issuer. ECDSA, as most are now: what is measured is the bulk."""
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-subj", "/CN=bench", "-days", "30", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", self.key, "-out", self.certificate]
        subprocess.run(command, check=True, capture_output=True)


class Server:
    """One server.

    `caches` says whether it has an origin, `tls` whether it is spoken to over TLS, `warm` whether it is asked for hits,
    and not for cold images alone, `authorised` whether it asks a Glance about callers. `fields` go with each request.
    """

    caches = warm = True
    tls = authorised = False
    fields = {}

    def __init__(self, name, setting, port):
        self.name = name
        self.setting = setting
        self.port = port
        self.folder = setting.folder / name
        self.tree = None

    def start(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tree = process.Tree(self.command(), self.folder / "stderr.log", self.environ(), **self.options())
        self.tree.wait_for_port(self.port)

    def command(self):
        raise NotImplementedError

    def environ(self):
        return {}

    def options(self):
        return {}

    def path(self, name):
        """Where a file of the origin is: `NAME` or `slow/ANYTHING/NAME`."""
        return f"/{name}"

    def prepare(self, path, size):
        """Tells the server of a file that is new at the origin, where it has to be told. Returns its path here."""
        return self.path(path)

    def pids(self):
        return self.tree.pids()

    def forget(self):
        """Lets go of images in memory, so that they lie on the disk alone once the page cache is emptied, too."""

    def stop(self):
        if self.tree:
            self.tree.stop()


class Nginx(Server):
    """Three roles of one nginx, for plain and TLS share a cache: see config/nginx.conf."""

    shared = None

    def start(self):
        if not Nginx.shared:
            Nginx.shared = _NginxTree(self.setting)
        self.tree = Nginx.shared.tree
        self.tree.wait_for_port(self.port)

    def stop(self):
        if Nginx.shared:
            Nginx.shared.tree.stop()
            Nginx.shared = None


class _NginxTree:
    def __init__(self, setting):
        folder = setting.folder / "nginx"
        port = setting.port
        conf = config.write(
            *("nginx.conf", folder),
            FOLDER=folder,
            USER=config.user(),
            STORAGE=setting.storage,
            ORIGIN=setting.origin.port,
            PORT=port("nginx"),
            SLICE_PORT=port("nginx-slice"),
            TLS_PORT=port("nginx-tls"),
            CERTIFICATE=setting.certificate,
            KEY=setting.key,
        )
        self.tree = process.Tree(["nginx", "-c", conf, "-p", folder], folder / "stderr.log")


class NginxTls(Nginx):
    tls = True


class NginxSlice(Nginx):
    warm = False


class Varnish(Server):
    def start(self):
        # Its shared log is a file that it writes all the time: it belongs on tmpfs, its manual says.
        shm = pathlib.Path("/dev/shm")
        self._work = tempfile.mkdtemp(prefix="icewell-bench-varnish.", dir=shm if shm.is_dir() else self.setting.folder)
        super().start()

    def stop(self):
        super().stop()
        shutil.rmtree(self._work, ignore_errors=True)

    def command(self):
        vcl = config.write("varnish.vcl", self.folder, ORIGIN=self.setting.origin.port)
        command = ["varnishd", "-F", "-j", "none", "-T", "none", "-f", vcl, "-n", self._work]
        command += ["-a", f"127.0.0.1:{self.port}", "-s"]
        # Its default advice, `random`, reads a large image page by page when it is not in memory; `sequential` has the
        # kernel drop it early.
        command += [f"file,{self.folder}/storage,{self.setting.storage},4096,normal"]
        parameters = {
            "default_ttl": 86400,
            "nuke_limit": 1000000,  # else a large image gives up for want of room
            "thread_pools": CORES,
            "thread_pool_min": 200,  # threads are there before a burst
            "thread_pool_max": 5000,  # one serves one client, slow ones too
            "listen_depth": 4096,
            "idle_send_timeout": 600,  # slow clients are no faulty ones
            "send_timeout": 86400,
            "timeout_idle": 600,
            "http_gzip_support": "off",
        }
        for name, value in parameters.items():
            command += ["-p", f"{name}={value}"]
        return command

    def forget(self):
        # A restart would empty it: its storage is no longer valid then.
        process.page_out(self.pids(), self.folder)


class TrafficServer(Server):
    memory = True

    def command(self):
        values = {
            "FOLDER": self.folder,
            "PORT": self.port,
            "ORIGIN": self.setting.origin.port,
            "CORES": CORES,
            "STORAGE": self.setting.storage,
            "RAM": self.setting.storage if self.memory else 0,
        }
        for made in ("etc", "data", "var", "run", "log", "cache"):
            (self.folder / made).mkdir(exist_ok=True)
        for name in ("records.config", "remap.config", "storage.config", "ip_allow.yaml"):
            config.write(f"trafficserver/{name}", self.folder / "etc", **values)
        root = config.write("trafficserver/runroot.yaml", self.folder, **values)
        return ["traffic_server", f"--run-root={root}"]

    def environ(self):
        return {"TS_RUNROOT": str(self.folder / "runroot.yaml")}

    def forget(self):
        # It reads past the page cache: without its own memory all hits come from the disk. Where images lie is written
        # down once a minute only, so the new process gets them from the origin again.
        if self.memory:
            self.memory = False
            self.stop()
            self.start()
            for file in self.setting.origin.files.iterdir():
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.path(file.name)}") as answer:
                    while answer.read(1 << 20):
                        pass
            time.sleep(WRITTEN)


class Squid(Server):
    _service = f"bench{os.getpid()}"

    def stop(self):
        super().stop()
        for left in pathlib.Path("/dev/shm").glob(f"{self._service}-*"):
            left.unlink()

    def command(self):
        user = config.user()
        if os.getuid() == 0:
            user = "proxy"  # it refuses to be root
            shutil.chown(self.folder, user, user)
        values = {"PORT": self.port, "ORIGIN": self.setting.origin.port, "FOLDER": self.folder, "USER": user}
        conf = config.write("squid.conf", self.folder, STORAGE_MIB=self.setting.storage >> 20, **values)
        # The name keeps its shared memory apart from another Squid's.
        command = ["squid", "-N", "-n", self._service, "-f", conf]
        if not (self.folder / "cache").exists():
            made = subprocess.run([*command, "-z"], capture_output=True, text=True)
            if made.returncode:
                raise RuntimeError(f"squid -z: {made.stderr[-300:]}")
        return command


class Icewell(Server):
    """Its cache directory is that of `nginx`'s size; the log is off, as the access logs of the others are."""

    def binary(self):
        return self.setting.icewells[self.name.removesuffix("-tls")]

    def command(self):
        cache = self.setting.folder / self.name.removesuffix("-tls") / "cache"
        command = [self.binary(), "serve", "--dir", cache, "--origin", self.setting.origin.url]
        command += ["--listen", f"127.0.0.1:{self.port}", "--admin", "off", "--max-size", self.setting.storage]
        return command

    def environ(self):
        # The room was looked at before the run; a floor of a share of a large disk would only have it not cache.
        return {"ICEWELL_LOG": "warn", "ICEWELL_MIN_FREE": "0"}


class Apart(Icewell):
    """A daemon of the same build as `server`, on an empty directory of its own: for rows that start it themselves."""

    def __init__(self, server, folder):
        super().__init__(server.name, server.setting, server.setting.port(f"{server.name}-apart"))
        self.folder = folder
        self.cache = folder / "cache"

    def begin(self):
        """As `start`, without waiting for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.tree = process.Tree(self.command(), self.folder / "stderr.log", self.environ())

    def command(self):
        command = [self.binary(), "serve", "--dir", self.cache, "--origin", self.setting.origin.url]
        return [*command, "--listen", f"127.0.0.1:{self.port}", "--admin", "off", "--max-size", self.setting.storage]


class IcewellGlance(Icewell):
    """In front of the `glance` of the same run, whose images it has and whom it asks who may have them."""

    warm = False  # asked for by rows of its own only
    authorised = True
    fields = {"X-Auth-Token": "a-token-of-the-benchmark"}

    def start(self):
        if not self.setting.glance:
            raise NotThere("it needs glance before it in --servers")
        super().start()

    def binary(self):
        return self.setting.icewells["icewell"]

    def command(self):
        command = [self.binary(), "serve", "--dir", self.folder / "cache", "--auth-ttl", "5s"]
        command += ["--origin", f"glance+http://127.0.0.1:{self.setting.glance.port}"]
        command += ["--listen", f"127.0.0.1:{self.port}", "--admin", "off", "--max-size", self.setting.storage]
        return command

    def path(self, name):
        return self.setting.glance.path(name)

    def prepare(self, path, size):
        return self.setting.glance.prepare(path, size)


class IcewellTls(Icewell):
    """A second daemon on the same directory."""

    tls = True

    def start(self):
        said = subprocess.run([self.binary(), "serve", "--help"], capture_output=True, text=True, check=True).stdout
        if "--tls-cert" not in said:
            raise NotThere("this icewell has no --tls-cert")
        super().start()

    def command(self):
        return [*super().command(), "--tls-cert", self.setting.certificate, "--tls-key", self.setting.key]


class NotThere(Exception):
    """What is to be measured does not exist here; this is no failure."""


class Bare(Server):
    """The kernel's own limits: bench/http/src/bare.rs."""

    caches = False
    _all = []

    def start(self):
        super().start()
        self._all.append(self)

    def command(self):
        command = [ROOT / "target/release/bench-bare", "--listen", f"127.0.0.1:{self.port}"]
        return [*command, "--root", self.setting.origin.files, "--how", self.name.removeprefix("bare-")]

    def forget(self):
        # What one of them has mapped stays in memory for all.
        for one in self._all:
            process.page_out(one.pids(), self.setting.origin.files)


KINDS = {
    "nginx": Nginx,
    "nginx-slice": NginxSlice,
    "varnish": Varnish,
    "trafficserver": TrafficServer,
    "squid": Squid,
    "glance": Glance,
    AUTHORISED: IcewellGlance,
    "nginx-tls": NginxTls,
    "bare-sendfile": Bare,
    "bare-mmap": Bare,
    "bare-read": Bare,
}
# Squid is left out unless it is asked for: it is an order slower with large files, and the run longer.
USUAL = (
    "icewell,nginx,nginx-slice,varnish,trafficserver,glance,icewell-glance,bare-sendfile,bare-mmap,bare-read,"
    "icewell-tls,nginx-tls"
)


def kind(name, icewells):
    """The class for a name; a name of `icewells` is an Icewell."""
    if name.removesuffix("-tls") in icewells:
        return IcewellTls if name.endswith("-tls") else Icewell
    return KINDS[name]
