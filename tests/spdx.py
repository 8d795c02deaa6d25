#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Checks that each file states its licence: by an SPDX line near its top, or by a row of REUSE.toml if it can't
have one; and that LICENSES/ has the text of each licence. Without git (a tarball) it reads all files.

    spdx.py [TREE]
"""

import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

LINE = re.compile(rb"SPDX-License-Identifier: ([A-Za-z0-9.+-]+)")
HEAD_BYTES = 2048


def files_of(tree):
    git = subprocess.run(["git", "-c", "safe.directory=*", "-C", tree, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        return [name for name in git.stdout.split("\0") if name and (tree / name).is_file()]
    names = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()]
    return [name for name in names if not re.match(r"build|\.git/", name) and not name.endswith(".pyc")]


def annotated(tree):
    """(pattern, licence) rows; ** crosses folders, as fnmatch's * does."""
    table = tomllib.loads((tree / "REUSE.toml").read_text())
    return [(pattern, row["SPDX-License-Identifier"]) for row in table["annotations"] for pattern in row["path"]]


def licence_of(tree, name, rows):
    path = tree / name
    if not path.is_symlink():
        with path.open("rb") as file:
            match = LINE.search(file.read(HEAD_BYTES))
        if match:
            return match.group(1).decode()
    for pattern, licence in rows:
        if fnmatch.fnmatch(name, pattern.replace("**", "*")):
            return licence
    return None


def main(tree):
    tree = Path(tree)
    rows = annotated(tree)
    licences = {name: licence_of(tree, name, rows) for name in files_of(tree)}
    found = [f"{name}: no SPDX-License-Identifier line" for name, licence in licences.items() if not licence]
    for licence in sorted(set(licences.values()) - {None}):
        if not (tree / "LICENSES" / f"{licence}.txt").exists():
            found.append(f"LICENSES/{licence}.txt is missing")
    print("\n".join(found) or f"{len(licences)} files say their licence")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.fspath(Path(__file__).resolve().parents[1])))
