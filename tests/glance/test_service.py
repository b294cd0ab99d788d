"""Icewell with credentials of its own in front of a real Glance: what it does for nobody who waits."""

import json
import random
import shutil
import socket
import subprocess
import threading
import time
import uuid

import pytest

from bed import users
from bed.server import environment
from test_front import ICEWELL, Front

DATA = random.Random(3).randbytes(3_000_000)
SERVICE = "red-admin"  # sees all images, of both projects
PATIENCE = 60


@pytest.fixture(scope="module")
def strict(bed):
    """A Glance that asks Keystone about a token each time, so that a revoked one is refused at once."""
    return bed.glance("strict", config={"keystone_authtoken": {"token_cache_time": -1}})


@pytest.fixture
def start(bed, tmp_path):
    """Starts an `icewell serve` with these variables; on the same cache each time."""
    fronts = []

    def start(glance, variables, *options, **how):
        folder = tmp_path / f"start-{len(fronts)}"
        folder.mkdir()
        how |= {"cache": tmp_path / "cache", "environ": surroundings(tmp_path, variables)}
        front = Front(bed, glance, folder, *options, **how)
        fronts.append(front)
        return front

    yield start
    for front in fronts:
        front.stop()


def surroundings(folder, variables=None):
    """Nothing of the user's own, and these variables."""
    return environment(folder) | (variables or {})


def icewell(folder, *command, variables=None):
    """Runs the command on the cache in `folder`; what it did."""
    command = [ICEWELL, command[0], "--dir", folder / "cache", *command[1:]]
    environ = surroundings(folder, variables)
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} has not come")


def said(front, message):
    """The lines of the daemon's log with this message."""
    lines = [json.loads(line) for line in front.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["message"].startswith(message)]


def queued(folder):
    return {entry["image_id"] for entry in json.loads(icewell(folder, "ls", "--queued", "--json").stdout)}


def new_user(bed, project="red", role="admin"):
    """A user of a test's own, made now: its name, and its ID."""
    keystone, token = bed.keystone, bed.keystone.log_in("admin", "admin")
    name = f"{project}-{uuid.uuid4()}"
    fields = {"name": name, "password": users.password_of(name), "domain_id": "default"}
    made = keystone.api.send_json("POST", "/v3/users", {"user": fields}, token=token)
    assert made.status == 201, made
    user_id = made.json()["user"]["id"]
    roles = {role["name"]: role["id"] for role in keystone.api.get("/v3/roles", token=token).json()["roles"]}
    path = f"/v3/projects/{keystone.project_id(project)}/users/{user_id}/roles/{roles[role]}"
    assert keystone.api.send_json("PUT", path, {}, token=token).status == 204
    return name, user_id


def revoke_all(bed, user_id, name):
    """Ends all tokens of a user, as a change of the password does."""
    token = bed.keystone.log_in("admin", "admin")
    change = {"user": {"password": users.password_of(name)}}
    assert bed.keystone.api.send_json("PATCH", f"/v3/users/{user_id}", change, token=token).status == 200
    # Keystone's times are whole seconds here: a token of this second would count as ended, too.
    second = int(time.time())
    wait_for("the next second", lambda: int(time.time()) > second)


class Cutter:
    """A wire to Glance. It lets `limit` bytes of each answer's data through, then calls `at_limit` and breaks off."""

    def __init__(self, glance, limit, at_limit):
        self._target = ("127.0.0.1", glance.server.port)
        self._limit, self._at_limit = limit, at_limit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._target)
            threading.Thread(target=self._pass, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, self._limit), daemon=True).start()

    def _pass(self, source, sink, limit):
        passed = 0
        try:
            while piece := source.recv(65536):
                passed += len(piece)
                if limit and passed > limit and self.cuts == 0:
                    self.cuts += 1
                    self._at_limit()
                    break
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


# The command


