"""Glance's cache tools beside Icewell under the same names: the same words, statuses, files."""

import importlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import traceback
import uuid

import pytest

from test_front import Front

ROOT = pathlib.Path(__file__).parents[2]
ICEWELL = pathlib.Path(os.environ.get("ICEWELL_BIN", ROOT / "target/debug/icewell"))
DATA = random.Random(3).randbytes(300_000)
NOBODYS = "71c675ab-d94f-49cd-a114-e12490b328d9"


def call(main, arguments, environ, cwd, typed):
    """Runs a program of Glance's as its script does, in a fork: importing it takes two seconds, and forking none."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(typed.encode())
        stdin.seek(0)
        pid = os.fork()
        if not pid:
            try:
                for number, file in enumerate((stdin, out, err)):
                    os.dup2(file.fileno(), number)
                sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
                os.environ.clear()
                os.environ.update(environ)
                os.chdir(cwd)
                sys.argv = arguments
                main()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1 if end.code else 0
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
            except BaseException:
                traceback.print_exc()
                code = 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
        return code, *texts


class Tools:
    """Glance's tools, and ours by the same names, with an environment of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.ours = folder / "bin"
        self.ours.mkdir()
        for tool in ("manage", "pruner", "cleaner", "prefetcher"):
            (self.ours / f"glance-cache-{tool}").symlink_to(ICEWELL)

    def _where(self, environ, cwd):
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder)} | (environ or {}), cwd or self.folder

    def real(self, tool, *arguments, typed="", environ=None, cwd=None):
        """(status, standard output, standard error) of Glance's tool."""
        environ, cwd = self._where(environ, cwd)
        arguments = [f"glance-cache-{tool}", *map(str, arguments)]
        return call(importlib.import_module(f"glance.cmd.cache_{tool}").main, arguments, environ, cwd, typed)

    def our(self, tool, *arguments, typed="", environ=None, cwd=None):
        """The same of Icewell by that name."""
        environ, cwd = self._where(environ, cwd)
        command = [self.ours / f"glance-cache-{tool}", *map(str, arguments)]
        done = subprocess.run(command, env=environ, cwd=cwd, input=typed, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    return Tools(tmp_path_factory.mktemp("tools"))


def told(ran):
    """What of a run is to be the same: not the time it took, nor what ours has no reason to log."""
    status, out, err = ran
    return status, re.sub(r"Completed in \d+\.\d{4} sec\.", "Completed in T sec.", out), err.splitlines()[:1]


# glance-cache-manage without anybody to talk to


@pytest.mark.parametrize(
    "line, typed",
    [
        ("list-cached", ""),
        ("list-queued -v", ""),
        ("-p 1 --os-auth-token x list-cached", ""),
        ("-p 1 --os_auth_token x -v list-queued", ""),
        ("-p 1 -A x -f queue-image " + NOBODYS, ""),
        ("--os-user u --os-password p list-cached", ""),
        ("queue-image", ""),
        ("delete-cached-image", ""),
        ("delete-queued-image", ""),
        ("queue-image 1 2", ""),
        ("delete-cached-image 1 2 3", ""),
        ("delete-queued-image abc", ""),
        (f"queue-image {NOBODYS}", ""),
        (f"queue-image {NOBODYS}", "n\n"),
        (f"queue-image {NOBODYS} -v", "\n"),
        (f"delete-cached-image {{{NOBODYS.upper()}}}", "no\n"),
        (f"delete-queued-image {NOBODYS}", "yes please\n"),
        (f"delete-queued-image urn:uuid:{NOBODYS}", " y\n"),
        (f"-p 1 --auth_token x delete-queued-image {NOBODYS}", "YES"),
        ("delete-all-cached-images", ""),
        ("delete-all-cached-images", "N\n"),
        ("delete-all-queued-images ignored", "x\n"),
        ("-p 1 --os-auth-token x delete-all-queued-images", "Y\n"),
        ("bogus", ""),
        ("help bogus", ""),
        ("help list-cached", ""),
        ("help list-queued", ""),
        ("help queue-image more", ""),
        ("help delete-cached-image", ""),
        ("help delete-all-cached-images", ""),
        ("-v help delete-queued-image", ""),
        ("help delete-all-queued-images", ""),
    ],
)
def test_manage_alone(tools, line, typed):
    real, ours = (run("manage", *line.split(), typed=typed) for run in (tools.real, tools.our))
    assert told(ours) == told(real)


@pytest.mark.parametrize("line", ["", "--bogus list-cached", "-p x list-cached", "--os list-cached", "-p"])
def test_manage_wrong_usage(tools, line):
    real, ours = (run("manage", *line.split()) for run in (tools.real, tools.our))
    assert (ours[0], ours[1]) == (real[0], real[1]) == (2, "")
    assert "glance-cache-manage: error: " in ours[2]


def test_manage_help(tools):
    for line in (["help"], ["--help"], ["-h", "list-cached"]):
        real, ours = (run("manage", *line) for run in (tools.real, tools.our))
        assert ours[0] == real[0] == 0
        commands = real[1][real[1].index("Commands:") : real[1].index("positional arguments")]
        assert commands.strip() in ours[1]
        for option in re.findall(r"--[a-z][a-z_-]+", real[1]):
            assert option in ours[1]


# glance-cache-manage and a Glance


@pytest.fixture(scope="module")
def managed(bed, caching_glance):
    """What a manager of the Glance's cache needs to say, by token."""
    port = caching_glance.url.rsplit(":", 1)[1]
    return ["-H", "127.0.0.1", "-p", port, "--os-auth-token", bed.keystone.token("red-admin")]


def both(tools, prepare, arguments, **how):
    """What both tell, each after `prepare`."""
    prepare()
    real = told(tools.real("manage", *arguments, **how))
    prepare()
    return told(tools.our("manage", *arguments, **how)), real


def empty(api):
    assert api.request("DELETE", "/v2/cached_images", user="red-admin").status == 200
    assert api.request("DELETE", "/v2/queued_images", user="red-admin").status == 200


def test_manage_lists(tools, caching_glance, managed):
    api = caching_glance.api
    empty(api)
    for verb in ("list-cached", "list-queued"):
        ours, real = both(tools, lambda: None, [*managed, verb])
        assert ours == real and real[1].startswith("No ")
    images = [api.image(DATA[:size])["id"] for size in (5, 300_000, 12_345)]
    for hits, image_id in enumerate(images):
        for _ in range(hits * 5 + 1):
            assert api.file(image_id, user="red-member").status == 200
    for image_id in (NOBODYS, str(uuid.uuid4())):
        assert api.request("PUT", f"/v2/queued_images/{image_id}", user="red-admin").status == 200
    # A name that a list has to make room for, or to shorten nothing for.
    assert api.request("PUT", "/v2/queued_images/x", user="red-admin").status == 200
    os.utime(caching_glance.cache_dir / images[0], (0, 1_000_000_000))
    for verb in ("list-cached", "list-queued", "-v list-cached"):
        ours, real = both(tools, lambda: None, [*managed, *verb.split()])
        assert ours == real and "Found 3" in real[1]
    assert "N/A" in tools.our("manage", *managed, "list-cached")[1]


@pytest.mark.parametrize(
    "line, typed",
    [
        ("-f queue-image ID", ""),
        ("-v queue-image ID", "y\n"),
        ("queue-image ID", "n\n"),
        ("-v -f delete-queued-image OTHER", ""),
        ("delete-queued-image OTHER -v", "YES\n"),
        ("-f -v delete-cached-image CACHED", ""),
        ("delete-cached-image CACHED", "y\n"),
        ("delete-cached-image CACHED", ""),
        ("-v delete-all-cached-images", "y\n"),
        ("-f delete-all-cached-images", ""),
        ("-v -f delete-all-queued-images", ""),
        ("delete-all-queued-images", "Yes\n"),
    ],
)
def test_manage_does(tools, caching_glance, managed, line, typed):
    api = caching_glance.api
    cached, other = api.image(DATA)["id"], str(uuid.uuid4())
    line = line.replace("ID", NOBODYS).replace("OTHER", other).replace("CACHED", cached)

    def prepare():
        empty(api)
        assert api.file(cached, user="red-member").status == 200
        assert api.request("PUT", f"/v2/queued_images/{other}", user="red-admin").status == 200

    def state():
        listed = [api.get(f"/v2/{which}_images", user="red-admin").json() for which in ("cached", "queued")]
        return [image["image_id"] for image in listed[0]["cached_images"]], listed[1]["queued_images"]

    prepare()
    real = told(tools.real("manage", *managed, *line.split(), typed=typed)), state()
    prepare()
    assert (told(tools.our("manage", *managed, *line.split(), typed=typed)), state()) == real


def test_manage_as_whom(tools, bed, glance, caching_glance):
    port = caching_glance.url.rsplit(":", 1)[1]
    without_cache = glance.url.rsplit(":", 1)[1]
    admin, member = (bed.keystone.environ(user) for user in ("red-admin", "red-member"))
    wrong = admin | {"OS_PASSWORD": "wrong"}
    token = bed.keystone.token("red-admin")
    for arguments, environ in [
        (["-p", port], admin),
        (["-p", port], member),
        (["-p", without_cache], admin),
        (["-p", port, "-I", "red-admin", "-K", "open-sesame-red-admin", "-T", "red", "-N", admin["OS_AUTH_URL"]], {}),
        (["-p", port], {"OS_AUTH_TOKEN": token}),
        (["-p", port], {"OS_TOKEN": token}),
        (["-p", port, "--os-auth-token", "garbage"], admin),
        (["-p", port, "--os-auth-token", "garbage"], {}),
        (["-p", port], admin | {"OS_AUTH_URL": admin["OS_AUTH_URL"].removesuffix("/v3")}),
    ]:
        ours, real = both(tools, lambda: None, [*arguments, "list-queued"], environ=environ)
        assert ours == real, arguments
    status, out, _ = tools.our("manage", "-p", port, "list-queued", environ=wrong)
    assert (status, out.splitlines()[0]) == (1, "Failed to show queued images. Got error:")
    assert "OS_PASSWORD" in out and "wrong" not in out


def test_manage_without_authentication(tools, bed):
    """Where Glance's own tool wants a name and a password all the same."""
    without_keystone = {"paste_deploy": {"flavor": "cachemanagement"}}
    open_glance = bed.glance("open", cache="xattr", policy={"manage_image_cache": "@"}, config=without_keystone)
    arguments = ["-p", open_glance.url.rsplit(":", 1)[1], "-S", "noauth", "list-cached"]
    assert tools.our("manage", *arguments)[:2] == (0, "No cached images.\n")
    assert tools.real("manage", *arguments)[0] == 1


# The tools that work on the directory


def fill(folder):
    """A directory as Glance leaves it: images with hits and times, failed and stalled fills."""
    for sub in ("incomplete", "invalid", "queue"):
        (folder / sub).mkdir(parents=True)
    for number in range(6):
        image = folder / str(uuid.UUID(int=number))
        image.write_bytes(DATA[: 1000 * (number + 1)])
        os.setxattr(image, "user.hits", str(number).encode())
        os.utime(image, (1_700_000_000 - 100 * (number % 3) - number, 1_600_000_000))
    (folder / "invalid" / NOBODYS).write_bytes(b"bad")
    for name, age in (("old", 1_600_000_000), ("young", None)):
        (folder / "incomplete" / name).write_bytes(b"part")
        if age:
            os.utime(folder / "incomplete" / name, (age, age))


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if ".icewell" not in path.parts)


