"""
Many TLS services behind one public port: who reaches whom and as whom, by clients that are not ours.

The services are Python's TLS on the lab's devices; clients are openssl, curl, and bytes that a Chromium with
a post-quantum key share sent.
"""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from conftest import SUBNET
from lab import PATIENCE, Lab, wait_until
from pcp_client import NO_RESOURCES, NOT_AUTHORIZED, SUCCESS, TCP, UDP, PcpClient, names_option
from product import ROOT, CommandFailed, RpcError

SERVER, PHONE, ROUTER = "10.59.37.2", "10.59.37.3", "10.59.37.1"
KEY = f"{Lab.VPS}:443"
ALERT = b"\x15\x03\x03\x00\x02\x02\x70"  # fatal, unrecognized_name
CAPABILITY = bytes.fromhex("e100000453393b01")
HOSTNAME_TAKEN, UNSUPP_HOSTNAME, MALFORMED_OPTION = 192, 193, 6
ANSWER_S = 10.0 * PATIENCE

with open(f"{ROOT}/tests/corpus/client_hello_fuzz/chromium", "rb") as found:
    CHROMIUM = found.read()  # for git.example.com, X25519MLKEM768


class Service:
    """A service on a device: tells each client who serves it and the address it came from. Without TLS it
    gives back what it gets."""

    def __init__(self, name, host, port, context=None):
        self.name, self.context, self.names = name, context, []
        if context:
            context.sni_callback = lambda _, asked, __: self.names.append(asked)
        self.listener = host.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("0.0.0.0", port))
        self.listener.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, peer = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _serve(self, connection, peer):
        with contextlib.suppress(OSError), connection:
            if not self.context:
                while data := connection.recv(65536):
                    connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                return
            with self.context.wrap_socket(connection, server_side=True) as tls:
                answer = f"{self.name} {peer[0]}\n".encode()
                if tls.recv(4096).startswith(b"GET"):
                    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + answer
                tls.sendall(answer)
                tls.unwrap()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture(scope="module")
def certificate():
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{directory}/key",
                        "-out", f"{directory}/cert", "-days", "2", "-subj", "/CN=anything"],
                       check=True, capture_output=True)
        yield f"{directory}/cert", f"{directory}/key"


def tls_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture(scope="module")
def services(joined, certificate):
    found = {"server": Service("server", joined.server, 443, tls_context(certificate)),
             "second": Service("second", joined.server, 8443, tls_context(certificate)),
             "phone": Service("phone", joined.phone, 8443, tls_context(certificate)),
             "raw": Service("raw", joined.server, 4433)}
    yield found
    for service in found.values():
        service.close()


@pytest.fixture
def shared(world, services):
    """Port 443 leads names to services of the server. (The phone, as wg-quick sets it up, sends nothing but
    its own subnet into the tunnel, so that it cannot answer a stranger.)"""
    world.services = services
    add(world, f"{SERVER}:443", "git.example.com", "shop.example.org", label="mine")
    add(world, f"{SERVER}:8443", "*.example.com")
    add(world, f"{SERVER}:4433", "raw.example.com")
    wait_until(lambda: listens(world), "the port is shared")
    return world


def add(world, target, *names, **params):
    world.tunnel.call("port-forward.add", externalPort=443, target=target, sni=list(names), **params)


def listens(world):
    rows = [row for row in world.tunnel.call("status")["forwards"] if row["source"] == KEY]
    return rows and all(row["state"] in ("active", "device is offline") for row in rows)


def ask(host, name, address=Lab.VPS, port=443, source="0.0.0.0"):
    """By openssl s_client: ("server", address as it sees us), or None: the handshake failed."""
    arguments = ["-servername", name] if name else ["-noservername"]
    status, output, _ = host.try_run(
        "timeout", str(int(20 * PATIENCE)), "openssl", "s_client", "-quiet", "-verify_quiet",
        "-bind", f"{source}:0", "-connect", f"{address}:{port}", *arguments, input="hello\n")
    words = output.split()
    return tuple(words[:2]) if status == 0 and words else None


