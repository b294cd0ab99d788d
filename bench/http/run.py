#!/usr/bin/env python3
"""Measures Icewell beside nginx, Varnish, Traffic Server and Glance: `make bench-http`, README.md says what and how."""

import argparse
import contextlib
import fnmatch
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import sys
import time
import traceback

from harness import client, goals, machine, rows, table
from harness.origin import Origin
from harness.rows.plan import GIB, HERD, HERD_RATE, KIB, MIB, SMALL, Plan, file_name
from harness.servers import ROOT, USUAL, NotThere, Setting, kind

TARGET = ROOT / "target/bench-http"
FILLED = 10  # seconds


def main():
    options = arguments()
    # So that `finally` and `with` are gone through on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench-http: stopped"))
    plan = plan_of(options)
    machine.many_files()
    with contextlib.ExitStack() as stack:
        if options.congestion:
            stack.enter_context(machine.congestion(options.congestion))
        recorded(options, plan, stack)


def recorded(options, plan, stack):
    """The whole run, with its record."""
    record = {"machine": machine.shape(TARGET.parent), "versions": machine.versions(options.icewell)}
    given = f"ARGS='{' '.join(sys.argv[1:])}'" if sys.argv[1:] else ""
    record |= {"command": ["make", "bench-http", given], "plan": vars(plan), "rows": [], "absent": {}}
    out = pathlib.Path(options.out or TARGET / f"{time.strftime('%Y%m%d-%H%M%S')}.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()

    def keep():
        """After each row: a run that is stopped leaves what it has."""
        record["seconds"] = round(time.monotonic() - begun)
        record["verdicts"] = goals.verdicts(record)
        out.write_text(json.dumps(record, indent=1) + "\n")

    folder = pathlib.Path(options.folder or TARGET / f"run-{os.getpid()}")
    folder.mkdir(parents=True)
    if not options.keep:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
    run(options, plan, folder, stack, record, keep)
    keep()
    print(table.verdicts(record["verdicts"]), flush=True)
    say(f"{record['seconds']} s; all figures: {out}")


def run(options, plan, folder, stack, record, keep):
    ports = {}

    def port(name):
        return ports.setdefault(name, options.port + 1 + len(ports))

    origin = Origin(folder, options.port, HERD_RATE)
    storage = sum(plan.warm().values()) + plan.cold_bytes() + GIB // 2
    setting = Setting(folder, origin, storage, port, options.icewell)
    servers = [kind(name, options.icewell)(name, setting, port(name)) for name in options.servers]
    room(plan, servers, folder, storage)
    setting.make_certificate()
    for name, size in plan.files().items():
        origin.make(name, size)
    origin.start()
    stack.callback(origin.tree.stop)
    record["origin_alone"] = alone(origin, plan)

    ready = []
    for server in servers:
        name = server.name
        stack.callback(server.stop)
        try:
            say(f"{name}: starts, is filled, is checked")
            server.start()
            check(server, plan)
            ready.append(server)
        except NotThere as reason:
            record["absent"][name] = str(reason)
            say(f"{name}: left out, {reason}")
        except Exception as error:
            record["absent"][name] = f"failed: {error}"
            say(f"{name}: FAILED, {error}")
            if options.verbose:
                traceback.print_exc()
    for row in rows.all_rows(plan):
        wanted = [server for server in ready if row.wants(server)]
        if wanted and any(fnmatch.fnmatch(row.name, only) for only in options.only):
            done = measure(row, wanted, plan)
            record["rows"].append(done)
            keep()
            print(table.text(done), flush=True)


def room(plan, servers, folder, storage):
    """Refuses to fill a disk that others use, and says where memory will not do."""
    warm = sum(plan.warm().values())
    caches = [server for server in servers if server.caches and not server.tls]  # those share
    need = sum(plan.files().values()) + sum(storage if server.warm else plan.cold_bytes() for server in caches)
    need += 2 * plan.largest  # the row `fill`
    free = shutil.disk_usage(folder).free
    if free < need + GIB:
        sys.exit(f"bench-http: {folder} needs {need / 1e9:.0f} GB and has {free / 1e9:.0f}; see --sizes and --servers")
    if machine.available_memory() < warm * (len(caches) + 1):
        say("warning: the images of all servers may not fit into memory at once; disk_share in the record shows it")


def alone(origin, plan):
    """How long one client takes with the origin itself, at its limited rate."""

    class Itself:
        name, tls, fields, port, pids = "origin", False, {}, origin.port, origin.tree.pids

    said = client.once(Itself, f"/slow/alone/{HERD}", plan.herd_size, 1, plan.give_up)
    return {"first_byte": said["first_byte"][0], "done": said["done"][0], "bytes": plan.herd_size}


def check(server, plan):
    """Fills the server with all it is to serve, and proves that it serves it right, and without the origin."""
    few = {SMALL: plan.warm()[SMALL]} | ({file_name(min(plan.sizes)): min(plan.sizes)} if server.authorised else {})
    for name, size in (plan.warm() if server.warm else few).items():
        path = server.prepare(name, size)
        wanted = server.setting.origin.digest(name)
        deadline = None
        while True:
            seen = len(server.setting.origin.requests(f"/{name}"))
            digest, headers = fetch(server, path)
            if digest != wanted:
                raise RuntimeError(f"{path}: wrong bytes")
            server.setting.origin.wait_idle()
            asked = len(server.setting.origin.requests(f"/{name}")) - seen
            said = " ".join(headers.get(field, "") for field in ("X-Cache", "Cache-Status"))
            missed = server.caches and asked or re.search(r"\bMISS\b|fwd=", said)
            if deadline and not missed:
                break
            # The first is to fill it; some take a moment until what they have got is to be had.
            deadline = deadline or time.monotonic() + FILLED
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path}: no hit, the origin was asked {asked} times more ({said})")


