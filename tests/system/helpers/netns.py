# SPDX-License-Identifier: LGPL-2.1-or-later
"""Network namespaces of a test, each with a mount namespace; they disappear with their holder."""

import contextlib
import ctypes
import os
import socket
import subprocess

CLONE_NEWNET = 0x40000000
TIMEOUT_S = 30
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def network_of(pid):
    """For making sockets: a socket stays in the namespace that it was made in."""
    with open("/proc/self/ns/net", "rb") as before, open(f"/proc/{pid}/ns/net", "rb") as inside:
        _setns(inside.fileno())
        try:
            yield
        finally:
            _setns(before.fileno())


class Netns:
    def __init__(self):
        self.processes = []
        words = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", "echo ready; exec sleep infinity"]
        self.holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self):
        return self.holder.pid

    def words(self, *argv):
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt", *map(str, argv)]

    def run(self, *argv, check=True, **kwargs):
        done = subprocess.run(self.words(*argv), capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **kwargs)
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def sh(self, script):
        return self.run("sh", "-euc", script)

    def popen(self, *argv, **kwargs):
        process = subprocess.Popen(self.words(*argv), **kwargs)
        self.processes.append(process)
        return process

    def socket(self, family, kind, protocol=0, timeout_s=5):
        with network_of(self.pid):
            made = socket.socket(family, kind, protocol)
        made.settimeout(timeout_s)
        return made

    def listen(self, address, port):
        server = self.socket(_family(address), socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen()
        return server

    def connect(self, address, port, timeout_s=5):
        client = self.socket(_family(address), socket.SOCK_STREAM, timeout_s=timeout_s)
        try:
            client.connect((address, port))
        except OSError:
            client.close()
            raise
        return client

    def close(self):
        for process in [*self.processes, self.holder]:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
