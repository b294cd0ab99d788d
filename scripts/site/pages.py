#!/usr/bin/env python3
"""pages.py FOLDER: lays the documents out in FOLDER as mdBook wants them, each where it lies in the repository.

So a link between two of them is the same in the repository, on GitHub and on the site. What is a page says
docs/SUMMARY.md; what pages link to besides, pictures and files, goes along. Two things are added: a page for each
decision, and one that leads to the API documents, which no link in the repository could lead to.
"""

import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")

API = """# The API documents

Made of the comments of the code:

- [icewell](api/icewell/index.html), the library
- [icewell_server](api/icewell_server/index.html), the daemon; not for use by others
"""


def main(folder):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "docs").mkdir(parents=True)
    summary = (ROOT / "docs/SUMMARY.md").read_text()
    pages = {resolved("docs", link) for link in LINK.findall(summary)}
    decisions = sorted((ROOT / "docs/decisions").glob("0*.md"))
    pages |= {page.relative_to(ROOT) for page in decisions}
    for page in pages:
        text = (ROOT / page).read_text()
        copy(page, folder)
        for linked in {resolved(page.parent, link) for link in LINK.findall(text)} - pages:
            copy(linked, folder)
    # Links of the table of contents begin at docs/ in the repository, and at the root here.
    lines = []
    for line in summary.splitlines():
        lines.append(LINK.sub(lambda link: f"]({site_name(resolved('docs', link[1]))}", line))
        if "(decisions/README.md)" in line:
            lines += [f"    - [{title(page)}]({page.relative_to(ROOT)})" for page in decisions]
    lines.append("- [The API documents](api.md)")
    (folder / "SUMMARY.md").write_text("\n".join(lines) + "\n")
    (folder / "api.md").write_text(API)


def resolved(folder, link):
    """Where a link leads to, from the root of the repository."""
    return (ROOT / folder / link).resolve().relative_to(ROOT)


def copy(path, folder):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".md":
        (folder / site_name(path)).write_text(LINK.sub(lambda link: f"]({site_name(link[1])}", (ROOT / path).read_text()))
    else:
        shutil.copyfile(ROOT / path, folder / path)


def site_name(path):
    """A folder's README is its index on the site. (mdBook does the same, but not to the links.)"""
    return re.sub(r"README\.md$", "index.md", str(path))


def title(page):
    return page.read_text().splitlines()[0].removeprefix("# ").replace("`", "")


main(pathlib.Path(sys.argv[1]))
