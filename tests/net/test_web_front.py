"""Attacks on the web interface, from another machine and without credentials, each refused in a test of its own.

Elsewhere are: wrong passwords, replayed, old, foreign and altered signatures, ended sessions (test_access.py);
stolen guids, secrets, slow readers of sockets (test_stream.py); a thousand sockets beside 200 slow clients
(test_web_crowd.py); TLS 1.1, untrusted certificates, plain HTTP
(test_web.py); malformed JSON-RPC (test_rpc.py). What takes patience or frames that no client makes is tried
on the server alone (lib/http/*_test.c).
"""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import time

import pytest

from lab import PATIENCE, wait_until
from product import ROOT
from request_signer import Key
from stream import Refused, WebSocket
from web_client import ADDRESS, NAME, PORT, VPS, Remote, serve, wait_until_served

EVIL = "https://evil.example"
STATUS = json.dumps({"method": "status", "params": {}}).encode()


@pytest.fixture(scope="module")
def root(tunnel):
    return serve(tunnel)


@pytest.fixture
def attacker(lab, root):
    return Remote(lab.stranger, root)


@pytest.fixture(scope="module")
def owner(lab, root):
    """Logged in, on a machine of its own."""
    owner = Remote(lab.server, root)
    owner.log_in()
    return owner


@pytest.fixture(scope="module")
def asset(owner):
    """The path of the largest file of the pages."""
    page = owner.request("GET", "/")[2].decode()
    paths = re.findall(r'(?:src|href)="(/[^"]+\.js)"', page)
    return max(paths, key=lambda path: len(owner.request("GET", path)[2]))


def everything(connection):
    """What comes until the server ends the connection."""
    received = b""
    with connection, contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        while part := connection.recv(65536):
            received += part
    return received


def told(remote, data):
    """What is answered to bytes on a new connection, to its end."""
    connection = remote.open()
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError):  # refused before all is sent
        connection.sendall(data)
    return everything(connection)


def statuses(answers):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def sees_no_delay(owner):
    """Nobody waits for an attacker's time to be over. A busy machine may be slow once, but not each time."""

    def answer_s():
        begun = time.monotonic()
        assert "result" in owner.post(STATUS)[1]
        return time.monotonic() - begun

    assert any(answer_s() < 1 for _ in range(10))


# Who has no credentials

def every_method():
    with open(os.path.join(ROOT, "core/tunnel/api.c"), encoding="utf-8") as source:
        return re.findall(r'\{ \.name = "([a-z.-]+)",\n\t  \.summary', source.read())


def test_every_method_but_the_login_is_refused(tunnel, attacker):
    methods = every_method()
    assert len(methods) > 30 and "db.dump" in methods
    before = tunnel.document()
    answers = {}
    with contextlib.closing(attacker.connect()) as connection:
        for method in methods:
            body = json.dumps({"method": method, "params": {}})
            answers[method] = attacker.post(body, connection=connection)[1]["error"]["code"]
    assert answers.pop("auth.login") == -32602  # a password is missing
    assert set(answers.values()) == {34}
    assert tunnel.document() == before


def test_all_that_is_seen_is_the_login_page(tunnel, attacker):
    page = attacker.request("GET", "/")[2]
    version = tunnel.cli("--version").split()[-1]
    subnet = "Secret subnet"
    tunnel.call("subnet.add", subnet="10.81.0.1/24", name=subnet)
    seen = []
    for path in ("/", "/devices", "/settings", "/index.html", "/no/such/page", "/?a=b"):
        status, headers, body = attacker.request("GET", path)
        assert (status, body) == (200, page), path
        assert "Server" not in headers and "X-Powered-By" not in headers
        seen.append(body + str(headers).encode())
    for path in ("/rpc/v1", "/rpc/", "/rest/rpc/x", "/ws/rpc/", "/ws/", "/static/", "/assets/no.js",
                 "/.env", "/static/tunnel.sqlite"):
        status, headers, body = attacker.request("GET", path)
        assert status in (404, 405), path
        seen.append(body + str(headers).encode())
    seen.append(attacker.request("POST", "/rpc/v1", "nonsense")[2])
    for text in (version, subnet, "10.81.0.1", tunnel.document()["wg"]["key"]):
        assert not any(text.encode() in body for body in seen), text
    tunnel.call("subnet.remove", subnet="10.81.0.1/24")


