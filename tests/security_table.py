#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Writes the tables of SECURITY.md from the tests, so that a test proves each claim there.

    security_table.py            rewrites the tables between <!-- rows … --> and <!-- end of rows -->
    security_table.py --check    changes nothing; fails if a table is stale or a claim has no test

The test that proves a row names it:

    @row("N03", "guest → 127.0.0.0/8 of the host", "dropped at ingress")     a system test (pytest)
    /* security row: N03 */                                                 in front of a function of a unit test,
                                                                            or at the head of a fuzz target
    # security row: X10                                                     in a check of tests/ or in .ci/run

Each row has one text, attack and defence. If no system test proves the row, the comment of a unit test gives it:

    /*
     * security row: N13
     * attack: netlink messages in the kernel's name
     * defence: our sockets are connected to the kernel
     */

The tests are read as text; none is imported.
"""

import ast
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
ROW = r"[A-Z]{1,2}\d{2}[A-Z]?"
SECTION = re.compile(r"(<!-- rows((?: [A-Z]{1,2}(?:\d{2})?)+) -->\n)(.*?)(<!-- end of rows -->)", re.S)
COMMENT = re.compile(r"/\*(?:(?!\*/).)*?\bsecurity row:.*?\*/|^[ \t]*# security row:[^\n]*", re.S | re.M)
FUNCTION = re.compile(r"^(?:static |int |void )[^;{=()]*?\b(\w+)\(", re.M)
NAMES_SHOWN = 3


@dataclass
class Proof:
    row: str
    place: str  # "test_x.py" or "unit lib/path"
    name: str  # of the function; "" for a whole program
    where: str  # path:line, for messages
    attack: str = ""
    defence: str = ""


@dataclass
class Row:
    identity: str
    attack: str = ""
    defence: str = ""
    proofs: list = field(default_factory=list)


def constant(node, where, problems):
    try:
        return " ".join(str(ast.literal_eval(node)).split())
    except ValueError:
        problems.append(f"{where}: a mark's texts must be plain strings")
        return ""


def marks_of(path, relative, problems):
    """Proofs by @row(…) in a file of pytest."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if not (isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "row"):
                continue
            where = f"{relative}:{mark.lineno}"
            given = dict(zip(("identity", "attack", "defence"), mark.args, strict=False)) | {word.arg: word.value for word in mark.keywords}
            texts = {key: constant(value, where, problems) for key, value in given.items()}
            if not node.name.startswith("test_"):
                problems.append(f"{where}: {node.name}() is marked, but no test")
            yield Proof(texts.get("identity", ""), path.name, node.name, where, texts.get("attack", ""), texts.get("defence", ""))


def place_of(relative):
    """The name of the program that the file belongs to, as meson and people call it."""
    unit = re.fullmatch(r"tests/unit/(\w+)/test_(\w+)\.c", relative)
    fuzz = re.fullmatch(r"fuzz/fuzz_(\w+)\.c", relative)
    check = re.fullmatch(r"tests/(\w+)\.py", relative)
    if unit:
        return f"unit {unit[1]}/{unit[2]}"
    if fuzz:
        return f"fuzz {fuzz[1]}"
    return f"check {check[1].replace('_', ' ')}" if check else relative


def comments_of(path, relative, problems):
    """Proofs by comments, in all other files."""
    text = path.read_text()
    for comment in COMMENT.finditer(text):
        where = f"{relative}:{text.count(chr(10), 0, comment.start()) + 1}"
        body = re.sub(r"^\s*(?:/\*|\*/|\*|#)?[ \t]?", "", comment[0], flags=re.M).removesuffix("*/")
        found = re.search(r"security row:(.*?)(?:\battack:(.*?)\bdefence:(.*))?\Z", body, re.S)
        rows = re.findall(rf"\b{ROW}\b", found[1])
        if not rows:
            problems.append(f"{where}: no row is named")
        function = FUNCTION.search(text, comment.end())
        named = relative.startswith("tests/unit/") and function
        for identity in rows:
            attack, defence = (" ".join((part or "").split()) for part in (found[2], found[3]))
            yield Proof(identity, place_of(relative), function[1] if named else "", where, attack, defence)


