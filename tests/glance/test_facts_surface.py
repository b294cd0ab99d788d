"""What else of Glance a proxy meets: versions, links, the cache's management. See FACTS.md."""

import time
import uuid

import pytest

ADMIN = {"user": "red-admin"}
MEMBER = {"user": "red-member"}
NO_CACHE_HERE = "Caching via API is not supported at this site."
NOBODYS = str(uuid.uuid4())
DATA = b"data" * 5000


def versions(api, path="/versions", **how):
    return {version["id"]: version for version in api.get(path, **how).json()["versions"]}


def cached_ids(api):
    return {image["image_id"] for image in api.get("/v2/cache", **ADMIN).json()["cached_images"]}


def eventually(true):
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# Versions and links


def test_versions_without_a_cache(glance):
    listed = versions(glance.api)
    assert [id for id, version in listed.items() if version["status"] == "CURRENT"] == ["v2.17"]
    assert not {"v2.14", "v2.16", "v2.18"} & listed.keys()
    assert "v2.15" in listed


def test_versions_with_a_cache(caching_glance):
    listed = versions(caching_glance.api)
    assert [id for id, version in listed.items() if version["status"] == "CURRENT"] == ["v2.18"]
    assert {"v2.14", "v2.15", "v2.16", "v2.17"} < listed.keys()


def test_versions_are_for_everyone_and_300_at_the_root(glance):
    assert glance.api.get("/versions").status == 200
    for path in ("/", "/v9/images"):
        answer = glance.api.get(path)
        assert answer.status == 300
        assert answer.headers["Content-Type"] == "application/json"
        assert versions(glance.api, path) == versions(glance.api)


@pytest.mark.parametrize("path", ["/v1/images", f"/v1/images/{NOBODYS}"])
def test_there_is_no_v1(glance, path):
    assert glance.api.get(path, **MEMBER).status == 300


def test_absolute_links_are_made_of_the_host_header(glance):
    host = {"Host": "images.example:1234"}
    for version in versions(glance.api, headers=host).values():
        assert version["links"][0]["href"] == "http://images.example:1234/v2/"
    made = glance.api.send_json("POST", "/v2/images", {"name": "x"}, headers=host, **MEMBER)
    assert made.headers["Location"] == f"http://images.example:1234/v2/images/{made.json()['id']}"


def test_all_other_links_are_relative(glance):
    shown = glance.api.image(DATA)
    path = f"/v2/images/{shown['id']}"
    assert (shown["self"], shown["file"], shown["schema"]) == (path, path + "/file", "/v2/schemas/image")
    listed = glance.api.get("/v2/images?limit=1", **MEMBER).json()
    assert (listed["first"], listed["schema"]) == ("/v2/images?limit=1", "/v2/schemas/images")
    assert listed["next"].startswith("/v2/images?")


def test_forwarded_headers_count_only_if_glance_is_told_so(bed, glance):
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "images.example", "X-Forwarded-Prefix": "/image"}
    believing = bed.glance("believing", config={"oslo_middleware": {"enable_proxy_headers_parsing": True}})
    for one, expected in ((glance, glance.url + "/v2/"), (believing, "https://images.example/image/v2/")):
        hrefs = {version["links"][0]["href"] for version in versions(one.api, headers=forwarded).values()}
        assert hrefs == {expected}


def test_a_clients_request_id_is_kept(glance):
    id_ = f"req-{uuid.uuid4()}"
    answer = glance.api.get("/v2/images", headers={"X-Openstack-Request-ID": id_}, **MEMBER)
    assert answer.headers["x-openstack-request-id"] == id_


# /v2/cache


def test_cache_status_tells_who_may_manage_a_cache_even_where_there_is_none(glance):
    answer = glance.api.get("/v2/cache", **ADMIN)
    assert answer.status == 404
    assert NO_CACHE_HERE in answer.body.decode()
    assert glance.api.get("/v2/cache", user="blue-admin").status == 404
    for user in ("red-member", "red-reader"):
        answer = glance.api.get("/v2/cache", user=user)
        assert answer.status == 403
        assert NO_CACHE_HERE not in answer.body.decode()
    assert glance.api.get("/v2/cache").status == 401


def test_cache_status_where_there_is_one(caching_glance):
    answer = caching_glance.api.get("/v2/cache", **ADMIN)
    assert answer.status == 200
    assert set(answer.json()) == {"cached_images", "queued_images"}
    assert caching_glance.api.get("/v2/cache", **MEMBER).status == 403
    assert caching_glance.api.get("/v2/cache").status == 401
    assert caching_glance.api.send_json("GET", "/v2/cache", {}, **ADMIN).status == 400


