# SPDX-License-Identifier: LGPL-2.1-or-later
"""System calls that Python 3.11 lacks. Errors are OSError with the path."""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: {what}")


def _bytes(text):
    return None if text is None else os.fsencode(text)


def unshare(flags):
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def mount(source, target, fstype=None, flags=0, data=None):
    args = (_bytes(source), _bytes(target), _bytes(fstype), ctypes.c_ulong(flags), _bytes(data))
    _check(_libc.mount(*args), f"mount {source} on {target}")


def umount(target, flags=MNT_DETACH):
    _check(_libc.umount2(_bytes(target), flags), f"umount {target}")


def die_with_parent(signal_number):
    _check(_libc.prctl(PR_SET_PDEATHSIG, signal_number), "prctl PR_SET_PDEATHSIG")


AT_FDCWD = -100
RENAME_EXCHANGE = 2


def exchange(a, b):
    """Exchanges two files atomically."""
    _check(_libc.renameat2(AT_FDCWD, _bytes(a), AT_FDCWD, _bytes(b), RENAME_EXCHANGE), f"exchange {a} and {b}")


def enter_network(path):
    """Move the calling thread into the network namespace at `path`."""
    with open(path, encoding="ascii") as file:
        _check(_libc.setns(file.fileno(), CLONE_NEWNET), f"setns {path}")
