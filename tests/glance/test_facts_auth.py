"""Who may have an image's data, and how to ask without moving any: what Glance answers. See FACTS.md."""

import time

import pytest

DATA = b"only for those who may" * 1000
SIZE = len(DATA)

# Each way of asking for bytes; the last is the one that costs none.
WHOLE, FIRST_BYTE, PAST_THE_END = None, "bytes=0-0", f"bytes={SIZE}-"
WAYS = (WHOLE, FIRST_BYTE, PAST_THE_END)
YES, NO, UNSEEN, UNKNOWN = [200, 206, 416], [403] * 3, [404] * 3, [401] * 3


def answers(api, image_id, **how):
    """The statuses of all the ways to ask, by one caller."""
    return [api.file(image_id, range=way, **how).status for way in WAYS]


@pytest.fixture(scope="module")
def private(glance):
    return glance.api.image(DATA)["id"]


def test_probe_is_416_and_says_nothing_of_the_size_in_headers(glance, private):
    answer = glance.api.probe(private, SIZE, user="red-member")
    assert answer.status == 416
    assert "Content-Range" not in answer.headers
    assert answer.headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert int(answer.headers["Content-Length"]) == len(answer.body) < 1000


def test_probe_does_not_touch_the_store(glance):
    image_id = glance.api.image(DATA)["id"]
    glance.stored(image_id).unlink()
    assert glance.api.probe(image_id, SIZE, user="red-member").status == 416
    assert glance.api.file(image_id, user="red-member").status != 200


def test_a_start_past_the_end_is_416_however_far(glance, private):
    for start in (SIZE, SIZE + 1, 2**63 - 1, 10**30):
        assert glance.api.probe(private, start, user="red-member").status == 416


@pytest.mark.parametrize(
    "user, expected",
    [
        ("red-admin", YES),
        ("red-member", YES),
        ("red-reader", NO),  # by default policy: it sees the metadata all the same
        ("blue-admin", YES),  # an admin anywhere is an admin everywhere
        ("blue-member", UNSEEN),
        ("blue-reader", UNSEEN),
        ("nova", UNSEEN),  # the role `service` alone opens nothing
    ],
)
def test_private_image(glance, private, user, expected):
    assert answers(glance.api, private, user=user) == expected


def test_a_reader_sees_metadata_that_it_may_not_download(glance, private):
    assert glance.api.show(private, user="red-reader")["os_hash_value"]


def test_public_image(glance):
    image_id = glance.api.image(DATA, user="red-admin", visibility="public")["id"]
    assert answers(glance.api, image_id, user="blue-member") == YES
    assert answers(glance.api, image_id, user="blue-reader") == NO
    assert answers(glance.api, image_id) == UNKNOWN


def test_community_image(glance):
    image_id = glance.api.image(DATA, visibility="community")["id"]
    assert answers(glance.api, image_id, user="blue-member") == YES


def test_shared_image_opens_before_it_is_accepted_and_shuts_at_once(glance):
    image_id = glance.api.image(DATA, visibility="shared")["id"]
    assert answers(glance.api, image_id, user="blue-member") == UNSEEN
    glance.api.add_member(image_id, "blue")
    assert answers(glance.api, image_id, user="blue-member") == YES
    assert answers(glance.api, image_id, user="blue-reader") == NO
    glance.api.remove_member(image_id, "blue")
    assert answers(glance.api, image_id, user="blue-member") == UNSEEN


def test_deactivated_image_is_for_admins_only(glance):
    image_id = glance.api.image(DATA)["id"]
    glance.api.deactivate(image_id)
    assert answers(glance.api, image_id, user="red-member") == NO
    assert answers(glance.api, image_id, user="red-admin") == YES
    assert answers(glance.api, image_id, user="blue-member") == UNSEEN
    assert glance.api.show(image_id)["status"] == "deactivated"
    glance.api.reactivate(image_id)
    assert answers(glance.api, image_id, user="red-member") == YES


def test_deleted_image_is_404_for_everyone(glance):
    image_id = glance.api.image(DATA)["id"]
    glance.api.delete(image_id)
    for user in ("red-admin", "red-member", "blue-member"):
        assert answers(glance.api, image_id, user=user) == UNSEEN


def test_another_policy_holds_at_once(glance, private):
    glance.set_policy({"download_image": "role:admin"})
    try:
        assert answers(glance.api, private, user="red-member") == NO
        assert answers(glance.api, private, user="red-admin") == YES
    finally:
        glance.set_policy({})
    assert answers(glance.api, private, user="red-member") == YES


def test_policy_may_look_at_the_image_itself(glance):
    """Two images of one owner, two answers: nothing learnt about one image says anything of another."""
    open_, shut = glance.api.image(DATA, os_distro="open")["id"], glance.api.image(DATA, os_distro="shut")["id"]
    glance.set_policy({"download_image": "'open':%(os_distro)s"})
    try:
        assert answers(glance.api, open_, user="red-member") == YES
        assert answers(glance.api, shut, user="red-member") == NO
    finally:
        glance.set_policy({})


