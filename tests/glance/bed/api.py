"""HTTP as the tests speak it: nothing retried, followed or guessed, and every header to be seen.

`Api` goes to one base URL, be that a Glance or whatever stands in front of it.
"""

import http.client
import json
import ssl
import urllib.parse
import uuid

OCTETS = "application/octet-stream"
TIMEOUT = 60


class Response:
    """status, headers (names in any case) and the body, read to its end."""

    def __init__(self, answer, body):
        self.status = answer.status
        self.headers = answer.headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:300]!r}>"


class Api:
    """Calls to the image API at `url`, by users of `keystone`. `ca` is the file of whom to trust at an https address."""

    def __init__(self, url, keystone, ca=None):
        self.url = url
        self.ca = ca
        self.keystone = keystone

    def request(self, method, path, user=None, token=None, headers=None, body=None):
        """One request on a connection of its own. `user` brings that user's token; an iterator's body is chunked."""
        headers = dict(headers or {})
        if user:
            token = self.keystone.token(user)
        if token:
            headers["X-Auth-Token"] = token
        address = urllib.parse.urlsplit(self.url)
        if address.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(address.hostname, address.port, timeout=TIMEOUT, context=context)
        else:
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=TIMEOUT)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            chunked = body is not None and not isinstance(body, bytes)
            if chunked:
                headers["Transfer-Encoding"] = "chunked"
            elif body is not None:
                headers.setdefault("Content-Length", str(len(body)))
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body, encode_chunked=chunked)
            answer = connection.getresponse()
            return Response(answer, answer.read())
        finally:
            connection.close()

    def get(self, path, **how):
        return self.request("GET", path, **how)

    def file(self, image_id, range=None, method="GET", headers=None, **how):
        """GET (or HEAD) of the image's data, whole or a range of it."""
        headers = dict(headers or {}) | ({"Range": range} if range else {})
        return self.request(method, f"/v2/images/{image_id}/file", headers=headers, **how)

    def probe(self, image_id, size, **how):
        """The question whether this caller may have the file, which costs no byte of it: 416 is yes."""
        return self.file(image_id, range=f"bytes={size}-", **how)

    def send_json(self, method, path, value, content_type="application/json", headers=None, **how):
        headers = dict(headers or {}) | {"Content-Type": content_type}
        return self.request(method, path, headers=headers, body=json.dumps(value).encode(), **how)

    # The life of an image. Each of these insists on success; use `request` to be refused.

    def create(self, user="red-member", visibility="private", **fields):
        """An image without data yet: its metadata as Glance answers it."""
        usual = {"name": f"test-{uuid.uuid4()}", "disk_format": "raw", "container_format": "bare"}
        wish = usual | {"visibility": visibility} | fields
        return _expect(201, self.send_json("POST", "/v2/images", wish, user=user)).json()

    def upload(self, image_id, data, user="red-member", headers=None):
        """Data into an image; an iterator's goes chunked."""
        headers = {"Content-Type": OCTETS} | (headers or {})
        _expect(204, self.request("PUT", f"/v2/images/{image_id}/file", user=user, headers=headers, body=data))

    def image(self, data, user="red-member", **fields):
        """An image with its data: the metadata, complete. A public one takes an admin."""
        image_id = self.create(user=user, **fields)["id"]
        self.upload(image_id, data, user=user)
        return self.show(image_id, user=user)

    def show(self, image_id, user="red-member"):
        return _expect(200, self.get(f"/v2/images/{image_id}", user=user)).json()

    def deactivate(self, image_id, user="red-admin"):
        _expect(204, self.request("POST", f"/v2/images/{image_id}/actions/deactivate", user=user, body=b""))

    def reactivate(self, image_id, user="red-admin"):
        _expect(204, self.request("POST", f"/v2/images/{image_id}/actions/reactivate", user=user, body=b""))

    def set_visibility(self, image_id, visibility, user="red-member"):
        self.patch(image_id, [{"op": "replace", "path": "/visibility", "value": visibility}], user=user)

    def add_location(self, image_id, url, user="red-admin", **digests):
        """Makes what `url` serves an image's data, without reading it. Glance believes `digests`; none, none it has.

        For a Glance with the web store. All three go together: checksum, os_hash_algo and os_hash_value.
        """
        location = {"url": url, "metadata": {"store": "web"}} | ({"validation_data": digests} if digests else {})
        self.patch(image_id, [{"op": "add", "path": "/locations/-", "value": location}], user=user)

    def patch(self, image_id, changes, user="red-member"):
        content_type = "application/openstack-images-v2.1-json-patch"
        _expect(200, self.send_json("PATCH", f"/v2/images/{image_id}", changes, content_type=content_type, user=user))

    def add_member(self, image_id, project, user="red-member"):
        """Shares a `shared` image with another project, which has then still to accept it to see it listed."""
        member = {"member": self.keystone.project_id(project)}
        _expect(200, self.send_json("POST", f"/v2/images/{image_id}/members", member, user=user))

    def remove_member(self, image_id, project, user="red-member"):
        path = f"/v2/images/{image_id}/members/{self.keystone.project_id(project)}"
        _expect(204, self.request("DELETE", path, user=user))

    def accept(self, image_id, user="blue-member"):
        project = self.keystone.project_id(self.keystone.project_of(user))
        path = f"/v2/images/{image_id}/members/{project}"
        _expect(200, self.send_json("PUT", path, {"status": "accepted"}, user=user))

    def delete(self, image_id, user="red-member"):
        _expect(204, self.request("DELETE", f"/v2/images/{image_id}", user=user))


def _expect(status, response):
    assert response.status == status, f"wanted {status}: {response!r}"
    return response
