"""For the Python that scripts/glance-bed.sh makes: a Glance with its own cache, from the bed of tests/glance.

It prints the port and the process to watch, and then for each line `URL` of standard input makes an image of what is at
that address and prints its ID. The end of standard input ends it.
"""

import json
import os
import sys

from bed import Bed

THREADS = 32
# Nobody is asked for a token, so that the cache is measured and not Keystone: whoever comes may do these.
RULES = ("add_image", "publicize_image", "get_image", "modify_image", "download_image")
LOCATION_RULES = ("get_image_location", "set_image_location")


def main():
    config = {
        "paste_deploy": {"flavor": "caching"},
        "DEFAULT": {"image_cache_max_size": 1 << 40, "log_file": "/dev/null"},
    }
    with Bed() as bed:
        # A worker for each core, as for any Python service.
        serving = {"workers": os.cpu_count(), "threads": THREADS}
        policy = dict.fromkeys(RULES + LOCATION_RULES, "@")
        glance = bed.glance("glance", cache="xattr", web=True, config=config, policy=policy, **serving)
        print(json.dumps({"port": glance.server.port, "pid": glance.server.pid}), flush=True)
        for line in sys.stdin:
            image = glance.api.create(user=None, visibility="public")
            location = {"url": line.strip(), "metadata": {"store": "web"}}
            glance.api.patch(image["id"], [{"op": "add", "path": "/locations/-", "value": location}], user=None)
            print(json.dumps({"id": image["id"]}), flush=True)


if __name__ == "__main__":
    main()