def hello(name):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def in_records(data, size):
    body, records = data[5:], b""
    for at in range(0, len(body), size):
        part = body[at:at + size]
        records += b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
    return records


def join(host, source=None):
    connection = host.connect(Lab.VPS, 443, ANSWER_S, source)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            break
        data += more
    return data


# Names

def test_names_lead_to_devices_that_see_the_client(shared):
    assert ask(shared.stranger, "git.example.com") == ("server", Lab.STRANGER)
    assert ask(shared.stranger, "SHOP.Example.Org") == ("server", Lab.STRANGER)
    assert ask(shared.stranger, "www.example.com") == ("second", Lab.STRANGER)
    assert "git.example.com" in shared.services["server"].names


def test_a_client_may_have_a_privileged_port(shared):
    with shared.stranger.socket() as client:
        client.settimeout(ANSWER_S)
        client.bind((Lab.STRANGER, 900))
        client.connect((Lab.VPS, 443))
        client.sendall(hello("git.example.com"))
        assert client.recv(1) == b"\x16"  # a ServerHello


def test_curl_with_many_names(shared):
    names = [f"n{i}.many.example" for i in range(40)]
    for i, name in enumerate(names):
        add(shared, f"{SERVER}:443" if i % 2 else f"{SERVER}:8443", name)
    for i in (0, 1, 20, 39):
        output = shared.stranger.run("curl", "-sk", "--resolve", f"{names[i]}:443:{Lab.VPS}",
                                     f"https://{names[i]}/")
        assert output.split() == ["server" if i % 2 else "second", Lab.STRANGER]


def test_unknown_names_get_the_alert(shared):
    for name in ("example.com", "a.b.example.com", "git.example.org"):
        with join(shared.stranger) as connection:
            connection.sendall(hello(name))
            assert receive(connection, 100) == ALERT
    with join(shared.stranger) as connection:
        connection.sendall(hello(None))
        assert receive(connection, 100) == ALERT
    assert ask(shared.stranger, "unknown.example") is None
    _, _, error = shared.stranger.try_run("openssl", "s_client", "-connect", KEY, "-servername",
                                          "unknown.example", input="")
    assert "unrecognized name" in error


def test_what_is_not_tls_gets_nothing(shared):
    with join(shared.stranger) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: git.example.com\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""


def test_the_rest_may_have_a_place(shared):
    add(shared, f"{SERVER}:8443", "*")
    assert ask(shared.stranger, "unknown.example") == ("second", Lab.STRANGER)
    assert ask(shared.stranger, None) == ("second", Lab.STRANGER)
    assert ask(shared.stranger, "git.example.com") == ("server", Lab.STRANGER)


def test_hellos_in_pieces_and_records(shared):
    """Byte by byte, in records of a few bytes, both; what the device gets is what was sent."""
    whole = hello("raw.example.com")
    for data, step in ((whole, 1), (in_records(whole, 7), 100000), (in_records(whole, 50), 33),
                       (in_records(whole, 1), 100000)):
        with join(shared.stranger) as connection:
            for at in range(0, len(data), step):
                connection.sendall(data[at:at + step])
            assert receive(connection, len(data)) == data


def test_a_hello_of_chromium_with_a_post_quantum_key_share(shared):
    shared.tunnel.call("port-forward.remove", source=KEY, hostname="git.example.com")
    add(shared, f"{SERVER}:4433", "git.example.com")
    assert len(CHROMIUM) > 1500
    for cut in (0, 5, 1400):
        with join(shared.stranger) as connection:
            connection.sendall(CHROMIUM[:cut])
            connection.sendall(CHROMIUM[cut:] + b"early")
            assert receive(connection, len(CHROMIUM) + 5) == CHROMIUM + b"early"


# Connections