@pytest.mark.parametrize("path", [
    "/../../../../etc/passwd", "/static/../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/static/%2e%2e%2f%2e%2e%2fetc/passwd", "//etc/passwd",
    "/static/..\\..\\etc\\passwd", "/static/local-root-ca.crt/../tunnel.sqlite", "/etc/passwd%00.js",
    "/....//....//etc/passwd"])
def test_paths_lead_nowhere_else(attacker, path):
    connection = attacker.open()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {ADDRESS}\r\nConnection: close\r\n\r\n".encode())
    answer = everything(connection)
    assert b"root:" not in answer and b"SQLite" not in answer
    assert statuses(answer) == [404] or b"<!doctype html>" in answer.lower()


def test_sockets_open_for_a_guid_alone(attacker):
    for path in ("/ws/rpc/", "/ws/rpc/" + "A" * 32, "/ws/rpc/../rpc/v1", "/ws/rpc/" + "%41" * 32):
        with pytest.raises(Refused) as error:
            WebSocket(attacker.open(), path, host=ADDRESS)
        assert error.value.status == 404


def test_every_answer_forbids_what_pages_do_not_need(attacker, asset):
    pages = ("/", "/devices", asset)
    for path in (*pages, "/static/local-root-ca.json", "/rpc/v1", "/ws/rpc/x", "/assets/no.js"):
        headers = attacker.request("GET", path)[1]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        policy = dict(part.strip().split(" ", 1)
                      for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        if path in pages:
            assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
            assert policy["base-uri"] == policy["form-action"] == "'none'"


# Pages of other sites

@pytest.mark.parametrize("headers", [
    {"Origin": EVIL}, {"Origin": "null"}, {"Origin": f"http://{ADDRESS}"},
    {"Origin": f"https://{VPS}"}, {"Origin": f"https://{VPS}:8444"},
    {"Origin": f"https://{ADDRESS}.evil.example"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Origin": EVIL, "Content-Type": "text/plain"}],
    ids=lambda headers: " ".join(f"{name}={value}" for name, value in headers.items()))
def test_posts_of_other_sites_are_refused(tunnel, owner, headers):
    """Although the browser sends the owner's cookie along."""
    body = json.dumps({"method": "subnet.add", "params": {"subnet": "10.82.0.1/24", "name": "x"}})
    answered, answer = owner.post(body, headers)
    assert answer["error"]["code"] == 34
    assert "Access-Control-Allow-Origin" not in answered
    assert "10.82.0.1/24" not in tunnel.subnets()
    assert "result" in owner.post(STATUS, {"Origin": f"https://{ADDRESS}",
                                           "Sec-Fetch-Site": "same-origin"})[1]


def test_sockets_of_other_sites_are_refused(owner):
    guid = owner.call("db.subscribe")["guid"]
    cookie = f"session={owner.cookie}"
    with pytest.raises(Refused) as error:
        WebSocket(owner.open(), f"/ws/rpc/{guid}", cookie, ADDRESS, [("Origin", EVIL)])
    assert error.value.status == 403
    WebSocket(owner.open(), f"/ws/rpc/{guid}", cookie, ADDRESS,
              [("Origin", f"https://{ADDRESS}")]).close()


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", f"{VPS}.evil.example",
                                  "vpn.example.com.evil.example", "[::1", "a b", "a@198.18.0.2"])
def test_foreign_names_that_point_here_are_refused(tunnel, owner, host):
    """DNS rebinding: the page of a stranger's name would be of the same origin."""
    status, _, body = owner.request("POST", "/rpc/v1", STATUS, {"Host": host})
    assert status in (400, 421) and b"result" not in body
    assert owner.request("GET", "/", headers={"Host": host})[0] in (400, 421)
    status, _, _ = tunnel.rpc().post(STATUS, {"Host": host})  # the machine's own commands, too
    assert status in (400, 421)
    assert owner.request("GET", "/", headers={"Host": f"{NAME}:{PORT}"})[0] == 200


def test_other_sites_read_what_is_signed_alone(tunnel, owner):
    key = Key()
    tunnel.call("auth.key.add", name="cors", key=key.ssh_line)
    preflight = {"Origin": EVIL, "Access-Control-Request-Method": "POST"}
    for wanted in ("content-type", "cookie", "authorization"):
        headers = owner.request("OPTIONS", "/rpc/v1", headers=preflight | {
            "Access-Control-Request-Headers": wanted})[1]
        assert "Access-Control-Allow-Origin" not in headers
    headers = owner.request("OPTIONS", "/rpc/v1", headers=preflight | {
        "Access-Control-Request-Headers": "content-type, x-startos-auth-sig"})[1]
    assert headers["Access-Control-Allow-Origin"] == EVIL
    signed = {"Origin": EVIL, "X-StartOS-Auth-Sig": key.header(STATUS, VPS)}
    headers, answer = Remote(owner.host, tunnel.call("web.get-root")).post(STATUS, signed)
    assert "result" in answer and headers["Access-Control-Allow-Origin"] == EVIL
    tunnel.call("auth.key.remove", key=key.pem)
    # A signature that does not count brings the cookie no weight.
    signed = {"Origin": EVIL, "X-StartOS-Auth-Sig": key.header(STATUS, VPS)}
    assert owner.post(STATUS, signed)[1]["error"]["code"] == 34


# What is too much

def head(*fields, first="POST /rpc/v1 HTTP/1.1", host=True):
    lines = [first, *([f"Host: {ADDRESS}"] if host else []), *fields, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("data, status", [
    (head("X: " + "x" * 20000), 431),
    (head(*["X: y"] * 65), 431),
    (head(first=f"GET /{'a' * 9000} HTTP/1.1"), 414),
    (b"A" * 20000, 414),
    (head("Content-Length: 16385"), 413),
    (head("Content-Length: 10000000000"), 413),
    (head("Content-Length: 18446744073709551616"), 400),
    (head("Content-Length: -1"), 400),
    (head("Transfer-Encoding: chunked") + b"4001\r\n", 413),
    (head("Transfer-Encoding: chunked") + b"fffffffffffffffff\r\n", 400),
    (head("Transfer-Encoding: chunked") + b"1;" + b"x" * 300 + b"\r\n", 400),
    (head("Transfer-Encoding: chunked") + b"0\r\n" + b"T: t\r\n" * 800 + b"\r\n", 400),
], ids=str)
def test_what_is_too_large_is_refused_before_it_is_read(attacker, data, status):
    assert statuses(told(attacker, data)) == [status]


def curl(remote, *options):
    """The status of a request by HTTP/2."""
    remote.host.write_file("/run/front.pem", ssl.DER_cert_to_PEM_cert(
        remote.context.get_ca_certs(True)[0]))
    return remote.host.run("curl", "--silent", "--http2", "--cacert", "/run/front.pem", "--output",
                           "/dev/null", "--write-out", "%{http_version} %{http_code}",
                           *options, f"https://{ADDRESS}/rpc/v1")


def test_what_is_too_large_is_refused_over_http2(attacker):
    """Also to clients that forget the answer where they are told to stop sending."""
    attacker.host.write_file("/run/small", "{}")
    attacker.host.write_file("/run/large", "x" * 16385)
    for body in ("@/run/small", "@/run/large"):
        assert curl(attacker, "--header", "X: " + "x" * 20000, "--data", body) == "2 431"
        assert curl(attacker, *["--header", "X: y"] * 65, "--data", body) == "2 431"
    assert curl(attacker, "--data", "@/run/large") == "2 413"
    assert curl(attacker, "--header", "Transfer-Encoding: chunked", "--data", "@/run/large") == "2 413"
    assert curl(attacker, "--data", "@/run/small") == "2 200"


# Requests that two readers understand differently

@pytest.mark.parametrize("data", [
    head("Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    head("Transfer-Encoding: chunked", "Content-Length: 4") + b"0\r\n\r\n",
    head("Content-Length: 4", "Content-Length: 5") + b"abcde",
    head("Content-Length: 4, 5") + b"abcde",
    head("Content-Length: +4") + b"abcd",
    head("Content-Length: 0x4") + b"abcd",
    head("Content-Length : 4") + b"abcd",
    head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + b"0\r\n\r\n",
    head("Transfer-Encoding: identity, chunked") + b"0\r\n\r\n",
    head("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    head("Transfer-Encoding:\x0bchunked") + b"0\r\n\r\n",
    head("Transfer-Encoding : chunked") + b"0\r\n\r\n",
    head("X: y", " Transfer-Encoding: chunked") + b"0\r\n\r\n",
    head("X: y\r\n\tz") + b"0\r\n\r\n",
    head("X: y").replace(b"\r\n", b"\n"),
    head("X: y\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
    head("X: y\rTransfer-Encoding: chunked") + b"0\r\n\r\n",
    head("X: \0") + b"0\r\n\r\n",
    head(f"Host: {NAME}"),
    head(host=False),
    head("Transfer-Encoding: chunked") + b"1 \r\na\r\n0\r\n\r\n",
    head("Transfer-Encoding: chunked") + b"1\na\n0\n\n",
    head("Transfer-Encoding: chunked") + b"0x1\r\na\r\n0\r\n\r\n",
    head("Transfer-Encoding: chunked") + b"1\r\nab\r\n0\r\n\r\n",
    head("Transfer-Encoding: chunked", first="POST /rpc/v1 HTTP/1.0") + b"0\r\n\r\n",
    head(first="POST  /rpc/v1 HTTP/1.1"),
    head(first="POST /rpc/v1 HTTP/1.1 HTTP/1.1"),
    head(first="POST\t/rpc/v1 HTTP/1.1"),
], ids=lambda data: data.partition(ADDRESS.encode())[2][2:50].decode("latin-1").strip() or "line")
def test_smuggled_requests_are_not_answered(attacker, data):
    smuggled = b"GET /static/local-root-ca.json HTTP/1.1\r\nHost: " + ADDRESS.encode() + b"\r\n\r\n"
    answer = told(attacker, data + smuggled)
    (status,) = statuses(answer)
    assert status in (400, 501) and b"fingerprint" not in answer


# Who takes his time

def test_slow_clients_delay_nobody_and_end(attacker, owner, asset):
    silent = [attacker.host.connect(VPS, PORT, 30 * PATIENCE) for _ in range(20)]
    heads = [attacker.open() for _ in range(60)]
    bodies = [attacker.open() for _ in range(60)]
    readers = [attacker.open(receive_buffer=4096) for _ in range(60)]
    get = f"GET {asset} HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n".encode()
    for connection in heads:
        connection.sendall(b"POST /rpc/v1 HTTP/1.1\r\n")
    for connection in bodies:
        connection.sendall(head("Content-Length: 1000"))
    for connection in readers:
        connection.sendall(get * 20)

    def drip(connections):
        """Sends a byte more. Returns those that are still served."""
        left = []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"x")
                connection.setblocking(False)
                try:
                    if connection.recv(1):
                        continue  # it is told that it was too slow
                except ssl.SSLWantReadError:
                    left.append(connection)
                connection.settimeout(30 * PATIENCE)
        return left

    begun = time.monotonic()
    left = heads
    while left:
        assert time.monotonic() - begun < 60 * PATIENCE
        left = drip(left)
        drip(bodies)
        sees_no_delay(owner)
    for connection in silent:
        assert connection.recv(1) == b""
    for connection in silent + heads + bodies + readers:
        connection.close()


def test_a_flood_from_one_source_leaves_others_served(tunnel, attacker, owner):
    """Silent connections, and some in the middle of a handshake: of one source only so many are kept."""
    flood = []
    try:
        for number in range(600):
            connection = attacker.host.connect(VPS, PORT, 30 * PATIENCE)
            if number % 2:
                connection.send(b"\x16\x03\x01")
            flood.append(connection)
            if number % 60 == 0:
                sees_no_delay(owner)
        sees_no_delay(owner)
        assert "error" in attacker.post(STATUS)[1]  # the newest of the source is served
        kept = tunnel.host.run("ss", "-Htn", "state", "established", "sport", "=", f":{PORT}")
        assert len(kept.splitlines()) < 300
    finally:
        for connection in flood:
            connection.close()


@pytest.fixture
def poor(tunnel, root):
    """The daemon with ten descriptors more than it needs with nobody connected."""
    (pid,) = tunnel.host.processes("start-tunneld")
    limit = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 10
    assert tunnel.stop() == 0
    own = tunnel.program
    tunnel.host.write_file("/run/poor", f'#!/bin/sh\nulimit -n {limit}\nexec {own("start-tunneld")} "$@"\n',
                           0o700)
    tunnel.program = lambda name: "/run/poor" if name == "start-tunneld" else own(name)
    tunnel.start("--start-netd", own("start-netd"))
    wait_until_served(tunnel)
    yield tunnel
    tunnel.program = own
    assert tunnel.stop() == 0
    tunnel.start()
    wait_until_served(tunnel)


def test_out_of_descriptors_it_survives_and_recovers(poor, attacker, owner):
    held = []
    for _ in range(3):
        for _ in range(50):
            held.append(attacker.host.connect(VPS, PORT, 30 * PATIENCE))
        assert "result" in owner.post(STATUS)[1]
        poor.call("subnet.add", subnet="10.83.0.1/24", name="Short of descriptors")
        poor.call("subnet.remove", subnet="10.83.0.1/24")
    for connection in held:
        connection.close()
    for _ in range(50):
        assert "error" in attacker.post(STATUS)[1]
    assert poor.process.running()


def test_ending_finishes_the_answer_that_runs(tunnel, owner, asset):
    whole = len(owner.request("GET", asset)[2])
    connection = owner.open(receive_buffer=16384)
    connection.sendall(f"GET {asset} HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n".encode())
    received = connection.recv(1024)
    tunnel.process.send_signal(signal.SIGTERM)
    received += everything(connection)
    assert len(received.partition(b"\r\n\r\n")[2]) == whole
    assert tunnel.process.wait(20 * PATIENCE) == 0
    tunnel.start()
    wait_until_served(tunnel)


# What clients are owed

def test_http_1_1_as_clients_may_speak_it(attacker):
    """Many requests ahead, HEAD, a body that waits to be asked for, one in chunks, and bytes of any kind."""
    get = f"GET /static/local-root-ca.json HTTP/1.1\r\nHost: {ADDRESS}\r\n"
    answers = told(attacker, (get + "\r\n").encode() * 50
                   + (get + "X: ").encode() + b"\xe4\xff\r\nConnection: close\r\n\r\n")
    assert statuses(answers) == [200] * 51
    with attacker.open() as connection:
        connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n".encode())
        answer = connection.recv(4096)
        assert answer.endswith(b"\r\n\r\n") and not re.search(rb"(?i)content-length: 0\r", answer)
        connection.sendall(head(f"Content-Length: {len(STATUS)}", "Expect: 100-continue"))
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(STATUS)
        assert b'"code":34' in connection.recv(4096)
        connection.sendall(head("Transfer-Encoding: chunked"))
        for byte in STATUS:
            connection.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        connection.sendall(b"0\r\nTrailer: x\r\n\r\n")
        assert b'"code":34' in connection.recv(4096)


def test_who_offers_http2_gets_it_and_sockets_work_over_either(attacker, owner):
    for offer, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"),
                          (["http/1.1"], "http/1.1"), ([], None)):
        context = ssl.create_default_context(cadata=attacker.context.get_ca_certs(True)[0])
        if offer:
            context.set_alpn_protocols(offer)
        with context.wrap_socket(attacker.host.connect(VPS, PORT, 30 * PATIENCE),
                                 server_hostname=VPS) as connection:
            assert connection.selected_alpn_protocol() == chosen
    owner.context.set_alpn_protocols(["http/1.1"])  # as browsers do for a WebSocket
    guid = owner.call("db.subscribe")["guid"]
    WebSocket(owner.open(), f"/ws/rpc/{guid}", f"session={owner.cookie}", ADDRESS).close()
    with contextlib.closing(owner.open()) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


def test_strangers_speak_http2(attacker, asset):
    """nghttp, with many streams at once, and h2load."""
    paths = ("/", asset, "/static/local-root-ca.json")
    shown = attacker.host.run("nghttp", "--null-out", "--stat",
                              *(f"https://{ADDRESS}{path}" for path in paths))
    assert sorted(re.findall(r" 200 +\S+ +(/\S*)", shown)) == sorted(paths), shown
    shown = attacker.host.run("h2load", "--requests=1000", "--clients=10", "--max-concurrent-streams=32",
                              f"https://{ADDRESS}/", timeout_s=60 * PATIENCE)
    assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in shown
