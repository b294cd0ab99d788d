"""A real Keystone: sqlite, fernet tokens, populated by `bed.template`."""

import json
import pathlib
import sqlite3
import time
import uuid

import msgpack
from cryptography.fernet import Fernet

from bed import ini, users
from bed.api import Api
from bed.server import Server


class Keystone:
    """The identity service in `folder`, which is a copy of the template's."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._tokens = {}
        self._projects = {}
        environ = {"OS_KEYSTONE_CONFIG_FILES": str(write_config(folder))}
        self.server = Server("keystone", "keystone.wsgi.api:application", environ, folder, "/v3")
        self.url = self.server.url
        self.auth_url = f"{self.url}/v3"
        self.api = Api(self.url, self)
        self.point("identity", self.auth_url)

    project_of = staticmethod(users.project_of)

    def point(self, service_type, url):
        """What the catalogue says of a service from now on, in each of its interfaces."""
        database = sqlite3.connect(self.folder / "keystone.sqlite", timeout=30)
        with database:
            of_type = "SELECT id FROM service WHERE type = ?"
            database.execute(f"UPDATE endpoint SET url = ? WHERE service_id = ({of_type})", (url, service_type))
        database.close()

    # Tokens

    def token(self, user, project=None, fresh=False, expires_in=None):
        """A token of this user for a project, its own if none is named. The same one each time unless `fresh`.

        `expires_in` seconds makes one of its own that runs out then; a negative number, one that has run out.
        """
        project = project or users.project_of(user)
        if expires_in is not None:
            return self._expiring(self.log_in(user, project), expires_in)
        if fresh or (user, project) not in self._tokens:
            token = self.log_in(user, project)
            if fresh:
                return token
            self._tokens[user, project] = token
        return self._tokens[user, project]

    def log_in_with(self, application_credential):
        """A token by the (id, secret) of an application credential."""
        credential = dict(zip(("id", "secret"), application_credential))
        identity = {"methods": ["application_credential"], "application_credential": credential}
        return self._log_in({"identity": identity}).headers["X-Subject-Token"]

    def log_in(self, user, project):
        """A new token by a user's password."""
        domain = {"id": "default"}
        auth = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": user, "domain": domain, "password": users.password_of(user)}},
            },
            "scope": {"project": {"name": project, "domain": domain}},
        }
        answer = self._log_in(auth)
        self._projects[project] = answer.json()["token"]["project"]["id"]
        return answer.headers["X-Subject-Token"]

    def _log_in(self, auth):
        # Two logins at the same moment, and sqlite may be locked: a 500.
        for _ in range(5):
            answer = self.api.send_json("POST", "/v3/auth/tokens", {"auth": auth})
            if answer.status != 500:
                break
        assert answer.status == 201, answer
        return answer

    def revoke(self, token):
        answer = self.api.request("DELETE", "/v3/auth/tokens", token=token, headers={"X-Subject-Token": token})
        assert answer.status == 204, answer

    def _expiring(self, token, seconds):
        """The same token with another end, sealed by Keystone's own key: waiting for one to run out takes too long."""
        repository = self.folder / "fernet-keys"
        primary = max(repository.iterdir(), key=lambda key: int(key.name))
        seal = Fernet(primary.read_bytes())
        payload = msgpack.unpackb(seal.decrypt(token + "=" * (-len(token) % 4)))
        (where,) = [i for i, part in enumerate(payload) if isinstance(part, float)]
        now = time.time()
        payload[where] = now + seconds
        # Issued before it ends.
        issued = int(now + min(seconds, 0)) - 1
        return seal.encrypt_at_time(msgpack.packb(payload), issued).rstrip(b"=").decode()

    # What clients need to know

    def project_id(self, project):
        if project not in self._projects:
            self.log_in(f"{project}-member", project)
        return self._projects[project]

    def environ(self, user, project=None):
        """The OS_* variables that OpenStack's clients log in with."""
        return {
            "OS_AUTH_URL": self.auth_url,
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USERNAME": user,
            "OS_PASSWORD": users.password_of(user),
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_NAME": project or users.project_of(user),
            "OS_PROJECT_DOMAIN_ID": "default",
        }

    def application_credential(self, user, access_rules=None):
        """(id, secret) of a new application credential of this user for its project.

        With `access_rules`, [{"service": "image", "method": …, "path": …}], it is good for these requests only, at a
        Glance that knows its own `service_type`.
        """
        token = self.token(user)
        subject = self.api.get("/v3/auth/tokens", token=token, headers={"X-Subject-Token": token}).json()
        path = f"/v3/users/{subject['token']['user']['id']}/application_credentials"
        wish = {"name": str(uuid.uuid4())} | ({"access_rules": access_rules} if access_rules else {})
        answer = self.api.send_json("POST", path, {"application_credential": wish}, token=token)
        assert answer.status == 201, answer
        made = answer.json()["application_credential"]
        return made["id"], made["secret"]


def write_config(folder):
    """keystone.conf for what stands in `folder`; its path."""
    folder = pathlib.Path(folder)
    path = folder / "keystone.conf"
    keys = {"key_repository": folder / "fernet-keys"}
    ini.write(
        path,
        {
            "DEFAULT": {"log_file": None, "debug": False},
            "database": ini.sqlite(folder / "keystone.sqlite"),
            "identity": {"password_hash_rounds": 4},
            "fernet_tokens": keys,
            "fernet_receipts": keys,
            "credential": {"key_repository": folder / "credential-keys"},
            # What a test changes holds from the next request on.
            "cache": {"enabled": False},
            "oslo_concurrency": {"lock_path": folder / "locks"},
        },
    )
    return path


def populate(keystone):
    """Makes everyone in `users` in a Keystone that was only bootstrapped, and the image service's endpoints."""

    def send(method, path, value, token):
        answer = keystone.api.send_json(method, path, value, token=token)
        assert answer.status in (201, 204), answer
        return json.loads(answer.body or b"null")

    token = keystone.log_in("admin", "admin")
    roles = {role["name"]: role["id"] for role in keystone.api.get("/v3/roles", token=token).json()["roles"]}
    projects = {}
    for user, project, role in users.everyone():
        if project not in projects:
            made = send("POST", "/v3/projects", {"project": {"name": project, "domain_id": "default"}}, token)
            projects[project] = made["project"]["id"]
        new = {"name": user, "password": users.password_of(user), "domain_id": "default"}
        user_id = send("POST", "/v3/users", {"user": new}, token)["user"]["id"]
        send("PUT", f"/v3/projects/{projects[project]}/users/{user_id}/roles/{roles[role]}", {}, token)
    service = send("POST", "/v3/services", {"service": {"type": "image", "name": "glance"}}, token)["service"]["id"]
    for interface in ("public", "internal", "admin"):
        endpoint = {"service_id": service, "region_id": "RegionOne", "interface": interface}
        endpoint["url"] = "http://127.0.0.1:9"  # until `point` knows better
        send("POST", "/v3/endpoints", {"endpoint": endpoint}, token)
