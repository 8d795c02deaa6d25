#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The rule between the folders of src/: who may include whom. MAY_INCLUDE is the rule; this program proves
that it has no cycle and that every #include "folder/file.h" obeys it and names a file that exists.

    layers.py [TREE]
"""

import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

# A folder may always include itself. doc/decisions/0009-layers.md tells why the picture is this one.
MAY_INCLUDE = {
    "kernel": "",
    "lib": "kernel",
    "log": "lib",
    "net": "lib kernel",
    "nss": "net lib kernel",
    "settings": "net log lib kernel",
    "spec": "settings net log lib kernel",
    "plan": "lib kernel",
    "child": "plan lib kernel",
    "image": "log lib kernel",
    "machine": "image net log lib kernel",
    "transfer": "image log lib kernel",
    "nix": "transfer image log lib kernel",
    "host": "nix image machine plan spec net log lib kernel",
    "supervise": "child host image machine nix plan spec net log lib kernel",
    "cli": "kernel lib log net settings spec plan child image machine host supervise transfer nix",
}
# Of these folders, others see this header only.
ENTRY_HEADERS = {"child": {"child/child.h", "child/run.h"}}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def rule():
    return {folder: set(allowed.split()) for folder, allowed in MAY_INCLUDE.items()}


def violations_of(path, folder, text, source, allowed):
    """Lines of complaint about one file of src/."""
    for match in INCLUDE.finditer(text):
        name = match.group(1)
        line = text.count("\n", 0, match.start()) + 1
        where = f"{path}:{line}: includes {name}"
        target = name.split("/")[0]
        if "/" not in name:
            if not (path.parent / name).exists() and not name.endswith(".inc.h"):
                yield f'{where}: write "folder/file.h", relative to src/'
        elif target not in MAY_INCLUDE:
            yield f"{where}: {target}/ is no folder of src/"
        elif not (source / name).exists() and not name.endswith(".inc.h"):
            yield f"{where}: there is no such file"
        elif target != folder and target not in allowed:
            yield f"{where}: {folder}/ may include {MAY_INCLUDE[folder] or 'nothing'} only"
        elif target != folder and name not in ENTRY_HEADERS.get(target, {name}):
            yield f"{where}: of {target}/ others may include {' or '.join(sorted(ENTRY_HEADERS[target]))} only"


def main(tree):
    source = Path(tree) / "src"
    allowed = rule()
    TopologicalSorter(allowed).prepare()  # raises CycleError
    found = []
    files = sorted(path for path in source.rglob("*") if path.suffix in (".c", ".h", ".def"))
    for path in files:
        folder = path.relative_to(source).parts[0]
        if folder not in allowed:
            found.append(f"{path}: {folder}/ has no row in {Path(__file__).name}")
            continue
        found += violations_of(path, folder, path.read_text(), source, allowed[folder])
    print("\n".join(found) or f"{len(files)} files keep to the layers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]))
