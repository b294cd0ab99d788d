#!/usr/bin/env python3
"""sbom.py FOLDER [CRATE]: writes down what is linked into the command `icewell`, or into another crate of this repository.

    FOLDER/icewell.cdx.json       (CRATE.cdx.json, if one is named) a bill of materials (CycloneDX 1.6): each crate with version, checksum, licence, and what it needs
    FOLDER/third-party-licences   the texts of their licences, which have to go where what is linked from them goes

The same sources give the same bytes: there is no time and no folder in it, and its number is made from its content.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = "icewell-cli"
TEXTS = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)([-_.].*)?", re.IGNORECASE)
OURS = re.compile(r"icewell(-.*)?")


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def linked(top):
    """The (name, version) of all that is linked, `top` itself among them; by `cargo tree`, as only that knows which
    features of which crate are on in this program, and so which crates it needs."""
    tree = cargo("tree", "--locked", "-p", top, "-e", "normal", "--prefix", "none", "--no-dedupe", "-f", "{p}")
    return {(name, version.removeprefix("v")) for name, version, *_ in map(str.split, tree.splitlines())}


def crates(top):
    """What cargo knows of each of them, by ID, sorted by name and version; and who needs whom."""
    wanted = linked(top)
    everything = json.loads(cargo("metadata", "--locked", "--format-version", "1"))
    found = [crate for crate in everything["packages"] if (crate["name"], crate["version"]) in wanted]
    found.sort(key=lambda crate: (crate["name"], crate["version"]))
    assert len(found) == len(wanted), "two sources have a crate of the same name and version"
    found = {crate["id"]: crate for crate in found}
    needs = {}
    for node in everything["resolve"]["nodes"]:
        if node["id"] in found:
            normal = [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
            needs[node["id"]] = sorted(url(found[id]) for id in normal if id in found)
    return found, needs


def url(crate):
    return f"pkg:cargo/{crate['name']}@{urllib.parse.quote(crate['version'], safe='')}"


def expression(crate):
    # `MIT/Apache-2.0` is how it was written before there was SPDX.
    return (crate["license"] or "").replace("/", " OR ")


def component(crate, checksums):
    about = {
        "type": "application" if crate["name"] == COMMAND else "library",
        "bom-ref": url(crate),
        "name": crate["name"],
        "version": crate["version"],
        "purl": url(crate),
    }
    if expression(crate):
        about["licenses"] = [{"expression": expression(crate)}]
    if crate["description"]:
        about["description"] = " ".join(crate["description"].split())
    checksum = checksums.get((crate["name"], crate["version"]))
    if checksum:
        about["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if crate["repository"]:
        about["externalReferences"] = [{"type": "vcs", "url": crate["repository"]}]
    return about


def bill(top, found, needs):
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(crate["name"], crate["version"]): crate.get("checksum") for crate in lock["package"]}
    parts = {id: component(crate, checksums) for id, crate in found.items()}
    (whole,) = (id for id, crate in found.items() if crate["name"] == top)
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": parts[whole]},
        "components": [part for id, part in parts.items() if id != whole],
        "dependencies": [{"ref": parts[id]["bom-ref"], "dependsOn": needs[id]} for id in found],
    }
    number = uuid.UUID(bytes=hashlib.sha256(json.dumps(bom).encode()).digest()[:16], version=5)
    return {"serialNumber": f"urn:uuid:{number}", **bom}


def texts(crate):
    folder = pathlib.Path(crate["manifest_path"]).parent
    files = sorted(path for path in folder.iterdir() if path.is_file() and TEXTS.fullmatch(path.name))
    return ["\n".join(line.rstrip() for line in path.read_text(errors="replace").strip().splitlines()) for path in files]


def licences(top, found):
    by_text, without = {}, []
    for crate in found.values():
        if OURS.fullmatch(crate["name"]):
            continue
        name = f"{crate['name']} {crate['version']} ({expression(crate)})"
        own = texts(crate)
        for text in own:
            by_text.setdefault(text, []).append(name)
        if not own:
            without.append(f"{name}, by {', '.join(crate['authors']) or crate['repository']}")
    what = "The program `icewell`" if top == COMMAND else f"What is built from `{top}`"
    yield f"{what} is linked with Rust's standard library (MIT OR Apache-2.0, the Rust project's contributors)"
    yield "and with these crates. Where a crate offers a choice of licences, the text of each that it brings is here.\n"
    if without:
        yield "Crates that bring no text of their licence:\n"
        yield from (f"  {name}" for name in without)
    for text, names in sorted(by_text.items(), key=lambda item: item[1]):
        yield "\n" + "=" * 80
        yield from names
        yield "-" * 80
        yield text


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(f"usage: {sys.argv[0]} FOLDER [CRATE]")
    folder = pathlib.Path(sys.argv[1])
    top = sys.argv[2] if len(sys.argv) == 3 else COMMAND
    name = "icewell" if top == COMMAND else top
    folder.mkdir(parents=True, exist_ok=True)
    found, needs = crates(top)
    (folder / f"{name}.cdx.json").write_text(json.dumps(bill(top, found, needs), indent=1, ensure_ascii=False) + "\n")
    (folder / "third-party-licences").write_text("\n".join(licences(top, found)) + "\n")


main()
