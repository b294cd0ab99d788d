"""The management API of `icewell serve` in front of a real Glance, beside a Glance that manages a cache of its own."""

import http.server
import json
import pathlib
import random
import re
import subprocess
import sys
import threading
import time
import uuid

import pytest

from test_front import ICEWELL, Front

ADMIN = "red-admin"
USERS = (ADMIN, "blue-admin", "red-member", "red-reader", "blue-member", None)
DATA = random.Random(3).randbytes(300_000)
NOBODYS = str(uuid.uuid4())
TOKEN = "a-static-token-for-tests"
TARGET = "x-image-cache-clear-target"


@pytest.fixture(scope="module")
def token_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def beside(bed, caching_glance, tmp_path_factory):
    """In front of the Glance that manages a cache itself, so that both speak of the same images."""
    front = Front(bed, caching_glance, tmp_path_factory.mktemp("beside"), "--auth-ttl", "0")
    yield front
    front.stop()


@pytest.fixture(scope="module")
def front(bed, glance, token_file, tmp_path_factory):
    """As most will have it: Glance has no cache."""
    folder = tmp_path_factory.mktemp("front")
    front = Front(bed, glance, folder, "--auth-ttl", "0", "--admin-token-file", token_file)
    yield front
    front.stop()


@pytest.fixture(scope="module")
def image_id(caching_glance):
    return caching_glance.api.image(DATA)["id"]


@pytest.fixture(scope="module")
def empty_id(caching_glance):
    return caching_glance.api.create()["id"]


def eventually(true):
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(api, **who):
    answer = api.get("/v2/cache", **(who or {"user": ADMIN}))
    assert answer.status == 200, answer
    told = answer.json()
    return [image["image_id"] for image in told["cached_images"]], told["queued_images"]


def meaning(answer):
    """What a client goes by. Times and hits are those of two caches, and JSON has no one way to be spaced."""
    body = answer.body
    if answer.headers["Content-Type"] == "application/json":
        body = json.loads(re.sub(rb'("(last_accessed|last_modified|hits)": ?)\d+', rb"\1 0", body))
    fields = {name: answer.headers[name] for name in ("Content-Type", "Allow", "WWW-Authenticate")}
    if answer.headers["Content-Type"] != "application/json":
        fields["Content-Length"] = answer.headers["Content-Length"]
    else:
        assert answer.headers["Content-Length"] == str(len(answer.body))
    return answer.status, fields, body


def same(beside, method, path, **how):
    direct, ours = (api.request(method, path, **how) for api in (beside.glance.api, beside.api))
    assert meaning(ours) == meaning(direct), (method, path, how)
    return ours


