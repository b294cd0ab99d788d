"""The examples of the documents that need a Glance, typed into a shell in front of a real one.

The rules, and who reads the documents, are those of `crates/icewell-cli/tests/docs/`.
"""

import json
import os
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = ["docs/how-to/in-front-of-glance.md"]


def test_examples_print_what_the_documents_say(bed, glance):
    glance.api.image(random.Random(5).randbytes(2_000_000), name="an image that its reader has")
    # Not by PATH, which would have cargo build anew what looks for a Python there.
    programs = pathlib.Path(sys.executable).parent
    words = {"https://glance.example:9292": glance.url, "openstack ": f"{programs}/openstack "}
    told = {"documents": DOCUMENTS, "words": words}
    environ = os.environ | bed.keystone.environ("red-admin") | {"ICEWELL_DOCS_GLANCE": json.dumps(told)}
    test = "examples::examples_with_a_glance_print_what_the_documents_say"
    # As `make test-rust` builds it, so that nothing is built twice.
    command = ["cargo", "test", "-q", "--workspace", "--test", "docs", "--", "--ignored", "--exact", test]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
