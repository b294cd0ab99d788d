"""A real cloud for tests: Keystone and Glance from PyPI, on loopback, in a folder of their own.

    with Bed() as bed:
        glance = bed.glance()                                   # started at the first call
        image = glance.api.image(b"...", user="red-member")     # created and uploaded
        glance.api.get(f"/v2/images/{image['id']}/file", user="blue-member").status     # 404

Two projects, red and blue, and in each the users PROJECT-admin, PROJECT-member and PROJECT-reader; `users.py` says
more. Whatever a test wants to know of Glance it asks `glance.api`; the same calls go through a proxy with
`bed.api("http://127.0.0.1:1234")`.

Not here: anything of Icewell. What was measured with this bed stands in FACTS.md.
"""

from bed.api import Api, Response
from bed.bed import Bed
from bed.glance import Glance
from bed.keystone import Keystone

__all__ = ["Api", "Bed", "Glance", "Keystone", "Response"]
