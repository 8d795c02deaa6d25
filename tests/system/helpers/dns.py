# SPDX-License-Identifier: LGPL-2.1-or-later
"""DNS messages made by hand, a client, and a server that misbehaves on demand."""

import random
import select
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass

A, PTR, AAAA, NS, AXFR, ANY = 1, 12, 28, 2, 252, 255
OK, FORMAT, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
ANSWER, TRUNCATED, RECURSIVE = 0x8000, 0x0200, 0x0100


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(name, kind=A, number=None, edns=None, klass=1):
    number = random.randrange(65536) if number is None else number
    extra = b"" if edns is None else b"\0" + struct.pack(">HHIH", 41, edns, 0, 0)
    return struct.pack(">HHHHHH", number, RECURSIVE, 1, 0, 0, bool(extra)) + encode(name) + struct.pack(">HH", kind, klass) + extra


def question_end(message):
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def name_of(message):
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels)


def answer(asked, addresses=(), rcode=OK, flags=0, number=None, padding=0):
    """An answer to the message `asked`, with a record of an unknown type of `padding` bytes."""
    records = [struct.pack(">HHHIH", 0xC00C, A, 1, 60, 4) + socket.inet_aton(address) for address in addresses]
    if padding:
        records.append(struct.pack(">HHHIH", 0xC00C, 65400, 1, 60, padding) + bytes(padding))
    number = struct.unpack(">H", asked[:2])[0] if number is None else number
    head = struct.pack(">HHHHHH", number, ANSWER | RECURSIVE | 0x80 | flags | rcode, 1, len(records), 0, 0)
    return head + asked[12 : question_end(asked)] + b"".join(records)


@dataclass
class Reply:
    message: bytes

    @property
    def number(self):
        return struct.unpack(">H", self.message[:2])[0]

    @property
    def flags(self):
        return struct.unpack(">H", self.message[2:4])[0]

    @property
    def rcode(self):
        return self.flags & 15

    @property
    def is_truncated(self):
        return bool(self.flags & TRUNCATED)

    @property
    def records(self):
        """[(type, ttl, data)] of the answer section; its names must be pointers."""
        at, found = question_end(self.message), []
        for _ in range(struct.unpack(">H", self.message[6:8])[0]):
            kind, _, ttl, size = struct.unpack(">HHIH", self.message[at + 2 : at + 12])
            found.append((kind, ttl, self.message[at + 12 : at + 12 + size]))
            at += 12 + size
        return found

    @property
    def addresses(self):
        families = {A: socket.AF_INET, AAAA: socket.AF_INET6}
        return [socket.inet_ntop(families[kind], data) for kind, _, data in self.records if kind in families]


class Client:
    """Asks `server` from within a namespace."""

    def __init__(self, namespace, server):
        self.namespace, self.server = namespace, server
        self.family = socket.AF_INET6 if ":" in server else socket.AF_INET

    def socket(self, kind=socket.SOCK_DGRAM):
        made = self.namespace.socket(self.family, kind)
        made.settimeout(30)
        made.connect((self.server, 53))
        return made

    def ask(self, name, kind=A, timeout_s=30, **options):
        return self.send(query(name, kind, **options), timeout_s)

    def send(self, message, timeout_s=30):
        with self.socket() as asking:
            asking.settimeout(timeout_s)
            asking.send(message)
            reply = Reply(asking.recv(65535))
        assert reply.message[:2] == message[:2]
        return reply

    def ask_by_tcp(self, name, kind=A, **options):
        with self.socket(socket.SOCK_STREAM) as asking:
            return ask_on(asking, query(name, kind, **options))


def receive(stream, size):
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def receive_message(stream):
    return receive(stream, struct.unpack(">H", receive(stream, 2))[0])


def frame(message):
    return struct.pack(">H", len(message)) + message


def ask_on(stream, message):
    stream.sendall(frame(message))
    return Reply(receive_message(stream))


class Upstream:
    """
    A server at address:53. `behaviour` maps the first label of a name to a function that returns the messages to
    send back for a query; by default the answer is 192.0.2.1. `asked` counts names, `sources` has all (address, port).
    """

    def __init__(self, address="127.0.0.1", behaviour=None, default="192.0.2.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.behaviour, self.default = behaviour or {}, default
        self.asked, self.queries, self.sources, self.by_tcp = Counter(), [], [], Counter()
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.udp.bind((address, 53))
        self.tcp = socket.create_server((address, 53), family=family)
        self.stop, self.stopped = socket.socketpair()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.stop.close()
        self.thread.join()
        for each in (self.udp, self.tcp, self.stopped):
            each.close()

    def _answers(self, asked):
        act = self.behaviour.get(name_of(asked).split(".")[0])
        return act(asked) if act else [answer(asked, [self.default])]

    def _serve(self):
        while True:
            ready = select.select([self.udp, self.tcp, self.stopped], [], [])[0]
            if self.stopped in ready:
                return
            if self.udp in ready:
                asked, source = self.udp.recvfrom(65535)
                self.asked[name_of(asked)] += 1
                self.queries.append(asked)
                self.sources.append(source)
                for message in self._answers(asked):
                    self.udp.sendto(message, source)
            if self.tcp in ready:
                self._serve_tcp()

    def _serve_tcp(self):
        stream, _ = self.tcp.accept()
        with stream:
            stream.settimeout(10)
            asked = receive_message(stream)
            self.by_tcp[name_of(asked)] += 1
            for message in self._answers(asked):
                stream.sendall(frame(message))
