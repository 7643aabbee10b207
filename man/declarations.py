# SPDX-License-Identifier: MIT
"""What the public headers declare, with the comments that stand before it.

Not a C parser: it knows the few forms that these headers have, and stops at what it does not know.
Names that end in _ are private and left out.
"""

import re
import sys

SILENT_BLOCKS = ("#ifdef __cplusplus", "#ifdef TWOSTATE_ANALYSED_")


class Declaration:
    """kind: function, typedef, struct, enum or macro. text: as written, without comment and body."""

    def __init__(self, kind, name, text, comment, line, members=()):
        self.kind, self.name, self.text = kind, name, text
        self.comment, self.line, self.members = comment, line, list(members)


class Header:
    """about: the comment at the top of the file, its licence apart."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.path = path
        self.about = ""
        self.declarations = list(parse(drop_silent_blocks(text), self))

    def of(self, *kinds):
        return [d for d in self.declarations if d.kind in kinds]


def drop_silent_blocks(text):
    """Blanks what only C++ or clang's analysis sees; lines keep their numbers."""
    out, depth, silent = [], 0, None
    joined = False
    for line in text.split("\n"):
        directive = "" if joined else line.strip()
        joined = line.endswith("\\")
        if re.match(r"#\s*if", directive):
            depth += 1
            if silent is None and directive.startswith(SILENT_BLOCKS):
                silent = depth
        hide = silent is not None
        if silent == depth and re.match(r"#\s*else", directive):
            silent = None
        if re.match(r"#\s*endif", directive):
            if silent == depth:
                silent = None
            depth -= 1
        out.append("" if hide else line)
    return "\n".join(out)


def parse(text, header):
    """The declarations of a header, or of a piece of C in a manual page."""
    position, comment, comment_end = 0, "", -1
    token = re.compile(r"/\*.*?\*/|//[^\n]*|#(?:[^\n\\]|\\.|\\\n)*|[^\s]", re.S)
    first = True
    while (match := token.search(text, position)) is not None:
        found, position = match.group(), match.end()
        line = text.count("\n", 0, match.start()) + 1
        if found.startswith(("/*", "//")):
            comment, comment_end = plain_comment(found), position
            if first and not comment.startswith("SPDX"):
                header.about, first, comment = comment, False, ""
            continue
        # Several declarations may share a comment: they follow each other without an empty line.
        if comment_end >= 0 and "\n\n" in text[comment_end : match.start()]:
            comment = ""
        if found.startswith("#"):
            yield from parse_macro(found, comment, line)
        else:
            position = end_of_declaration(text, match.start())
            yield from parse_declaration(text[match.start() : position], comment, line)
        comment_end = position


def plain_comment(comment):
    if comment.startswith("//"):
        return comment[2:].strip()
    lines = comment[2:-2].split("\n")
    lines = [re.sub(r"^ \* ?", "", line).rstrip() for line in lines]
    return "\n".join(lines).strip()


def parse_macro(text, comment, line):
    match = re.match(r"#\s*define\s+(\w+)(\([^)]*\))?\s*(.*)", text, re.S)
    if match is None or match[1].endswith("_") or (match[1].endswith("_H") and not match[3]):
        return
    value = re.sub(r"/\*.*?\*/|//[^\n]*", "", match[3], flags=re.S)
    value = re.sub(r"\s*\\\n\s*", " ", value).strip()
    yield Declaration("macro", match[1], f"#define {match[1]}{match[2] or ''} {value}", comment, line)


def end_of_declaration(text, start):
    """Behind its semicolon; or behind the body, if it is a function that has one."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: " " * len(m[0]), text[start:], flags=re.S)
    depth = 0
    for i, c in enumerate(code):
        depth += (c in "{(") - (c in "})")
        if depth == 0 and c == ";":
            return start + i + 1
        if depth == 0 and c == "}" and re.match(r"\s*(?:static|TWOSTATE_API)[^;{]*\)\s*\{", code):
            return start + i + 1
    raise SystemExit(f"declarations: no end of: {text[start:start + 200]}")


def without(text, name):
    """Removes a macro or attribute with its arguments."""
    while (match := re.search(rf"\s*\b{name}\(", text)) is not None:
        depth, i = 1, match.end()
        while depth > 0:
            depth += (text[i] == "(") - (text[i] == ")")
            i += 1
        text = text[: match.start()] + text[i:]
    return text


def parse_declaration(text, comment, line):
    code = without(without(text, "TWOSTATE_SAYS_"), "__attribute__")
    bare = re.sub(r"/\*.*?\*/|//[^\n]*", "", code, flags=re.S).strip()
    match = re.match(r"(struct|enum)\s+(\w+)\s*(?:\{(.*)\}\s*)?;$", bare, re.S)
    if match is not None:
        if match[2].endswith("_") or not match[2].startswith("twostate"):
            return
        separator = ";" if match[1] == "struct" else ","
        members = [tight(m) for m in (match[3] or "").split(separator) if m.strip()]
        members = [m for m in members if not member_name(m).endswith("_")]
        yield Declaration(match[1], match[2], code.strip(), comment, line, members)
        return
    inline = re.match(r"static\s+inline\s+", bare) is not None
    prototype = re.sub(r"^(?:TWOSTATE_API|static\s+inline)\s+", "", bare)
    if "{" in prototype:
        return  # the definition of an inline function, declared before or private
    match = re.match(r"(typedef\s+)?[\w\s*]+?\**\b(\w+)\(([^;]*)\);$", prototype, re.S)
    if match is None or not (inline or match[1] or bare.startswith("TWOSTATE_API")):
        raise SystemExit(f"declarations: what is this: {text}")
    if not match[2].endswith("_"):
        kind = "typedef" if match[1] else "function"
        yield Declaration(kind, match[2], re.sub(r"\s+", " ", prototype), comment, line)


def member_name(member):
    """int (*done)(...) is done, buckets[N] buckets, A=0 A."""
    pointer = re.search(r"\(\*(\w+)\)", member)
    return pointer[1] if pointer else re.sub(r"[=\[].*", "", member).split()[-1].strip("*")


def tight(text):
    """The same for two ways to write the same."""
    text = re.sub(r"\s+", " ", text.strip())
    return re.sub(r"\s*([^\w\s])\s*", r"\1", text).replace("*", " *").replace("( *", "(*")


if __name__ == "__main__":
    for path in sys.argv[1:]:
        for d in Header(path).declarations:
            print(d.kind, d.name, tight(d.text) if d.kind != "struct" else d.members, sep="\t")
