#!/usr/bin/python3
"""Clients that take their time, for the benchmark: slow_clients.py IP PORT REVISION COUNT SOURCE...

A quarter each sends the first message of TLS byte by byte, a head, a body, and subscribes without reading
a byte. Reads the token of a session from standard input. Who is sent away comes back. Says "open COUNT" when all are there; ends with its standard input.
"""

import json
import re
import select
import socket
import ssl
import sys
import time

PAUSE_S = 0.25  # between two bytes of a client


class Slow:
    """One of them. `drip` gives what it sends, byte by byte, or nothing more."""

    def __init__(self, world, source):
        self.world = world
        self.source = source
        self.socket = None

    def connect(self):
        plain = socket.socket()
        plain.settimeout(20)
        # What is not read shall wait at the server.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.bind((self.source, 0))
        plain.connect(self.world.address)
        return plain

    def secure(self):
        return self.world.context.wrap_socket(self.connect())

    def step(self):
        """Sends one byte more, or begins anew where the server has had enough."""
        try:
            if not self.socket:
                self.open()
            self.socket.setblocking(False)
            if self.has_ended():
                raise ConnectionResetError
            self.drip()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.world.ended += 1
            self.close()

    def has_ended(self):
        return bool(select.select([self.socket], [], [], 0)[0]) and not self.socket.recv(4096)

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def drip(self):
        pass


class SlowHandshake(Slow):
    def open(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self.world.context.wrap_bio(incoming, outgoing).do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.rest = outgoing.read()
        self.socket = self.connect()

    def drip(self):
        self.socket.send(self.rest[:1])
        self.rest = self.rest[1:]


class SlowHead(Slow):
    def open(self):
        self.socket = self.secure()
        self.socket.send(b"POST /rpc/v1 HTTP/1.1\r\nHost: " + self.world.authority + b"\r\nX-Slow: ")

    def drip(self):
        self.socket.send(b"x")


class SlowBody(Slow):
    def open(self):
        self.socket = self.secure()
        self.socket.send(self.world.head(100000))

    def drip(self):
        self.socket.send(b" ")


class Deaf(Slow):
    """Subscribes to the whole document, and never reads what comes of it."""

    def open(self):
        self.socket = self.secure()
        body = json.dumps({"method": "db.subscribe",
                           "params": {"since": self.world.revision}}).encode()
        self.socket.send(self.world.head(len(body)) + body)
        answer, guid = b"", None
        while not guid:
            received = self.socket.recv(4096)
            if not received:
                raise ConnectionResetError
            answer += received
            guid = re.search(rb'"guid":"(\w{32})"', answer)
        self.socket.send(b"GET /ws/rpc/" + guid[1] + b" HTTP/1.1\r\nHost: " + self.world.authority
                         + b"\r\nCookie: " + self.world.cookie + b"\r\nConnection: Upgrade\r\n"
                         b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         b"Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n")

    def has_ended(self):
        """Seen without reading: only where the connection was reset or closed."""
        poll = select.poll()
        poll.register(self.socket, select.POLLRDHUP)
        return bool(poll.poll(0))


class World:
    def __init__(self, address, token, revision):
        self.address = address
        self.authority = ":".join(map(str, address)).encode()
        self.cookie = b"session=" + token.encode()
        self.revision = revision
        self.ended = 0
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE

    def head(self, size):
        return (b"POST /rpc/v1 HTTP/1.1\r\nHost: " + self.authority + b"\r\nCookie: " + self.cookie
                + b"\r\nContent-Type: application/json\r\nContent-Length: "
                + str(size).encode() + b"\r\n\r\n")


def main():
    host, port, revision, count, *sources = sys.argv[1:]
    world = World((host, int(port)), sys.stdin.readline().strip(), int(revision))
    kinds = (SlowHandshake, SlowHead, SlowBody, Deaf)
    clients = [kinds[number % len(kinds)](world, sources[number % len(sources)])
               for number in range(int(count))]
    for client in clients:
        client.step()
    print("open", sum(client.socket is not None for client in clients), flush=True)
    while True:
        begin = time.monotonic()
        for client in clients:
            client.step()
        left = max(0, PAUSE_S - (time.monotonic() - begin))
        if select.select([sys.stdin], [], [], left)[0]:
            break
    print("ended", world.ended, flush=True)


if __name__ == "__main__":
    main()