def side_by_side(tools, tool, folder, conf, *options):
    """(told, files) of theirs and of ours, each on a directory of its own. `{dir}` in `conf` is that."""
    came_to = []
    for which, run in (("real", tools.real), ("ours", tools.our)):
        cache, path = folder / f"cache-{which}", folder / f"{which}.conf"
        fill(cache)
        path.write_text(conf.format(dir=cache))
        ran = run(tool, *[option.format(conf=path) for option in options], cwd=folder)
        came_to.append((told(ran), tree(cache)))
    return came_to


XATTR = "[DEFAULT]\nimage_cache_dir = {dir}\nimage_cache_driver = xattr\n"


@pytest.mark.parametrize("limit", ["", "0", "1000", "6000", "20999", "21000", "21001"])
def test_pruner(tools, tmp_path, limit):
    limit = f"image_cache_max_size = {limit}\n" if limit else ""
    real, ours = side_by_side(tools, "pruner", tmp_path, XATTR + limit, "--config-file", "{conf}")
    assert ours == real
    assert real[0][:2] == (0, "")


@pytest.mark.parametrize("stall", ["", "0", "86400", "1000000000"])
def test_cleaner(tools, tmp_path, stall):
    stall = f"image_cache_stall_time = {stall}\n" if stall else ""
    real, ours = side_by_side(tools, "cleaner", tmp_path, XATTR + stall, "--config-file", "{conf}")
    assert ours == real
    assert "invalid/" + NOBODYS not in ours[1]


