"""The Debian package, on a Debian: installed, started, upgraded, removed and purged.

    make test-package
"""

import ctypes
import json
import os
import pathlib
import re
import subprocess
import tempfile
import tomllib
import unittest

import document
from machine import BED, ROOT, Booted, Machine, until

ICEWELL = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "icewell"
IMAGES = "http://127.0.0.1:9292"
ADMIN = "http://127.0.0.1:9293"
CONFIG = "/etc/icewell/icewell.toml"
OLD, NEW = "0.1.0-1", "0.1.0-2"


def setUpModule():
    """Two versions of the package that differ in nothing else."""
    global folder, packages
    folder = tempfile.TemporaryDirectory(prefix="debs-", dir=BED)
    old = subprocess.run([ROOT / "scripts/deb.sh", ICEWELL, OLD, folder.name], check=True, stdout=subprocess.PIPE, text=True)
    old = pathlib.Path(ROOT, old.stdout.strip())
    new = old.with_name(old.name.replace(OLD, NEW))
    contents = pathlib.Path(folder.name, "contents")
    subprocess.run(["dpkg-deb", "--raw-extract", old, contents], check=True)
    control = contents / "DEBIAN" / "control"
    control.write_text(control.read_text().replace(f"Version: {OLD}", f"Version: {NEW}"))
    subprocess.run(["dpkg-deb", "-Znone", "--build", contents, new], check=True, stdout=subprocess.DEVNULL)
    packages = {OLD: old, NEW: new}


def tearDownModule():
    folder.cleanup()


def install(machine, version, *options):
    machine.path("/root/icewell.deb").write_bytes(packages[version].read_bytes())
    return machine.run("apt-get", "install", "--yes", "--quiet", *options, "/root/icewell.deb")


def put(machine, name, content=b"bytes of an image\n"):
    machine.path(f"/var/lib/icewell/images/{name}").write_bytes(content)


def get(machine, name, *options):
    """What the cache did for a request, and the answer's status."""
    head = machine.curl("-o", "/dev/null", "-D", "-", *options, f"{IMAGES}/{name}")
    did = re.search(r"^cache-status: icewell; (.*?)\r?$", head, re.MULTILINE)
    return int(head.split()[1]), did[1] if did else None


def ready(machine):
    until("the daemon is ready", lambda: machine.tried("curl", "-s", f"{ADMIN}/readyz")[0] == "ready")


def has_landlock():
    """Whether this kernel tells its version of Landlock."""
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0


