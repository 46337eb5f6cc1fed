"""A client of PCP, written from RFC 6887 and 7753 alone: what no packaged client speaks."""

import ipaddress
import os
import socket
import struct
import time

from lab import PATIENCE, family_of

SUCCESS, UNSUPP_VERSION, NOT_AUTHORIZED, MALFORMED_REQUEST = 0, 1, 2, 3
NO_RESOURCES, USER_EX_QUOTA, CANNOT_PROVIDE_EXTERNAL, ADDRESS_MISMATCH = 8, 10, 11, 12
TCP, UDP = 6, 17
PORT, CLIENT_PORT = 5351, 5350
HOSTNAME = 224  # an option of private use


def mapped(address):
    return ipaddress.ip_address(address if ":" in address else "::ffff:" + address).packed


def option(code, data):
    return struct.pack(">BBH", code, 0, len(data)) + data + bytes(-len(data) % 4)


def names_option(*names):
    return b"".join(option(HOSTNAME, name.encode()) for name in names)


def port_set(size, first):
    return option(130, struct.pack(">HHB", size, first, 0))


class Answer:
    def __init__(self, data):
        self.data = data
        version, opcode, _, self.result, self.lifetime, self.epoch = struct.unpack_from(
            ">BBBBII", data)
        assert version == 2 and opcode & 0x80 and len(data) % 4 == 0
        if opcode == 0x81 and len(data) >= 60:
            self.nonce = data[24:36]
            self.protocol, self.internal, self.external = struct.unpack_from(">BxxxHH", data, 36)
            full = ipaddress.IPv6Address(data[44:60])
            self.address = str(full.ipv4_mapped or full)


def answers(answer, request):
    """Whether the opcode is the same, and of MAP the nonce."""
    return answer[1] == request[1] | 0x80 and (len(answer) < 36 or answer[24:36] == request[24:36]
                                               or request[1] == 0)


class PcpClient:
    """A device that opens ports at its gateway."""

    def __init__(self, host, address, gateway):
        self.host = host
        self.address = address
        self.socket = host.socket(family_of(address), socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.connect((gateway, PORT))

    def ask(self, data, tries=5):
        """Sends until an answer comes, as RFC 6887 section 8.1.1 has it; None: there is none."""
        deadline = time.monotonic() + tries * PATIENCE
        while time.monotonic() < deadline:
            self.socket.settimeout(1.0 * PATIENCE)
            try:
                self.socket.send(data)
                while not answers(answer := self.socket.recv(2048), data):
                    pass  # a second one to what was sent twice
                return answer
            except TimeoutError:
                pass
            except ConnectionRefusedError:
                time.sleep(0.02)  # the daemon is not that far yet
        return None

    def header(self, opcode, lifetime, address=None):
        return struct.pack(">BBHI", 2, opcode, 0, lifetime) + mapped(address or self.address)

    def announce(self):
        return Answer(self.ask(self.header(0, 0)))

    def request(self, internal, external, lifetime=3600, protocol=TCP, nonce=None, options=b"",
                address=None):
        return (self.header(1, lifetime, address) + (nonce or os.urandom(12)) +
                struct.pack(">BxxxHH", protocol, internal, external) + mapped("0.0.0.0") + options)

    def map(self, internal, external, *arguments, **options):
        return Answer(self.ask(self.request(internal, external, *arguments, **options)))

    def listen(self, port=CLIENT_PORT):
        """A socket that hears what the gateway says unasked."""
        unasked = self.host.socket(family_of(self.address), socket.SOCK_DGRAM)
        unasked.bind((self.address, port))
        unasked.settimeout(20 * PATIENCE)
        return unasked

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
