"""Devices open their own ports: PCP byte for byte; NAT-PMP and UPnP by clients that are not ours."""

import http.client
import json
import os
import re
import socket
import struct
import sys
import threading
import time

import pytest

import product
from conftest import SUBNET
from kernel import differences
from lab import PATIENCE, Lab, wait_until
from pcp_client import (ADDRESS_MISMATCH, CANNOT_PROVIDE_EXTERNAL, NO_RESOURCES, NOT_AUTHORIZED,
                        SUCCESS, TCP, UDP, USER_EX_QUOTA, PcpClient, mapped, names_option, port_set)
from product import is_sanitized
from traffic import ask_tcp, ask_udp

SERVER, PHONE, ROUTER = "10.59.37.2", "10.59.37.3", "10.59.37.1"

with open(f"{product.ROOT}/tests/corpus/client_hello_fuzz/chromium", "rb") as found:
    CHROMIUM = found.read()


@pytest.fixture
def server(world):
    """The server, as it asks the gateway."""
    with PcpClient(world.server, SERVER, ROUTER) as client:
        # The socket is there soon after the daemon is.
        wait_until(lambda: client.ask(client.header(0, 0), tries=1), "PCP is answered")
        yield client


@pytest.fixture
def phone(world):
    """The phone, which may open ports in this test."""
    permit(world, PHONE, True)
    return world.phone


def permit(world, device, enabled):
    world.tunnel.call("device.set-auto-port-forward", subnet=SUBNET, ip=device, enabled=enabled)


def forward(world, port):
    return world.tunnel.forwards().get(f"{Lab.VPS}:{port}")


# PCP

def test_a_device_opens_a_port_to_itself(world, server):
    assert ask_tcp(world.stranger, Lab.VPS, 7000, 0.6) is None
    answer = server.map(7000, 7000)
    assert (answer.result, answer.lifetime, answer.address) == (SUCCESS, 3600, Lab.VPS)
    assert (answer.internal, answer.external, answer.protocol) == (7000, 7000, TCP)
    assert ask_tcp(world.stranger, Lab.VPS, 7000) == ("server", Lab.STRANGER)
    entry = forward(world, 7000)
    lease = entry.pop("lease")
    assert entry == {"kind": "dnat", "target": f"{SERVER}:7000", "label": "PCP", "enabled": True,
                     "count": 1, "auto": True}
    assert lease["via"] == "pcp" and lease["udp"] is None and lease["tcp"]["seconds"] == 3600
    assert not differences(world.tunnel)

    assert server.map(7000, 0, lifetime=0).result == SUCCESS
    assert forward(world, 7000) is None
    wait_until(lambda: ask_tcp(world.stranger, Lab.VPS, 7000, 0.6) is None, "the port is closed")


def test_what_it_had_open_survives_kill_and_restart(world, server):
    assert server.map(7000, 7000).result == SUCCESS
    assert server.map(7001, 7001, lifetime=1).result == SUCCESS
    world.forward(7002, f"{SERVER}:7002", label="mine")
    manual = forward(world, 7002)
    epoch = server.announce().epoch
    world.tunnel.kill()
    assert ask_tcp(world.stranger, Lab.VPS, 7000) == ("server", Lab.STRANGER)
    time.sleep(1.5)  # the lease of the other ends while nobody is there
    world.tunnel.start()
    assert forward(world, 7001) is None
    assert forward(world, 7000)["auto"] and forward(world, 7002) == manual
    assert ask_tcp(world.stranger, Lab.VPS, 7002) == ("server", Lab.STRANGER)
    assert ask_tcp(world.stranger, Lab.VPS, 7000) == ("server", Lab.STRANGER)
    assert server.announce().epoch >= epoch, "nothing was lost, and nothing has to be asked anew"
    assert not differences(world.tunnel)


def test_leases_end(world, server):
    assert server.map(7000, 7000, lifetime=2).result == SUCCESS
    assert server.map(7001, 7001, lifetime=600).result == SUCCESS
    wait_until(lambda: forward(world, 7000) is None, "the lease ends")
    assert forward(world, 7001)
    assert ask_tcp(world.stranger, Lab.VPS, 7000, 0.6) is None
    assert not differences(world.tunnel)