@pytest.mark.parametrize(
    "options",
    [
        "",
        "extra",
        "--bogus",
        "--config-file nowhere.conf",
        "--config-dir nowhere",
        "--config-file",
        "--config-f {conf} --debug --nodebug",
        "--config-file={conf} -d --log-file ours.log --log-dir .",
        "--config-file {conf} --logfile x.log --logdir . --use-json --nouse-json --log-date-format %Y",
        "--config-file {conf} --nouse-syslog --nouse-journal --syslog-log-facility LOG_USER",
    ],
)
@pytest.mark.parametrize("tool", ["pruner", "cleaner"])
def test_options(tools, tmp_path, tool, options):
    real, ours = side_by_side(tools, tool, tmp_path, XATTR, *options.split())
    assert ours[0][:2] == real[0][:2]
    assert ours[1] == real[1]


def test_log_file(tools, tmp_path):
    fill(tmp_path / "cache")
    (conf := tmp_path / "conf").write_text(XATTR.format(dir=tmp_path / "cache") + "log_dir = .\n")
    assert tools.our("cleaner", "--config-file", conf, cwd=tmp_path)[0] == 0
    assert "invalid=1" in (tmp_path / "glance-cache-cleaner.log").read_text()


def test_files_that_nobody_names(tools, tmp_path):
    """glance-api.conf, then glance-cache.conf, then folders; the nearest of each name; variables before all."""
    kept = {}
    for which, run in (("real", tools.real), ("ours", tools.our)):
        home, cache = tmp_path / f"home-{which}", tmp_path / f"cache-{which}"
        fill(cache)
        folder = home / ".glance" / "glance-cache-pruner.conf.d"
        folder.mkdir(parents=True)
        (home / "glance-api.conf").write_text("[DEFAULT]\nimage_cache_dir = /nowhere\n")
        (home / ".glance" / "glance-api.conf").write_text(XATTR.format(dir="/nowhere") + "image_cache_max_size = 1\n")
        (home / "glance-cache.conf").write_text(f"[DEFAULT]\nimage_cache_dir={cache}\nimage_cache_max_size = 50000\n")
        kept[which] = []
        for name, limit in [(None, None), ("b.conf", 15000), ("c.txt", 3), (".c.conf", 2), ("a.conf", 4)]:
            if name:
                (folder / name).write_text(f"[DEFAULT]\nimage_cache_max_size = {limit}\n")
            assert run("pruner", environ={"HOME": str(home)})[:2] == (0, "")
            kept[which].append(tree(cache))
        assert run("pruner", environ={"HOME": str(home), "OS_DEFAULT__IMAGE_CACHE_MAX_SIZE": "6000"})[0] == 0
        kept[which].append(tree(cache))
    assert kept["ours"] == kept["real"]
    assert len({len(files) for files in kept["ours"]}) == 3