# Beside a Glance


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/v2/cache"),
        ("GET", "//v2//%63ache?x=y"),
        ("GET", "/v2.15/cache"),
        ("GET", "/v2/cache/"),
        ("DELETE", "/v2/cache"),
        ("PUT", f"/v2/cache/{NOBODYS}"),
        ("DELETE", f"/v2/cache/{NOBODYS}"),
        ("PUT", "/v2/cache/EMPTY"),
        ("PUT", "/v2/cache//EMPTY"),
        ("PUT", "/v2/cache/EMPTY/"),
        ("PUT", "/v2/cache/queue"),
        ("DELETE", "/v2/cache/incomplete"),
        ("PUT", "/v2/cache/.."),
        ("PUT", "/v2/cache/a%20b"),
        ("DELETE", "/v2/cache/a%25b"),
        ("PUT", "/v2/cache/a%2Fb"),
        ("GET", f"/v2/cache/nodes/{NOBODYS}"),
        ("GET", "/v2/cache/nodes/"),
        ("POST", "/v2/cache/clean"),
        ("POST", "/v2/cache/clean/"),
        ("POST", "/v2/cache/prune"),
        ("POST", "/v2/cache"),
        ("GET", "/v2/cache/clean"),
        ("PUT", "/v2/cache/prune"),
        ("GET", "/v2/cache/nodes"),
        ("PATCH", f"/v2/cache/{NOBODYS}"),
        ("DELETE", f"/v2/cache/nodes/{NOBODYS}"),
        ("OPTIONS", "/v2/cache"),
        ("GET", "/v2/cached_images"),
        ("GET", "/v2/queued_images"),
        ("DELETE", "/v2/cached_images"),
        ("DELETE", "/v2/queued_images"),
        ("DELETE", f"/v2/cached_images/{NOBODYS}"),
        ("DELETE", f"/v2/queued_images/{NOBODYS}"),
        ("DELETE", f"/v2//cached_images//{NOBODYS}"),
        ("PUT", "/v2/cached_images"),
        ("GET", f"/v2/cached_images/{NOBODYS}"),
        ("GET", "/v2/cached_images/"),
    ],
)
def test_same_answer_to_everybody(beside, empty_id, method, path, user):
    same(beside, method, path.replace("EMPTY", empty_id), user=user)


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html", "application/json", "text/plain", "application/json;q=0.5, text/html;q=0.1"]
)
@pytest.mark.parametrize("user", [ADMIN, "red-member", None])
def test_errors_in_the_form_that_is_wanted(beside, accept, user):
    headers = {"Accept": accept}
    same(beside, "PUT", f"/v2/cache/{NOBODYS}", user=user, headers=headers)
    same(beside, "POST", "/v2/cache", user=user, headers=headers)
    same(beside, "GET", "/v2/cache", user=user, headers=headers)
    same(beside, "DELETE", "/v2/cache", user=user, headers=headers | {TARGET: "both"})


@pytest.mark.parametrize("user", [ADMIN, "red-member", None])
def test_a_body_where_none_belongs(beside, user):
    for path in ("/v2/cache", f"/v2/cache/nodes/{NOBODYS}"):
        same(beside, "GET", path, user=user, body=b"{}")
        same(beside, "GET", path, user=user, body=b"")
        same(beside, "GET", path, user=user, body=iter([b"{}"]))
    same(beside, "POST", "/v2/cache/clean", user=user, body=b"")


def test_a_body_that_nobody_asked_for_is_not_waited_for(beside):
    huge = {"Content-Length": "1000000000000"}
    assert beside.api.request("POST", "/v2/cache/clean", user=ADMIN, headers=huge).status == 200
    assert beside.api.request("GET", "/v2/cache", user=ADMIN, headers=huge).status == 400


@pytest.mark.parametrize("user", [ADMIN, "red-member", None])
@pytest.mark.parametrize("target", ["cache", "QUEUE", "", " cache ", "both", "x"])
def test_clear_target(beside, target, user):
    same(beside, "DELETE", "/v2/cache", user=user, headers={TARGET: target})


@pytest.mark.parametrize("token", ["", "garbage", "a,b"])
def test_bad_tokens(beside, token):
    same(beside, "GET", "/v2/cache", token=token)
    same(beside, "PUT", f"/v2/cache/{NOBODYS}", token=token)


def test_a_life_in_the_cache(beside, image_id):
    path = f"/v2/cache/{image_id}"
    same(beside, "DELETE", "/v2/cache", user=ADMIN)
    same(beside, "PUT", path, user="red-member")
    same(beside, "PUT", path, user=ADMIN)
    for api in (beside.glance.api, beside.api):
        eventually(lambda: state(api) == ([image_id], []))
    same(beside, "GET", "/v2/cache", user=ADMIN)
    same(beside, "GET", "/v2/cached_images", user=ADMIN)
    same(beside, "PUT", path, user=ADMIN)
    same(beside, "GET", f"/v2/cache/nodes/{image_id}", user=ADMIN)
    same(beside, "POST", "/v2/cache/prune", user=ADMIN)
    same(beside, "DELETE", path, user="red-member")
    same(beside, "DELETE", path, user=None)
    same(beside, "GET", "/v2/cache", user=ADMIN)
    same(beside, "DELETE", path, user=ADMIN)
    same(beside, "GET", "/v2/cache", user=ADMIN)
    same(beside, "DELETE", path, user=ADMIN)


