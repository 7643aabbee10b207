#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the HTML reference, and follows its links: each leads to a page, and to a place in it.

usage: links.py SOURCE_DIR VERSION PAGES_DIR
"""

import html.parser
import os
import shutil
import subprocess
import sys
import tempfile

source, version, pages = sys.argv[1:4]
sys.path.insert(0, os.path.join(source, "man"))
from declarations import Header  # noqa: E402

VOID = {"meta", "link", "br", "hr", "col", "img"}


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.open, self.wrong = [], [], [], []
        self.feed(text)
        if self.open:
            self.wrong.append(f"not closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "a" and "a" in self.open:
            self.wrong.append(f"a link in a link: {attributes}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(f"</{tag}> closes something else")


with tempfile.TemporaryDirectory() as directory:
    subprocess.run([sys.executable, "-B", os.path.join(source, "man", "make_html.py"), directory, version,
                    os.path.join(source, "include"), pages], check=True)
    found = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), encoding="utf-8") as file:
            found[name] = Page(file.read()) if name.endswith(".html") else None

failures = []
links = 0
for name, page in found.items():
    if page is None:
        continue
    failures += [f"{name}: {wrong}" for wrong in page.wrong]
    failures += [f"{name}: twice: {i}" for i in set(page.ids) if page.ids.count(i) > 1]
    for link in page.links:
        target, _, place = link.partition("#")
        target = target or name
        links += 1
        if target not in found:
            failures.append(f"{name}: there is no {target}")
        elif place and place not in found[target].ids:
            failures.append(f"{name}: there is no {link}")

names = 0
for header in sorted(os.listdir(os.path.join(source, "include/twostate"))):
    if not header.endswith(".h") or header == "visibility.h":
        continue
    for declaration in Header(os.path.join(source, "include/twostate", header)).declarations:
        names += 1
        if declaration.name not in found[f"{header}.html"].ids:
            failures.append(f"{header}.html: {declaration.name} is not in it")

manuals = [name for name in os.listdir(pages) if name[-2] == "."]
for manual in manuals if shutil.which("mandoc") else []:
    if f"{manual}.html" not in found:
        failures.append(f"{manual} is not in it")
if "twostate_lock.3" not in manuals:
    failures.append(f"{pages}: no pages")

print("\n".join(failures))
print(f"{len(found)} files, {links} links, {names} names: {len(failures)} failures")
sys.exit(1 if failures or links == 0 or names == 0 else 0)