# glance-cache-prefetcher


def test_prefetcher(tools, bed, caching_glance):
    """Beside a live Glance, on its own directory: by its own configuration, or with somebody's credentials."""
    api, cache = caching_glance.api, caching_glance.cache_dir
    conf = caching_glance.folder / "glance-api.conf"
    admin = bed.keystone.environ("red-admin")
    empty(api)
    assert tools.our("prefetcher", "--config-file", conf)[:2] == (0, ""), "nothing is queued"
    status, _, err = tools.real("prefetcher", "--config-file", conf)
    assert status == 1 and "Invalid thread type" in err, "Glance's own works again: compare with it"
    images = [api.image(DATA)["id"] for _ in range(3)]
    dataless = api.create()["id"]
    for image_id in (*images, dataless, NOBODYS):
        assert api.request("PUT", f"/v2/queued_images/{image_id}", user="red-admin").status == 200
    status, out, err = tools.our("prefetcher", "--config-file", conf, environ=admin)
    assert (status, out) == (0, ""), "as Glance's, which calls no image that it cannot have a failure"
    assert f'cannot fetch "{dataless}"' in err and NOBODYS in err
    assert "Failed to successfully cache all images in queue." in err
    listed = {image["image_id"]: image for image in api.get("/v2/cached_images", user="red-admin").json()["cached_images"]}
    assert set(images) == set(listed)
    assert all((image["hits"], image["size"]) == (0, len(DATA)) for image in listed.values())
    assert not set(images) & set(api.get("/v2/queued_images", user="red-admin").json()["queued_images"])
    assert api.file(images[0], user="red-member").body == DATA
    assert "user.icewell.origin" not in os.listxattr(cache), "the directory stays Glance's"

    # By the configuration: [keystone_authtoken], and where Glance listens.
    empty(api)
    image_id = api.image(DATA)["id"]
    assert api.request("PUT", f"/v2/queued_images/{image_id}", user="red-admin").status == 200
    override = caching_glance.folder / "override.conf"
    port = caching_glance.url.rsplit(":", 1)[1]
    override.write_text(
        f"[DEFAULT]\nworker_self_reference_url =\nbind_port = {port}\n"
        "[keystone_authtoken]\nusername = red-admin\npassword = open-sesame-red-admin\nproject_name = red\n"
    )
    arguments = ["--config-file", conf, "--config-file", override]
    assert tools.our("prefetcher", *arguments)[:2] == (0, "")
    assert (cache / image_id).read_bytes() == DATA

    # What no image could be had with is a failure.
    assert api.request("PUT", f"/v2/queued_images/{NOBODYS}", user="red-admin").status == 200
    override.write_text("[keystone_authtoken]\npassword = wrong\n")
    status, out, err = tools.our("prefetcher", *arguments)
    assert (status, out) == (1, "") and "refuses the credentials" in err and "wrong" not in err
    override.write_text("[keystone_authtoken]\nauth_url =\n")
    status, _, err = tools.our("prefetcher", *arguments)
    assert status == 1 and "set OS_AUTH_URL" in err
    empty(api)


