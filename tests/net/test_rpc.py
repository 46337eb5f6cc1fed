"""The wire: envelope, batches, authentication, limits, and bytes that nobody should send."""

import http.client
import json
import os
import socket
import stat

import pytest

from product import ADDRESS, COOKIE, PORT

SUBNET = "10.59.37.1/24"


@pytest.fixture
def rpc(tunnel):
    tunnel.clear()
    with tunnel.rpc() as rpc:
        yield rpc
    with tunnel.rpc() as after:  # whatever was sent, the daemon serves the next caller
        assert after.call("status")["network"]["inSync"] is True


def answer(rpc, body, **options):
    status, headers, data = rpc.post(body, **options)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert int(headers["Content-Length"]) == len(data)
    return json.loads(data)


def call(method, params=None, **members):
    return json.dumps({"method": method, "params": params or {}} | members)


def test_envelope(rpc):
    assert answer(rpc, call("subnet.add", {"subnet": SUBNET, "name": "x"}, id=7)) == \
        {"jsonrpc": "2.0", "result": None, "id": 7}
    assert answer(rpc, call("subnet.add", {"subnet": SUBNET, "name": "x"}, id="a")) == \
        {"jsonrpc": "2.0", "result": None, "id": "a"}
    assert answer(rpc, call("subnet.add", {"subnet": SUBNET, "name": "x"})) == \
        {"jsonrpc": "2.0", "result": None, "id": None}


def test_application_error(rpc):
    error = answer(rpc, call("device.list", {"subnet": "10.99.0.1/24"}, id=1))
    assert error["id"] == 1 and error["jsonrpc"] == "2.0" and "result" not in error
    assert error["error"]["code"] == 6 and error["error"]["message"] == "Not Found"
    assert error["error"]["data"]["details"] == "10.99.0.1/24"
    assert error["error"]["data"].keys() == {"details", "debug", "info"}
    assert error["error"]["data"]["info"] is None


@pytest.mark.parametrize("body, code, message", [
    ("", -32700, "Parse error"),
    ("{", -32700, "Parse error"),
    ("{\"params\":{}}", -32700, "Parse error"),
    ("{\"method\":\"status\"}", -32700, "Parse error"),
    ("5", -32700, "Parse error"),
    ("null", -32700, "Parse error"),
    (call("no.such"), -32601, "Method not found"),
    (call("device.list", {}), -32602, "Invalid params"),
    (call("device.list", {"subnet": 5}), -32602, "Invalid params"),
])
def test_protocol_errors(rpc, body, code, message):
    error = answer(rpc, body)
    assert error["error"]["code"] == code
    assert error["error"]["message"] == message
    assert error["id"] is None


def test_unknown_members_are_ignored(rpc):
    request = call("subnet.add", {"subnet": SUBNET, "name": "x", "colour": "red"}, id=1, extra=[1])
    assert answer(rpc, request)["result"] is None


def test_batch(rpc):
    requests = [json.loads(call("subnet.add", {"subnet": SUBNET, "name": "x"}, id=1)),
                json.loads(call("no.such", id=2)),
                json.loads(call("device.add", {"subnet": SUBNET, "name": "d"}, id=3)),
                json.loads(call("device.list", {"subnet": SUBNET}, id=4))]
    answers = {entry["id"]: entry for entry in answer(rpc, json.dumps(requests))}
    assert answers[1]["result"] is None
    assert answers[2]["error"]["code"] == -32601
    assert answers[3]["result"] is None
    assert list(answers[4]["result"]["clients"]) == ["10.59.37.2"]


def test_path_tail_is_ignored(rpc):
    assert answer(rpc, call("db.dump", {"pointer": "/wg/port"}), path="/rpc/v1")["result"]["value"] \
        == 51820


@pytest.mark.parametrize("cookie", [None, "local=", "local=AAAA", "session=AAAA", "local"])
def test_without_the_cookie_nothing_is_told(tunnel, cookie):
    connection = http.client.HTTPConnection(ADDRESS, PORT)
    connection.sock = tunnel.host.connect(ADDRESS, PORT)
    connection.request("POST", "/rpc/v0", call("db.dump", id=3), {
        "Content-Type": "application/json"} | ({"Cookie": cookie} if cookie else {}))
    response = json.loads(connection.getresponse().read())
    connection.close()
    assert response["error"]["code"] == 34
    assert response["error"]["data"]["details"] == "UNAUTHORIZED"
    assert "result" not in response