def test_a_life_in_the_older_api(beside, image_id):
    same(beside, "DELETE", "/v2/cache", user=ADMIN)
    for id_ in (image_id, NOBODYS):
        same(beside, "PUT", f"/v2/queued_images/{id_}", user="red-member")
        same(beside, "PUT", f"/v2/queued_images/{id_}", user=ADMIN)
    same(beside, "GET", "/v2/queued_images", user=ADMIN)
    assert state(beside.api) == ([], [image_id, NOBODYS])
    same(beside, "DELETE", f"/v2/queued_images/{image_id}", user=ADMIN)
    same(beside, "DELETE", "/v2/queued_images", user=ADMIN)
    beside.api.file(image_id, user="red-member")
    eventually(lambda: state(beside.api) == state(beside.glance.api) == ([image_id], []))
    same(beside, "DELETE", f"/v2/cached_images/{image_id}", user=ADMIN)
    beside.api.file(image_id, user="red-member")
    eventually(lambda: state(beside.api) == state(beside.glance.api) == ([image_id], []))
    same(beside, "DELETE", "/v2/cached_images", user=ADMIN)


def test_what_is_unknown_can_be_dropped_while_it_is_here(beside):
    made = beside.api.image(DATA)["id"]
    beside.api.file(made, user="red-member")
    eventually(lambda: made in state(beside.api)[0])
    beside.glance.api.delete(made)
    assert beside.api.request("DELETE", f"/v2/cache/{made}", user="red-member").status == 403
    assert beside.api.request("DELETE", f"/v2/cache/{made}", user=ADMIN).status == 204
    assert beside.api.request("DELETE", f"/v2/cache/{made}", user=ADMIN).status == 404


# In front of a Glance without a cache


def test_the_older_api_under_v1(front):
    image_id = front.api.image(DATA)["id"]
    answer = front.api.request("PUT", f"/v1/queued_images/{image_id}", user=ADMIN)
    assert (answer.status, answer.body) == (200, b"null")
    assert front.api.get("/v1/queued_images", user=ADMIN).json() == {"queued_images": [image_id]}
    assert front.api.request("DELETE", "/v1/queued_images", user=ADMIN).json() == {"num_deleted": 1}
    assert front.api.get("/v1/cached_images", user="red-member").status == 403
    assert front.api.get("/v1/images", user=ADMIN).status == 300


@pytest.mark.parametrize("user", [*USERS, "static"])
def test_who_may(front, user):
    """By Glance's own word, though it has no cache; or by the static token."""
    who = {"token": TOKEN} if user == "static" else {"user": user}
    image_id = front.api.image(DATA, user=ADMIN, visibility="public")["id"]
    refused = None if user and user.endswith(("admin", "static")) else 403 if user else 401
    for method, path, ok in (
        ("GET", "/v2/cache", 200),
        ("PUT", f"/v2/cache/{image_id}", 202),
        ("DELETE", f"/v2/cache/{image_id}", 204),
        ("GET", f"/v2/cache/nodes/{image_id}", 409),
        ("POST", "/v2/cache/clean", 200),
        ("POST", "/v2/cache/prune", 200),
        ("GET", "/v2/cached_images", 200),
        ("PUT", f"/v2/queued_images/{image_id}", 200),
        ("DELETE", "/v2/queued_images", 200),
        ("DELETE", "/v2/cache", 204),
    ):
        answer = front.api.request(method, path, **who)
        assert answer.status == (refused or ok), (method, path, answer)
        if user is None:
            assert answer.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_put_fetches_in_the_callers_name(front):
    image_id = front.api.image(DATA)["id"]
    assert front.api.request("PUT", f"/v2/cache/{image_id}", user=ADMIN).status == 202
    eventually(lambda: image_id in state(front.api)[0])
    assert image_id not in state(front.api)[1]
    hot = front.api.file(image_id, user="red-member")
    assert (hot.body, hot.headers["Cache-Status"]) == (DATA, "icewell; hit")


