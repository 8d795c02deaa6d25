#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Sums up JUnit files: prints the tests that failed, then "N passed, N failed, N skipped". Exit code 1 if any failed.

    tally.py [--broken REPORT]... [--passed N] [--failed N] REPORTS_DIR|REPORT

--broken names a report whose run ended with an error: it counts as one failure if the report is missing or
shows no failure. --passed and --failed add results that have no report.
"""

import argparse
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def describe(case, problem):
    """One line: the test, and the first line of its message."""
    said = (problem.get("message") or problem.text or "").strip().splitlines() or [""]
    return f"failed: {case.get('classname', '')}::{case.get('name', '')}: {said[0][:200]}"


def count(path):
    """(passed, failed, skipped) of one report."""
    passed = failed = skipped = 0
    for case in ET.parse(path).iter("testcase"):
        problem = case.find("failure") if case.find("failure") is not None else case.find("error")
        if problem is not None:
            print(describe(case, problem))
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broken", action="append", default=[])
    parser.add_argument("--passed", type=int, default=0)
    parser.add_argument("--failed", type=int, default=0)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    totals = [args.passed, args.failed, 0]
    failures = {}
    reports = [args.folder] if args.folder.is_file() else sorted(args.folder.rglob("*.xml"))
    for path in reports:
        try:
            counts = count(path)
        except ET.ParseError as error:
            print(f"{path}: {error}", file=sys.stderr)
            counts = (0, 1, 0)
        failures[path.name] = counts[1]
        totals = [a + b for a, b in zip(totals, counts)]
    totals[1] += sum(1 for name in args.broken if not failures.get(name))
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
