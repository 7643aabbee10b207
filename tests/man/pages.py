# SPDX-License-Identifier: MIT
"""What the tests want to know of a manual page: its names, synopsis and literal blocks."""

import re
import shlex


class Page:
    def __init__(self, path):
        self.path = path
        with open(path, encoding="utf-8") as file:
            self.lines = file.read().split("\n")
        self.sections = {}
        name = None
        for number, line in enumerate(self.lines, 1):
            if line.startswith(".Sh "):
                name = line[4:].strip('"')
                self.sections[name] = []
            elif name is not None:
                self.sections[name].append((number, line))

    def names(self):
        """Those of the NAME section."""
        lines = [line for _, line in self.sections["NAME"]]
        return [line.split()[1] for line in lines if line.startswith(".Nm ")]

    def prototypes(self):
        """The synopsis: each function as C, without the semicolon."""
        result, returns, name, arguments = [], None, None, []
        for number, line in self.sections.get("SYNOPSIS", []):
            words = shlex.split(line) if line.startswith(".F") else [line]
            if words[0] == ".Ft":
                returns = " ".join(words[1:])
            elif words[0] == ".Fo":
                name, arguments = words[1], []
            elif words[0] == ".Fa":
                arguments += words[1:]
            elif words[0] in (".Fn", ".Fc"):
                if words[0] == ".Fn":
                    name, arguments = words[1], words[2:]
                if returns is None:
                    raise SystemExit(f"{self.path}:{number}: no .Ft before {name}")
                space = "" if returns.endswith("*") else " "
                result.append((name, f"{returns}{space}{name}({', '.join(arguments)})"))
                returns = None
        return result

    def literals(self):
        """Each block with the comment in front of it: (number of its line, comment, text)."""
        result, block, comment = [], None, ""
        for number, line in enumerate(self.lines, 1):
            if line.startswith(".Bd -literal"):
                block = (number, comment, [])
            elif block is not None and line == ".Ed":
                result.append((block[0], block[1], plain("\n".join(block[2]) + "\n")))
                block = None
            elif block is not None:
                block[2].append(line)
            comment = line[3:].strip() if line.startswith('.\\"') else ""
        return result

    def words(self):
        """All of its text but comments and its title."""
        return plain("\n".join(line for line in self.lines if not line.startswith(('.\\"', ".Dt"))))


def plain(text):
    """What roff makes of these escapes; others are not in the pages."""
    for escape, means in ((r"\&", ""), (r"\-", "-"), (r"\(dq", '"'), (r"\e", "\\")):
        text = text.replace(escape, means)
    return text