def ways(bed, folder):
    """Every way to say who one is: name, variables."""
    password = bed.keystone.environ(SERVICE)
    by_id, secret = bed.keystone.application_credential(SERVICE)
    cloud = {"auth_url": bed.keystone.url, "username": SERVICE, "password": "from secure.yaml"}
    cloud |= {"user_domain_id": "default", "project_domain_id": "default", "project_name": "red"}
    (folder / "clouds.yaml").write_text(json.dumps({"clouds": {"here": {"auth": cloud}}}))
    secure = {"clouds": {"here": {"auth": {"password": users.password_of(SERVICE)}}}}
    (folder / "secure.yaml").write_text(json.dumps(secure))
    credential = {"OS_AUTH_TYPE": "v3applicationcredential", "OS_AUTH_URL": bed.keystone.auth_url}
    credential |= {"OS_APPLICATION_CREDENTIAL_ID": by_id, "OS_APPLICATION_CREDENTIAL_SECRET": secret}
    exchanged = {"OS_AUTH_TYPE": "token", "OS_AUTH_URL": bed.keystone.url, "OS_TOKEN": bed.keystone.token(SERVICE)}
    exchanged |= {"OS_PROJECT_ID": bed.keystone.project_id("red")}
    ready = {"OS_AUTH_TYPE": "admin_token", "OS_TOKEN": bed.keystone.token(SERVICE)}
    return {
        "password": password,
        "application credential": credential,
        "a token exchanged": exchanged,
        "a token as it is": ready,
        "the cloud by OS_CLOUD": {"OS_CLOUD": "here"},
        "the cloud by ICEWELL_OS_CLOUD": password | {"OS_PASSWORD": "wrong", "ICEWELL_OS_CLOUD": "here"},
        "the only cloud": {},
    }


def test_fetch_by_every_way_to_log_in(bed, glance, tmp_path):
    for way, variables in ways(bed, tmp_path).items():
        image_id = glance.api.image(DATA)["id"]
        done = icewell(tmp_path, "fetch", "--origin", f"glance+{glance.url}", image_id, variables=variables)
        assert (done.returncode, done.stderr) == (0, ""), way
        assert done.stdout == f"{image_id}: fetched, 2.86 MiB\n"
        assert icewell(tmp_path, "verify", image_id).returncode == 0
        (tmp_path / "cache" / image_id).unlink()
    # The directory knows its origin now; --os-cloud says the same as the variable.
    done = icewell(tmp_path, "fetch", "--os-cloud", "here", image_id)
    assert done.stdout == f"{image_id}: fetched, 2.86 MiB\n"


def test_fetch_without_credentials_says_what_to_set(glance, tmp_path):
    done = icewell(tmp_path, "fetch", "--origin", f"glance+{glance.url}", "anything")
    assert done.returncode == 2 and "OS_AUTH_URL" in done.stderr and "--os-cloud" in done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"OS_PASSWORD": "wr0ng"}, "refuses the credentials (401 Unauthorized); look at OS_USERNAME, OS_PASSWORD"),
        ({"OS_PROJECT_NAME": "blue"}, "refuses the credentials (401 Unauthorized)"),
        ({"OS_AUTH_URL": "http://127.0.0.1:9"}, "Keystone does not answer at http://127.0.0.1:9/v3/auth/tokens"),
        ({"OS_AUTH_URL": "GLANCE"}, "no Keystone v3 is there; look at OS_AUTH_URL"),
        ({"OS_AUTH_URL": "GLANCE/nothing/here"}, "no Keystone v3 is there; look at OS_AUTH_URL"),
    ],
)
def test_fetch_says_why_it_is_nobody(bed, glance, tmp_path, change, told):
    change = {name: value.replace("GLANCE", glance.url) for name, value in change.items()}
    variables = bed.keystone.environ(SERVICE) | change
    done = icewell(tmp_path, "fetch", "--origin", f"glance+{glance.url}", "anything", variables=variables)
    assert done.returncode == 1 and told in done.stderr
    assert variables["OS_PASSWORD"] not in done.stdout + done.stderr


def test_fetch_works_off_the_queue_and_says_what_is_missing(bed, glance, tmp_path):
    unknown, empty, good = str(uuid.uuid4()), glance.api.create()["id"], glance.api.image(DATA, user="blue-member")["id"]
    for image_id in (unknown, empty, good):
        icewell(tmp_path, "queue", image_id)
    done = icewell(tmp_path, "fetch", "--origin", f"glance+{glance.url}", variables=bed.keystone.environ(SERVICE))
    assert done.returncode == 1
    assert f'cannot fetch "{unknown}": the origin answers 404' in done.stderr
    assert f'cannot fetch "{empty}": Glance does not call it active' in done.stderr
    assert f"{good}: fetched" in done.stdout, "a private image of another project, as the service is an administrator"
    assert queued(tmp_path) == {empty}


# The daemon