class WithoutSystemd(unittest.TestCase):
    """As in a container, or while an image of a machine is built."""

    def test_it_installs_runs_as_its_user_and_purges_clean(self):
        with Machine() as machine:
            before = machine.files()
            self.assertNotRegex(install(machine, OLD), "(?i)error|warning|fail")
            owner = machine.run("stat", "-c", "%U:%G %a", "/var/cache/icewell", "/var/lib/icewell/images", CONFIG)
            self.assertEqual(owner.splitlines(), ["icewell:icewell 750", "root:root 755", "root:root 644"])

            (line,) = re.findall("^ExecStart=(.*)$", machine.path("/usr/lib/systemd/system/icewell.service").read_text(), re.M)
            daemon = machine.start("setpriv", "--reuid=icewell", "--regid=icewell", "--init-groups", "--no-new-privs", *line.split())
            ready(machine)
            put(machine, "debian.raw")
            self.assertEqual(get(machine, "debian.raw"), (200, "fwd=uri-miss; fwd-status=200; stored"))
            self.assertEqual(get(machine, "debian.raw"), (200, "hit"))
            self.assertIn("debian.raw", machine.run("icewell", "ls"))
            machine.stop(daemon)

            machine.run("rm", "/var/lib/icewell/images/debian.raw")
            machine.run("dpkg", "--purge", "icewell")
            left = {name for name in machine.files() - before if not re.match(r"/etc/(passwd|group|g?shadow|\.pwd)", name)}
            self.assertEqual(left, set())
            self.assertIn("icewell", machine.run("getent", "passwd", "icewell"), "its number must not become somebody else's")

    def test_the_package_has_the_sums_of_its_files_and_a_file_that_has_changed_since_is_known(self):
        with Machine() as machine:
            install(machine, OLD)
            sums = machine.run("dpkg-deb", "--info", "/root/icewell.deb", "md5sums").splitlines()
            files = [name for name in machine.run("dpkg", "--listfiles", "icewell").splitlines() if name.startswith("/usr/")]
            files = [name for name in files if machine.path(name).is_file() and not machine.path(name).is_symlink()]
            self.assertEqual(sorted("/" + line.split(maxsplit=1)[1] for line in sums), sorted(files))
            self.assertEqual(machine.run("dpkg", "--verify", "icewell"), "")
            changed = "/usr/share/bash-completion/completions/icewell"
            machine.path(changed).write_text("something else\n")
            self.assertEqual(machine.tried("dpkg", "--verify", "icewell")[0].split(), ["??5??????", changed])

    def test_glances_tools_are_beside_it_and_in_nobodys_way(self):
        with Machine() as machine:
            install(machine, OLD)
            files = machine.run("dpkg", "-L", "icewell").splitlines()
            self.assertEqual([name for name in files if name.startswith("/usr/bin/")], ["/usr/bin/icewell"])
            self.assertEqual([name for name in files if "man1/glance" in name and "/usr/share" in name], [])
            for tool in ("manage", "pruner", "cleaner", "prefetcher"):
                said = machine.run(f"/usr/lib/icewell/bin/glance-cache-{tool}", "--help")
                self.assertIn(f"glance-cache-{tool}", said)
                self.assertIn(f"/usr/lib/icewell/share/man/man1/glance-cache-{tool}.1", files)