def test_an_entry_stays_where_its_fill_fails(front):
    image_id = front.api.image(DATA)["id"]
    stored = front.glance.stored(image_id)
    stored.rename(stored.with_suffix(".away"))

    def tried():
        assert front.api.request("PUT", f"/v2/cache/{image_id}", user=ADMIN).status == 202
        return front.glance.server.log.read_text().count(f"GET /v2/images/{image_id}/file")

    # A second try begins only when the first has ended.
    eventually(lambda: tried() >= 2)
    assert image_id in state(front.api)[1]
    stored.with_suffix(".away").rename(stored)
    eventually(lambda: tried() and image_id in state(front.api)[0])
    assert image_id not in state(front.api)[1]


def test_the_static_token(front):
    image_id = front.api.image(DATA)["id"]
    front.api.file(image_id, user="red-member")
    front.wait_until_cached(image_id)
    for who in ({"token": TOKEN}, {"headers": {"Authorization": f"Bearer {TOKEN}"}}):
        assert image_id in state(front.api, **who)[0]
        assert front.api.request("POST", "/v2/cache/prune", **who).json() == {
            "total_files_pruned": 0,
            "total_bytes_pruned": 0,
        }
    # Nobody's at Glance: so the image is queued unseen, and dropped if it is here.
    cold = front.api.image(DATA)["id"]
    assert front.api.request("PUT", f"/v2/cache/{cold}", token=TOKEN).status == 202
    assert cold in state(front.api, token=TOKEN)[1]
    for id_ in (cold, image_id):
        assert front.api.request("DELETE", f"/v2/cache/{id_}", token=TOKEN).status == 204
        assert front.api.request("DELETE", f"/v2/cache/{id_}", token=TOKEN).status == 404
    # Somebody's token beside it: asked and fetched in that name.
    member = {"user": "red-member", "headers": {"Authorization": f"Bearer {TOKEN}"}}
    assert front.api.request("PUT", f"/v2/cache/{NOBODYS}", **member).status == 404
    assert front.api.request("PUT", f"/v2/cache/{cold}", **member).status == 202
    eventually(lambda: cold in state(front.api, token=TOKEN)[0])


def test_the_static_token_and_service_credentials(bed, glance, token_file, tmp_path, monkeypatch):
    for name, value in bed.keystone.environ("red-admin").items():
        monkeypatch.setenv(name, value)
    front = Front(bed, glance, tmp_path, "--admin-token-file", token_file)
    image_id, empty = front.api.image(DATA)["id"], front.api.create()["id"]
    for id_, status in ((NOBODYS, 404), (empty, 400), (image_id, 202)):
        assert front.api.request("PUT", f"/v2/cache/{id_}", token=TOKEN).status == status
    eventually(lambda: state(front.api, token=TOKEN) == ([image_id], []))
    for id_, status in ((image_id, 204), (image_id, 204), (NOBODYS, 404)):
        assert front.api.request("DELETE", f"/v2/cache/{id_}", token=TOKEN).status == status
    assert state(front.api, token=TOKEN) == ([], [])
    # Who may manage images and not download them: the caller's fill fails, and the service's does not.
    glance.set_policy({"cache_list": "role:reader"})
    assert front.api.request("PUT", f"/v2/cache/{image_id}", user="red-reader").status == 202
    glance.set_policy({})
    eventually(lambda: state(front.api, token=TOKEN) == ([image_id], []))
    front.stop()


@pytest.mark.parametrize("wrong", [TOKEN[:-1], TOKEN + "x", TOKEN.upper()])
def test_another_token_is_none(front, wrong):
    assert front.api.get("/v2/cache", token=wrong).status == 401
    assert front.api.get("/v2/cache", headers={"Authorization": f"Bearer {wrong}"}).status == 401


def test_the_static_token_opens_no_image_and_goes_to_nobody(bed, token_file, tmp_path):
    with Echo(401) as echo:
        front = Front(bed, echo, tmp_path, "--admin-token-file", token_file)
        for headers in ({"X-Auth-Token": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}):
            for path in ("/v2/cache", f"/v2/images/{NOBODYS}/file", "/v2/images", "/v2/cache/"):
                front.api.get(path, headers=headers)
        front.stop()
        assert any("/v2/images" in line for line in echo.seen)
        assert not any(TOKEN in line for line in echo.seen)
        assert TOKEN not in front.log.read_text()


