# SPDX-License-Identifier: LGPL-2.1-or-later
"""Waits for conditions, with a time limit and an error that names the condition."""

import time


def wait_until(condition, what, timeout_s=30, interval_s=0.05):
    """Waits until condition() is true; returns its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(interval_s)


def settle(read, what, quiet_s=0.5):
    """Waits until read() gives the same value for a while; returns it."""
    seen = [read()]

    def is_quiet():
        time.sleep(quiet_s)
        seen.append(read())
        return seen[-1] == seen[-2]

    wait_until(is_quiet, what, interval_s=0)
    return seen[-1]
