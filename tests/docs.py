#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Checks the documents: links must lead to files, tests that SECURITY.md names must exist, and documents
with a maximum length must keep to it.

    docs.py [TREE]
"""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
SYSTEM_TEST = re.compile(r"\btest_\w+\.py\b")
UNIT_TEST = re.compile(r"\bunit ((?:[a-z_]+/[a-z0-9_]+(?:, )?)+)")
LINES_MAX = {"HACKING.md": 200}


def broken_links(path, text):
    for link in LINK.findall(text):
        if not (path.parent / link).exists():
            yield f"{path}: links to {link}, which isn't there"


def missing_tests(tree, path, text):
    for name in sorted(set(SYSTEM_TEST.findall(text))):
        if not (tree / "tests/system" / name).exists():
            yield f"{path}: names tests/system/{name}, which isn't there"
    for rows in UNIT_TEST.findall(text):
        for row in rows.strip(", ").split(", "):
            folder, name = row.split("/")
            if not (tree / f"tests/unit/{folder}/test_{name}.c").exists():
                yield f"{path}: names the unit test {row}, which isn't there"


def main(tree):
    tree = Path(tree)
    documents = [*tree.glob("*.md"), *tree.glob("doc/**/*.md"), *tree.glob("bench/*.md")]
    found = []
    for path in sorted(documents):
        text = path.read_text()
        found += broken_links(path, text)
        if path.name == "SECURITY.md":
            found += missing_tests(tree, path, text)
        if len(text.splitlines()) > LINES_MAX.get(path.name, 10**6):
            found.append(f"{path}: has more than {LINES_MAX[path.name]} lines")
    print("\n".join(found) or f"{len(documents)} documents keep their promises")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]))
