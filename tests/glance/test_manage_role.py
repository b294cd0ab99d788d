"""Who may manage the cache of `icewell serve` by a role of a real Keystone's, though a real Glance refuses him."""

import contextlib
import random
import uuid

import pytest

from test_front import Front
from test_manage import ADMIN, TARGET, eventually, meaning, questions, state
from test_service import new_user, revoke_all, said, surroundings

DATA = random.Random(4).randbytes(300_000)
SERVICE = "nova"  # with the role `service`, as other services' users have
MAY = "red-member"
MAY_NOT = "red-reader"


@contextlib.contextmanager
def running(bed, glance, folder, *options, service=SERVICE, project=None, role="member"):
    """A front whose users may manage by this role, asked for with the credentials of `service`."""
    environ = surroundings(folder, bed.keystone.environ(service, project))
    front = Front(bed, glance, folder, "--admin-role", role, "-vv", *options, environ=environ)
    try:
        yield front
    finally:
        front.stop()


@pytest.fixture(scope="module")
def front(bed, glance, tmp_path_factory):
    with running(bed, glance, tmp_path_factory.mktemp("role"), "--auth-ttl", "0") as front:
        yield front


def test_who_has_the_role_may_do_everything(front):
    image_id, other = (front.api.image(DATA)["id"] for _ in range(2))
    assert front.glance.api.get("/v2/cache", user=MAY).status == 403
    assert front.api.request("PUT", f"/v2/cache/{image_id}", user=MAY).status == 202
    eventually(lambda: image_id in state(front.api, user=MAY)[0])
    assert front.api.request("PUT", f"/v2/queued_images/{other}", user=MAY).status == 200
    assert front.api.request("DELETE", f"/v2/cache/{image_id}", user=MAY).status == 204
    assert front.api.request("DELETE", "/v2/cache", user=MAY, headers={TARGET: "cache"}).status == 204
    assert front.api.request("DELETE", "/v2/cache", user="blue-member").status == 204
    assert state(front.api, user=MAY) == ([], [])
    # Who has it not, and whom Glance lets.
    assert state(front.api, user=ADMIN) == ([], [])


def test_another_role_may_not(front):
    image_id = front.api.image(DATA)["id"]
    for method, path in (("GET", "/v2/cache"), ("DELETE", "/v2/cache"), ("PUT", f"/v2/cache/{image_id}")):
        for user in (MAY_NOT, SERVICE):
            # An image of another project is unknown first.
            refused = 404 if (method, user) == ("PUT", SERVICE) else 403
            assert front.api.request(method, path, user=user).status == refused
    claimed = {"X-Roles": "member", "X-Identity-Status": "Confirmed"}
    assert front.api.get("/v2/cache", user=MAY_NOT, headers=claimed).status == 403
    assert state(front.api, user=MAY) == ([], [])


def test_the_name_is_compared_as_policies_do(bed, glance, tmp_path):
    with running(bed, glance, tmp_path, "--auth-ttl", "0", role="MemBer") as front:
        assert front.api.get("/v2/cache", user=MAY).status == 200
        assert front.api.get("/v2/cache", user=MAY_NOT).status == 403


def test_a_token_may_come_as_x_storage_token(bed, front):
    for user, status in ((MAY, 200), (MAY_NOT, 403)):
        headers = {"X-Storage-Token": bed.keystone.token(user)}
        assert front.api.get("/v2/cache", headers=headers).status == status
    both = {"X-Storage-Token": bed.keystone.token(MAY)}
    assert front.api.get("/v2/cache", user=MAY_NOT, headers=both).status == 403
    assert front.api.get("/v2/cache", token="garbage", headers=both).status == 401


@pytest.mark.parametrize("accept", [None, "text/html", "application/json"])
def test_who_is_nobody_is_told_so_as_glance_does(bed, front, accept):
    headers = {"Accept": accept} if accept else {}
    expired = bed.keystone.token(MAY, expires_in=-60)
    # Glance goes on with a revoked token that it has seen.
    revoked = bed.keystone.token(MAY, fresh=True)
    assert front.glance.api.get("/v2/images", token=revoked).status == 200
    bed.keystone.revoke(revoked)
    assert front.glance.api.get("/v2/cache", token=revoked).status == 403
    nobody = meaning(front.glance.api.get("/v2/cache", headers=headers))
    for token in ("garbage", str(uuid.uuid4()), expired, revoked, None):
        assert meaning(front.api.get("/v2/cache", token=token, headers=headers)) == nobody


