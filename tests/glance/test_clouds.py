"""What clouds.yaml and OS_* mean to the real openstacksdk: `clouds.yaml` says it, and Icewell is held to the same."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

CASES = yaml.safe_load((pathlib.Path(__file__).parent / "clouds.yaml").read_text())

# In a process of its own: openstacksdk settles where it looks when it is imported.
READ = """
import json, sys, warnings
warnings.simplefilter("ignore")
import openstack.config
from keystoneauth1 import exceptions as keystone
from openstack import exceptions
try:
    config = openstack.config.OpenStackConfig()
    region = config.get_one(sys.argv[1] if len(sys.argv) > 1 else None)
except keystone.MissingRequiredOptions:
    print(json.dumps("none"))
except exceptions.ConfigException:
    print(json.dumps("error"))
else:
    verify, _ = region.get_requests_verify_args()
    settings = {"cacert": region.config.get("cacert"), "auth_type": region.config["auth_type"]}
    print(json.dumps({"auth": region.config["auth"], "verify": verify is not False, **settings}))
"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_openstacksdk_reads_it_so(case, tmp_path):
    for folder in ("here", "home"):
        (tmp_path / folder).mkdir()
    for path, content in case.get("files", {}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    environ = {name: value.replace("{root}", str(tmp_path)) for name, value in case.get("variables", {}).items()}
    environ |= {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    named = [case["cloud"]] if "cloud" in case else []
    command = [sys.executable, "-c", READ, *named]
    done = subprocess.run(command, cwd=tmp_path / "here", env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    if "outcome" in case:
        assert read == case["outcome"]
        return
    fields = dict(case["fields"])
    assert read["verify"] is (str(fields.pop("verify", "true")) == "true")
    assert read["cacert"] == fields.pop("cacert", None)
    assert read["auth_type"] == fields.pop("auth_type", "password")
    assert {name: str(value) for name, value in read["auth"].items()} == fields