def test_ranges(world, server):
    answer = server.map(7000, 7000, protocol=UDP, options=port_set(4, 7000))
    assert answer.result == SUCCESS
    assert answer.data[60:] == port_set(4, 7000)
    assert ask_udp(world.stranger, Lab.VPS, 7003) == ("server", Lab.STRANGER)
    assert server.map(9000, 7002).result == NO_RESOURCES, "a part of it is not to be had"
    # It is the one entry of the document that the owner sees.
    assert forward(world, 7000)["count"] == 4


def test_a_device_has_its_share(world, server, phone):
    """8192 ports; what it renews, and others, are not concerned."""
    for first in range(10000, 10000 + 8 * 1024, 1024):
        assert server.map(first, first, options=port_set(1024, first)).result == SUCCESS
    assert server.map(7000, 7000).result == USER_EX_QUOTA
    assert forward(world, 7000) is None
    assert server.map(10000, 10000, options=port_set(1024, 10000)).result == SUCCESS
    with PcpClient(phone, PHONE, ROUTER) as other:
        assert other.map(7000, 7000).result == SUCCESS
    assert server.map(10000, 0, lifetime=0, options=port_set(1024, 10000)).result == SUCCESS
    assert server.map(7001, 7001).result == SUCCESS


def test_vectors(world, server):
    """Bytes of tunnel.md A.3; what is not asked for by a client of ours is asked for byte by byte."""
    def ask(text):
        answer = server.ask(bytes.fromhex(text))
        return (answer[:8] + answer[12:]).hex()  # without the epoch

    client = "00000000000000000000ffff0a3b2502"
    nonce = "000102030405060708090a0b"
    to = mapped(Lab.VPS).hex()
    zero = "00" * 12
    assert ask(f"0200000000000000{client}") == f"0280000000000000{zero}e100000453393b01"
    assert ask(f"020100000000003c{client}{nonce}0600000001bb01bb{mapped('0.0.0.0').hex()}"
               "82000005000a01bb00000000") == (
        f"028100000000003c{zero}{nonce}0600000001bb01bb{to}82000005000a01bb00000000")
    assert forward(world, 443)["count"] == 10
    # Another version, opcode, an option that has to be known, one that is too short.
    assert ask(f"0300000000000000{client}")[:8] == "02800001"
    assert ask(f"0203000000000000{client}")[:8] == "02830004"
    request = f"020100000000003c{client}{nonce}0600000001bb01bb{mapped('0.0.0.0').hex()}"
    assert ask(request + "05000000")[:8] == "02810005"
    assert ask(request + "82000004000a01bb")[:8] == "02810006"
    # HOSTNAME, where it is understood and where not, and NAT-PMP.
    assert ask(request.replace("0600000001bb01bb", "1100000001bc01bc") +
               "e000000f6769742e6578616d706c652e636f6d00")[:8] == "028100c1"
    assert ask(request + "e000000f6769742e6578616d706c652e636f6d00")[:8] == "028100c0"
    server.socket.send(bytes(2))
    assert server.socket.recv(100)[8:] == socket.inet_aton(Lab.VPS)


def test_nobody_gets_what_another_has(world, server, phone):
    assert server.map(7000, 7000).result == SUCCESS
    with PcpClient(world.phone, PHONE, ROUTER) as client:
        assert client.map(7000, 7000).result == NO_RESOURCES
        only_this = struct.pack(">BBH", 2, 0, 0)
        assert client.map(7000, 7000, options=only_this).result == CANNOT_PROVIDE_EXTERNAL
        # Nor can it close it, nor open anything for the server.
        assert client.map(7000, 7000, lifetime=0).result == SUCCESS
        assert forward(world, 7000)
        assert client.map(7000, 7001, address=SERVER).result == ADDRESS_MISMATCH
        # Any other port will do where it does not say which.
        answer = client.map(7000, 0)
        assert answer.result == SUCCESS and answer.external != 7000
        assert forward(world, answer.external)["target"] == f"{PHONE}:7000"
    # Nor does anyone get the ports that this machine needs.
    for port in (22, 51820):
        assert server.map(7000, port).result == NO_RESOURCES