def test_an_expired_token_has_no_role_though_glance_takes_it_from_a_service(bed, front):
    expired = bed.keystone.token(MAY, expires_in=-60)
    service = {"X-Service-Token": bed.keystone.token("nova")}
    assert front.glance.api.get("/v2/cache", token=expired, headers=service).status == 403
    assert front.api.get("/v2/cache", token=expired, headers=service).status == 401


def test_a_token_for_some_requests_only_has_no_role(bed, tmp_path):
    """Keystone tells of access rules only to who heeds them."""
    glance = bed.glance("ruled", config={"keystone_authtoken": {"service_type": "image"}})
    rules = [{"service": "image", "method": "GET", "path": "/v2/cache"}]
    token = bed.keystone.log_in_with(bed.keystone.application_credential(MAY, access_rules=rules))
    assert glance.api.get("/v2/cache", token=token).status == 403
    with running(bed, glance, tmp_path, "--auth-ttl", "0") as front:
        assert front.api.get("/v2/cache", user=MAY).status == 200
        for method in ("GET", "DELETE"):
            assert front.api.request(method, "/v2/cache", token=token).status == 401


def test_a_yes_is_remembered_for_a_while_and_a_no_is_not(bed, glance, tmp_path):
    with running(bed, glance, tmp_path, "--auth-ttl", "60") as front:
        before = questions(glance)
        for _ in range(20):
            assert front.api.get("/v2/cache", user=MAY).status == 200
        eventually(lambda: questions(glance) == before + 1)
        for _ in range(3):
            assert front.api.get("/v2/cache", user=MAY_NOT).status == 403
        eventually(lambda: questions(glance) == before + 4)
        assert front.api.get("/v2/cache", user="blue-member").status == 200
        eventually(lambda: questions(glance) == before + 5)


def test_a_revoked_token_of_the_daemons_own_is_renewed(bed, glance, tmp_path):
    name, user_id = new_user(bed)
    with running(bed, glance, tmp_path, "--auth-ttl", "0", service=name, project="red") as front:
        assert front.api.get("/v2/cache", user=MAY).status == 200
        revoke_all(bed, user_id, name)
        for _ in range(2):
            assert front.api.get("/v2/cache", user=MAY).status == 200
        assert len(said(front, "logged in at Keystone")) == 2


def test_without_keystones_word_only_glance_lets_somebody_in(bed, glance, tmp_path):
    with running(bed, glance, tmp_path, "--auth-ttl", "0") as front:
        assert front.api.get("/v2/cache", user=MAY).status == 200
        assert front.api.get("/v2/cache", user=ADMIN).status == 200
        bed.keystone.server.stop()
        try:
            refused = front.api.request("DELETE", "/v2/cache", user=MAY)
            assert front.api.get("/v2/cache", user=ADMIN).status == 200
        finally:
            bed.keystone.server.start()
        assert refused.status == 502 and b"Keystone cannot be asked" in refused.body
        assert said(front, "Keystone cannot be asked")
        assert front.api.get("/v2/cache", user=MAY).status == 200


def test_a_user_that_may_not_look_at_tokens_is_told_of(bed, glance, tmp_path):
    with running(bed, glance, tmp_path, "--auth-ttl", "0", service="blue-reader") as front:
        assert front.api.get("/v2/cache", user=MAY).status == 502
        assert front.api.get("/v2/cache", user=ADMIN).status == 200
        (line,) = said(front, "Keystone cannot be asked")
        assert "the role service" in line["reason"]


def test_no_token_is_logged(front):
    front.api.get("/v2/cache", user=MAY)
    log = front.log.read_text()
    # A fernet token begins so.
    assert "/v2/cache" in log and "gAAAA" not in log