class WithSystemd(unittest.TestCase):
    """Where systemd runs. Each test begins without the package."""

    @classmethod
    def setUpClass(cls):
        cls.machine = cls.enterClassContext(Booted())

    def setUp(self):
        machine = self.machine
        machine.tried("dpkg", "--purge", "icewell")
        machine.run("rm", "-rf", "/var/lib/icewell", "/etc/icewell", "/etc/systemd/system/icewell.service.d")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "reset-failed")
        self.begun = machine.now()

    def drop_in(self, *lines):
        place = self.machine.path("/etc/systemd/system/icewell.service.d/test.conf")
        place.parent.mkdir(exist_ok=True)
        place.write_text("\n".join(("[Service]", *lines, "")))
        self.machine.run("systemctl", "daemon-reload")

    def service(self):
        return self.machine.tried("systemctl", "is-enabled", "icewell")[0], self.machine.show("ActiveState")

    def test_a_fresh_install_is_a_running_enabled_service(self):
        machine = self.machine
        self.assertNotRegex(install(machine, OLD), "(?i)error|fail")
        self.assertEqual(self.service(), ("enabled", "active"))
        ready(machine)
        self.assertIn("<title>", machine.curl(f"{ADMIN}/"))
        put(machine, "debian.raw")
        self.assertEqual(get(machine, "debian.raw"), (200, "fwd=uri-miss; fwd-status=200; stored"))
        self.assertEqual(get(machine, "debian.raw"), (200, "hit"))
        owner = machine.run("stat", "-c", "%U:%G %a", "/var/cache/icewell", "/var/cache/icewell/debian.raw")
        self.assertEqual(owner.splitlines(), ["icewell:icewell 750", "icewell:icewell 640"])
        self.assertIn("debian.raw", machine.run("icewell", "ls"), "root finds the same directory")
        # Whether there is room for 10 GiB is the machine's, not the package's.
        lines = machine.journal(self.begun).splitlines()
        said = "\n".join(line for line in lines if "the limit is more than the file system has room for" not in line)
        self.assertNotRegex(said, "WARN|ERROR|(?i:ignoring)")
        if has_landlock():
            self.assertIn("confined: ", said)

    def test_what_the_unit_takes_away_the_daemon_does_not_need(self):
        machine = self.machine
        install(machine, OLD)
        ready(machine)
        trace = self.enterContext(tempfile.NamedTemporaryFile("r", dir=BED))
        (daemon,) = machine.processes("icewell")
        tracer = subprocess.Popen(["strace", "--follow-forks", "--output", trace.name, f"--attach={daemon}"], stderr=subprocess.PIPE)
        tracer.stderr.readline()
        put(machine, "debian.raw", os.urandom(4 << 20))
        self.assertEqual(get(machine, "debian.raw", "-r", "100-199")[0], 206)
        until("it is cached", lambda: "debian.raw" in machine.run("icewell", "ls"))
        for options in ((), ("-r", "5-9"), ("-r", "0-1,7-9"), ("--head",), ("-H", "If-None-Match: *")):
            self.assertLess(get(machine, "debian.raw", *options)[0], 400)
        self.assertEqual(get(machine, "nothing.raw")[0], 404)
        for path in ("/", "/metrics", "/healthz", "/v1/status", "/v2/cache"):
            machine.curl("--fail", "-o", "/dev/null", f"{ADMIN}{path}")
        self.assertEqual(json.loads(machine.curl(f"{ADMIN}/v1/images"))["total"], 1)
        for request in (("POST", "/v2/cache/prune"), ("POST", "/v2/cache/clean"), ("DELETE", "/v2/cache/debian.raw")):
            machine.curl("--fail", "-X", request[0], f"{ADMIN}{request[1]}")
        self.assertEqual(get(machine, "debian.raw")[0], 200)
        tracer.terminate()
        tracer.communicate()
        # What a kernel has that systemd did not know of yet is refused as well; the library does without.
        refused = set(re.findall(r"(\w+)\(.* = -1 EPERM", trace.read()))
        self.assertLessEqual(refused, {"getxattrat", "syscall_0x1d0"})
        self.assertEqual((machine.show("NRestarts"), self.service()), ("0", ("enabled", "active")))

        pid = machine.show("MainPID")
        status = machine.run("cat", f"/proc/{pid}/status")
        for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
            self.assertIn(line, status)
        inside = ("nsenter", f"--target={pid}", "--mount", "touch")
        self.assertIn("Read-only", machine.tried(*inside, "/var/lib/icewell/images/planted")[0])
        self.assertIn("Read-only", machine.tried(*inside, CONFIG)[0])
        machine.run("systemctl", "stop", "icewell")
        self.assertEqual(machine.show("Result"), "success")

    def test_an_upgrade_keeps_settings_cache_and_what_was_switched_off(self):
        machine = self.machine
        install(machine, OLD)
        ready(machine)
        put(machine, "debian.raw")
        get(machine, "debian.raw")
        machine.run("sed", "-i", 's/^#max_size = .*/max_size = "1GiB"/', CONFIG)
        before = machine.show("MainPID")
        install(machine, NEW)
        self.assertEqual(machine.run("dpkg-query", "-W", "-f", "${Version}", "icewell"), NEW)
        self.assertEqual(self.service(), ("enabled", "active"))
        self.assertNotEqual(machine.show("MainPID"), before)
        ready(machine)
        self.assertEqual(get(machine, "debian.raw"), (200, "hit"))
        self.assertEqual(json.loads(machine.run("icewell", "status", "--json"))["limit"]["max_size"], 1 << 30)

        install(machine, OLD, "--allow-downgrades")
        self.assertEqual(machine.run("dpkg-query", "-W", "-f", "${Version}", "icewell"), OLD)
        ready(machine)
        self.assertEqual(get(machine, "debian.raw"), (200, "hit"))

        machine.run("systemctl", "disable", "--now", "icewell")
        install(machine, OLD, "--reinstall")
        self.assertEqual(self.service(), ("disabled", "inactive"))

    def test_removal_keeps_and_purge_takes(self):
        machine = self.machine
        install(machine, OLD)
        ready(machine)
        put(machine, "debian.raw")
        get(machine, "debian.raw")
        machine.path("/etc/icewell/admin.token").write_text("an operator's own\n")
        machine.run("dpkg", "--remove", "icewell")
        self.assertEqual(machine.tried("pgrep", "icewell")[0], "")
        for kept in (CONFIG, "/var/cache/icewell/debian.raw", "/var/lib/icewell/images/debian.raw"):
            self.assertTrue(machine.path(kept).exists(), kept)

        install(machine, OLD)
        self.assertEqual(self.service(), ("enabled", "active"))
        ready(machine)
        self.assertEqual(get(machine, "debian.raw"), (200, "hit"))

        machine.run("dpkg", "--purge", "icewell")
        self.assertEqual(machine.tried("pgrep", "icewell")[0], "")
        for gone in (CONFIG, "/var/cache/icewell", "/etc/systemd/system/multi-user.target.wants/icewell.service"):
            self.assertFalse(machine.path(gone).is_symlink() or machine.path(gone).exists(), gone)
        for kept in ("/var/lib/icewell/images/debian.raw", "/etc/icewell/admin.token"):
            self.assertTrue(machine.path(kept).exists(), kept)

    def test_with_its_sockets_a_restart_refuses_nobody(self):
        machine = self.machine
        install(machine, OLD)
        ready(machine)
        put(machine, "debian.raw")
        machine.run("systemctl", "stop", "icewell")
        machine.run("systemctl", "enable", "--now", "icewell.socket", "icewell-admin.socket")
        machine.run("systemctl", "start", "icewell")
        ready(machine)
        get(machine, "debian.raw")
        # One connection after the other, until the restarts are over.
        asking = 'while [ ! -e /root/enough ]; do curl -sS -o /dev/null -w "%{http_code}\\n" "$1" || echo refused; done >/root/answers 2>&1'
        clients = machine.start("bash", "-c", asking, "bash", f"{IMAGES}/debian.raw")
        until("it is asked", lambda: machine.path("/root/answers").exists())
        for _ in range(3):
            before = machine.show("MainPID")
            machine.run("systemctl", "restart", "icewell")
            self.assertNotEqual(machine.show("MainPID"), before)
            ready(machine)
        machine.run("touch", "/root/enough")
        clients.wait()
        answers = machine.run("cat", "/root/answers").split()
        self.assertEqual(set(answers), {"200"})

    def test_systemd_hears_of_the_daemon_and_reloads_it(self):
        machine = self.machine
        install(machine, OLD)
        self.assertNotEqual(machine.show("StatusText"), "")
        self.assertEqual(machine.show("WatchdogUSec"), "30s")
        pid = machine.show("MainPID")
        machine.run("sed", "-i", 's/^#max_size = .*/max_size = "1GiB"/', CONFIG)
        machine.run("systemctl", "reload", "icewell")
        limit = lambda: json.loads(machine.curl(f"{ADMIN}/v1/status"))["limit"]["max_size"]
        until("the new limit is in force", lambda: limit() == 1 << 30)
        self.assertEqual(machine.show("MainPID"), pid)

    def test_settings_that_cannot_be_are_not_tried_again(self):
        machine = self.machine
        install(machine, OLD)
        machine.path(CONFIG).write_text("max_sise = 1\n")
        machine.tried("systemctl", "restart", "icewell")
        until("it has failed", lambda: machine.show("ActiveState") == "failed")
        self.assertEqual((machine.show("ExecMainStatus"), machine.show("NRestarts")), ("2", "0"))
        self.assertIn("max_sise", machine.journal(self.begun))

    def test_what_may_pass_is_tried_until_it_has_passed(self):
        """A disk or an address that comes late: more tries than the five in ten seconds after which systemd gives up by itself."""
        machine = self.machine
        install(machine, OLD)
        machine.run("systemctl", "stop", "icewell")
        machine.run("mv", "/var/cache/icewell", "/var/cache/away")
        machine.path("/var/cache/icewell").write_text("no directory\n")
        machine.run("systemctl", "start", "--no-block", "icewell")
        until("it has been tried seven times", lambda: int(machine.show("NRestarts")) >= 7)
        machine.run("rm", "/var/cache/icewell")
        machine.run("mv", "/var/cache/away", "/var/cache/icewell")
        ready(machine)

    def test_the_examples_of_the_document(self):
        machine = self.machine
        install(machine, OLD)
        text = (ROOT / "docs/install.md").read_text()
        found = "\n".join(document.wrong(text, lambda command: machine.tried("bash", "-c", command)))
        self.assertEqual(found, "")

    def test_the_units_are_what_systemd_likes(self):
        machine = self.machine
        install(machine, OLD)
        self.assertEqual(machine.run("systemd-analyze", "verify", "--man=no", "icewell.service"), "")
        said = machine.run("systemd-analyze", "security", "--offline=yes", "--no-pager", "icewell.service")
        exposure = float(re.search(r"Overall exposure level .*: ([0-9.]+)", said)[1])
        self.assertLessEqual(exposure, 2.0, said)