def test_much_goes_through_unchanged_both_ways_and_half_ends(shared):
    first, data = hello("raw.example.com"), os.urandom(1 << 20) * 8
    with join(shared.stranger) as connection:
        def send():
            connection.sendall(first + data)
            connection.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=send)
        thread.start()
        assert receive(connection, len(first) + len(data)) == first + data
        assert connection.recv(1) == b""  # the other half ended too, after all was sent
        thread.join()
    row = next(row for row in shared.tunnel.call("status")["forwards"]
               if row["hostname"] == "raw.example.com")
    assert row["rxBytes"] >= len(data) and row["txBytes"] >= len(data)
    assert (row["source"], row["target"], row["state"]) == (KEY, f"{SERVER}:4433", "active")


def test_a_service_that_is_not_there_is_refused(shared):
    add(shared, f"{SERVER}:4999", "gone.example.com")
    with join(shared.stranger) as connection:
        connection.sendall(hello("gone.example.com"))
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_devices_reach_each_other_and_themselves_by_name(shared):
    """Out into the tunnel and back again; and the VPS its own services."""
    add(shared, f"{PHONE}:8443", "phone.example.com")
    assert ask(shared.server, "phone.example.com", source=SERVER) == ("phone", SERVER)
    assert ask(shared.server, "git.example.com", source=SERVER) == ("server", ROUTER)
    assert ask(shared.vps, "git.example.com") == ("server", ROUTER)


def test_open_connections_end_with_their_route(shared):
    def opened(name):
        connection = join(shared.stranger)
        connection.sendall(hello(name))
        assert receive(connection, 5)
        return connection

    add(shared, f"{SERVER}:4433", "two.example.com")
    with opened("raw.example.com") as first, opened("two.example.com") as second:
        shared.tunnel.call("port-forward.set-enabled", source=KEY, hostname="raw.example.com",
                           enabled=False)
        while first.recv(65536):
            pass  # until its end, which is no reset
        second.sendall(b"still")
        assert b"still" in receive(second, len(hello("two.example.com")))
    with join(shared.stranger) as connection:
        connection.sendall(hello("raw.example.com"))
        # the wildcard takes its place
        assert not receive(connection, 7).startswith(ALERT)
    shared.tunnel.call("port-forward.set-enabled", source=KEY, hostname="raw.example.com",
                       enabled=True)
    opened("raw.example.com").close()


# Methods

def test_one_of_thousands_of_names_is_changed_alone(shared):
    """Ten thousand names come by one edit, and go; among them one is added, disabled and removed like any."""
    many, call = 10000, shared.tunnel.call
    call("db.apply", expr=f'.portForwards["{KEY}"].routes += ([range(0; {many}) | {{"key": "n\\(.).example.org", '
                          f'"value": {{"target": "{SERVER}:8443", "label": null, "enabled": true, "auto": false}}}}] '
                          "| from_entries)")
    assert ask(shared.stranger, f"n{many - 1}.example.org") == ("second", Lab.STRANGER)
    assert ask(shared.stranger, "git.example.com") == ("server", Lab.STRANGER)
    for name in ("new.example.org", "n7.example.org"):
        if name.startswith("new"):
            add(shared, f"{SERVER}:443", name)
        assert ask(shared.stranger, name)
        for enabled in (False, True):
            call("port-forward.set-enabled", source=KEY, hostname=name, enabled=enabled)
            assert bool(ask(shared.stranger, name)) == enabled
        call("port-forward.remove", source=KEY, hostname=name)
        assert ask(shared.stranger, name) is None
    call("db.apply", expr=f'.portForwards["{KEY}"].routes |= with_entries(select(.key | startswith("n") | not))')
    assert ask(shared.stranger, "n8.example.org") is None
    assert ask(shared.stranger, "git.example.com") == ("server", Lab.STRANGER)


