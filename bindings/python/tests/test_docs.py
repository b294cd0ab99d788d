"""The examples of the how-to about the driver, in a Glance that runs on it.

The rules, and who reads the documents, are those of `crates/icewell-cli/tests/docs/`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from glance_server import wait_for

ROOT = Path(__file__).parents[3]
DOCUMENTS = ["docs/how-to/inside-glance.md"]


def test_examples_print_what_the_documents_say(serve_glance, tmp_path, noise):
    glances_python = tmp_path / "glance-python"
    subprocess.run([sys.executable, "-m", "venv", glances_python], check=True)
    (wheel,) = (ROOT / "target/wheels").glob("icewell-*.whl")
    server = serve_glance()
    image_id = server.create(noise(5, 100_000))
    server.download(image_id)
    wait_for(lambda: image_id in server.cached(), 60)
    server.stop()
    words = {
        "/opt/glance": str(glances_python),
        "icewell-0.1.0-cp311-abi3-manylinux_2_34_x86_64.whl": str(wheel),
        "IMAGE_ID": image_id,
        "/var/lib/glance/image-cache": str(server.cache_dir),
    }
    environ = os.environ | {"ICEWELL_DOCS_GLANCE": json.dumps({"documents": DOCUMENTS, "words": words})}
    test = "examples::examples_with_a_glance_print_what_the_documents_say"
    # As `make test-rust` builds it, so that nothing is built twice.
    command = ["cargo", "test", "-q", "--workspace", "--test", "docs", "--", "--ignored", "--exact", test]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
