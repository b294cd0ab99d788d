#!/usr/bin/env python3
"""check.py SITE: each link of the built site leads to a page of it, its place on the page too, and opening a page asks
nobody else for anything. The API documents are checked by rustdoc; only links into them are looked at here."""

import html.parser
import pathlib
import sys
import urllib.parse

# What a browser fetches by itself, without anybody clicking.
FETCHED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}


class Page(html.parser.HTMLParser):
    """The links, what is fetched, and the places of one page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.fetched, self.places = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id" or (tag, name) == ("a", "name"):
                self.places.add(value)
            elif (tag, name) in FETCHED:
                self.fetched.add(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.add(value)


def main(site):
    paths = [path for path in site.rglob("*.html") if site / "api" not in path.parents]
    pages = {path: Page(path.read_text()) for path in paths}
    wrong, links = [], 0
    for path, page in pages.items():
        for link in sorted(page.links | page.fetched):
            links += 1
            if why := wrong_with(site, pages, path, link, link in page.fetched):
                wrong.append(f"{path.relative_to(site)}: {link}: {why}")
    for style in site.glob("*.css"):
        if "url(http" in style.read_text().replace('"', "").replace("'", ""):
            wrong.append(f"{style.name}: fetches from elsewhere")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    if len(pages) < 30 or links < 1000:
        sys.exit(f"check: this is not the whole site: {len(pages)} pages, {links} links")
    if wrong:
        sys.exit(1)
    print(f"{len(pages)} pages, {links} links, none of them dead; nothing is fetched from elsewhere")


def wrong_with(site, pages, path, link, fetched):
    parts = urllib.parse.urlsplit(link)
    if parts.scheme or parts.netloc:
        return "it is fetched from elsewhere" if fetched and parts.scheme != "data" else None
    target = path
    if parts.path:
        # The page for addresses that do not exist is seen at any of them, and so counts from the root.
        base = site if path.name == "404.html" else path.parent
        target = (base / urllib.parse.unquote(parts.path)).resolve()
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(site) or not target.is_file():
        return "there is no such file"
    place = urllib.parse.unquote(parts.fragment)
    if place and target in pages and place not in pages[target].places:
        return "there is no such place on that page"
    return None


main(pathlib.Path(sys.argv[1]).resolve())