def test_methods_of_routes(shared):
    cli = shared.tunnel.cli
    routes = shared.tunnel.forwards()[KEY]["routes"]
    assert routes["git.example.com"] == {"target": f"{SERVER}:443", "label": "mine",
                                         "enabled": True, "auto": False}
    cli("port-forward", "add", "443", f"{SERVER}:8443", "--sni", "UP.Example.NET", "--sni",
        "*.up.example.net", "--label", "by command")
    routes = shared.tunnel.forwards()[KEY]["routes"]
    assert routes["up.example.net"]["label"] == routes["*.up.example.net"]["label"] == "by command"
    assert ask(shared.stranger, "up.example.net") == ("second", Lab.STRANGER)
    assert ask(shared.stranger, "a.up.example.net") == ("second", Lab.STRANGER)
    cli("port-forward", "update-label", KEY, "other", "--hostname", "up.example.net")
    assert shared.tunnel.forwards()[KEY]["routes"]["up.example.net"]["label"] == "other"
    cli("port-forward", "remove", KEY, "--hostname", "Up.Example.Net")
    assert ask(shared.stranger, "up.example.net") is None
    assert "*.up.example.net" in cli("status")
    cli("port-forward", "remove", KEY)
    assert KEY not in shared.tunnel.forwards()
    with pytest.raises(ConnectionRefusedError):
        join(shared.stranger)


def refused(world, target, *names, port=443, count=1):
    with pytest.raises(RpcError) as error:
        world.tunnel.call("port-forward.add", externalPort=port, target=target, sni=list(names),
                          count=count)
    assert error.value.code == 38
    return error.value.details


def test_what_is_refused_changes_nothing(shared):
    before = shared.tunnel.forwards()
    assert "leads to 10.59.37.2:443 already (192)" in refused(
        shared, f"{PHONE}:8443", "new.example", "git.example.com")
    for name in ("", "a b", "-x.example", "*.*.example", "a..b", "x.example.", "under_score"):
        assert "is not a host name" in refused(shared, f"{SERVER}:443", name)
    assert "count: one port" in refused(shared, f"{SERVER}:443", "x.example", count=2)
    assert "shared by host name already" in refused(shared, f"{SERVER}:443")
    shared.forward(8000, f"{SERVER}:7000", count=10)
    assert "8005 overlaps the port forward" in refused(shared, f"{SERVER}:443", "x.example",
                                                       port=8005)
    assert "as a whole already" in refused(shared, f"{SERVER}:443", "x.example", port=8000)
    shared.tunnel.call("port-forward.remove", source=f"{Lab.VPS}:8000")
    assert shared.tunnel.forwards() == before
    with pytest.raises(CommandFailed):
        shared.tunnel.cli("port-forward", "set-enabled", KEY)  # of which name?


def test_routes_follow_their_wan_address(shared):
    second = "192.0.2.77"
    add(shared, f"{PHONE}:8443", "phone.example.com")
    shared.vps.ip("address", "add", f"{second}/32", "dev", "lo")
    try:
        shared.tunnel.call("device.set-wan", subnet=SUBNET, ip=PHONE, wanIp=second)
        forwards = shared.tunnel.forwards()
        assert set(forwards[f"{second}:443"]["routes"]) == {"phone.example.com"}
        assert set(forwards[KEY]["routes"]) == {"git.example.com", "shop.example.org",
                                                "raw.example.com", "*.example.com"}
        wait_until(lambda: ask(shared.vps, "phone.example.com", second), "it is served there")
        shared.tunnel.call("device.set-wan", subnet=SUBNET, ip=PHONE, wanIp=None)
        assert set(shared.tunnel.forwards()[KEY]["routes"]) == {
            "git.example.com", "shop.example.org", "raw.example.com", "*.example.com",
            "phone.example.com"}
        assert f"{second}:443" not in shared.tunnel.forwards()
    finally:
        shared.vps.ip("address", "delete", f"{second}/32", "dev", "lo")


def test_a_port_that_is_taken_is_told_and_tried_again(world, services):
    with world.vps.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((Lab.VPS, 443))
        taken.listen()
        add(world, f"{SERVER}:443", "git.example.com")
        status = wait_until(lambda: (found := world.tunnel.call("status"))["sni"]["problem"] and found,
                            "the problem is told")
        assert "443 is not available to bind to: Address already in use" in status["sni"]["problem"]
        assert status["forwards"][0]["state"] == "port is not available"
    world.vps.ip("address", "add", "192.0.2.78/32", "dev", "lo")  # a change: it is tried at once
    world.vps.ip("address", "delete", "192.0.2.78/32", "dev", "lo")
    wait_until(lambda: listens(world), "the port is shared", 20)
    assert ask(world.stranger, "git.example.com") == ("server", Lab.STRANGER)
    assert world.tunnel.call("status")["sni"]["problem"] is None