def fetch(server, path):
    """The SHA-256 of what is at that path, and the header."""
    if server.tls:
        context = ssl.create_default_context(cafile=str(server.setting.certificate))
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=120)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=server.fields)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {answer.reason}")
        digest = hashlib.sha256()
        while piece := answer.read(MIB):
            digest.update(piece)
        return digest.hexdigest(), answer.headers


def measure(row, servers, plan):
    """All rounds of one row; the servers take turns, so that what else the machine does meets all of them."""
    result = {name: getattr(row, name) for name in ("name", "title", "group", "key", "unit", "scale", "lower")}
    result |= {"details": row.details, "servers": {server.name: {"rounds": []} for server in servers}}
    for number in range(1 if row.once else plan.rounds):
        for server in servers:
            into = result["servers"][server.name]
            if "failed" in into:
                continue
            try:
                into["rounds"].append(row.run(server, plan, number))
            except Exception as error:
                into["failed"] = str(error) or repr(error)
    return result


def plan_of(options):
    quick = options.quick
    sizes = options.sizes or ([8 * MIB, 256 * MIB] if quick else [64 * MIB, 2 * GIB])
    return Plan(
        sizes=sizes,
        rounds=options.rounds or (1 if quick else 3),
        seconds=options.seconds or (0.7 if quick else 2),
        small_seconds=1 if quick else 2,
        herd_size=options.herd_size or (64 * MIB if quick else 256 * MIB),
        herds=(50,) if quick else (50, 500),
        give_up=20 if quick else 90,
        slow_clients=100 if quick else 1000,
        start_images=10_000 if quick else 100_000,
        authorised_seconds=1 if quick else 6,
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench-http ARGS=")
    parser.add_argument("--quick", action="store_true", help="small images, one round: does every row work?")
    parser.add_argument("--only", type=words, default=["*"], metavar="ROW,…", help="as in the report; * is any text")
    parser.add_argument("--servers", type=words, default=words(USUAL), metavar="A,B", help=f"{USUAL}; also squid")
    parser.add_argument("--rounds", type=int, metavar="N", help="3; the rows slow and herd-500 have one")
    parser.add_argument("--seconds", type=float, metavar="S", help="the window of a measurement")
    parser.add_argument("--sizes", type=sizes, metavar="S,L", help="of images: usually 64MiB,2GiB")
    parser.add_argument("--herd-size", type=size, metavar="S", help="of the cold image: usually 256MiB")
    parser.add_argument(
        "--icewell",
        type=named,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="another build, called icewell-NAME in --servers",
    )
    parser.add_argument("--congestion", metavar="NAME", help="TCP's for the run, as cubic: needs root")
    parser.add_argument("--port", type=int, default=20800, help="the first of a dozen")
    parser.add_argument("--folder", help="where images and caches are: usually under target/bench-http")
    parser.add_argument("--out", help="the record")
    parser.add_argument("--keep", action="store_true", help="leave the folder, with configurations and logs")
    parser.add_argument("--verbose", action="store_true", help="where failures come from")
    options = parser.parse_args()
    options.icewell = {"icewell": str(ROOT / "target/release/icewell")} | dict(options.icewell)
    for name in options.servers:
        try:
            kind(name, options.icewell)
        except KeyError:
            parser.error(f"there is no server {name}")
    return options


def words(text):
    return text.split(",")


def size(text):
    number, unit = re.fullmatch(r"(\d+)\s*(KiB|MiB|GiB)", text).groups()
    return int(number) * {"KiB": KIB, "MiB": MIB, "GiB": GIB}[unit]


def sizes(text):
    return [size(one) for one in words(text)]


def named(text):
    name, _, file = text.partition("=")
    return f"icewell-{name}", file


def say(text):
    print(f"bench-http: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