def test_the_queue_is_worked_off_over_a_restart(bed, glance, start, tmp_path):
    variables = bed.keystone.environ(SERVICE)
    unknown, empty = str(uuid.uuid4()), glance.api.create()["id"]
    good = [glance.api.image(DATA, user=user)["id"] for user in ("red-member", "blue-member", "red-member")]
    for image_id in (unknown, empty, good[0]):
        icewell(tmp_path, "queue", image_id)
    front = start(glance, variables)
    front.wait_until_cached(good[0])
    wait_for("the end of the unknown one", lambda: queued(tmp_path) == {empty})
    front.stop()
    for image_id in good[1:]:
        icewell(tmp_path, "queue", image_id)
    front = start(glance, variables)
    for image_id in good[1:]:
        assert front.wait_until_cached(image_id)["hits"] == 0
    assert len(said(front, "logged in at Keystone")) == 1, "one login for all"
    glance.api.upload(empty, DATA)
    front.wait_until_cached(empty)
    wait_for("an empty queue", lambda: queued(tmp_path) == set())


def test_a_client_gets_what_was_prefetched_only_by_its_own_token(bed, glance, start, tmp_path):
    image_id = glance.api.image(DATA)["id"]
    icewell(tmp_path, "queue", image_id)
    front = start(glance, bed.keystone.environ(SERVICE), "--auth-ttl", "0")
    front.wait_until_cached(image_id)
    assert front.api.file(image_id, user="red-member").headers["Cache-Status"] == "icewell; hit"
    for user in ("red-reader", "blue-member", None):
        assert front.api.file(image_id, user=user).status == glance.api.file(image_id, user=user).status != 200


def test_what_an_admin_queues_without_a_token_of_glances_is_fetched_by_the_service(bed, glance, start, tmp_path):
    secret = tmp_path / "admin-token"
    secret.write_text("static\n")
    secret.chmod(0o600)
    image_id = glance.api.image(DATA)["id"]
    front = start(glance, bed.keystone.environ(SERVICE), "--admin-token-file", secret)
    assert front.api.request("PUT", f"/v2/cache/{image_id}", token="static").status == 202
    front.wait_until_cached(image_id)


def test_without_credentials_the_queue_waits_and_all_else_works(bed, glance, start, tmp_path):
    image_id, other = glance.api.image(DATA)["id"], glance.api.image(DATA)["id"]
    icewell(tmp_path, "queue", other)
    front = start(glance, {})
    assert front.api.file(image_id, user="red-member").body == DATA
    front.wait_until_cached(image_id)
    assert len(said(front, "no service credentials")) == 1
    assert queued(tmp_path) == {other}


def test_with_wrong_credentials_the_queue_waits_until_they_are_right(bed, glance, start, tmp_path):
    image_id, other = glance.api.image(DATA)["id"], glance.api.image(DATA)["id"]
    icewell(tmp_path, "queue", other)
    name, user_id = new_user(bed)
    token = bed.keystone.log_in("admin", "admin")

    def change(password):
        answer = bed.keystone.api.send_json("PATCH", f"/v3/users/{user_id}", {"user": {"password": password}}, token=token)
        assert answer.status == 200

    change("another")
    front = start(glance, bed.keystone.environ(name, "red"))
    (line,) = wait_for("a word in the log", lambda: said(front, "no token for the service"))
    assert "refuses the credentials" in line["error"]
    assert front.api.file(image_id, user="red-member").body == DATA
    change(users.password_of(name))
    front.wait_until_cached(other)
    assert len(said(front, "no token for the service")) == 1


def test_a_named_cloud_must_be_there_and_what_is_found_need_not(bed, glance, start, tmp_path):
    command = ["serve", "--origin", f"glance+{glance.url}", "--os-cloud", "nobody"]
    done = icewell(tmp_path, *command)
    assert done.returncode == 2 and 'no cloud is called "nobody"' in done.stderr
    front = start(glance, {"OS_AUTH_URL": bed.keystone.auth_url, "OS_USERNAME": "half"})
    (line,) = said(front, "no service credentials")[:1]
    assert "OS_USER_DOMAIN_NAME" in line["why"]


def test_a_revoked_token_is_renewed(bed, strict, start, tmp_path):
    name, user_id = new_user(bed)
    first, second = (strict.api.image(DATA)["id"] for _ in range(2))
    front = start(strict, bed.keystone.environ(name, "red"))
    icewell(tmp_path, "queue", first)
    front.wait_until_cached(first)
    revoke_all(bed, user_id, name)
    icewell(tmp_path, "queue", second)
    front.wait_until_cached(second)
    assert len(said(front, "logged in at Keystone")) == 2
    assert said(front, "a wanted image could not be fetched") == [], "the 401 was asked again at once"


