# SPDX-License-Identifier: LGPL-2.1-or-later
"""Other processes, which go on while they are looked at."""

import contextlib
import os


def descriptors(pid):
    """What the open descriptors of a process lead to. One that is closed meanwhile is left out."""
    targets = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return targets