def test_unknown_method_is_answered_before_authentication(tunnel):
    connection = http.client.HTTPConnection(ADDRESS, PORT)
    connection.sock = tunnel.host.connect(ADDRESS, PORT)
    connection.request("POST", "/rpc/v0", call("no.such"), {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["error"]["code"] == -32601
    connection.close()


def test_cookie_file_is_private(tunnel):
    mode = os.stat(tunnel.host.path(COOKIE))
    assert stat.S_IMODE(mode.st_mode) == 0o640
    assert (mode.st_uid, mode.st_gid) == (0, 0)
    assert len(tunnel.host.read_file(COOKIE)) == 43


def test_interface_is_not_reachable_from_other_hosts(tunnel, lab):
    lab.stranger.ip("route", "add", ADDRESS, "via", "198.18.3.1")
    with pytest.raises(OSError):
        lab.stranger.connect("198.18.0.2", PORT, 1)


# Bytes from hell

def raw(tunnel, data, timeout_s=10):
    """Sends bytes as they are; returns what came back before the connection was closed."""
    received = b""
    with tunnel.host.connect(ADDRESS, PORT) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
        except (ConnectionError, OSError):
            pass
    return received


def test_body_of_10_megabytes_is_refused(rpc, tunnel):
    before = tunnel.document()
    body = call("subnet.add", {"subnet": SUBNET, "name": "x" * (10 << 20)})
    head = (f"POST /rpc/v0 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Cookie: local={tunnel.host.read_file(COOKIE)}\r\nContent-Length: {len(body)}\r\n\r\n")
    received = raw(tunnel, head.encode() + body.encode())
    assert not received or b" 413 " in received.split(b"\r\n")[0] or b'"error"' in received
    assert tunnel.document() == before


def test_deep_json_is_refused(rpc, tunnel):
    before = tunnel.document()
    depth = 100000
    for body in ("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth,
                 '{"method":"db.dump","params":{"pointer":' + "[" * depth + "]" * depth + "}}"):
        response = answer(rpc, body)
        responses = response if isinstance(response, list) else [response]
        assert all(entry["error"]["code"] in (-32700, -32602) for entry in responses)
    assert tunnel.document() == before


@pytest.mark.parametrize("name", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\xe2\x82"])
def test_invalid_utf8_is_refused(rpc, tunnel, name):
    before = tunnel.document()
    body = b'{"method":"subnet.add","params":{"subnet":"10.59.37.1/24","name":"' + name + b'"}}'
    assert answer(rpc, body)["error"]["code"] in (-32700, -32602)
    assert tunnel.document() == before


@pytest.mark.parametrize("name", ["Büro", "家", "🏠", "a\"b\\c", "<script>", "a'b; rm -rf /"])
def test_names_in_any_script_are_kept(rpc, name):
    rpc.call("subnet.add", subnet=SUBNET, name=name)
    rpc.call("device.add", subnet=SUBNET, name=name)
    assert rpc.call("device.list", subnet=SUBNET)["clients"]["10.59.37.2"]["name"] == name
    config = rpc.call("device.show-config", subnet=SUBNET, ip="10.59.37.2")
    assert config.startswith(f"# StartTunnel config for {name}\n\n[Interface]\n")


@pytest.mark.parametrize("data", [
    b"\r\n\r\n",
    b"\0" * 5000,
    b"GET",
    b"POST /rpc/v0 HTTP/1.1\r\n" + b"A: " + b"x" * 100000 + b"\r\n\r\n",
    b"POST /rpc/v0 HTTP/1.1\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
    b"POST /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"POST /rpc/v0 HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /rpc/v0 HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /rpc/v0 HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"POST /rpc/v0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST /rpc/v0 HTTP/9.9\r\n\r\n",
], ids=lambda data: data[:24].decode("latin-1").strip().replace("\0", "0")[:20] + f" {len(data)}")
def test_malformed_http_does_no_harm(rpc, tunnel, data):
    before = tunnel.document()
    received = raw(tunnel, data)
    assert b" 200 " not in received.split(b"\r\n")[0] or b'"error"' in received
    assert tunnel.process.running()
    assert tunnel.document() == before


def test_many_idle_connections_do_not_keep_others_out(rpc, tunnel):
    """A local program opens connections and says nothing; the owner's command still works."""
    connections = []
    try:
        for _ in range(300):
            try:
                connections.append(tunnel.host.connect(ADDRESS, PORT, 1))
            except OSError:
                break
        assert tunnel.cli("db", "dump", "--pointer", "/wg/port")
    finally:
        for connection in connections:
            connection.close()
