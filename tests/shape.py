#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Checks sizes: prints the median and the ninth decile of the functions' lengths, and the files that are longer
than we want. Fails if a function has more than 80 lines, or a file has far more than 500 lines of code.
Reports how many functions have a single caller, for all of src/ and for each folder: with many of them a
reader jumps instead of reading. That share never fails.

    shape.py [TREE]         needs universal-ctags; exit code 77 without it
"""

import re
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

FUNCTION_MAX = 80
FILE_WANTED, FILE_MAX = 500, 650
NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def functions(files):
    """(length, file, line, name) of each function."""
    command = ["ctags", "--c-kinds=f", "--fields=+ne", "-o", "-", *map(str, files)]
    for row in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        found = re.match(r"(\S+)\t(\S+)\t.*\tline:(\d+).*\tend:(\d+)", row)
        if found:
            name, path, start, end = found.groups()
            yield int(end) - int(start) + 1, path, int(start), name


def blank(found):
    """As many lines, with nothing in them."""
    return "\n" * found.group().count("\n")


def places(defined, sources):
    """
    {(file, name): (calls, other uses)} for each (length, file, line, name). Calls are places in the text of
    functions; other uses are rows of tables, callbacks and macros. Recursion and prototypes don't count.
    """
    ranges = defaultdict(list)
    homes = defaultdict(set)
    for length, path, line, name in defined:
        ranges[path].append((line, line + length, name))
        homes[name].add(path)
    found = {(path, name): [0, 0] for _, path, _, name in defined}
    for path in map(str, sources):
        text = NO_CODE.sub(blank, Path(path).read_text(errors="replace"))
        owner = {line: name for start, end, name in ranges[path] for line in range(start, end)}
        for number, line in enumerate(text.splitlines(), 1):
            for word, bracket in re.findall(r"\b([A-Za-z_]\w*)\b(\s*\()?", line):
                if word not in homes or owner.get(number) == word or (bracket and number not in owner):
                    continue
                for home in {path} & homes[word] or homes[word]:
                    found[home, word][0 if bracket else 1] += 1
    return found


def report_callers(defined, sources, root):
    """Prints the share of functions with one caller: of all, then of each folder."""
    folders = defaultdict(list)
    for (path, _), (calls, others) in places(defined, sources).items():
        folders[str(Path(path).parent.relative_to(root))].append(calls == 1 and others == 0)
    every = [single for singles in folders.values() for single in singles]
    print(f"{len(every)} functions, {100 * sum(every) / len(every):.0f} % with one caller")
    for folder, singles in sorted(folders.items()):
        print(f"  {folder}: {len(singles)} functions, {100 * sum(singles) / len(singles):.0f} % with one caller")


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
    report_callers(lengths, sorted((Path(tree) / "src").rglob("*.[chd]*")), Path(tree) / "src")
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