def test_the_service_goes_on_where_the_clients_token_has_ended(bed, strict, start, tmp_path):
    image_id = strict.api.image(DATA)["id"]
    token = bed.keystone.token("red-member", fresh=True)
    wire = Cutter(strict, 1_000_000, lambda: bed.keystone.revoke(token))
    front = start(strict, bed.keystone.environ(SERVICE), origin=wire.url)
    answer = front.api.file(image_id, token=token)
    assert wire.cuts == 1
    assert (answer.status, answer.body) == (200, DATA)
    front.wait_until_cached(image_id)
    assert len(said(front, "the client's token is refused")) == 1


def test_what_broke_off_is_gone_on_with_after_a_restart(bed, glance, start, tmp_path):
    image_id = glance.api.image(DATA)["id"]
    front, cut = None, threading.Event()

    def stop():
        bytes_so_far = front.dir / "incomplete/.icewell" / image_id
        wait_for("the first bytes", lambda: bytes_so_far.stat().st_size > 0)
        front.stop()
        cut.set()

    # In the middle the daemon is stopped; its client has gone with it.
    wire = Cutter(glance, 1_000_000, stop)
    front = start(glance, {}, "--drain-timeout", "0", origin=wire.url)
    with pytest.raises(Exception):
        front.api.file(image_id, user="red-member")
    assert cut.wait(PATIENCE)
    (left,) = json.loads(icewell(tmp_path, "ls", "--incomplete", "--json").stdout)
    assert left["image_id"] == image_id and 0 < left["written"] < len(DATA)
    again = start(glance, bed.keystone.environ(SERVICE), origin=wire.url)
    again.wait_until_cached(image_id)
    (line,) = said(again, "filling")
    assert line["resumed"] > 0
    assert icewell(tmp_path, "verify", image_id).returncode == 0


def test_a_deletion_elsewhere_drops_the_copy(bed, glance, start, tmp_path):
    front = start(glance, bed.keystone.environ(SERVICE), "--auth-ttl", "0", "-v")
    gone, there = (glance.api.image(DATA)["id"] for _ in range(2))
    for image_id in (gone, there):
        front.api.file(image_id, user="red-member")
        front.wait_until_cached(image_id)
    glance.api.delete(gone)
    assert front.api.file(gone, user="red-member").status == 404
    wait_for("the copy's end", lambda: gone not in front.cached())
    # A 404 that is only this caller's drops nothing.
    assert front.api.file(there, user="blue-member").status == 404
    wait_for("a look at it", lambda: said(front, "not this caller's"))
    assert there in front.cached()


def test_who_is_no_administrator_drops_nothing(bed, glance, start, tmp_path):
    front = start(glance, bed.keystone.environ("blue-member"), "--auth-ttl", "0", "-v")
    image_id = glance.api.image(DATA)["id"]
    front.api.file(image_id, user="red-member")
    front.wait_until_cached(image_id)
    assert front.api.file(image_id, user="blue-reader").status == 404
    wait_for("a look at it", lambda: said(front, "not this caller's"))
    assert image_id in front.cached()


@pytest.mark.skipif(shutil.which("getfattr") is None, reason="needs getfattr")
def test_secrets_are_nowhere(bed, glance, start, tmp_path):
    by_id, secret = bed.keystone.application_credential(SERVICE)
    credential = {"OS_AUTH_TYPE": "v3applicationcredential", "OS_AUTH_URL": bed.keystone.auth_url}
    credential |= {"OS_APPLICATION_CREDENTIAL_ID": by_id, "OS_APPLICATION_CREDENTIAL_SECRET": secret}
    image_id, unknown = glance.api.image(DATA)["id"], str(uuid.uuid4())
    for wanted in (image_id, unknown):
        icewell(tmp_path, "queue", wanted)
    front = start(glance, credential, "-vv")
    front.wait_until_cached(image_id)
    wait_for("the end of the unknown one", lambda: queued(tmp_path) == set())
    front.stop()
    wrong = start(glance, bed.keystone.environ(SERVICE) | {"OS_PASSWORD": "wr0ng-" + secret}, "-vv")
    wait_for("a word in the log", lambda: said(wrong, "no token for the service"))
    tags = subprocess.run(["getfattr", "-R", "-d", tmp_path / "cache"], check=True, capture_output=True, text=True)
    everything = front.log.read_text() + wrong.log.read_text() + tags.stdout
    assert image_id in everything
    # A fernet token begins so.
    for word in (secret, "gAAAA"):
        assert word not in everything
    found = subprocess.run(["grep", "-rlE", f"{secret}|gAAAA", tmp_path / "cache"], capture_output=True)
    assert found.stdout == b""