def test_cache_entry(caching_glance):
    image_id = caching_glance.api.image(DATA)["id"]
    caching_glance.api.file(image_id, **MEMBER)
    listed = caching_glance.api.get("/v2/cache", **ADMIN).json()["cached_images"]
    (entry,) = [entry for entry in listed if entry["image_id"] == image_id]
    assert set(entry) == {"image_id", "hits", "last_accessed", "last_modified", "size"}
    assert all(isinstance(entry[key], int) for key in ("hits", "last_accessed", "last_modified", "size"))
    assert (entry["size"], entry["hits"]) == (len(DATA), 0)  # what fills the cache is no hit


def test_put_fetches_and_delete_drops(caching_glance):
    api = caching_glance.api
    path = f"/v2/cache/{api.image(DATA)['id']}"
    answer = api.request("PUT", path, **ADMIN)
    assert (answer.status, answer.body) == (202, b"")
    eventually(lambda: path.removeprefix("/v2/cache/") in cached_ids(api))
    answer = api.request("DELETE", path, **ADMIN)
    assert (answer.status, answer.body) == (204, b"")
    assert path.removeprefix("/v2/cache/") not in cached_ids(api)
    assert api.request("DELETE", path, **ADMIN).status == 204  # the image exists, that is enough


def test_put_refuses(caching_glance):
    api = caching_glance.api
    empty = api.create()["id"]
    assert api.request("PUT", f"/v2/cache/{empty}", **ADMIN).status == 400
    assert api.request("PUT", f"/v2/cache/{empty}", **MEMBER).status == 403
    for user in (ADMIN, MEMBER):  # looked for before the policy is asked
        assert api.request("PUT", f"/v2/cache/{NOBODYS}", **user).status == 404
        assert api.request("DELETE", f"/v2/cache/{NOBODYS}", **user).status == 404


@pytest.mark.parametrize(
    "target, status", [("cache", 204), ("QUEUE", 204), ("", 204), (None, 204), ("both", 400), ("x", 400)]
)
def test_clear_target(caching_glance, target, status):
    headers = {} if target is None else {"x-image-cache-clear-target": target}
    assert caching_glance.api.request("DELETE", "/v2/cache", headers=headers, **ADMIN).status == status
    assert caching_glance.api.request("DELETE", "/v2/cache", headers=headers, **MEMBER).status == 403


def test_clean_prune_nodes(caching_glance):
    api = caching_glance.api
    answer = api.request("POST", "/v2/cache/clean", **ADMIN)
    assert (answer.status, answer.body) == (200, b"")
    answer = api.request("POST", "/v2/cache/prune", **ADMIN)
    assert (answer.status, answer.json()) == (200, {"total_files_pruned": 0, "total_bytes_pruned": 0})
    assert api.get(f"/v2/cache/nodes/{NOBODYS}", **ADMIN).status == 409
    for method, path in (("POST", "clean"), ("POST", "prune"), ("GET", f"nodes/{NOBODYS}")):
        assert api.request(method, f"/v2/cache/{path}", **MEMBER).status == 403


@pytest.mark.parametrize(
    "method, path, allow",
    [
        ("POST", "/v2/cache", "GET, DELETE"),
        ("PUT", "/v2/cache", "GET, DELETE"),
        ("HEAD", "/v2/cache", "GET, DELETE"),
        ("GET", "/v2/cache/clean", "POST"),
        ("PUT", "/v2/cache/clean", "POST"),
        ("DELETE", "/v2/cache/prune", "POST"),
        ("GET", "/v2/cache/nodes", "DELETE, PUT"),  # an image of that name
        ("POST", f"/v2/cache/{NOBODYS}", "DELETE, PUT"),
        ("DELETE", f"/v2/cache/nodes/{NOBODYS}", "GET"),
    ],
)
def test_wrong_verbs(caching_glance, method, path, allow):
    answer = caching_glance.api.request(method, path, **ADMIN)
    assert (answer.status, answer.headers["Allow"]) == (405, allow)


