"""
The PROXY protocol to devices: servers that are not ours, HAProxy, nginx and dnsdist, say who they were told. Off unless the
owner wants it; a range, a pinhole and what is not told stay as they are.
"""

import contextlib
import json
import signal
import socket
import subprocess

import pytest

from kernel import differences
from lab import PATIENCE, Lab, wait_until
from pcp_client import SUCCESS, PcpClient, port_set
from product import CommandFailed, RpcError
from told_services import ANSWER_S, Datagrams, First, converse, exchange, header
from wireguard_peer import join_as_startos, join_by_wg_quick

SUBNET = "10.59.37.1/24"
SERVER, PHONE, ROUTER = "10.59.37.2", "10.59.37.3", "10.59.37.1"

HAPROXY = """
defaults
    mode http
    timeout client 1m
    timeout server 1m
    timeout connect 1m
frontend told
    bind 0.0.0.0:8080 accept-proxy
    bind [::]:8080 v6only accept-proxy
    bind 0.0.0.0:8443 accept-proxy ssl crt /run/pem
    http-request return status 200 content-type text/plain lf-string "haproxy %[src]:%[src_port] %[dst]:%[dst_port] name=%[fc_pp_authority]"
frontend untold
    bind 0.0.0.0:9443 ssl crt /run/pem
    http-request return status 200 content-type text/plain lf-string "untold %[src]"
"""

NGINX = """
daemon off; user root; pid /run/nginx.pid; error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path /run/nginx; proxy_temp_path /run/nginx; fastcgi_temp_path /run/nginx;
    uwsgi_temp_path /run/nginx; scgi_temp_path /run/nginx;
    server {
        listen 8080 proxy_protocol;
        listen 8443 ssl proxy_protocol;
        ssl_certificate /run/pem; ssl_certificate_key /run/pem;
        location / {
            return 200 "nginx $proxy_protocol_addr:$proxy_protocol_port $proxy_protocol_server_addr:$proxy_protocol_server_port from=$remote_addr";
        }
    }
}
"""


DNSDIST = """
setLocal("10.59.37.3:5300")
setACL({"0.0.0.0/0"})
setProxyProtocolACL({"10.59.37.1/32"})
function tell(query) return DNSAction.Spoof, query.remoteaddr:toString() end
addAction(AllRule(), LuaAction(tell))
"""


class World:
    """`server` answers strangers through the tunnel, as StartOS does; `phone` only its subnet, as wg-quick has it."""

    def __init__(self, lab, tunnel):
        self.lab, self.tunnel, self.vps, self.stranger = lab, tunnel, lab.vps, lab.stranger
        self.server, self.phone = lab.server, lab.phone
        lab.attach_ipv6(lab.vps, 0)
        lab.attach_ipv6(lab.stranger, 3)
        tunnel.clear()
        tunnel.call("subnet.add", subnet=SUBNET, name="Home")
        tunnel.call("subnet.set-ipv6", subnet=SUBNET, ipv6="on")
        tunnel.call("device.add", subnet=SUBNET, name="Server", kind="server")
        tunnel.call("device.add", subnet=SUBNET, name="Phone")
        config = {ip: tunnel.call("device.show-config", subnet=SUBNET, ip=ip)
                  for ip in (SERVER, PHONE)}
        self.peers = [join_as_startos(self.server, config[SERVER]),
                      join_by_wg_quick(self.phone, config[PHONE])]
        for peer in self.peers:
            peer.wait_for_handshake()
        self.server6 = self.peers[0].address6
        self.first = First(self.server, 9000)
        self.first6 = First(self.server, 9000, socket.AF_INET6)
        self.datagrams = Datagrams(self.server, 9000)
        self.datagrams6 = Datagrams(self.server, 9000, socket.AF_INET6)
        self.processes = [self.start_haproxy(), self.start_nginx()]
        self.wg = tunnel.document()["wg"]

    def write_certificate(self, host):
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-keyout", "-", "-days", "2", "-subj", "/CN=anything"], check=True, capture_output=True, text=True)
        host.write_file("/run/pem", made.stdout)

    def start_haproxy(self):
        self.write_certificate(self.server)
        self.server.write_file("/run/haproxy.cfg", HAPROXY)
        return self.server.start("haproxy", "-db", "-f", "/run/haproxy.cfg")

    def start_nginx(self):
        self.write_certificate(self.phone)
        self.phone.write_file("/run/nginx.conf", NGINX)
        return self.phone.start("nginx", "-c", "/run/nginx.conf")

    def add(self, port, target, *names, proxy=True, **params):
        self.tunnel.call("port-forward.add", externalPort=port, target=target, sni=list(names),
                         proxyProtocol=proxy, **params)
        source = f"[{Lab.VPS6}]:{port}" if target.startswith("[") else f"{Lab.VPS}:{port}"
        wait_until(lambda: self.served(source), f"{source} is served")
        return source

    def served(self, source):
        rows = [row for row in self.tunnel.call("status")["forwards"] if row["source"] == source]
        return rows and all(row["state"] in ("active", "device is offline") for row in rows)

    def told(self, source, enabled, hostname=None):
        self.tunnel.call("port-forward.set-proxy-protocol", source=source, enabled=enabled,
                         hostname=hostname)
        wait_until(lambda: self.served(source), f"{source} is served")

    def close(self):
        for process in self.processes:
            process.stop(signal.SIGKILL)
        for service in (self.first, self.first6, self.datagrams, self.datagrams6):
            service.close()