# glance-cache-manage and icewell serve


def test_manage_of_our_daemon(tools, bed, glance, tmp_path):
    """Glance's tool and ours say the same of Icewell's own management API, and it does what they ask."""
    front = Front(bed, glance, tmp_path, "--auth-ttl", "0")
    try:
        api, port = front.api, front.api.url.rsplit(":", 1)[1]
        arguments = ["-H", "127.0.0.1", "-p", port, "--os-auth-token", bed.keystone.token("red-admin")]
        member = ["-H", "127.0.0.1", "-p", port, "--os-auth-token", bed.keystone.token("red-member")]
        image_id = api.image(DATA)["id"]

        def prepare():
            assert api.file(image_id, user="red-member").body == DATA
            front.wait_until_cached(image_id)

        prepare()
        for line in (["list-cached"], ["list-queued"], ["queue-image", "x"], ["-v", "help", "queue-image"]):
            ours, real = both(tools, lambda: None, [*arguments, *line])
            assert ours == real, line
        assert f"| {image_id} |" in tools.our("manage", *arguments, "list-cached")[1]
        ours, real = both(tools, lambda: None, [*member, "list-cached"])
        assert ours == real == (1, "Not authorized to make this request.\n", real[2])
        for line in (f"-f -v delete-cached-image {image_id}", "-v -f delete-all-cached-images"):
            ours, real = both(tools, prepare, [*arguments, *line.split()])
            assert ours == real and real[1].startswith("Deleted "), line
            assert not front.cached()
        # Queued, it is there a moment later where there are service credentials; here it waits.
        ours, real = both(tools, lambda: None, [*arguments, "-f", "-v", "queue-image", image_id])
        assert ours == real == (0, f"Queued image {image_id} for caching\nCompleted in T sec.\n", real[2])
        ours, real = both(tools, lambda: None, [*arguments, "list-queued"])
        assert ours == real and image_id in ours[1]
        ours, real = both(tools, lambda: None, [*arguments, "-f", "-v", "delete-queued-image", image_id])
        assert ours == real and real[0] == 0
    finally:
        front.stop()


