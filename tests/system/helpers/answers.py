# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A server that tells its clients their source address. So one connection proves that a name was found, that the route
works, and which address the client appears under. In a guest it is a static program, elsewhere a thread.
"""

import contextlib
import socket
import subprocess
import threading

# Both families on tcp:80; IPv4-mapped addresses are printed as IPv4.
PROGRAM = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 100) < 0)
		return 1;
	for (;;) {
		struct sockaddr_in6 peer;
		socklen_t size = sizeof(peer);
		char text[INET6_ADDRSTRLEN + 1];
		int one = accept(fd, (struct sockaddr *)&peer, &size);
		const char *from = inet_ntop(AF_INET6, &peer.sin6_addr, text, sizeof(text));
		if (one < 0)
			continue;
		if (from && strncmp(from, "::ffff:", 7) == 0)
			from += 7;
		if (from)
			dprintf(one, "%s\n", from);
		close(one);
	}
}
"""
PORT = 80


class Listener:
    """Answers on a listening socket until the `with` ends."""

    def __init__(self, server):
        self.server = server
        self.thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self.server.settimeout(None)
        self.thread.start()
        return self

    def __exit__(self, *ignored):
        # Wakes accept(); close() wouldn't.
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.server.close()

    def _serve(self):
        while True:
            try:
                stream, peer = self.server.accept()
            except OSError:
                return
            with stream, contextlib.suppress(OSError):
                stream.sendall(peer[0].removeprefix("::ffff:").encode() + b"\n")


def ask(address, port=PORT, pid=None, timeout_s=5):
    """The answer of address:port, asked from the network of a process, or from here; "" if there is none."""
    enter = ["nsenter", f"--net=/proc/{pid}/ns/net"] if pid else []
    words = [*enter, "busybox", "nc", "-w", str(timeout_s), address, str(port)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * timeout_s + 10, check=False)
    return done.stdout.strip()