@pytest.fixture(scope="module")
def joined(lab, tunnel):
    world = World(lab, tunnel)
    yield world
    world.close()


@pytest.fixture
def world(joined):
    joined.tunnel.call("db.apply", expr=f".wg = {json.dumps(joined.wg)} | .portForwards = {{}}"
                                        " | del(.portForwards6)")
    for service in (joined.first, joined.first6, joined.datagrams, joined.datagrams6):
        service.seen.clear()
    return joined


def ask(host, url, *options):
    """What curl gets, and its own port."""
    def try_once():
        status, output, _ = host.try_run("curl", "-sk", "--max-time", str(int(20 * PATIENCE)),
                                         "-w", "\n%{local_port}", *options, url)
        return output.rsplit("\n", 1) if status == 0 else None
    return wait_until(try_once, f"{url} is answered", 30)


def ask_named(host, name, port=443):
    return ask(host, f"https://{name}:{port}/", "--resolve", f"{name}:{port}:{Lab.VPS}")



def join(host, address=Lab.VPS, port=9000):
    return host.connect(address, port, ANSWER_S)


# Who is told what

def test_haproxy_and_nginx_are_told_the_client(world):
    """nginx on the phone too, whose answers to strangers would not go into the tunnel."""
    world.tunnel.cli("port-forward", "add", "8080", f"{SERVER}:8080", "--proxy-protocol")
    text, port = ask(world.stranger, f"http://{Lab.VPS}:8080/")
    assert text == f"haproxy {Lab.STRANGER}:{port} {Lab.VPS}:8080 name="
    world.add(8081, f"{PHONE}:8080")
    text, port = ask(world.stranger, f"http://{Lab.VPS}:8081/")
    assert text == f"nginx {Lab.STRANGER}:{port} {Lab.VPS}:8081 from={ROUTER}"
    assert differences(world.tunnel) == []
    rows = {row["source"]: row for row in world.tunnel.call("status")["forwards"]}
    row = rows[f"{Lab.VPS}:8080"]
    assert row["proxyProtocol"] and row["rxBytes"] > 0 and row["txBytes"] > 0
    table = world.tunnel.cli("status")
    assert "v2" in next(line for line in table.splitlines() if "8080 " in line)


def test_names_are_told_too_and_only_where_wanted(world):
    world.add(443, f"{SERVER}:8443", "git.example.com", "*.example.org")
    world.add(443, f"{SERVER}:9443", "untold.example.com", proxy=False)
    world.add(443, f"{PHONE}:8443", "phone.example.com")
    for name in ("git.example.com", "www.example.org"):
        text, port = ask_named(world.stranger, name)
        assert text == f"haproxy {Lab.STRANGER}:{port} {Lab.VPS}:443 name={name}"
    assert ask_named(world.stranger, "untold.example.com")[0] == f"untold {Lab.STRANGER}"
    text, port = ask_named(world.stranger, "phone.example.com")
    assert text.startswith(f"nginx {Lab.STRANGER}:{port} {Lab.VPS}:443 ")
    routes = world.tunnel.forwards()[f"{Lab.VPS}:443"]["routes"]
    assert routes["git.example.com"]["proxyProtocol"] is True
    assert "proxyProtocol" not in routes["untold.example.com"]
    world.told(f"{Lab.VPS}:443", True, "untold.example.com")  # which does not expect it
    status, _, _ = world.stranger.try_run(
        "curl", "-sk", "--resolve", f"untold.example.com:443:{Lab.VPS}", "https://untold.example.com/")
    assert status != 0
    world.told(f"{Lab.VPS}:443", False, "untold.example.com")
    assert ask_named(world.stranger, "untold.example.com")[0] == f"untold {Lab.STRANGER}"


