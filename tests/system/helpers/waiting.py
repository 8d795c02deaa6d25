# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waiting for something to become true, with a bound and a name for what did not."""

import time


def wait_until(condition, what, timeout_s=30, interval_s=0.05):
    """The first true value of condition()."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(interval_s)


def settle(read, what, quiet_s=0.5):
    """What read() says once that has not changed for a while."""
    seen = [read()]

    def is_quiet():
        time.sleep(quiet_s)
        seen.append(read())
        return seen[-1] == seen[-2]

    wait_until(is_quiet, what, interval_s=0)
    return seen[-1]