# Devices by themselves

@pytest.fixture
def pcp(world, services):
    with PcpClient(world.server, SERVER, ROUTER) as client:
        wait_until(lambda: client.ask(client.header(0, 0), tries=1), "PCP is answered")
        yield client


def test_a_device_gets_names_by_itself(world, pcp):
    assert pcp.announce().data[24:] == CAPABILITY
    answer = pcp.map(443, 443, options=names_option("Git.Example.COM", "*.git.example.com"))
    assert (answer.result, answer.external, answer.lifetime) == (SUCCESS, 443, 3600)
    assert answer.data[60:] == names_option("git.example.com", "*.git.example.com")
    assert answer.data[60:80].hex() == "e000000f6769742e6578616d706c652e636f6d00"
    route = world.tunnel.forwards()[KEY]["routes"]["git.example.com"]
    assert route.pop("lease")["tcp"]["seconds"] == 3600
    assert route == {"target": f"{SERVER}:443", "label": "PCP", "enabled": True, "auto": True}
    assert ask(world.stranger, "git.example.com") == ("server", Lab.STRANGER)
    assert ask(world.stranger, "x.git.example.com") == ("server", Lab.STRANGER)

    # What the owner decides stays.
    world.tunnel.call("port-forward.set-enabled", source=KEY, hostname="git.example.com",
                      enabled=False)
    assert pcp.map(443, 443, options=names_option("git.example.com")).result == SUCCESS
    assert not world.tunnel.forwards()[KEY]["routes"]["git.example.com"]["enabled"]
    world.tunnel.call("port-forward.pin", source=KEY, hostname="*.git.example.com")
    for name in ("git.example.com", "*.git.example.com"):
        answer = pcp.map(443, 0, lifetime=0, options=names_option(name))
        assert (answer.result, answer.lifetime) == (SUCCESS, 0)
        assert answer.data[60:] == names_option(name)
    assert set(world.tunnel.forwards()[KEY]["routes"]) == {"git.example.com", "*.git.example.com"}

    assert pcp.map(443, 443, lifetime=1, options=names_option("short.example.com")).result == SUCCESS
    wait_until(lambda: "short.example.com" not in world.tunnel.forwards()[KEY]["routes"],
               "the lease is over", 20)
    assert pcp.map(443, 443, options=names_option("b.example")).result == SUCCESS
    assert ask(world.stranger, "b.example")
    world.tunnel.call("device.set-auto-port-forward", subnet=SUBNET, ip=SERVER, enabled=False)
    assert set(world.tunnel.forwards()[KEY]["routes"]) == {"git.example.com", "*.git.example.com"}
    assert ask(world.stranger, "b.example") is None
    assert pcp.map(443, 443, options=names_option("a.example")).result == NOT_AUTHORIZED


