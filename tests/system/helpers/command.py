# SPDX-License-Identifier: LGPL-2.1-or-later
"""Running the program under test: $REDD, or build/src/redd of this tree. Every call has a timeout."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pexpect

TREE = Path(__file__).resolve().parents[3]
TIMEOUT_S = 60


def program():
    return Path(os.environ.get("REDD") or TREE / "build/src/redd").resolve()


@dataclass
class Result:
    argv: list
    code: int
    out: str
    err: str

    def __str__(self):
        return f"{' '.join(self.argv)}: exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def json(self):
        return json.loads(self.out)


class Redd:
    """redd("list-images") runs to the end and expects success; .fails() expects failure; .spawn() gives it a terminal."""

    def __init__(self, path=None):
        self.path = str(path or program())

    def __call__(self, *args, code=0, **options):
        result = self.run(*args, **options)
        assert result.code == code, f"exit code {code} was expected\n{result}"
        return result

    def fails(self, *args, code=1, says=None, **options):
        result = self(*args, code=code, **options)
        assert result.err.strip(), f"it failed without a word\n{result}"
        assert says is None or says in result.err, f"no {says!r} in the message\n{result}"
        return result

    def run(self, *args, stdin=None, timeout=TIMEOUT_S, env=None, cwd=None):
        """stdin: text or an open file, by default none. Never a terminal."""
        argv = [self.path, *map(str, args)]
        feed = {"input": stdin} if isinstance(stdin, str) else {"stdin": stdin or subprocess.DEVNULL}
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False,
            env={**os.environ, **(env or {})}, cwd=cwd, **feed,
        )
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def start(self, *args, **options):
        """A Popen with pipes, for commands that run while the test goes on."""
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        return subprocess.Popen([self.path, *map(str, args)], **options)

    def spawn(self, *args, timeout=TIMEOUT_S, env=None):
        """redd on a terminal of its own, as a pexpect child."""
        return pexpect.spawn(
            self.path, list(map(str, args)), timeout=timeout, dimensions=(50, 200), encoding="utf-8",
            codec_errors="replace", env={**os.environ, "TERM": "dumb", **(env or {})},
        )