def test_ipv6_is_told(world):
    world.add(8080, f"[{world.server6}]:8080")
    text, port = ask(world.stranger, f"http://[{Lab.VPS6}]:8080/")
    assert text == f"haproxy {Lab.STRANGER6}:{port} {Lab.VPS6}:8080 name="
    assert differences(world.tunnel) == []
    source = world.add(9000, f"[{world.server6}]:9000", proxy=False)
    own = converse(join(world.stranger, Lab.VPS6))
    assert world.first6.seen == [(Lab.STRANGER6, b"EHLO\n")]
    world.told(source, True)
    own = converse(join(world.stranger, Lab.VPS6))
    peer, data = world.first6.seen[-1]
    assert peer == world.server6.rsplit(":", 1)[0] + ":1"
    assert data == header(own, (Lab.VPS6, 9000)) + b"EHLO\n"


def test_it_is_off_and_can_be_changed_while_it_runs(world):
    """A device that is not told sees its client; one that is sees this machine. Connections end with the change."""
    source = world.add(9000, f"{SERVER}:9000", proxy=False)
    assert "proxyProtocol" not in world.tunnel.forwards()[source]
    converse(join(world.stranger))
    assert world.first.seen == [(Lab.STRANGER, b"EHLO\n")]
    before = world.tunnel.forwards()[source]
    for _ in range(2):
        world.tunnel.cli("port-forward", "set-proxy-protocol", source, "--enabled")
        wait_until(lambda: world.served(source), "it is served")
        assert world.tunnel.forwards()[source] == before | {"proxyProtocol": True}
        assert differences(world.tunnel) == []
        own = converse(join(world.stranger))
        assert world.first.seen[-1] == (ROUTER, header(own, (Lab.VPS, 9000)) + b"EHLO\n")
        with join(world.stranger) as held:
            assert held.recv(4) == b"220 "
            world.tunnel.cli("port-forward", "set-proxy-protocol", source)
            with contextlib.suppress(ConnectionResetError):
                while held.recv(4096):
                    pass
        assert world.tunnel.forwards()[source] == before
        assert differences(world.tunnel) == []
        converse(join(world.stranger))
        assert world.first.seen[-1] == (Lab.STRANGER, b"EHLO\n")


def test_from_within_it_is_told_as_it_comes(world):
    """Out into the tunnel and back again; and this machine's own connections."""
    world.add(9000, f"{SERVER}:9000")
    for host, source in ((world.server, (SERVER, 0)), (world.vps, None)):
        own = converse(host.connect(Lab.VPS, 9000, ANSWER_S, source))
        assert world.first.seen[-1] == (ROUTER, header(own, (Lab.VPS, 9000)) + b"EHLO\n")


# UDP

def test_each_datagram_is_told(world):
    """Two clients at once, and large ones, which go in fragments."""
    source = world.add(9000, f"{SERVER}:9000")
    with world.stranger.socket(kind=socket.SOCK_DGRAM) as one, \
            world.stranger.socket(kind=socket.SOCK_DGRAM) as other:
        for client in (one, other):
            client.connect((Lab.VPS, 9000))
        for text in (b"first", b"second", b"x" * 1400, b"y" * 9000):
            for client in (one, other):
                assert exchange(client, text) == text.upper()
                assert world.datagrams.seen[-1] == (
                    ROUTER, header(client.getsockname(), (Lab.VPS, 9000), True) + b"\n" + text)
        row = next(row for row in world.tunnel.call("status")["forwards"] if row["source"] == source)
        assert row["rxBytes"] >= 2 * 10000 and row["txBytes"] >= 2 * 10000
        world.told(source, False)
        # Of one that goes on sending, the kernel remembers for a while that its packets come to this machine.
        with world.stranger.socket(kind=socket.SOCK_DGRAM) as later:
            later.connect((Lab.VPS, 9000))
            later.send(b"plain")
            wait_until(lambda: world.datagrams.seen[-1] == (Lab.STRANGER, b"plain"), "it comes as it is")
            world.told(source, True)
            assert exchange(later, b"told") == b"TOLD"
            assert world.datagrams.seen[-1][0] == ROUTER
        world.tunnel.call("port-forward.set-enabled", source=source, enabled=False)
        assert exchange(other, b"closed", 1) is None