# Tokens


def test_refusals_without_a_token_say_where_keystone_is(bed, glance, private):
    answer = glance.api.file(private)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{bed.keystone.auth_url}"'


@pytest.mark.parametrize("token", ["garbage", "gAAAAA" + "x" * 180, "0" * 32, "ü".encode("latin-1")])
def test_garbage_token(glance, private, token):
    assert answers(glance.api, private, token=token) == UNKNOWN


def test_expired_token(bed, glance, private):
    assert answers(glance.api, private, token=bed.keystone.token("red-member", expires_in=-5)) == UNKNOWN


def test_a_token_runs_out_although_glance_has_just_accepted_it(bed, glance, private):
    ends = time.time() + 3
    token = bed.keystone.token("red-member", expires_in=3)
    assert glance.api.probe(private, SIZE, token=token).status == 416
    time.sleep(max(0, ends + 1 - time.time()))
    assert answers(glance.api, private, token=token) == UNKNOWN


def test_a_revoked_token_is_401_unless_glance_has_it_in_its_own_token_cache(bed, glance, private):
    unseen, seen = (bed.keystone.token("red-member", fresh=True) for _ in range(2))
    assert glance.api.probe(private, SIZE, token=seen).status == 416
    bed.keystone.revoke(unseen)
    bed.keystone.revoke(seen)
    assert answers(glance.api, private, token=unseen) == UNKNOWN
    assert answers(glance.api, private, token=seen) == YES  # for token_cache_time, 300 s


def test_an_expired_token_counts_with_a_service_token(bed, glance, private):
    """Nova's `send_service_user_token`: who may have the bytes hangs on two headers."""
    expired = bed.keystone.token("red-member", expires_in=-60)
    nova = {"X-Service-Token": bed.keystone.token("nova")}
    assert answers(glance.api, private, token=expired, headers=nova) == YES
    assert answers(glance.api, private, token=expired) == UNKNOWN
    mere_user = {"X-Service-Token": bed.keystone.token("blue-member")}
    assert answers(glance.api, private, token=expired, headers=mere_user) == UNKNOWN


def test_a_bad_service_token_spoils_nothing(glance, private):
    assert answers(glance.api, private, user="red-member", headers={"X-Service-Token": "garbage"}) == YES


def test_a_token_may_come_as_x_storage_token(bed, glance, private):
    storage = {"X-Storage-Token": bed.keystone.token("red-member")}
    assert answers(glance.api, private, headers=storage) == YES
    assert answers(glance.api, private, headers=storage, token="garbage") == UNKNOWN  # X-Auth-Token goes first


def test_claimed_roles_count_for_nothing(bed, glance, private):
    claims = {
        "X-Identity-Status": "Confirmed",
        "X-Roles": "admin",
        "X-Project-Id": bed.keystone.project_id("red"),
        "X-User-Id": "someone",
    }
    assert answers(glance.api, private, headers=claims) == UNKNOWN
    assert answers(glance.api, private, headers=claims, user="blue-member") == UNSEEN


def test_two_tokens_are_none(bed, glance, private):
    """Two headers of one name reach Glance as one, joined by a comma."""
    good = bed.keystone.token("red-member")
    assert answers(glance.api, private, token=f"{good},{good}") == UNKNOWN
    assert answers(glance.api, private, token=f" {good} ") == YES


def test_access_rules_allow_the_file_and_not_the_metadata(bed):
    """An application credential for downloads alone: neither metadata nor another verb can stand for the file."""
    glance = bed.glance("ruled", config={"keystone_authtoken": {"service_type": "image"}})
    image_id = glance.api.image(DATA)["id"]
    rules = [{"service": "image", "method": "GET", "path": "/v2/images/*/file"}]
    token = bed.keystone.log_in_with(bed.keystone.application_credential("red-member", access_rules=rules))
    assert answers(glance.api, image_id, token=token) == YES
    assert glance.api.get(f"/v2/images/{image_id}", token=token).status == 401
    assert glance.api.file(image_id, method="HEAD", token=token).status == 401


def test_without_keystone_a_new_token_is_401_and_a_known_one_works(bed, glance, private):
    """So a 401 does not prove that a token is bad."""
    known, new = (bed.keystone.token("red-member", fresh=True) for _ in range(2))
    assert glance.api.probe(private, SIZE, token=known).status == 416
    bed.keystone.server.stop()
    try:
        assert glance.api.probe(private, SIZE, token=known).status == 416
        assert glance.api.probe(private, SIZE, token=new).status == 401
    finally:
        bed.keystone.server.start()
    assert glance.api.probe(private, SIZE, token=new).status == 416