def test_permission(world, server):
    assert server.map(7000, 7000).result == SUCCESS
    permit(world, SERVER, False)
    assert forward(world, 7000) is None
    assert ask_tcp(world.stranger, Lab.VPS, 7000, 0.6) is None
    assert server.map(7000, 7000).result == NOT_AUTHORIZED
    permit(world, SERVER, True)
    assert server.map(7000, 7000).result == SUCCESS
    with PcpClient(world.phone, PHONE, ROUTER) as client:
        assert client.map(7000, 7001).result == NOT_AUTHORIZED
    assert not differences(world.tunnel)


def test_the_owner_decides(world, server, igd):
    call = world.tunnel.call
    source = f"{Lab.VPS}:7000"
    nonce = bytes(12)
    assert server.map(7000, 7000, nonce=nonce).result == SUCCESS
    call("port-forward.set-enabled", source=source, enabled=False)
    assert server.map(7000, 7000, nonce=nonce).result == SUCCESS
    assert forward(world, 7000)["enabled"] is False
    assert ask_tcp(world.stranger, Lab.VPS, 7000, 0.6) is None
    server.map(7000, 0, lifetime=0, nonce=nonce)
    server.map(7000, 7000, nonce=nonce)
    assert forward(world, 7000)["enabled"] is False, "not by closing and opening it either"
    natpmpc(world.server, "-a", "7000", "7000", "tcp", "600")
    upnpc(igd, "-a", SERVER, "7000", "7000", "TCP", "600")
    assert forward(world, 7000)["enabled"] is False, "nor by asking in another way"

    world.tunnel.cli("port-forward", "set-enabled", source, "--enabled")
    world.tunnel.cli("port-forward", "pin", source)
    assert forward(world, 7000) == {"kind": "dnat", "target": f"{SERVER}:7000", "label": "PCP",
                                    "enabled": True, "count": 1, "auto": False}
    server.map(7000, 0, lifetime=0, nonce=nonce)
    natpmpc(world.server, "-a", "0", "0", "tcp", "0")  # all of them
    assert "606" in igd.try_run("upnpc", "-u", ROOT, "-d", "7000", "TCP")[1]
    assert ask_tcp(world.stranger, Lab.VPS, 7000) == ("server", Lab.STRANGER)
    call("port-forward.remove", source=source)
    assert forward(world, 7000) is None
    assert not differences(world.tunnel)


def test_malformed_bytes_get_no_answer_or_an_error(world, server):
    request = server.request(7000, 7000)
    with PcpClient(world.server, SERVER, ROUTER) as client:
        for size in range(0, len(request), 7):
            client.socket.send(request[:size])
        for version in range(256):
            client.socket.send(bytes([version]) + request[1:])
    assert server.announce().result == SUCCESS


def test_others_are_not_answered(world):
    """Neither from the internet, nor at the public address from within."""
    with PcpClient(world.stranger, Lab.STRANGER, Lab.VPS) as client:
        assert client.ask(client.header(0, 0), tries=1) is None
    with PcpClient(world.server, SERVER, Lab.VPS) as client:
        assert client.ask(client.header(0, 0), tries=1) is None


class Flood:
    """Sends what `send` sends, over and over, as long as it is entered."""

    def __init__(self, send):
        self._send = send
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.rounds = 0

    def _run(self):
        while not self._over.is_set():
            try:
                self._send(self.rounds)
            except OSError:
                pass  # its own queue is full, or it is refused
            self.rounds += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def datagrams(host, port, make):
    """Floods a port of the gateway with datagrams."""
    own = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind((PHONE, 0))
    own.connect((ROUTER, port))
    return lambda number: own.send(make(number))


def mappings_of(host):
    client = PcpClient(host, PHONE, ROUTER)
    return lambda number: client.socket.send(client.request(20000 + number % 20000,
                                                            20000 + number % 20000))


def actions_of(host):
    """Half of them whole, half of them without their end; nobody reads what comes of it."""
    held = []

    def send(number):
        connection = host.connect(ROUTER, 49001, PATIENCE, source=(PHONE, 0))
        held.append(connection)
        body = b"<x>" * 5000
        connection.send(b"POST /ctl/IPConn HTTP/1.1\r\nHost: " + ROUTER.encode() +
                        b"\r\nSOAPAction: \"urn:schemas-upnp-org:service:WANIPConnection:1#"
                        b"AddPortMapping\"\r\nContent-Length: %d\r\n\r\n" % len(body) +
                        (body if number % 2 else body[:-100]))
        if len(held) > 100:
            held.pop(0).close()

    return send