class Files(unittest.TestCase):
    def test_a_crate_has_what_its_registry_shows_and_no_tests(self):
        for crate in ("icewell", "icewell-server", "icewell-cli"):
            command = ["cargo", "package", "--list", "--locked", "--allow-dirty", "--package", crate]
            files = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
            self.assertLessEqual({"README.md", "LICENSE", "Cargo.toml"}, set(files))
            self.assertEqual([name for name in files if name.startswith(("tests/", "benches/"))], [])
            self.assertTrue((ROOT / "crates" / crate / "LICENSE").read_text().strip().startswith("Apache License"))

    def test_every_setting_of_the_file_is_one_with_its_default(self):
        shipped = (ROOT / "packaging" / "icewell.toml").read_text()
        settings = tomllib.loads(re.sub("^#([a-z_]+ = )", r"\1", shipped, flags=re.MULTILINE))
        said = subprocess.run([ICEWELL, "serve", "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout
        said = " ".join(said.split())
        own = {"dir": "/var/cache/icewell", "origin": "/var/lib/icewell/images"}
        for name, value in settings.items():
            self.assertIn(f"--{name.replace('_', '-')} <", said)
            if own.get(name) != value and not value.startswith("/etc/icewell/"):
                self.assertRegex(said, rf"--{name.replace('_', '-')} <[^\[]*\[default: [^\]]*{re.escape(value)}\]")

    def test_the_example_of_settings_is_what_this_command_has(self):
        example = pathlib.Path(folder.name, "contents/usr/share/doc/icewell/examples/icewell.toml")
        said = subprocess.run([ICEWELL, "config", "--defaults"], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertEqual(example.read_text(), said)

    def test_the_changelog_of_the_package_is_of_this_version(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        first = (ROOT / "packaging/deb/changelog").read_text().splitlines()[0]
        self.assertRegex(first, rf"^icewell \({re.escape(version)}-\d+\) ")

    def test_the_bill_names_what_is_linked(self):
        bill = json.loads((ROOT / "target/deb-parts/icewell.cdx.json").read_text())
        parts = {part["name"]: part for part in bill["components"]}
        self.assertEqual(bill["metadata"]["component"]["name"], "icewell-cli")
        for name in ("icewell", "icewell-server", "tokio", "rustls", "libsqlite3-sys"):
            self.assertIn(name, parts)
        self.assertNotIn("proptest", parts, "tests are not linked")
        known = {bill["metadata"]["component"]["bom-ref"], *(part["bom-ref"] for part in bill["components"])}
        for part in bill["components"]:
            self.assertTrue(part["name"].startswith("icewell") or part["hashes"][0]["alg"] == "SHA-256", part)
        for needs in bill["dependencies"]:
            self.assertEqual({needs["ref"], *needs["dependsOn"]} - known, set())


if __name__ == "__main__":
    unittest.main()
