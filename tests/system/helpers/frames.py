# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames and packets made by hand, which no ordinary socket would send."""

import ipaddress
import struct


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ether(source, destination, kind, payload):
    return mac(destination) + mac(source) + struct.pack("!H", kind) + payload


def tagged(tag_kind, inner_kind, payload, number=1):
    """The part of a VLAN frame after the addresses; its payload may begin with another tag."""
    return struct.pack("!HHH", tag_kind, number, inner_kind) + payload


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def ip(source, destination, protocol, payload):
    first, second = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    if len(first) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255) + first + second + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + first + second
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def pseudo(source, destination, protocol, size):
    first, second = ipaddress.ip_address(source).packed, ipaddress.ip_address(destination).packed
    return first + second + (struct.pack("!II", size, protocol) if len(first) == 16 else struct.pack("!BBH", 0, protocol, size))


def udp(source, destination, source_port, port, payload=b"x"):
    head = struct.pack("!HHH", source_port, port, 8 + len(payload))
    sum_ = checksum(pseudo(source, destination, 17, 8 + len(payload)) + head + b"\0\0" + payload)
    return ip(source, destination, 17, head + struct.pack("!H", sum_ or 0xFFFF) + payload)


def icmp6(source, destination, kind, payload=b"\0" * 12):
    head = struct.pack("!BB", kind, 0)
    sum_ = checksum(pseudo(source, destination, 58, 4 + len(payload)) + head + b"\0\0" + payload)
    return ip(source, destination, 58, head + struct.pack("!H", sum_) + payload)


def icmp_redirect(source, destination):
    body = b"\5\1\0\0" + ipaddress.ip_address(source).packed + b"\0" * 28
    return ip(source, destination, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def arp(sender_mac, sender, target):
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return head + mac(sender_mac) + ipaddress.ip_address(sender).packed + b"\0" * 6 + ipaddress.ip_address(target).packed


def crc32c(data):
    """The checksum of SCTP (RFC 3309)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp_init(source_port, port):
    """An INIT chunk in a packet of its own (RFC 4960, 3.3.2)."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x11223344, 0x10000, 1, 1, 1)
    head = struct.pack("!HHI", source_port, port, 0)
    return head + struct.pack("<I", crc32c(head + b"\0\0\0\0" + chunk)) + chunk


def sctp_is_sound(packet):
    return packet[8:12] == struct.pack("<I", crc32c(packet[:8] + b"\0\0\0\0" + packet[12:]))