def hellos_of(host):
    """Half a ClientHello, none at all, or anything; over the internet."""
    held = []

    def send(number):
        connection = host.connect(Lab.VPS, 443, PATIENCE)
        held.append(connection)
        connection.send((CHROMIUM[:1000], b"", os.urandom(2000))[number % 3])
        if len(held) > 200:
            held.pop(0).close()

    return send


FLOODS = {
    "pcp": mappings_of,
    "ssdp": lambda host: datagrams(host, 1900, lambda number: (
        b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\n'
        b"ST: ssdp:all\r\n\r\n")),
    "soap": actions_of,
    "dns": lambda host: datagrams(host, 53, lambda number: (
        struct.pack(">HHHHHH", number & 0xffff, 0x100, 1, 0, 0, 0) +
        b"\x08%08x\x07example\0\0\1\0\1" % number)),
    "hello": hellos_of,
}


def memory_kib(tunnel, name):
    with open(f"/proc/{tunnel.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_leaves_others_alone(world, server, phone, igd, kind):
    """Other devices, forwards and the API are served while it lasts, and memory stays bounded."""
    assert server.map(7000, 7000).result == SUCCESS
    assert server.map(443, 443, options=names_option("git.example.com")).result == SUCCESS
    before = memory_kib(world.tunnel, "VmRSS")
    with open(f"/proc/{world.tunnel.process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the peak begins anew
    with Flood(FLOODS[kind](phone)) as flood:
        wait_until(lambda: flood.rounds > 300, "it is a flood")
        for port in (7001, 7002, 7003):
            assert server.map(port, port).result == SUCCESS
            assert ask_tcp(world.stranger, Lab.VPS, 7000, 10 * PATIENCE) == ("server", Lab.STRANGER)
            assert get(igd, "/rootDesc.xml")[0] == 200
            begin = time.monotonic()
            assert world.tunnel.call("status")["network"]["inSync"]
            assert time.monotonic() - begin < 5 * PATIENCE
        rounds = flood.rounds
        wait_until(lambda: flood.rounds > rounds, "it goes on")
    mine = [e for e in world.tunnel.forwards().values() if e.get("target", "").startswith(PHONE)]
    assert len(mine) <= 1024
    assert memory_kib(world.tunnel, "VmHWM") - before < 24 * 1024 or is_sanitized()


# NAT-PMP, by natpmpc

def natpmpc(host, *arguments):
    return host.run("natpmpc", "-g", ROUTER, *arguments)


def test_natpmpc(world, server):
    output = natpmpc(world.server)
    assert f"Public IP address : {Lab.VPS}" in output
    output = natpmpc(world.server, "-a", "7000", "7000", "tcp", "600")
    assert re.search(r"Mapped public port 7000 protocol TCP to local port 7000 life?time 600", output)
    assert ask_tcp(world.stranger, Lab.VPS, 7000) == ("server", Lab.STRANGER)
    assert forward(world, 7000)["lease"]["via"] == "nat-pmp"
    natpmpc(world.server, "-a", "7000", "7000", "udp", "600")
    natpmpc(world.server, "-a", "0", "7000", "tcp", "0")
    assert forward(world, 7000)["lease"]["tcp"] is None
    natpmpc(world.server, "-a", "0", "7000", "udp", "0")
    assert forward(world, 7000) is None
    # Where the port is taken another one is had, and the same one when it is asked for again.
    world.forward(7001, f"{PHONE}:7001")
    ports = {re.search(r"Mapped public port (\d+) protocol TCP to local port 7000", natpmpc(
        world.server, "-a", "7001", "7000", "tcp", "600"))[1] for _ in range(2)}
    (port,) = ports
    assert port != "7001" and forward(world, 7001)["target"] == f"{PHONE}:7001"
    assert ask_tcp(world.stranger, Lab.VPS, int(port)) == ("server", Lab.STRANGER)
    natpmpc(world.server, "-a", "0", "7000", "tcp", "0")
    assert forward(world, port) is None
    assert not differences(world.tunnel)


# UPnP, by upnpc and by hand

ROOT = f"http://{ROUTER}:49001/rootDesc.xml"


def upnpc(host, *arguments):
    return host.run("upnpc", "-u", ROOT, *arguments)


@pytest.fixture
def igd(world):
    """The server as a control point; UPnP is served soon after the daemon is."""
    wait_until(lambda: get(world.server, "/rootDesc.xml")[0] == 200, "UPnP is answered")
    return world.server


def request(host, method, path, body=None, headers=None, source=(SERVER, 0), name=ROUTER):
    """Returns (status, text); (0, "") where nobody answers."""
    connection = http.client.HTTPConnection(name, 49001)
    try:
        connection.sock = host.connect(ROUTER, 49001, 10 * PATIENCE, source=source)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def get(host, path, **options):
    return request(host, "GET", path, **options)


def control(host, action, source=(SERVER, 0), **arguments):
    """Calls an action of WANIPConnection; returns (error code or 0, text)."""
    values = "".join(f"<New{name}>{value}</New{name}>" for name, value in arguments.items())
    service = "urn:schemas-upnp-org:service:WANIPConnection:1"
    body = ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
            f'<s:Body><u:{action} xmlns:u="{service}">{values}</u:{action}></s:Body></s:Envelope>')
    status, text = request(host, "POST", "/ctl/IPConn", body,
                           {"SOAPAction": f'"{service}#{action}"'}, source=source)
    error = re.search(r"<errorCode>(\d+)</errorCode>", text)
    assert status == (500 if error else 200)
    return (int(error[1]) if error else 0), text


def test_upnpc(world, igd):
    assert f"ExternalIPAddress = {Lab.VPS}" in upnpc(igd, "-s")
    output = upnpc(igd, "-e", "a door", "-a", SERVER, "7000", "7000", "TCP", "600")
    assert f"external {Lab.VPS}:7000 TCP is redirected to internal {SERVER}:7000" in output
    assert ask_tcp(world.stranger, Lab.VPS, 7000) == ("server", Lab.STRANGER)
    lease = forward(world, 7000)["lease"]
    assert (lease["via"], lease["tcp"]["seconds"], lease["udp"]) == ("upnp", 600, None)
    listed = upnpc(igd, "-l")
    assert re.search(rf"TCP\s+7000->{re.escape(SERVER)}:7000\s+'PCP' ''", listed)
    assert "UDP" not in listed
    upnpc(igd, "-d", "7000", "TCP")
    assert forward(world, 7000) is None
    assert not differences(world.tunnel)


def test_upnpc_finds_the_gateway_by_itself(world, igd):
    """By a search on the interface, which is what a StartOS server does."""
    # -i, because to upnpc the addresses of the lab's internet look private.
    output = igd.run("upnpc", "-i", "-m", "wg0", "-s")
    assert ROOT in output and f"ExternalIPAddress = {Lab.VPS}" in output


ETHERNET_VIEW = {"LD_PRELOAD": f"{product.BUILD_DIR}/tests/net/libethernet-view.so"}


def gupnp(host, action, *words, **arguments):
    """GUPnP calls an action at the gateway that it finds on the tunnel; `words` are the results to give."""
    values = [f"New{name}={value}" for name, value in arguments.items()]
    return json.loads(host.run(sys.executable, f"{product.ROOT}/tests/net/gupnp_client.py", "wg0", action,
                               *values, *(f"New{word}" for word in words),
                               env=ETHERNET_VIEW))


def test_gupnp(world, igd):
    search = igd.start("gssdp-discover", "-i", "wg0", "-t",
                       "urn:schemas-upnp-org:device:InternetGatewayDevice:1",
                       env=ETHERNET_VIEW)
    wait_until(lambda: f"Location: {ROOT}" in search.output(), "GSSDP finds the gateway", 20)
    search.stop()
    assert gupnp(igd, "GetExternalIPAddress", "ExternalIPAddress") == {
        "NewExternalIPAddress": Lab.VPS}
    port = {"RemoteHost": "", "ExternalPort": 7000, "Protocol": "TCP"}
    assert gupnp(igd, "AddPortMapping", **port, InternalPort=7000, InternalClient=SERVER, Enabled=1,
                 PortMappingDescription="a door", LeaseDuration=600) == {}
    assert ask_tcp(world.stranger, Lab.VPS, 7000) == ("server", Lab.STRANGER)
    assert forward(world, 7000)["lease"]["via"] == "upnp"
    listed = gupnp(igd, "GetGenericPortMappingEntry", "ExternalPort", "InternalClient", "LeaseDuration",
                   PortMappingIndex=0)
    assert (listed["NewExternalPort"], listed["NewInternalClient"]) == ("7000", SERVER)
    assert 0 < int(listed["NewLeaseDuration"]) <= 600
    assert gupnp(igd, "DeletePortMapping", **port) == {}
    assert forward(world, 7000) is None
    assert gupnp(igd, "DeletePortMapping", **port) == {"error": 714}


def test_upnp_leases_and_conflicts(world, igd, phone):
    mapping = {"RemoteHost": "", "ExternalPort": 7000, "Protocol": "TCP", "InternalPort": 7000,
               "InternalClient": PHONE, "Enabled": 1, "PortMappingDescription": "x",
               "LeaseDuration": 0}
    port = {"RemoteHost": "", "ExternalPort": 7000, "Protocol": "TCP"}
    assert control(igd, "AddPortMapping", **mapping)[0] == 0
    entry = forward(world, 7000)
    assert entry["target"] == f"{SERVER}:7000", "whatever it says, it opens ports to itself"
    assert entry["lease"]["tcp"]["seconds"] == 0
    other = (PHONE, 0)
    assert control(phone, "AddPortMapping", other, **mapping)[0] == 718
    assert control(phone, "DeletePortMapping", other, **port)[0] == 714
    assert control(phone, "GetSpecificPortMappingEntry", other, **port)[0] == 714
    assert control(phone, "GetGenericPortMappingEntry", other, PortMappingIndex=0)[0] == 713
    error, text = control(phone, "AddAnyPortMapping", other, **mapping)
    reserved = int(re.search(r"<NewReservedPort>(\d+)<", text)[1])
    assert error == 0 and reserved != 7000
    assert forward(world, reserved)["target"] == f"{PHONE}:7000"
    # A lease is honoured, and the rest of it told.
    assert control(igd, "AddPortMapping", **mapping | {"LeaseDuration": 600})[0] == 0
    text = control(igd, "GetSpecificPortMappingEntry", **port)[1]
    assert 0 < int(re.search(r"<NewLeaseDuration>(\d+)<", text)[1]) <= 600
    assert control(igd, "AddPortMapping", **mapping | {"LeaseDuration": 1})[0] == 0
    wait_until(lambda: forward(world, 7000) is None, "the lease ends")
    # What a forward cannot say, what makes no sense, and what is the owner's.
    assert control(igd, "AddPortMapping", **mapping | {"RemoteHost": "203.0.113.9"})[0] == 726
    assert control(igd, "AddPortMapping", **mapping | {"ExternalPort": 70000})[0] == 402
    assert control(igd, "DoSomething")[0] == 401
    world.forward(7001, f"{SERVER}:7001")
    assert control(igd, "DeletePortMapping", **port | {"ExternalPort": 7001})[0] == 606
    permit(world, SERVER, False)
    assert control(igd, "AddPortMapping", **mapping)[0] == 606
    permit(world, SERVER, True)


def test_upnp_is_asked_by_address_and_from_within(world, igd):
    assert get(igd, "/rootDesc.xml", name="router.example.com")[0] == 403
    assert get(igd, "/WANIPCn.xml")[0] == 200
    assert get(igd, "/elsewhere")[0] == 404
    assert request(igd, "POST", "/ctl/IPConn", "no xml")[0] == 400
    with pytest.raises(OSError):
        world.stranger.connect(Lab.VPS, 49001, 1)


# What devices hear unasked

def heard(unasked, sort):
    """The next datagram that is of a sort, by its first bytes."""
    while True:
        data, (address, port) = unasked.recvfrom(2048)
        assert (address, port) == (ROUTER, 1900 if data[:1] == b"N" else 5351)
        if data.startswith(sort):
            return data


ALIVE, BYEBYE = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE", b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nNT"


def test_devices_are_told_when_they_have_to_ask_again(world, server, igd, phone):
    """Each by the protocol that it opened its ports by; those that have none hear nothing."""
    with server.listen() as unasked, server.listen(1900) as upnp, \
            PcpClient(phone, PHONE, ROUTER).listen() as other:
        assert server.map(7000, 7000).result == SUCCESS
        natpmpc(world.server, "-a", "7001", "7001", "tcp", "600")
        upnpc(igd, "-a", SERVER, "7002", "7002", "TCP", "600")
        before = server.announce().epoch
        world.tunnel.stop()
        notify = [heard(upnp, BYEBYE) for _ in range(9)]
        assert any(b"NT: upnp:rootdevice\r\n" in data for data in notify)
        world.tunnel.start()
        announce = heard(unasked, b"\x02")
        assert announce[:8] == b"\x02\x80" + bytes(6) and len(announce) == 24
        assert int.from_bytes(announce[8:12], "big") >= before, "nothing was lost"
        address = heard(unasked, b"\x00")
        assert address[:4] == b"\0\x80\0\0" and address[8:] == socket.inet_aton(Lab.VPS)
        assert ROOT.encode() in heard(upnp, ALIVE)

        world.tunnel.call("device.set-wan", subnet=SUBNET, ip=SERVER, wanIp=Lab.VPS_SECOND)
        wait_until(lambda: heard(unasked, b"\x00")[8:] == socket.inet_aton(Lab.VPS_SECOND),
                   "the new address is told", 60)
        epoch = wait_until(lambda: int.from_bytes(heard(unasked, b"\x02")[8:12], "big"), "the epoch", 60)
        assert epoch < before
        # That is what the device asks again for.
        assert server.map(7000, 7000).address == Lab.VPS_SECOND
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            other.recv(100)


def test_another_address_of_the_server_is_followed(world, server, igd):
    """Unasked: what devices opened goes there, and they are told. What the owner made stays, and what came
    by an address that is still there. The tunnel has that, so the one that changes is on another link, whose
    name comes first."""
    first, second = "198.18.0.77", "198.18.0.78"

    def is_known(address):
        return address in str(world.tunnel.document()["gateways"].get("dmz0"))

    with server.listen() as unasked:
        assert server.map(7004, 7004).address == Lab.VPS
        world.vps.run("ip", "link", "add", "dmz0", "type", "veth", "peer", "name", "dmz1")
        world.vps.ip("link", "set", "dmz0", "up")
        world.vps.ip("address", "add", f"{first}/32", "dev", "dmz0")
        wait_until(lambda: is_known(first), "the address is known", 60)
        assert server.map(7000, 7000).address == first
        upnpc(igd, "-a", SERVER, "7002", "7002", "TCP")
        natpmpc(world.server, "-a", "7003", "7003", "tcp", "600")
        world.forward(7001, f"{SERVER}:7001")
        for gone, address in ((first, second), (second, first)):
            changed = time.monotonic()
            world.vps.ip("address", "add", f"{address}/32", "dev", "dmz0")
            world.vps.ip("address", "delete", f"{gone}/32", "dev", "dmz0")
            wait_until(lambda: heard(unasked, b"\x00")[8:] == socket.inet_aton(address),
                       "the new address is told", 60)
            assert set(world.tunnel.forwards()) == {f"{Lab.VPS}:7004", f"{first}:7001"} | {
                f"{address}:{port}" for port in (7000, 7002, 7003)}
            assert ask_tcp(world.stranger, address, 7000) == ("server", Lab.STRANGER)
            assert ask_tcp(world.stranger, address, 7002) == ("server", Lab.STRANGER)
            assert server.announce().epoch <= time.monotonic() - changed + 1, "the epoch began anew"
            assert server.map(7000, 7000).address == address
            assert not differences(world.tunnel)
    world.vps.run("ip", "link", "delete", "dmz0")


def test_a_new_interface_is_followed(world, server):
    """Whatever happens to the interface, devices can open ports again soon. The last test here, because
    other devices take their time to notice."""
    world.vps.run("ip", "link", "delete", "wg-start-tunnel")
    wait_until(lambda: server.ask(server.header(0, 0), tries=1), "PCP is answered again", 60)
    wait_until(lambda: get(world.server, "/rootDesc.xml")[0] == 200, "UPnP is answered again", 60)