def test_verbs_where_there_is_no_cache(glance):
    image_id = glance.api.image(DATA)["id"]
    for method, path in (("PUT", image_id), ("DELETE", image_id), ("POST", "clean"), ("POST", "prune")):
        assert glance.api.request(method, f"/v2/cache/{path}", **ADMIN).status == 404
        assert glance.api.request(method, f"/v2/cache/{path}", **MEMBER).status == 403
    assert glance.api.request("DELETE", f"/v2/cache/{NOBODYS}", **ADMIN).status == 500


def test_an_error_has_the_form_that_accept_wants(caching_glance):
    for accept, kind in (
        (None, "text/plain"),
        ("*/*", "text/html"),
        ("application/json", "application/json"),
        ("image/png", "text/plain"),
        ("application/json;q=0.5, text/html;q=0.1", "application/json"),
    ):
        headers = {"Accept": accept} if accept else {}
        answer = caching_glance.api.request("PUT", f"/v2/cache/{NOBODYS}", headers=headers, **ADMIN)
        assert answer.headers["Content-Type"].split(";")[0] == kind
        assert f"Image {NOBODYS} not found." in answer.body.decode()


def test_a_refusal_names_the_policy(caching_glance):
    for method, path, action in (
        ("GET", "/v2/cache", "cache_list"),
        ("DELETE", "/v2/cache", "cache_delete"),
        ("POST", "/v2/cache/prune", "cache_prune"),
        ("GET", "/v2/cached_images", "manage_image_cache"),
    ):
        answer = caching_glance.api.request(method, path, **MEMBER)
        assert f"You are not authorized to complete {action} action." in answer.body.decode()


def test_spellings_of_cache_paths(caching_glance):
    for path in ("//v2//cache", "/v2/%63ache", "/v2%2Fcache", "/v2.15/cache", "/v2/cache?x=y"):
        assert caching_glance.api.get(path, **ADMIN).status == 200, path
    for path in ("/v2/cache/", "/v2/Cache", "/v2/./cache", "/v2/cache;x"):
        assert caching_glance.api.get(path, **ADMIN).status == 404, path


def test_bodies_where_none_belongs(caching_glance):
    api = caching_glance.api
    assert api.get("/v2/cache", body=b"{}", **MEMBER).status == 400  # before the policy
    assert api.get("/v2/cache", body=b"{}").status == 401
    assert api.get("/v2/cache", body=iter([b"{}"]), **ADMIN).status == 200
    assert api.request("POST", "/v2/cache/clean", body=b"{}", **ADMIN).status == 500


# The older management API


def test_legacy_api_needs_the_cachemanage_filter(glance):
    for path in ("/v2/cached_images", "/v2/queued_images"):
        for user in (ADMIN, MEMBER):
            assert glance.api.get(path, **user).status == 404


def test_legacy_api(caching_glance):
    api = caching_glance.api
    image_id = api.image(DATA)["id"]
    api.request("DELETE", "/v2/cache", **ADMIN)

    answer = api.get("/v2/cached_images", **ADMIN)
    assert (answer.status, answer.json()) == (200, {"cached_images": []})
    answer = api.request("PUT", f"/v2/queued_images/{image_id}", **ADMIN)
    assert (answer.status, answer.body) == (200, b"null")
    assert api.get("/v2/queued_images", **ADMIN).json() == {"queued_images": [image_id]}
    answer = api.request("DELETE", f"/v2/queued_images/{image_id}", **ADMIN)
    assert (answer.status, answer.body) == (200, b"null")
    answer = api.request("PUT", f"/v2/queued_images/{NOBODYS}", **ADMIN)  # nobody looks whether there is such an image
    assert (answer.status, answer.body) == (200, b"null")
    assert api.request("DELETE", "/v2/queued_images", **ADMIN).json() == {"num_deleted": 1}

    api.file(image_id, **MEMBER)
    assert [image["image_id"] for image in api.get("/v2/cached_images", **ADMIN).json()["cached_images"]] == [image_id]
    answer = api.request("DELETE", f"/v2/cached_images/{image_id}", **ADMIN)
    assert (answer.status, answer.body) == (200, b"null")
    assert api.request("DELETE", "/v2/cached_images", **ADMIN).json() == {"num_deleted": 0}


def test_legacy_api_is_for_whom_the_policy_lets(caching_glance):
    for path in ("/v2/cached_images", "/v2/queued_images"):
        assert caching_glance.api.get(path, **MEMBER).status == 403
        assert caching_glance.api.get(path).status == 401


def test_legacy_api_under_v1(caching_glance):
    assert caching_glance.api.get("/v1/cached_images", **ADMIN).status == 300
