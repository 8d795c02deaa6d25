#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Checks sizes: prints the median and the ninth decile of the functions' lengths, and the files that are longer
than we want. Fails if a function has more than 80 lines, or a file has far more than 500 lines of code.

    shape.py [TREE]         needs universal-ctags; exit code 77 without it
"""

import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

FUNCTION_MAX = 80
FILE_WANTED, FILE_MAX = 500, 650


def functions(files):
    """(length, file, line, name) of each function."""
    command = ["ctags", "--c-kinds=f", "--fields=+ne", "-o", "-", *map(str, files)]
    for row in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        found = re.match(r"(\S+)\t(\S+)\t.*\tline:(\d+).*\tend:(\d+)", row)
        if found:
            name, path, start, end = found.groups()
            yield int(end) - int(start) + 1, path, int(start), name


def lines_of_code(path):
    """Lines that are neither empty nor comment."""
    text = re.sub(r"/\*.*?\*/", "", path.read_text(errors="replace"), flags=re.S)
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("//"))


def main(tree):
    if not shutil.which("ctags"):
        print("no ctags here (package universal-ctags)")
        return 77
    sources = [path for path in sorted((Path(tree) / "src").rglob("*.[ch]"))]
    lengths = sorted(functions(sources))
    if not lengths:
        return 77
    sizes = [row[0] for row in lengths]
    tenth = sizes[len(sizes) * 9 // 10]
    print(f"{len(sources)} files, {len(sizes)} functions: median {statistics.median(sizes):.0f} lines, 9 in 10 within {tenth}")
    too_long = [row for row in lengths if row[0] > FUNCTION_MAX]
    for length, path, line, name in too_long:
        print(f"{path}:{line}: {name}() has {length} lines, {FUNCTION_MAX} are allowed")
    big = [(lines_of_code(path), path) for path in sources]
    for size, path in sorted(big):
        if size > FILE_WANTED:
            print(f"{path}: {size} lines of code, about {FILE_WANTED} are wanted")
    return 1 if too_long or any(size > FILE_MAX for size, _ in big) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]))
