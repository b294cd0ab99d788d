"""The verdicts: `python3 -m unittest discover bench/http`."""

import unittest

from harness import goals

PLAN = {"sizes": [64 << 20, 2 << 30], "herds": [50, 500]}


def record(name, origin=None, **servers):
    """One row; a server is its rounds, or why it failed."""
    said = {}
    for server, one in servers.items():
        said[server] = {"rounds": one} if isinstance(one, list) else {"rounds": [], "failed": one}
    return {"plan": PLAN, "rows": [{"name": name, "servers": said}], "origin_alone": {"done": origin}}


def verdict(what, name, **how):
    return next(one for one in goals.verdicts(record(name, **how)) if one["row"] == name and one["goal"] == what)


def rates(*values):
    return [{"bytes_per_second": value} for value in values]


class Verdicts(unittest.TestCase):
    def test_the_best_of_the_others_counts_by_medians(self):
        said = verdict("hit throughput", "64MiB-8", icewell=rates(1, 10, 11), nginx=rates(9), varnish=rates(10, 10, 99))
        self.assertEqual((said["verdict"], said["met"]), ("met", True))
        self.assertIn("(varnish)", said["beside"])
        said = verdict("hit throughput", "64MiB-8", icewell=rates(9.3), nginx=rates(9), varnish=rates(10))
        self.assertEqual((said["verdict"], said["met"]), ("short (×0.93)", False))

    def test_what_is_hardly_short_is_not_shown_as_one(self):
        said = verdict("hit throughput", "64MiB-8", icewell=rates(9.999), nginx=rates(10))
        self.assertEqual((said["verdict"], said["met"]), ("short (×0.995)", False))

    def test_bare_loops_are_no_peers(self):
        servers = {"icewell": rates(9), "nginx": rates(8), "bare-sendfile": rates(10)}
        self.assertTrue(verdict("hit throughput", "64MiB-8", **servers)["met"])
        said = verdict("the same, beside bare loops", "64MiB-8", **servers)
        self.assertEqual(said["verdict"], "short (×0.947)")  # 9 of the 9.5 that were wanted

    def test_less_can_be_better(self):
        def cpu(value):
            return [{"cpu_seconds_per_gb": value}]

        said = verdict("server CPU for hits", "2GiB-1", icewell=cpu(0.1), nginx=cpu(0.2), varnish=cpu(0.08))
        self.assertEqual((said["verdict"], said["beside"]), ("short (×0.8)", "0.08 CPU s/GB (varnish)"))
        self.assertTrue(verdict("server CPU for hits", "2GiB-1", icewell=cpu(0.08), nginx=cpu(0.08))["met"])

    def test_a_figure_may_have_to_be_absolute(self):
        for value, met in ((32768, True), (32769, False), (-5, True)):
            said = verdict("memory for each slow client", "slow", icewell=[{"per_client": value}])
            self.assertEqual(said["met"], met)

    def test_the_origin_alone_is_compared_with(self):
        what = "last client, beside the origin alone"
        for done, met in ((2.1, True), (2.2, False)):
            said = verdict(what, "herd-50", origin=2, icewell=[{"last_done": done}])
            self.assertEqual(said["met"], met)

    def test_authorised_hits_are_of_another_server(self):
        def hits(value):
            return [{"requests_per_second": value}]

        servers = {"icewell": hits(100), "icewell-glance": hits(89), "glance": hits(0.5)}
        self.assertFalse(verdict("authorised hits, beside others", "authorised", **servers)["met"])
        self.assertTrue(verdict("authorised hits, beside Glance", "authorised", **servers)["met"])

    def test_without_both_figures_there_is_no_verdict(self):
        for servers in ({}, {"icewell": rates(1)}, {"nginx": rates(1)}):
            self.assertEqual(verdict("hit throughput", "64MiB-8", **servers)["verdict"], "not measured")
        rows = {one["row"] for one in goals.verdicts({"plan": PLAN, "rows": []})}
        self.assertLess({"64MiB-64", "2GiB-1", "herd-500", "fill", "start", "authorised-large"}, rows)

    def test_who_failed_is_short(self):
        said = verdict("hit throughput", "64MiB-8", icewell="no byte came", nginx=rates(1))
        self.assertEqual((said["verdict"], said["met"]), ("short (it failed)", False))


if __name__ == "__main__":
    unittest.main()
