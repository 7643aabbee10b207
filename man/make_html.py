#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The reference as HTML: a page for each public header, made from the header, and the manual pages.
A C++ header's page is its text.

usage: make_html.py OUT_DIR VERSION INCLUDE_DIR PAGES_DIR

A header's page is what the header says: its comments, and what it declares. Names lead to where they are
declared, and from there to the manual page. Without mandoc the manual pages are left out.
"""

import glob
import html
import os
import re
import shutil
import subprocess
import sys

from declarations import Header

out, version, include, pages = sys.argv[1:5]
NAME = re.compile(r"\b(?:twostate|TWOSTATE)_\w+\b|\b[a-z_]+\.h(?:pp)?\b")
STYLE = """body { max-width: 50em; margin: 2em auto; padding: 0 1em; font-family: sans-serif; line-height: 1.4; }
pre, code { font-family: monospace; font-size: 95%; }
pre { white-space: pre-wrap; }
pre.code, div.Bd pre { background: #f4f4f4; padding: 0.6em; }
section { border-top: 1px solid #ccc; margin-top: 1em; }
a { color: #0645ad; text-decoration: none; }
a:hover { text-decoration: underline; }
table.head, table.foot { width: 100%; }
td.head-vol { text-align: center; }
td.head-rtitle, td.foot-os { text-align: right; }
ul.names { columns: 18em; list-style: none; padding: 0; }
div.manual-text, div.Bd-indent { margin-left: 0; }
"""


class Reference:
    def __init__(self):
        self.headers = {}
        self.cxx = {}  # their texts
        self.places = {}  # of names: the address of their declaration
        self.manuals = {}  # of names: their manual page
        for path in sorted(glob.glob(os.path.join(include, "twostate", "*.h"))):
            base = os.path.basename(path)
            if base == "visibility.h":
                continue
            self.headers[base] = Header(path)
            self.places[base] = f"{base}.html"
            for d in self.headers[base].declarations:
                self.places.setdefault(d.name, f"{base}.html#{d.name}")
                for constant in d.members if d.kind == "enum" else ():
                    self.places[constant.split("=")[0]] = f"{base}.html#{d.name}"
        for path in sorted(glob.glob(os.path.join(include, "twostate", "*.hpp"))):
            base = os.path.basename(path)
            self.places[base] = f"{base}.html"
            with open(path, encoding="utf-8") as file:
                self.cxx[base] = file.read()

    def linked(self, text, but=""):
        """Text as HTML, its names as links (not to `but`, whose place this is)."""

        def link(match):
            name = match[0]
            place = self.places.get(name)
            return f'<a href="{place}">{name}</a>' if place and name != but else name

        return NAME.sub(link, html.escape(text, quote=False))


def write(name, title, body):
    with open(os.path.join(out, name), "w", encoding="utf-8") as file:
        file.write(
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<title>{title}</title>\n<link rel="stylesheet" href="style.css">\n</head>\n<body>\n{body}\n'
            f'<p><small>twostate {version} · <a href="index.html">index</a></small></p>\n</body>\n</html>\n'
        )


def without_private(text):
    """A struct as its users see it."""
    lines = text.split("\n")
    kept = [line for line in lines if not re.match(r"\s+[^/]*\w_\)?(?:\[.*\]|\(.*\))?;", line)]
    if len(kept) < len(lines) and "Private" not in text:
        kept.insert(len(kept) - 1, "    /* private members */")
    return "\n".join(kept)


def manual_file(name, section):
    return f"{name}.{section}.html"


def header_page(reference, base, header):
    body = [f"<h1>&lt;twostate/{base}&gt;</h1>", f'<pre class="about">{reference.linked(header.about, base)}</pre>']
    previous = None
    for d in header.declarations:
        manual = reference.manuals.get(d.name)
        also = f' <small>(<a href="{manual}">manual</a>)</small>' if manual else ""
        if d.comment and d.comment == previous:
            comment = ""  # of a group: told above
        else:
            comment = f"<pre>{reference.linked(d.comment, d.name)}</pre>\n" if d.comment else ""
        previous = d.comment
        text = without_private(d.text) if d.kind == "struct" else d.text
        body.append(
            f'<section id="{d.name}">\n<h3>{d.name}{also}</h3>\n{comment}'
            f'<pre class="code">{reference.linked(text, d.name)}</pre>\n</section>'
        )
    write(f"{base}.html", base, "\n".join(body))


def cxx_page(reference, base, text):
    body = f'<h1>&lt;twostate/{base}&gt;</h1>\n<pre class="code">{reference.linked(text, base)}</pre>'
    write(f"{base}.html", base, body)


def render_manuals(reference):
    """Those of mandoc, with references to pages of ours only, and functions linked to their headers."""
    if shutil.which("mandoc") is None:
        print("make_html: no mandoc: the manual pages are left out")
        return []
    rendered = []
    files = sorted(glob.glob(os.path.join(pages, "*.[1-8]")), key=lambda p: (p[-1], p))
    known = {os.path.basename(path) + ".html" for path in files}
    for path in files:
        name, section = os.path.basename(path).rsplit(".", 1)
        text = subprocess.run(
            ["mandoc", "-Thtml", "-O", "fragment,man=%N.%S.html", path], text=True, check=True, capture_output=True
        ).stdout

        def reference_or_text(match):
            return match[0] if match[1] in known else match[2]

        text = re.sub(r'<a class="Xr" href="([^"]*)">(.*?)</a>', reference_or_text, text)
        # In the synopsis; elsewhere mandoc has made it a link to itself.
        text = re.sub(
            r'(?<!">)<code class="Fn">(\w+)</code>',
            lambda m: f'<code class="Fn">{reference.linked(m[1])}</code>',
            text,
        )
        text = re.sub(
            r'<a class="In">(twostate/(\w+\.h(?:pp)?))</a>',
            lambda m: f'<a class="In" href="{m[2]}.html">{m[1]}</a>' if m[2] in reference.places else m[1],
            text,
        )
        about = re.search(r'<span class="Nd" role="doc-subtitle">(.*?)</span>|<(?:div|span) class="Nd">(.*?)</', text, re.S)
        rendered.append((name, section, text, next((g for g in about.groups() if g), "") if about else ""))
        with open(path, encoding="utf-8") as file:
            for alias in re.findall(r"^\.Nm (\w+)", file.read(), re.M):
                place = f"#{alias}" if f'id="{alias}"' in text else ""
                reference.manuals.setdefault(alias, manual_file(name, section) + place)
    for name, section, text, _ in rendered:
        write(manual_file(name, section), f"{name}({section})", text)
    return rendered


def index(reference, manuals):
    body = [f"<h1>twostate {version}</h1>", "<h2>Headers</h2>", "<ul>"]
    abouts = {base: header.about for base, header in reference.headers.items()}
    abouts |= {base: re.search(r"^ \* (.*)$", text, re.M)[1] for base, text in reference.cxx.items()}
    for base, about in abouts.items():
        about = re.split(r"[.:](?:\s|$)", about.removeprefix("C++: "), maxsplit=1)[0]
        body.append(f'<li><a href="{base}.html">twostate/{base}</a>: {html.escape(about, quote=False)}</li>')
    body += ["</ul>", "<h2>Manual pages</h2>", "<ul>"]
    for name, section, _, about in manuals:
        body.append(f'<li><a href="{manual_file(name, section)}">{name}({section})</a>: {about.strip()}</li>')
    body += ["</ul>", "<h2>Names</h2>", '<ul class="names">']
    for name in sorted(n for n in reference.places if "." not in n):
        body.append(f'<li><a href="{reference.places[name]}">{name}</a></li>')
    body.append("</ul>")
    write("index.html", f"twostate {version}", "\n".join(body))


os.makedirs(out, exist_ok=True)
with open(os.path.join(out, "style.css"), "w", encoding="utf-8") as style:
    style.write(STYLE)
everything = Reference()
manual_pages = render_manuals(everything)
for file_name, declared in everything.headers.items():
    header_page(everything, file_name, declared)
for file_name, source in everything.cxx.items():
    cxx_page(everything, file_name, source)
index(everything, manual_pages)
print(f"{out}/index.html: {len(everything.headers) + len(everything.cxx)} headers, {len(everything.places)} names, {len(manual_pages)} manual pages")
