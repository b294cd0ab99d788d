#!/usr/bin/env python3
"""Kills, power cuts, bad origins, full disks: a campaign against the real daemon and command (README.md).

run.py [--minutes M | --cycles N] [--seed S] [--only ROUND] [--plan [ROUNDS]] [--dir DIR]
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import campaign


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, help="how long; 10, if nothing else says how much")
    parser.add_argument("--cycles", type=int, help="how many times every kind of round")
    parser.add_argument("--seed", type=int, default=1, help="what happens follows from this alone")
    parser.add_argument("--only", type=int, metavar="ROUND", help="play this round, and no other")
    parser.add_argument("--plan", type=int, metavar="ROUNDS", nargs="?", const=len(campaign.CYCLE), help="print what so many rounds would do, and do nothing")
    parser.add_argument("--jobs", type=int, default=2, help="how many rounds at a time")
    parser.add_argument("--dir", type=pathlib.Path, help="where to work; what a wrong round leaves stays there")
    asked = parser.parse_args()
    if asked.plan is not None:
        for number in range(asked.plan) if asked.only is None else [asked.only]:
            round = campaign.Round(asked.seed, number)
            print(json.dumps({"round": number, "kind": round.kind, **round.plan}))
        return 0
    if asked.minutes is None and asked.cycles is None and asked.only is None:
        asked.minutes = 10
    folder = tempfile.mkdtemp(prefix="icewell-torture-", dir=asked.dir)
    began = time.monotonic()
    tally = campaign.run(asked.seed, folder, asked.minutes, asked.cycles, asked.only, asked.jobs)
    print(f"seed {asked.seed}, {time.monotonic() - began:.0f} s\n{tally.report()}")
    if not tally.wrongs:
        pathlib.Path(folder).rmdir()
        return 0
    print("\n".join(dict.fromkeys(tally.wrongs[:50])))
    print(f"what it left is in {folder}")
    replay = f"--seed {asked.seed} --only {tally.round}"
    print(f"again: make torture ARGS='{replay}'; what that round does: make torture ARGS='{replay} --plan'")
    return 1


if __name__ == "__main__":
    sys.exit(main())