def test_datagrams_of_ipv6_and_from_within_are_told(world):
    world.add(9000, f"[{world.server6}]:9000")
    with world.stranger.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.connect((Lab.VPS6, 9000))
        assert exchange(client, b"six") == b"SIX"
        assert world.datagrams6.seen[-1][1] == header(client.getsockname()[:2], (Lab.VPS6, 9000), True) + b"\nsix"
    world.add(9000, f"{SERVER}:9000")
    for host, address in ((world.server, SERVER), (world.vps, None)):
        with host.socket(kind=socket.SOCK_DGRAM) as client:
            if address:
                client.bind((address, 0))
            client.connect((Lab.VPS, 9000))
            assert exchange(client, b"near") == b"NEAR"
            assert world.datagrams.seen[-1] == (
                ROUTER, header(client.getsockname(), (Lab.VPS, 9000), True) + b"\nnear")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_client_that_goes_on_comes_the_new_way(world, family):
    """From the same port, without a pause, whichever way it is switched."""
    six = family == socket.AF_INET6
    address, own = (Lab.VPS6, Lab.STRANGER6) if six else (Lab.VPS, Lab.STRANGER)
    seen = (world.datagrams6 if six else world.datagrams).seen
    source = world.add(9000, f"[{world.server6}]:9000" if six else f"{SERVER}:9000")
    with world.stranger.socket(family, socket.SOCK_DGRAM) as client:
        client.connect((address, 9000))

        def comes(told):
            with contextlib.suppress(ConnectionRefusedError):
                client.send(b"on")
            return seen and (seen[-1][0] != own) == told

        for told in (True, False, True, False):
            world.told(source, told)
            wait_until(lambda told=told: comes(told), f"it comes {'with' if told else 'without'} a header", 60)


def test_dnsdist_is_told_the_client(world):
    """It answers any name with the address of who asks, by UDP and by TCP."""
    world.phone.write_file("/run/dnsdist.conf", DNSDIST)
    process = world.phone.start("dnsdist", "--supervised", "--disable-syslog", "-C", "/run/dnsdist.conf")
    try:
        world.add(53, f"{PHONE}:5300")
        for transport in ("+notcp", "+tcp"):
            wait_until(lambda: world.stranger.try_run(
                "dig", "+short", "+tries=1", "+time=1", transport, f"@{Lab.VPS}",
                "who.example")[1].strip() == Lab.STRANGER, f"dnsdist answers by {transport}", 30)
    finally:
        process.stop(signal.SIGKILL)


# It is a port forward as others are

def test_it_is_disabled_and_removed_like_others(world):
    source = world.add(9000, f"{SERVER}:9000")
    with join(world.stranger) as held:
        assert held.recv(4) == b"220 "
        world.tunnel.call("port-forward.set-enabled", source=source, enabled=False)
        while held.recv(4096):
            pass  # until its end
    with pytest.raises(ConnectionRefusedError):
        wait_until(lambda: join(world.stranger).close() or False, "it is closed")
    world.tunnel.call("port-forward.set-enabled", source=source, enabled=True)
    wait_until(lambda: world.served(source), "it is served again")
    converse(join(world.stranger))
    world.tunnel.call("port-forward.remove", source=source)
    with pytest.raises(ConnectionRefusedError):
        wait_until(lambda: join(world.stranger).close() or False, "it is closed")


def refused(world, method, **params):
    with pytest.raises(RpcError) as error:
        world.tunnel.call(method, **params)
    assert error.value.code == 38
    return error.value.details


def test_what_cannot_be_is_refused_and_changes_nothing(world):
    world.add(9000, f"{SERVER}:9000")
    world.add(7000, f"{SERVER}:7000", proxy=False, count=10)
    pinhole = f"[{world.server6}]:7000"
    world.tunnel.call("port-forward.add", externalPort=pinhole, target=pinhole)
    before = world.tunnel.document()
    assert "proxyProtocol: is for one port at a time, not for a range of 2" in refused(
        world, "port-forward.add", externalPort=8000, target=f"{SERVER}:80", count=2, proxyProtocol=True)
    assert "not for a range of 10" in refused(
        world, "port-forward.set-proxy-protocol", source=f"{Lab.VPS}:7000", enabled=True)
    assert "not for a pinhole" in refused(
        world, "port-forward.set-proxy-protocol", source=pinhole, enabled=True)
    assert "not for a pinhole" in refused(
        world, "port-forward.add", externalPort=f"[{world.server6}]:7001",
        target=f"[{world.server6}]:7001", proxyProtocol=True)
    assert "is forwarded already" in refused(
        world, "port-forward.add", externalPort=9000, target=f"{SERVER}:80", proxyProtocol=True)
    assert f"overlaps the port forward {Lab.VPS}:9000" in refused(
        world, "port-forward.add", externalPort=8999, target=f"{SERVER}:80", count=2)
    with pytest.raises(RpcError, match="not for a range"):
        world.tunnel.call("db.apply", expr=f'.portForwards["{Lab.VPS}:9000"].count = 3')
    with pytest.raises(CommandFailed):
        world.tunnel.cli("port-forward", "set-proxy-protocol", f"{Lab.VPS}:1", "--enabled")
    assert world.tunnel.document() == before