def test_nobody_gets_a_name_that_another_has(world, pcp):
    world.tunnel.call("device.set-auto-port-forward", subnet=SUBNET, ip=PHONE, enabled=True)
    world.forward(8443, f"{PHONE}:7000", count=5)
    with PcpClient(world.phone, PHONE, ROUTER) as phone:
        assert phone.map(8443, 443, options=names_option("taken.example",
                                                         "*.wild.example")).result == SUCCESS
        before = world.tunnel.forwards()
        for asked, expected in ((pcp.request(443, 443, options=names_option("new.example",
                                                                           "taken.example")),
                                 HOSTNAME_TAKEN),
                                (pcp.request(443, 8443, options=names_option("a.example")),
                                 HOSTNAME_TAKEN),
                                (pcp.request(443, 8445, options=names_option("a.example")),
                                 HOSTNAME_TAKEN),
                                (pcp.request(443, 443, options=names_option("git.wild.example")),
                                 HOSTNAME_TAKEN),
                                (pcp.request(443, 443, protocol=UDP,
                                             options=names_option("a.example")), UNSUPP_HOSTNAME),
                                (pcp.request(443, 443, options=names_option("a_b.example")),
                                 MALFORMED_OPTION)):
            assert pcp.ask(asked)[3] == expected
        assert pcp.map(443, 443, lifetime=0, options=names_option("taken.example")).result == SUCCESS
        assert world.tunnel.forwards() == before
        # The rest of a port that is shared is there to be had, once.
        assert pcp.map(443, 443, protocol=TCP).result == SUCCESS
        assert world.tunnel.forwards()[KEY]["routes"]["*"]["target"] == f"{SERVER}:443"
        assert phone.map(8443, 443, protocol=TCP).result != SUCCESS
        assert pcp.map(443, 0, lifetime=0, protocol=TCP).result == SUCCESS
        assert world.tunnel.forwards() == before


def test_a_name_is_granted_once_its_port_is_bound(world, pcp):
    """Else a device would publish a name that nobody serves."""
    asked = names_option("git.example.com")
    with world.vps.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((Lab.VPS, 443))
        taken.listen()
        answer = pcp.map(443, 443, options=asked)
        assert (answer.result, answer.lifetime) == (NO_RESOURCES, 30)
        wait_until(lambda: KEY not in world.tunnel.forwards(), "what was refused is gone")
        # The owner's name waits for the port. A device is told that it is not there, and nothing else happens.
        add(world, f"{SERVER}:443", "shop.example.org")
        before = world.tunnel.forwards()
        wait_until(lambda: world.tunnel.call("status")["sni"]["problem"], "the problem is told")
        assert pcp.map(443, 443, options=asked).result == NO_RESOURCES
        assert world.tunnel.forwards() == before
    world.tunnel.call("port-forward.remove", source=KEY)
    assert pcp.map(443, 443, options=asked).result == SUCCESS
    # It was bound before the answer went out.
    assert ask(world.stranger, "git.example.com") == ("server", Lab.STRANGER)


# Trouble

def test_the_silent_and_the_loud_leave_others_alone(shared):
    """A client that opens many connections and says nothing, or half a hello, or anything, has its bound."""
    with contextlib.ExitStack() as stack:
        for i in range(300):
            connection = stack.enter_context(join(shared.laptop))
            with contextlib.suppress(OSError):
                if i % 3 == 1:
                    connection.sendall(CHROMIUM[:1000])
                if i % 3 == 2:
                    connection.sendall(os.urandom(2000))
        begin = time.monotonic()
        assert ask(shared.stranger, "git.example.com") == ("server", Lab.STRANGER)
        shared.tunnel.call("status")
        assert time.monotonic() - begin < 5 * PATIENCE
    assert shared.tunnel.call("status")["sni"]["accepted"] >= 200


def test_names_survive_kill_and_restart(shared):
    for end in (signal.SIGKILL, signal.SIGTERM):
        with join(shared.stranger) as connection:
            connection.sendall(hello("raw.example.com"))
            assert receive(connection, 5)
            shared.tunnel.process.send_signal(end)
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass  # it is closed, not left hanging
        shared.tunnel.process.wait()
        shared.tunnel.start()
        wait_until(lambda: listens(shared), "the port is shared again")
        assert ask(shared.stranger, "git.example.com") == ("server", Lab.STRANGER)


def test_a_new_interface_is_followed(shared):
    assert ask(shared.stranger, "git.example.com") == ("server", Lab.STRANGER)
    shared.vps.ip("link", "delete", "wg-start-tunnel")
    wait_until(lambda: shared.vps.try_run("ip", "link", "show", "wg-start-tunnel")[0] == 0,
               "the interface is back", 30)
    wait_until(lambda: ask(shared.stranger, "git.example.com"), "it is served again", 60)
