# SPDX-License-Identifier: LGPL-2.1-or-later
"""Typing at a guest: logging in, running commands, leaving. Works on any pexpect child that shows its terminal."""

import itertools

import pexpect

PASSWORD = "redd"
PROMPT = r"[#$] (?:\x1b\[[0-9;?]*[a-zA-Z])*$"
ESCAPE = "\x1d"  # ^]

_counter = itertools.count(1)


def log_in(child, user="root", password=PASSWORD, timeout=60):
    """From a login prompt to a shell that answers."""
    child.expect(r"login: *$", timeout=timeout)
    child.send(user + "\r")
    child.expect(r"[Pp]assword: *$")
    child.send(password + "\r")
    found = child.expect([PROMPT, r"incorrect"])
    assert found == 0, f"the guest refused {user}"
    assert run_inside(child, "true")[0] == 0


def run_inside(child, command, timeout=30):
    """(exit code, output) of a command typed at a shell prompt."""
    number = next(_counter)
    # With the quotes, the echo of what is typed differs from the answer.
    child.send(f"echo be''gin-{number}; {command}; echo e''nd-{number}-$?\r")
    child.expect(rf"begin-{number}\r\n", timeout=timeout)
    child.expect(rf"end-{number}-(\d+)\r\n", timeout=timeout)
    return int(child.match.group(1)), child.before.replace("\r\n", "\n").strip("\n")


def leave(child):
    """^] three times within a second: detaches, and leaves the machine as it is."""
    child.send(ESCAPE * 3)
    child.expect(pexpect.EOF, timeout=10)
    child.close()


def closed(child, timeout=10):
    """Waits for the other side to end; returns the exit code as a shell would."""
    child.expect(pexpect.EOF, timeout=timeout)
    child.close()
    return child.exitstatus if child.exitstatus is not None else 128 + child.signalstatus
