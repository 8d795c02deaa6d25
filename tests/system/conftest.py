# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Fixtures of the system tests. Loading this file moves pytest into a session of its own (helpers/session.py), so
nothing here or in a test can touch this machine's images, settings or network.

    redd      runs the program ($REDD); redd("list-images"), redd.fails(...), redd.spawn(...)
    guest     guest("busybox") imports a Machine under a fresh name; it is removed when the test ends
    nix_store a private Nix store at /nix, and functions that make systems in it
    machines  the Pool behind guest: claim(name), fresh_name(), add(guest, name, unpack)
    nothing_left_behind  runs around every test
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helpers import command, leftovers, machines as machines_module, nix, session  # noqa: E402

if session.is_possible() and not session.folder and "--collect-only" not in sys.argv:
    session.enter()


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: boots a whole system, more than a second")


def pytest_collection_modifyitems(items):
    if session.folder:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(reason="needs root: makes namespaces and mounts"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    """Always counts skips by reason, so that nobody overlooks them."""
    reasons = {}
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped {count}: {reason}")


@pytest.fixture(autouse=True)
def nothing_left_behind(request):
    before = leftovers.snapshot()
    yield
    if _has_failed(request.node):
        leftovers.sweep(before)
        return
    found = leftovers.difference(before)
    if found:
        leftovers.sweep(before)
        pytest.fail("left behind:\n" + leftovers.describe(found), pytrace=False)


def _has_failed(node):
    return any(getattr(node, f"report_{when}", None) and getattr(node, f"report_{when}").failed for when in ("setup", "call"))


@pytest.fixture
def redd():
    path = command.program()
    if not os.access(path, os.X_OK):
        pytest.skip(f"no redd at {path}: build it, or set REDD")
    return command.Redd(path)


@pytest.fixture
def machines(redd):
    pool = machines_module.Pool(redd)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def nix_store():
    """The session's own store at /nix, empty at first; see helpers/nix.py."""
    if not nix.is_possible():
        pytest.skip("Nix is not installed (Debian: nix-bin)")
    nix.make_store()
    return nix


@pytest.fixture
def guest(machines):
    return machines.add
