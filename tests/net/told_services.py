"""Services on a device that say what the PROXY protocol told them, and what it should have been."""

import contextlib
import ipaddress
import socket
import struct
import threading

from lab import PATIENCE

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ANSWER_S = 10.0 * PATIENCE


class First:
    """A service that says hello, as mail does, and notes what comes first on each connection, and from whom."""

    def __init__(self, host, port, family=socket.AF_INET):
        self.seen = []
        self.listener = host.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            self.listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.listener.bind(("", port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, peer = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _serve(self, connection, peer):
        with contextlib.suppress(OSError), connection:
            connection.sendall(b"220 hello\n")
            data = b""
            while not data.endswith(b"\n") or data == SIGNATURE:
                more = connection.recv(4096)
                if not more:
                    break
                data += more
            self.seen.append((peer[0], data))
            connection.sendall(b"250 ok\n")
            while connection.recv(4096):
                pass

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Datagrams:
    """Notes the datagrams that come, and from whom; answers the last line of each in capitals."""

    def __init__(self, host, port, family=socket.AF_INET):
        self.seen = []
        self.socket = host.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.bind(("", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.socket.recvfrom(65536)
                self.seen.append((peer[0], data))
                self.socket.sendto(data.rsplit(b"\n", 1)[-1].upper(), peer)

    def close(self):
        self.socket.close()


def exchange(client, text, tries=5):
    """What is answered to a datagram; it may get lost."""
    for _ in range(tries):
        client.settimeout(2 * PATIENCE)
        client.send(b"\n" + text)
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            return client.recv(65536)
    return None


def header(source, destination, datagram=False):
    """As the specification has it, of two pairs of address and port."""
    (host, port), (other, other_port) = source, destination
    one, two = ipaddress.ip_address(host), ipaddress.ip_address(other)
    family = (0x10 if one.version == 4 else 0x20) | (2 if datagram else 1)
    body = one.packed + two.packed + struct.pack(">HH", port, other_port)
    return SIGNATURE + struct.pack(">BBH", 0x21, family, len(body)) + body


def converse(connection):
    """Says something to a First. Returns the client's own address and port."""
    with connection:
        connection.settimeout(ANSWER_S)
        own = connection.getsockname()[:2]
        answers = connection.makefile("rb")
        assert answers.readline() == b"220 hello\n"
        connection.sendall(b"EHLO\n")
        assert answers.readline() == b"250 ok\n"
    return own
