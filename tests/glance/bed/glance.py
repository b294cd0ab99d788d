"""A real Glance with a file store, sqlite and Keystone's tokens."""

import json
import pathlib
import shutil
import sys

from glance import policies

from bed import ini, users
from bed.api import Api
from bed.server import Server

STORE = "disk"
WEB_STORE = "web"


class Glance:
    """One Glance in `folder`.

    `cache` is None or a driver (xattr, sqlite, centralized_db): it turns on Glance's own cache, the filters on the path
    and the management API too. `web` adds a store whose images are web addresses, without random access; see
    `Api.add_location`. `policy` is what stands in policy.yaml, nothing by default. `config` lays further options over
    the configuration: {"section": {"option": value}}. `tls` is an `Issued` certificate to speak HTTPS with; its own `api`
    trusts that one's authority. `serving` are threads and workers, as `Server` has them.
    """

    def __init__(self, name, folder, keystone, cache=None, web=False, policy=None, config=None, tls=None, **serving):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.cache_dir = self.folder / "cache" if cache else None
        self._policy = self.folder / "policy.yaml"
        self._rules_set = set()
        self.set_policy(policy or {})
        for made in ("store", "staging", "tasks", "locks", "cache")[: 5 if cache else 4]:
            (self.folder / made).mkdir()
        self.server = Server(
            name,
            "glance.wsgi.api:application",
            {"OS_GLANCE_CONFIG_DIR": str(self.folder)},
            self.folder,
            "/healthcheck",
            tls=tls and (tls.cert, tls.key),
            **serving,
        )
        self.url = self.server.url
        self.api = Api(self.url, keystone, ca=tls and tls.ca)
        ini.write(self.folder / "glance-api.conf", ini.merged(self._config(keystone, cache, web), config or {}))

    def set_policy(self, rules):
        """These rules instead of Glance's defaults for the same names, and no others, from the next request on."""
        # Glance forgets no rule that was once in the file, so those of before are written out as their defaults.
        self._rules_set |= rules.keys()
        defaults = {rule.name: rule.check_str for rule in policies.list_rules() if rule.name in self._rules_set}
        fresh = self._policy.with_suffix(".new")
        fresh.write_text(json.dumps(defaults | rules) + "\n")
        fresh.replace(self._policy)

    def stored(self, image_id):
        """The file in which the store keeps an image's data."""
        return self.folder / "store" / image_id

    def _config(self, keystone, cache, web):
        paste = pathlib.Path(sys.prefix) / "etc" / "glance" / "glance-api-paste.ini"
        shutil.copy(paste, self.folder)
        return {
            "DEFAULT": {
                "enabled_backends": f"{STORE}:file,{WEB_STORE}:http" if web else f"{STORE}:file",
                "show_multiple_locations": web,
                "worker_self_reference_url": self.url,
                "image_cache_dir": self.cache_dir,
                "image_cache_driver": cache,
            },
            "database": ini.sqlite(self.folder / "glance.sqlite"),
            "glance_store": {"default_backend": STORE},
            STORE: {"filesystem_store_datadir": self.folder / "store"},
            "os_glance_staging_store": {"filesystem_store_datadir": self.folder / "staging"},
            "os_glance_tasks_store": {"filesystem_store_datadir": self.folder / "tasks"},
            # Else Glance takes no address on loopback, and no port but 80 and 443.
            "import_filtering_opts": {"allowed_hosts": "[127.0.0.1]", "allowed_ports": "[]"},
            "oslo_concurrency": {"lock_path": self.folder / "locks"},
            "oslo_policy": {"policy_file": self._policy},
            "paste_deploy": {
                "flavor": "keystone+cachemanagement" if cache else "keystone",
                "config_file": self.folder / paste.name,
            },
            "keystone_authtoken": {
                "www_authenticate_uri": keystone.auth_url,
                "auth_type": "password",
                "auth_url": keystone.auth_url,
                "username": "glance",
                "password": users.password_of("glance"),
                "user_domain_id": "default",
                "project_name": users.SERVICE_PROJECT,
                "project_domain_id": "default",
                "service_token_roles": "service",
                "service_token_roles_required": True,
            },
        }