# icewell adopt, icewell doctor


def test_what_the_sqlite_driver_noted_is_taken_over(tools, bed, tmp_path):
    """A Glance with the sqlite driver fills the directory; afterwards the same images have their hits in tags."""
    glance = bed.glance("sqlite", cache="sqlite")
    api, cache = glance.api, glance.cache_dir
    images = [api.image(DATA[: 1000 * (n + 1)])["id"] for n in range(3)]
    for hits, image_id in enumerate(images):
        for _ in range(hits + 1):
            assert api.file(image_id, user="red-member").status == 200
    noted = {image["image_id"]: image for image in api.get("/v2/cached_images", user="red-admin").json()["cached_images"]}
    assert [noted[image_id]["hits"] for image_id in images] == [0, 1, 2]
    assert (cache / "cache.db").exists()

    def icewell(*arguments):
        command = [ICEWELL, *arguments, "--dir", cache, "--json"]
        environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        return json.loads(subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout)

    def doctor():
        findings = icewell("doctor", "--glance-conf", glance.folder / "glance-api.conf")
        return "\n".join(f"{finding['message']}: {finding['advice']}" for finding in findings)

    said = doctor()
    assert "cache.db of Glance's sqlite driver: 3 images, 3 hits not taken over yet: icewell adopt" in said
    assert "Glance filled it with its sqlite driver" in said
    assert "Glance is told the driver sqlite" in said
    assert {image["image_id"] for image in icewell("ls")} == set(images), "the database and the locks are no images"
    before = (cache / "cache.db").read_bytes()
    report = icewell("adopt")
    assert (report["images"], report["hits"], report["already_counted"]) == (3, 3, 0)
    taken = {image["image_id"]: image for image in icewell("ls")}
    for image_id in images:
        assert taken[image_id]["hits"] == noted[image_id]["hits"]
        assert abs(taken[image_id]["last_accessed"] - noted[image_id]["last_accessed"]) < 1e-3
    assert icewell("adopt")["already_counted"] == 3, "twice changes nothing"
    assert "nothing in it that is not taken over" in doctor()
    assert (cache / "cache.db").read_bytes() == before
    assert api.file(images[0], user="red-member").status == 200, "Glance goes on"


def test_doctor_tells_the_driver(bed, caching_glance, tmp_path):
    for name, driver in (("centralized", "centralized_db"), ("caching", "xattr")):
        glance = bed.glance(name, cache=driver)
        image_id = glance.api.image(DATA)["id"]
        assert glance.api.file(image_id, user="red-member").status == 200
        command = [ICEWELL, "doctor", "--dir", glance.cache_dir]
        said = subprocess.run(command, env={"HOME": str(tmp_path)}, check=True, capture_output=True, text=True).stdout
        assert f"Glance filled it with its {driver} driver" in said
