"""Hits for callers that a Glance allows the image, beside hits that nobody has to be asked about."""

from harness import client
from harness.rows.plan import SMALL, file_name, in_words
from harness.rows.row import Row, how_many
from harness.servers import AUTHORISED

SECONDS = 6  # more than the 5 s for which an answer of Glance's is remembered
CONNECTIONS = 32


class _Authorised(Row):
    group = "authorised"

    def wants(self, server):
        return server.name == "glance" or server.name in server.setting.icewells or server.name == AUTHORISED


class AuthorisedSmall(_Authorised):
    key, unit, scale = "requests_per_second", "requests/s", 1
    details = (("cpu_seconds_per_1000", "server CPU s/1000 requests", 1),)

    def __init__(self):
        super().__init__("authorised", f"authorised 4 KiB hits, {CONNECTIONS} connections")

    def run(self, server, plan, number):
        seconds = max(plan.small_seconds, min(SECONDS, plan.authorised_seconds))
        return client.wrk(server, server.path(SMALL), CONNECTIONS, seconds)


class AuthorisedLarge(_Authorised):
    details = (("cpu_seconds_per_gb", "server CPU s/GB", 1), ("client_cpu_share", "client's CPU share", 1))

    def __init__(self, size, clients):
        super().__init__("authorised-large", f"authorised {in_words(size)} hits, {how_many(clients)}")
        self.size = size
        self.clients = clients

    def run(self, server, plan, number):
        return client.load(server, server.path(file_name(self.size)), self.size, self.clients, plan.seconds)