def sources():
    """Yields (path, function that reads its proofs)."""
    for path in sorted((TREE / "tests/system").glob("test_*.py")) + sorted((TREE / "tests/hosts").glob("test_*.py")):
        yield path, marks_of
    others = [*(TREE / "tests/unit").glob("*/test_*.c"), *(TREE / "fuzz").glob("fuzz_*.c"), *(TREE / "tests").glob("*.py"), TREE / ".ci/run"]
    for path in sorted(others):
        if path.resolve() != Path(__file__).resolve():
            yield path, comments_of


def collect(problems):
    """{identity: Row} of all tests, sorted."""
    rows = {}
    for path, reader in sources():
        if not path.exists():
            continue
        for proof in reader(path, str(path.relative_to(TREE)), problems):
            if not re.fullmatch(ROW, proof.row):
                problems.append(f"{proof.where}: '{proof.row}' is no row: two digits behind one or two letters")
                continue
            row = rows.setdefault(proof.row, Row(proof.row))
            add(row, proof, problems)
    for row in rows.values():
        if not row.attack or not row.defence:
            problems.append(f"{row.proofs[0].where}: no test gives the attack and the defence of {row.identity}")
    return dict(sorted(rows.items()))


def add(row, proof, problems):
    row.proofs.append(proof)
    if bool(proof.attack) != bool(proof.defence):
        problems.append(f"{proof.where}: {row.identity} needs both attack and defence, or neither")
    elif proof.attack and row.attack and (proof.attack, proof.defence) != (row.attack, row.defence):
        first = next(other for other in row.proofs if other.attack)
        problems.append(f"{proof.where}: another text for {row.identity} than at {first.where}")
    elif proof.attack:
        row.attack, row.defence = proof.attack, proof.defence


def proofs_text(row):
    places = {}
    for proof in row.proofs:
        names = places.setdefault(proof.place, [])
        name = re.sub(rf"^test_({row.identity.lower()}_)?", "", proof.name)
        if name and name not in names:
            names.append(name)
    texts = []
    for place, names in sorted(places.items(), key=lambda item: (not item[0].endswith(".py"), item[0])):
        more = f", {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        texts.append(place + (": " + ", ".join(names[:NAMES_SHOWN]) + more if names else ""))
    return "; ".join(texts)


def takes(prefixes, identity):
    """The length of the longest prefix that fits, so that T06 is preferred to T."""
    return max((len(prefix) for prefix in prefixes if identity.startswith(prefix) and (len(prefix) > 1 or not identity[1].isalpha())), default=0)


def table(rows):
    cell = lambda text: text.replace("|", "\\|")  # noqa: E731
    lines = ["| row | attack | how it is met | proved by |", "|---|---|---|---|"]
    lines += [f"| {row.identity} | {cell(row.attack)} | {cell(row.defence)} | {proofs_text(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def written(text, rows, problems):
    """The text of SECURITY.md with up-to-date tables."""
    sections = [found[2].split() for found in SECTION.finditer(text)]
    chosen = {}
    for identity, row in rows.items():
        best = max(range(len(sections)), key=lambda index: takes(sections[index], identity), default=None)
        if best is None or not takes(sections[best], identity):
            problems.append(f"SECURITY.md: no table takes {identity}; add its letter to a <!-- rows … --> line")
            continue
        chosen.setdefault(best, []).append(row)
    for index, prefixes in enumerate(sections):  # in the order of the prefixes on the line
        order = {row.identity: max(range(len(prefixes)), key=lambda at: takes(prefixes[at : at + 1], row.identity)) for row in chosen.get(index, [])}
        chosen.setdefault(index, []).sort(key=lambda row: (order[row.identity], row.identity))
    number = iter(range(len(sections)))
    return SECTION.sub(lambda found: found[1] + table(chosen.get(next(number), [])) + found[4], text)


def main(arguments):
    problems = []
    rows = collect(problems)
    document = TREE / "SECURITY.md"
    text = document.read_text()
    new = written(text, rows, problems)
    if "--check" in arguments:
        if new != text:
            problems.append("SECURITY.md is not what the tests say: run tests/security_table.py")
    elif not problems and new != text:
        document.write_text(new)
    print("\n".join(problems) or f"{len(rows)} rows, {sum(len(row.proofs) for row in rows.values())} tests that prove them")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