def test_a_port_that_is_taken_is_told_and_tried_again(world):
    with world.vps.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((Lab.VPS, 9000))
        taken.listen()
        world.tunnel.call("port-forward.add", externalPort=9000, target=f"{SERVER}:9000",
                          proxyProtocol=True)
        status = wait_until(lambda: (found := world.tunnel.call("status"))["sni"]["problem"] and found,
                            "the problem is told")
        assert "9000 is not available to bind to: Address already in use" in status["sni"]["problem"]
        assert status["forwards"][0]["state"] == "port is not available"
        assert "NOT served everywhere" in world.tunnel.cli("status")
    world.vps.ip("address", "add", "192.0.2.78/32", "dev", "eth0")  # a change: it is tried at once
    wait_until(lambda: world.served(f"{Lab.VPS}:9000"), "it is served", 30)
    world.vps.ip("address", "delete", "192.0.2.78/32", "dev", "eth0")
    converse(join(world.stranger))
    assert world.tunnel.call("status")["sni"]["problem"] is None


def test_it_follows_its_wan_address(world):
    world.add(9000, f"{SERVER}:9000")
    world.tunnel.call("device.set-wan", subnet=SUBNET, ip=SERVER, wanIp=Lab.VPS_SECOND)
    source = f"{Lab.VPS_SECOND}:9000"
    assert world.tunnel.forwards()[source]["proxyProtocol"] is True
    wait_until(lambda: world.served(source), "it is served there")
    own = converse(join(world.stranger, Lab.VPS_SECOND))
    assert world.first.seen[-1] == (ROUTER, header(own, (Lab.VPS_SECOND, 9000)) + b"EHLO\n")


def test_what_the_owner_decided_of_an_automatic_one_stays(world):
    with PcpClient(world.server, SERVER, ROUTER) as client:
        wait_until(lambda: client.ask(client.header(0, 0), tries=1), "PCP is answered")
        answer = client.map(9000, 9000)
        assert answer.result == SUCCESS
        source = f"{Lab.VPS}:9000"
        world.told(source, True)
        assert client.map(9000, 9000, nonce=answer.nonce).result == SUCCESS
        entry = world.tunnel.forwards()[source]
        assert entry["proxyProtocol"] is True and entry["auto"] is True
        own = converse(join(world.stranger))
        assert world.first.seen[-1] == (ROUTER, header(own, (Lab.VPS, 9000)) + b"EHLO\n")
        # Another port of its own behind it: as before. A range it cannot become.
        assert client.map(9100, 9000, nonce=answer.nonce).external == 9000
        entry = world.tunnel.forwards()[source]
        assert entry["proxyProtocol"] is True and entry["target"] == f"{SERVER}:9100"
        client.map(9100, 9000, nonce=answer.nonce, options=port_set(4, 9100))
        entry = world.tunnel.forwards()[source]
        assert entry["proxyProtocol"] is True and entry["count"] == 1


def test_it_survives_kill_and_restart(world):
    world.add(9000, f"{SERVER}:9000")
    world.add(443, f"{SERVER}:8443", "git.example.com")
    for end in (signal.SIGKILL, signal.SIGTERM):
        world.tunnel.process.send_signal(end)
        world.tunnel.process.wait()
        world.tunnel.start()
        for port in (9000, 443):
            wait_until(lambda: world.served(f"{Lab.VPS}:{port}"), f"port {port} is served again")
        own = converse(join(world.stranger))
        assert world.first.seen[-1] == (ROUTER, header(own, (Lab.VPS, 9000)) + b"EHLO\n")
        assert ask_named(world.stranger, "git.example.com")[0].endswith("name=git.example.com")
        assert differences(world.tunnel) == []