def test_without_glance_nobody_manages_but_by_the_static_token(bed, token_file, tmp_path):
    glance = bed.glance("going")
    front = Front(bed, glance, tmp_path, "--auth-ttl", "0", "--admin-token-file", token_file)
    glance.server.stop()
    assert front.api.get("/v2/cache", user=ADMIN).status == 502
    assert front.api.request("DELETE", "/v2/cache", user=ADMIN).status == 502
    assert front.api.get("/v2/cache", token=TOKEN).status == 200
    front.stop()


@pytest.mark.parametrize("status, ours", [(404, 403), (500, 502), (503, 503), (504, 504), (429, 502), (204, 502)])
def test_nothing_else_is_a_yes(bed, tmp_path, status, ours):
    with Echo(status) as echo:
        front = Front(bed, echo, tmp_path)
        for method, path in (("GET", "/v2/cache"), ("DELETE", "/v2/cache"), ("PUT", "/v2/queued_images/x")):
            assert front.api.request(method, path, token="somebody's").status == ours
        front.stop()
        assert state_of_disk(front) == []


def state_of_disk(front):
    return [path.name for path in (front.dir / "queue").iterdir()]


def test_who_came_by_is_told(bed, tmp_path):
    """So a loop of such daemons ends at once: each finds itself in the question."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Echo(503) as echo:
        one = Front(bed, echo, tmp_path / "one")
        one.url = one.api.url
        two = Front(bed, one, tmp_path / "two")
        assert two.api.get("/v2/cache", token="somebody's").status == 503
        hops = [line for line in "\n".join(echo.seen).splitlines() if line.lower().startswith("via:")]
        assert len(hops) == 2, hops
        one.stop()
        two.stop()


def test_a_yes_is_remembered_for_a_while(bed, glance, tmp_path):
    front = Front(bed, glance, tmp_path, "--auth-ttl", "60")
    before = questions(glance)
    for _ in range(20):
        state(front.api)
    eventually(lambda: questions(glance) == before + 1)
    for _ in range(3):
        assert front.api.get("/v2/cache", user="red-member").status == 403
    eventually(lambda: questions(glance) == before + 4)
    front.stop()


def questions(glance):
    return glance.server.log.read_text().count("GET /v2/cache HTTP")


def test_a_policy_of_glances_holds_at_once(bed, tmp_path):
    glance = bed.glance("lenient")
    front = Front(bed, glance, tmp_path, "--auth-ttl", "0")
    assert front.api.get("/v2/cache", user="red-member").status == 403
    glance.set_policy({"cache_list": "role:member"})
    assert front.api.get("/v2/cache", user="red-member").status == 200
    assert front.api.get("/v2/cache", user="red-reader").status == 403
    glance.set_policy({})
    assert front.api.get("/v2/cache", user="red-member").status == 403
    front.stop()


def test_pinned_images_stay_but_by_name(front):
    ids = sorted(front.api.image(DATA)["id"] for _ in range(3))
    front.api.request("DELETE", "/v2/cache", user=ADMIN)
    for id_ in ids:
        front.api.file(id_, user="red-member")
        front.wait_until_cached(id_)
    icewell(front, "pin", *ids[:2])
    assert front.api.request("DELETE", "/v2/cached_images", user=ADMIN).json() == {"num_deleted": 1}
    assert front.api.request("DELETE", "/v2/cache", user=ADMIN).status == 204
    assert state(front.api)[0] == ids[:2]
    assert front.api.request("DELETE", f"/v2/cache/{ids[0]}", user=ADMIN).status == 204
    assert front.api.request("DELETE", f"/v2/cached_images/{ids[1]}", user=ADMIN).status == 200
    assert state(front.api)[0] == []


def test_clean_and_prune(bed, glance, tmp_path):
    front = Front(bed, glance, tmp_path, "--stall-time", "0", "--auth-ttl", "0")
    ids = [front.api.image(DATA)["id"] for _ in range(3)]
    for id_ in ids:
        front.api.file(id_, user="red-member")
        front.wait_until_cached(id_)
    (front.dir / "invalid" / NOBODYS).write_bytes(b"x")
    (front.dir / "incomplete" / NOBODYS).write_bytes(b"x")
    assert front.api.request("POST", "/v2/cache/clean", user=ADMIN).status == 200
    assert not list((front.dir / "invalid").iterdir()) and not (front.dir / "incomplete" / NOBODYS).exists()
    # As an operator might: a lower limit, kept on the directory.
    subprocess.run(["setfattr", "-n", "user.icewell.max_size", "-v", str(len(DATA)), front.dir], check=True)
    pruned = front.api.request("POST", "/v2/cache/prune", user=ADMIN).json()
    assert pruned == {"total_files_pruned": 2, "total_bytes_pruned": 2 * len(DATA)}
    assert state(front.api)[0] == ids[2:]
    front.stop()


def test_requests_are_logged_and_tokens_are_not(bed, front):
    front.api.request("DELETE", f"/v2/cache/{NOBODYS}", user=ADMIN)
    front.api.get("/v2/cache", token=TOKEN)
    log = front.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any((line.get("path"), line.get("status")) == (f"/v2/cache/{NOBODYS}", 404) for line in lines)
    assert TOKEN not in log and bed.keystone.token(ADMIN) not in log


# Versions


def test_versions_are_those_of_a_glance_with_a_cache(front, beside):
    for path in ("/", "/versions", "/versions/", "/v1", "/v9/images"):
        without, with_cache, ours, through = (
            (answer.status, answer.headers["Content-Type"], json.loads(answer.body.replace(api.url.encode(), b"URL")))
            for api in (front.glance.api, beside.glance.api, front.api, beside.api)
            for answer in [api.get(path)]
        )
        assert without != with_cache == ours == through, path
    assert front.api.request("HEAD", "/versions").status == 200


# Real clients


@pytest.fixture
def glance_client(bed, front):
    def run(*arguments, user=ADMIN, status=0):
        program = pathlib.Path(sys.executable).parent / "glance"
        command = [program, "--os-image-url", front.api.url, *arguments]
        done = subprocess.run(command, env=bed.keystone.environ(user), capture_output=True, text=True)
        assert done.returncode == status, done
        return done.stdout + done.stderr

    return run


def test_glanceclient(front, glance_client):
    image_id, other = (front.api.image(DATA)["id"] for _ in range(2))
    glance_client("cache-clear")
    glance_client("cache-queue", image_id)
    eventually(lambda: image_id in state(front.api)[0])
    front.api.request("PUT", f"/v2/queued_images/{other}", user=ADMIN)
    table = glance_client("cache-list")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    told = [(row[0], row[1], row[4], row[5]) for row in rows[1:]]
    assert told == [(image_id, "cached", str(len(DATA)), "0"), (other, "queued", "N/A", "N/A")], table
    glance_client("cache-delete", image_id)
    assert state(front.api) == ([], [other])
    glance_client("cache-clear", "--target", "queue")
    assert state(front.api) == ([], [])
    refused = glance_client("cache-list", user="red-member", status=1)
    assert "403" in refused or "not authorized" in refused, refused


def test_glanceclients_newer_verbs(glance_client):
    glance_client("cache-clean")
    assert "0" in glance_client("cache-prune")


# What these tests need


def icewell(front, verb, *arguments):
    subprocess.run([ICEWELL, verb, "--dir", front.dir, *arguments], check=True, capture_output=True)


class Echo:
    """Stands where a Glance would, gives one answer to all, and writes down what comes."""

    def __init__(self, status):
        self._status = status

    def __enter__(self):
        seen, status = [], self._status
        self.seen = seen

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(f"{self.requestline}\n{self.headers}")
                self.send_error(status)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
