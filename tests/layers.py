#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The layers of src/: which folder may include which. MAY_INCLUDE is the rule. This program checks that it
has no cycle, and that each #include "folder/file.h" obeys it and names a file that exists.

    layers.py [TREE]
    layers.py --list       prints a line "folder: folder..." for each folder, after the folders that it uses
"""

import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

# A folder may always include itself. For the reasons see doc/decisions/0009-layers.md.
# src/meson.build reads this too (--list): each row becomes a library that is linked with those it names and no others.
MAY_INCLUDE = {
    "kernel": "",
    "lib": "kernel",
    "log": "lib kernel",
    "term": "log lib kernel",
    "net": "lib kernel",
    "settings": "net log lib kernel",
    "spec": "settings net log lib kernel",
    "plan": "lib kernel",
    "child": "plan lib kernel",
    "firewall": "net log lib kernel",
    "image": "log lib kernel",
    "transfer": "log lib kernel",
    "transfer/decode": "transfer log lib kernel",
    "transfer/import": "transfer/decode transfer image log lib kernel",
    "transfer/pack": "transfer image log lib kernel",
    "machine": "term image net log lib kernel",
    "serve": "machine image net log lib kernel",
    "nix": "transfer/pack transfer image log lib kernel",
    "host": "firewall nix transfer/pack transfer image machine plan spec settings net log lib kernel",
    "nix/machine": "child host nix transfer/import transfer image machine plan spec settings net log lib kernel",
    "supervise": "serve child firewall host nix transfer/pack transfer image machine plan spec settings net log lib kernel",
    "cli": "supervise nix/machine serve child firewall host nix transfer/import transfer/pack transfer image machine plan spec settings term net log lib kernel",
}
# Not linked into redd: a module for other programs.
MODULES = {"nss": "net lib kernel"}
# Other folders may include only these headers of such a folder.
ENTRY_HEADERS = {"child": {"child/child.h", "child/run.h"}}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def rule():
    return {folder: set(allowed.split()) for folder, allowed in {**MAY_INCLUDE, **MODULES}.items()}


def folder_of(name):
    """The folder with a row that a file below src/ lies in; the deepest one."""
    folders = [str(parent) for parent in Path(name).parents]
    return next((folder for folder in folders if folder in MAY_INCLUDE or folder in MODULES), None)


def violations_of(path, folder, text, source, allowed):
    """Yields a line for each wrong #include of one file."""
    for match in INCLUDE.finditer(text):
        name = match.group(1)
        line = text.count("\n", 0, match.start()) + 1
        where = f"{path}:{line}: includes {name}"
        target = folder_of(name)
        if "/" not in name:
            if not (path.parent / name).exists() and not name.endswith(".inc.h"):
                yield f'{where}: write "folder/file.h", relative to src/'
        elif not target:
            yield f"{where}: {name.split('/')[0]}/ is no folder of src/"
        elif not (source / name).exists() and not name.endswith(".inc.h"):
            yield f"{where}: there is no such file"
        elif target != folder and target not in allowed:
            yield f"{where}: {folder}/ may include {' '.join(sorted(allowed)) or 'nothing'} only"
        elif target != folder and name not in ENTRY_HEADERS.get(target, {name}):
            yield f"{where}: of {target}/ others may include {' or '.join(sorted(ENTRY_HEADERS[target]))} only"


def list_layers():
    """Transitive: the linker needs what a layer calls, and what that calls in turn."""
    allowed = {folder: set(others.split()) for folder, others in MAY_INCLUDE.items()}
    for folder in TopologicalSorter(allowed).static_order():
        for other in list(allowed[folder]):
            allowed[folder] |= allowed[other]
        print(f"{folder}: {' '.join(sorted(allowed[folder]))}")


def main(tree):
    source = Path(tree) / "src"
    allowed = rule()
    TopologicalSorter(allowed).prepare()  # raises CycleError
    found = []
    files = sorted(path for path in source.rglob("*") if path.suffix in (".c", ".h", ".def"))
    for path in files:
        folder = folder_of(path.relative_to(source))
        if not folder:
            found.append(f"{path}: its folder has no row in {Path(__file__).name}")
            continue
        found += violations_of(path, folder, path.read_text(), source, allowed[folder])
    print("\n".join(found) or f"{len(files)} files keep to the layers")
    return 1 if found else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        list_layers()
    else:
        sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]))
