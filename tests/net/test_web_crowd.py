"""A crowd on the web interface: a thousand open sockets and two hundred clients that take their time."""

import base64
import hashlib
import json
import os
import re
import resource
import socket
import ssl
import time

import pytest

from lab import PATIENCE, wait_until
from product import is_sanitized
from test_web_front import STATUS, sees_no_delay
from web_client import ADDRESS, PORT, VPS, Remote, serve

SOURCES = [f"198.18.3.{number}" for number in range(10, 20)]  # each may have 256 connections
SESSIONS = 20  # each may have 64 sockets
SLOW = 200
MEMORY_MAX_KIB = 64 * 1024


def resident_kib(tunnel):
    with open(f"/proc/{tunnel.process.pid}/status", encoding="utf-8") as status:
        return int(re.search(r"VmRSS:\s*(\d+) kB", status.read())[1])


def make_sessions(tunnel):
    """As logins would leave them in the document. Returns their tokens."""
    def base32(data):
        return base64.b32encode(data).decode().rstrip("=").lower()

    tokens = [base32(os.urandom(16)) for _ in range(SESSIONS)]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sessions = {base32(hashlib.sha256(token.encode()).digest()): {"loggedIn": now, "lastActive": now}
                for token in tokens}
    tunnel.call("db.apply", expr=f".sessions += {json.dumps(sessions)}")
    return tokens


@pytest.fixture
def crowd(lab, tunnel):
    """Makes connections from many addresses, and closes them in the end."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(limit[0], 4096), max(limit[1], 4096)))
    for address in SOURCES:
        lab.stranger.ip("address", "replace", f"{address}/24", "dev", "eth0")
    crowd = Crowd(Remote(lab.stranger, serve(tunnel)), make_sessions(tunnel))
    yield crowd
    for connection in crowd.connections:
        connection.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, limit)


class Crowd:
    def __init__(self, remote, tokens):
        self.remote = remote
        self.tokens = tokens
        self.connections = []

    def plain(self, receive_buffer=None):
        source = SOURCES[len(self.connections) % len(SOURCES)]
        connection = self.remote.host.socket()
        self.connections.append(connection)
        connection.settimeout(60 * PATIENCE)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.bind((source, 0))
        connection.connect((VPS, PORT))
        return connection

    def secure(self, receive_buffer=None):
        connection = self.remote.context.wrap_socket(self.plain(receive_buffer),
                                                     server_hostname=VPS)
        self.connections[-1] = connection
        return connection

    def subscriber(self, pointer, receive_buffer=None):
        """A socket that is told of revisions. One session opens few of them."""
        token = self.tokens[len(self.connections) % len(self.tokens)]
        connection = self.secure(receive_buffer)
        fields = f"Host: {ADDRESS}\r\nCookie: session={token}\r\n"
        body = json.dumps({"method": "db.subscribe", "params": {"pointer": pointer}})
        connection.sendall((f"POST /rpc/v1 HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
                            + body).encode())
        guid = until(connection, rb'"guid":"(\w{32})"[^}]*}.*"id":null}')[1].decode()
        connection.sendall((f"GET /ws/rpc/{guid} HTTP/1.1\r\n{fields}Connection: Upgrade\r\n"
                            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n").encode())
        until(connection, rb" 101 ")
        return connection


def until(connection, pattern):
    """Reads until it has come."""
    received = b""
    while not (match := re.search(pattern, received, re.S)):
        part = connection.recv(65536)
        assert part, received
        received += part
    return match


def client_hello(context):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


def test_a_thousand_sockets_and_two_hundred_slow_clients(tunnel, crowd):
    """The daemon survives and stays below 64 MiB; others see no delay, and an edit reaches every socket."""
    sanitized = is_sanitized()
    owner = Remote(crowd.remote.host, tunnel.call("web.get-root"))
    owner.cookie = crowd.tokens[0]
    sockets = [crowd.subscriber("/wg/subnets") for _ in range(200 if sanitized else 1000)]
    resident = [resident_kib(tunnel)]
    begun = client_hello(crowd.remote.context)[:20]
    for number in range(SLOW):
        if number % 4 == 0:
            crowd.plain().sendall(begun)
        elif number % 4 == 1:
            crowd.secure().sendall(b"POST /rpc/v1 HTTP/1.1\r\nX-Slow: ")
        elif number % 4 == 2:
            crowd.secure().sendall(f"POST /rpc/v1 HTTP/1.1\r\nHost: {ADDRESS}\r\n"
                                   f"Cookie: session={crowd.tokens[0]}\r\n"
                                   "Content-Length: 100000\r\n\r\n ".encode())
        else:
            crowd.subscriber("", receive_buffer=4096)
    sees_no_delay(owner)
    resident.append(resident_kib(tunnel))
    for number in range(5):
        tunnel.call("subnet.add", subnet=f"10.9{number}.0.1/24", name="Crowd")
        resident.append(resident_kib(tunnel))
        sees_no_delay(owner)
    for each in sockets:
        until(each, rb"10\.94\.0\.1")
    assert tunnel.process.running()
    assert "result" in owner.post(STATUS)[1]
    resident.append(resident_kib(tunnel))
    assert sanitized or max(resident) < MEMORY_MAX_KIB, resident
    tunnel.clear()


def test_who_leaves_in_a_crowd_leaves_nothing(tunnel, crowd):
    """Connections that end all at once are forgotten."""
    (pid,) = tunnel.host.processes("start-tunneld")
    before = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(100):
        crowd.subscriber("/wg/subnets")
    for connection in crowd.connections:
        connection.close()
    wait_until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before, "the descriptors are closed", 30)
