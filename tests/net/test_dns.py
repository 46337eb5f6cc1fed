"""
DNS for devices, by strangers: dig, nsupdate and knsupdate ask, dnsmasq answers on the internet.

`server` and `phone` share a subnet, `laptop` is in another (conftest.World).
"""

import base64
import socket
import time
from unittest import mock

import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
import pytest

from conftest import OTHER_SUBNET, SUBNET
from lab import PATIENCE, Lab, wait_until
from product import INTERFACE, RpcError
import wireguard_peer
from wireguard_peer import join_as_startos

GATE = "10.59.37.1"
OTHER_GATE = "10.60.0.1"
INTERNET = "198.18.3.1"  # another address that the VPS reaches
KEY_NAME = "startos-dns-update"
CONF = "/run/etc/resolv.conf"


class Server:
    """dnsmasq, which knows some names."""

    def __init__(self, host, address, answer, *options):
        self.host = host
        self.process = host.start(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
            "--no-resolv", "--no-hosts", "--bind-interfaces", "--no-dhcp-interface=*",
            "--pid-file=", "--local=/example/", "--log-queries", "--log-facility=-",
            f"--listen-address={address}", "--local-ttl=60",
            f"--host-record=www.example,{answer}", f"--host-record=other.example,{answer}",
            "--cname=alias.example,www.example",
            *(f"--txt-record=big.example,{'x' * 200}{number}" for number in range(12)), *options)
        wait_for(host, address, "www.example", [answer])

    def asked(self, name):
        return sum(f"query[A] {name.lower()} " in line.lower() or f" {name.lower()} from" in line.lower()
                   for line in self.process.output().splitlines())

    def stop(self):
        self.process.stop()


def dig(host, server, name, kind="A", *options):
    """The short answer, as lines; ["status: X"] where the status is not NOERROR."""
    status, output, _ = host.try_run("dig", f"@{server}", name, kind, "+tries=2",
                                     f"+timeout={int(8 * PATIENCE)}", *options,
                                     timeout_s=60 * PATIENCE)
    if status != 0:
        return [f"status {status}"]
    found = [word for line in output.splitlines() if "status: " in line
             for word in [line.split("status: ")[1].split(",")[0]]]
    if found and found[0] != "NOERROR":
        return [f"status: {found[0]}"]
    if "+short" in options:
        return output.splitlines()
    answers = []
    section = False
    for line in output.splitlines():
        if line.startswith(";; ANSWER SECTION"):
            section = True
        elif not line or line.startswith(";;"):
            section = False
        elif section:
            answers.append(line.split(None, 4)[4])
    return answers


def wait_for(host, server, name, answer):
    """Until a question, asked again and again, has this answer."""
    wait_until(lambda: dig(host, server, name, "A", "+tries=1", f"+timeout={int(2 * PATIENCE)}") == answer,
               f"{name} is {answer}", 40)


def flags(host, server, name, kind="A", *options):
    output = host.run("dig", f"@{server}", name, kind, *options)
    line = next(line for line in output.splitlines() if line.startswith(";; flags:"))
    return line.split(":")[1].split(";")[0].split()


@pytest.fixture
def names(world):
    """The joined world with one server on the internet, which is the VPS's own, and no records."""
    world.tunnel.call("db.apply", expr=".dnsRecords = []")
    world.vps.write_file(CONF, f"nameserver 127.0.0.53\nnameserver {Lab.STRANGER}\n", 0o644)
    server = Server(world.stranger, Lab.STRANGER, "192.0.2.7")
    wait_for(world.server, GATE, "www.example", ["192.0.2.7"])
    world.internet_dns = server
    yield world
    server.stop()
    world.vps.try_run("rm", "-rf", "/run/systemd/resolve")


def add(world, name, kind, value, ttl=300):
    world.tunnel.call("dns.add", name=name, type=kind, value=value, ttl=ttl)


def records(world):
    return world.tunnel.call("dns.list")


def update_key(world, ip=None):
    ip = ip or world.SERVER
    subnet = SUBNET if ip.startswith("10.59.") else OTHER_SUBNET
    return wireguard_peer.update_key(world.tunnel.subnets()[subnet]["clients"][ip]["psk"])


def nsupdate(world, script, key=None, host=None, program="nsupdate", options=()):
    key = base64.b64encode(key or update_key(world)).decode()
    return (host or world.server).try_run(
        program, "-y", f"hmac-sha256:{KEY_NAME}:{key}", *options,
        input=f"server {GATE}\n{script}\nsend\n", timeout_s=60 * PATIENCE)


def message(key=None, zone="example.com", at=None, build=lambda update: None):
    """An update as StartOS makes it, as bytes."""
    update = dns.update.UpdateMessage(zone)
    build(update)
    if key:
        update.use_tsig(dns.tsig.Key(dns.name.from_text(KEY_NAME), key, "hmac-sha256"))
    with mock.patch("time.time", return_value=at or time.time()):
        return update.to_wire()


def exchange(host, data, server=GATE):
    """Sends bytes over UDP; returns the code of the answer."""
    with host.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(20 * PATIENCE)
        sock.connect((server, 53))
        sock.send(data)
        return dns.rcode.to_text(sock.recv(4096)[3] & 15)


def publish(world, name, value="10.59.37.2"):
    """As StartOS publishes a name: two signed messages."""
    key = update_key(world)
    zone = name.split(".", 1)[1]
    short = name.split(".", 1)[0]
    code = exchange(world.server, message(key, zone, build=lambda u: u.delete(short, "A")))
    return code if code != "NOERROR" else exchange(world.server, message(key, zone,
                                          build=lambda u: u.add(short, 300, "A", value)))


def test_names_of_the_internet(names):
    """Over UDP and TCP, in each subnet on its own address, out of the cache the second time."""
    assert dig(names.laptop, OTHER_GATE, "alias.example") == ["www.example.", "192.0.2.7"]
    for transport in ("+notcp", "+tcp"):
        assert dig(names.phone, GATE, "alias.example", "A", transport) == ["www.example.", "192.0.2.7"]
    before = names.internet_dns.asked("other.example")
    for host in (names.server, names.phone, names.server):
        assert dig(host, GATE, "OTHER.example") == ["192.0.2.7"]
    assert names.internet_dns.asked("other.example") == before + 1
    assert dig(names.server, GATE, "nobody.example") == ["status: NXDOMAIN"]
    names.internet_dns.process.stop()
    assert dig(names.server, GATE, "other.example") == ["192.0.2.7"]


def test_names_are_asked_for_in_a_spelling_of_our_own(names):
    spelled = set()
    for number in range(8):
        name = f"spelling-of-letters-{number}.example"
        assert dig(names.server, GATE, name) == ["status: NXDOMAIN"]
        spelled |= {line for line in names.internet_dns.process.output().splitlines()
                    if "spelling-of-letters".upper() in line.upper() and "query[A]" in line
                    and "spelling-of-letters" not in line}
    assert spelled


def test_what_is_too_long_for_udp(names):
    """The record is cut off for whoever takes little, and whole over TCP; EDNS does not go beyond 1,232."""
    add(names, "held.example", "TXT", "y" * 1000)
    for name in ("big.example", "held.example"):
        assert "tc" in flags(names.server, GATE, name, "TXT", "+ignore", "+noedns")
        whole = dig(names.server, GATE, name, "TXT")
        assert len("".join(whole)) >= 1000
        assert "tc" not in flags(names.server, GATE, name, "TXT", "+tcp")
    assert "tc" in flags(names.server, GATE, "big.example", "TXT", "+ignore", "+bufsize=4096")
    assert "tc" not in flags(names.server, GATE, "held.example", "TXT", "+ignore", "+bufsize=4096")


def test_the_machines_servers_are_followed(names):
    """resolv.conf is written anew while the daemon runs; systemd-resolved's comes first where it is."""
    second = Server(names.lab.internet, INTERNET, "192.0.2.8")
    assert dig(names.server, GATE, "www.example") == ["192.0.2.7"]
    names.vps.write_file(CONF, f"nameserver {INTERNET}\n", 0o644)
    wait_for(names.server, GATE, "www.example", ["192.0.2.8"])
    names.vps.run("mkdir", "-p", "/run/systemd/resolve")
    names.vps.write_file("/run/systemd/resolve/resolv.conf", f"nameserver {Lab.STRANGER}\n", 0o644)
    wait_for(names.server, GATE, "www.example", ["192.0.2.7"])
    names.vps.run("rm", "-r", "/run/systemd/resolve")
    wait_for(names.server, GATE, "www.example", ["192.0.2.8"])
    second.stop()


def test_the_next_server_is_asked_where_one_is_silent(names):
    names.vps.write_file(CONF, f"nameserver 198.18.3.77\nnameserver {Lab.STRANGER}\n", 0o644)
    wait_for(names.server, GATE, "alias.example", ["www.example.", "192.0.2.7"])


def test_servers_of_a_subnet(names):
    """Custom ones, or a device, for the one subnet alone; the device's own questions go out."""
    custom = Server(names.lab.internet, INTERNET, "192.0.2.9", "--port=53")
    names.tunnel.cli("subnet", SUBNET, "set-dns", "--mode", "custom", "--server", INTERNET)
    assert names.tunnel.subnets()[SUBNET]["dns"] == {"type": "custom", "servers": [f"{INTERNET}:53"]}
    assert dig(names.server, GATE, "www.example") == ["192.0.2.9"]
    assert dig(names.laptop, OTHER_GATE, "www.example") == ["192.0.2.7"]
    filter = Server(names.phone, names.PHONE, "10.59.37.3")
    names.tunnel.cli("subnet", SUBNET, "set-dns", "--mode", "device", "--device-ip", names.PHONE)
    assert dig(names.server, GATE, "www.example") == ["10.59.37.3"]
    assert dig(names.phone, GATE, "www.example") == ["192.0.2.7"]
    names.tunnel.call("device.add", subnet=SUBNET, name="Filter", ip="10.59.37.50")
    names.tunnel.cli("subnet", SUBNET, "set-dns", "--mode", "device", "--device-ip", "10.59.37.50")
    names.tunnel.call("device.remove", subnet=SUBNET, ip="10.59.37.50")
    assert names.tunnel.subnets()[SUBNET]["dns"] == {"type": "default"}
    assert dig(names.server, GATE, "www.example") == ["192.0.2.7"]
    custom.stop()
    filter.stop()


@pytest.mark.parametrize("params, words", [
    ({"mode": "device"}, "deviceIp"),
    ({"mode": "device", "deviceIp": "10.59.37.99"}, "deviceIp"),
    ({"mode": "custom"}, "servers"),
    ({"mode": "custom", "servers": ["1.1.1.1"] * 4}, "servers"),
    ({"mode": "custom", "servers": ["not-an-ip"]}, "servers"),
    ({"mode": "custom", "servers": ["1.1.1.1:99999"]}, "servers"),
    ({"mode": "custom", "servers": ["1.1.1.1:0"]}, "servers"),
    ({"mode": "custom", "servers": ["127.0.0.1"]}, "servers"),
    ({"mode": "custom", "servers": [GATE]}, "servers"),
])
def test_servers_that_cannot_be(world, params, words):
    before = world.tunnel.revision()
    with pytest.raises(RpcError, match=words):
        world.tunnel.call("subnet.set-dns", subnet=SUBNET, **{"servers": []} | params)
    assert world.tunnel.revision() == before


def test_records_are_answered_here(names):
    """With authority, and for every other type of the name with nothing."""
    cli = names.tunnel.cli
    cli("dns", "add", "Home.Example.com", "10.59.37.2", "--type", "a")
    cli("dns", "add", "home.example.com", "fd00::2", "--type", "AAAA", "--ttl", "60")
    cli("dns", "add", "www.home.example.com.", "home.example.com", "--type", "CNAME")
    cli("dns", "add", "far.example.com", "alias.example", "--type", "CNAME")
    cli("dns", "add", "www.example", "10.59.37.3", "--type", "A")
    assert [(r["name"], r["type"], r["value"], r["ttl"], r["source"]) for r in records(names)] == [
        ("far.example.com", "CNAME", "alias.example", 300, None),
        ("home.example.com", "A", "10.59.37.2", 300, None),
        ("home.example.com", "AAAA", "fd00::2", 60, None),
        ("www.example", "A", "10.59.37.3", 300, None),
        ("www.home.example.com", "CNAME", "home.example.com", 300, None)]
    for host, gate in ((names.phone, GATE), (names.laptop, OTHER_GATE)):
        assert dig(host, gate, "HOME.example.com") == ["10.59.37.2"]
        assert dig(host, gate, "home.example.com", "AAAA") == ["fd00::2"]
        assert dig(host, gate, "home.example.com", "MX") == []
        assert dig(host, gate, "www.home.example.com") == ["home.example.com.", "10.59.37.2"]
        assert dig(host, gate, "www.example") == ["10.59.37.3"]
        assert dig(host, gate, "far.example.com") == ["alias.example.", "www.example.", "192.0.2.7"]
    assert "aa" in flags(names.phone, GATE, "home.example.com")
    assert "aa" in flags(names.phone, GATE, "home.example.com", "MX")
    assert "aa" not in flags(names.phone, GATE, "other.example")
    assert names.internet_dns.asked("home.example.com") == 0
    cli("dns", "remove", "home.example.com", "--type", "AAAA")
    assert dig(names.phone, GATE, "home.example.com", "AAAA") == []
    cli("dns", "remove", "home.example.com")
    cli("dns", "remove", "www.example")
    cli("dns", "remove", "nobody.example.com")
    assert [r["name"] for r in records(names)] == ["far.example.com", "www.home.example.com"]
    assert dig(names.phone, GATE, "www.example") == ["192.0.2.7"]


@pytest.mark.parametrize("params, code, words", [
    ({"name": "a b", "type": "A", "value": "10.0.0.1"}, 19, "name"),
    ({"name": "*.example.com", "type": "A", "value": "10.0.0.1"}, 19, "name"),
    ({"name": "a.b", "type": "MX", "value": "10 c.d"}, 38, "type"),
    ({"name": "a.b", "type": "A", "value": "fd00::1"}, 38, "value"),
    ({"name": "a.b", "type": "AAAA", "value": "10.0.0.1"}, 38, "value"),
    ({"name": "a.b", "type": "CNAME", "value": "c d"}, 38, "value"),
    ({"name": "a.b", "type": "A", "value": "10.0.0.1", "ttl": 2**32 - 1}, 38, "ttl"),
    ({"name": "held.b", "type": "CNAME", "value": "c.d"}, 38, "CNAME"),
])
def test_records_that_cannot_be(names, params, code, words):
    add(names, "held.b", "A", "10.0.0.1")
    before = names.tunnel.revision()
    with pytest.raises(RpcError, match=words) as error:
        names.tunnel.call("dns.add", **params)
    assert error.value.code == code
    with pytest.raises(RpcError, match="type"):
        names.tunnel.call("dns.remove", name="held.b", type="NONSENSE")
    assert names.tunnel.revision() == before


def test_only_devices_of_the_subnet_are_served(names):
    """Neither those of another subnet nor the internet."""
    assert dig(names.laptop, GATE, "www.example") == ["status: REFUSED"]
    for address in (Lab.VPS, GATE):
        with names.stranger.socket(kind=socket.SOCK_DGRAM) as sock:
            sock.connect((address, 53))
            sock.settimeout(1)
            with pytest.raises(OSError):
                sock.send(dns.message.make_query("www.example", "A").to_wire())
                sock.recv(512)
        with pytest.raises(OSError):
            names.stranger.connect(address, 53, 1)


def test_a_server_publishes_its_name(names):
    assert publish(names, "home.example.com") == "NOERROR"
    assert records(names) == [{"name": "home.example.com", "type": "A", "value": "10.59.37.2",
                               "ttl": 300, "source": names.SERVER}]
    assert dig(names.phone, GATE, "home.example.com") == ["10.59.37.2"]
    assert publish(names, "home.example.com") == "NOERROR"
    assert len(records(names)) == 1
    key = update_key(names)
    assert exchange(names.server, message(key, build=lambda u: u.delete("home", "A"))) == "NOERROR"
    assert exchange(names.server, message(key, build=lambda u: u.delete("home", "A"))) == "NOERROR"
    assert records(names) == []


@pytest.mark.parametrize("program", ["nsupdate", "knsupdate"])
def test_updates_by_strangers(names, program):
    """Several changes in one message, prerequisites, over UDP and TCP; the answer is signed too."""
    def update(script, **options):
        return nsupdate(names, script, program=program, **options)

    zone = "zone example.com\n"
    assert update(zone + "update add a.example.com 60 A 10.59.37.2\n"
                         'update add a.example.com 60 TXT "some text"\n'
                         "update add b.example.com 60 CNAME a.example.com.")[0] == 0
    assert dig(names.phone, GATE, "b.example.com") == ["a.example.com.", "10.59.37.2"]
    assert dig(names.phone, GATE, "a.example.com", "TXT") == ['"some text"']
    status, output, error = update(zone + "prereq nxdomain a.example.com\n"
                                          "update add a.example.com 60 A 10.59.37.9")
    assert status != 0 and "YXDOMAIN" in output + error
    status, output, error = update(zone + "prereq yxrrset b.example.com A\n"
                                          "update delete a.example.com")
    assert status != 0 and "NXRRSET" in output + error
    status, output, error = update(zone + "update add a.example.net 60 A 10.59.37.9")
    assert status != 0 and "NOTZONE" in output + error
    assert len(records(names)) == 3
    assert update(zone + "prereq yxdomain a.example.com\n"
                         "update delete a.example.com A 10.59.37.2", options=("-v",))[0] == 0
    assert dig(names.phone, GATE, "a.example.com") == []
    assert update(zone + "update delete a.example.com\nupdate delete b.example.com CNAME")[0] == 0
    assert records(names) == []
    status, output, error = update(zone + "update add a.example.com 60 A 10.59.37.2",
                                   key=bytes(32))
    assert status != 0 and "REFUSED" in output + error
    assert records(names) == []


def test_updates_that_are_refused(names):
    """Unsigned, with another's key, from another, late, early, replayed."""
    good = update_key(names)

    def add_to(name):
        return lambda update: update.add(name, 300, "A", "10.59.37.2")

    for data in (message(None, build=add_to("a")), message(bytes(32), build=add_to("a")),
                 message(good, at=time.time() - 301, build=add_to("a")),
                 message(good, at=time.time() + 301 + 60 * PATIENCE, build=add_to("a"))):
        assert exchange(names.server, data) == "REFUSED"
    assert exchange(names.phone, message(good, build=add_to("a"))) == "REFUSED"
    assert exchange(names.phone, message(update_key(names, names.PHONE), build=add_to("a"))) == "REFUSED"
    assert records(names) == []
    data = message(good, build=add_to("a"))
    assert exchange(names.server, data) == "NOERROR"
    assert exchange(names.server, message(good, build=lambda u: u.delete("a"))) == "NOERROR"
    assert exchange(names.server, data) == "REFUSED"
    assert records(names) == []
    names.tunnel.stop()
    names.tunnel.start()
    wait_for(names.server, GATE, "www.example", ["192.0.2.7"])
    assert exchange(names.server, data) == "REFUSED"
    assert exchange(names.server, message(good, build=lambda u: u.add("x" * 20 + " y", 1, "A", "1.2.3.4"))) == "REFUSED"
    assert exchange(names.server, message(good, build=lambda u: u.add("m", 1, "MX", "1 a."))) == "REFUSED"
    assert records(names) == []
    wait_until(lambda: publish(names, "b.example.com") == "NOERROR", "what is signed from now on counts")


def test_all_names_of_a_server_at_once(names):
    """As many as it may hold, each by two updates: none is refused for coming too often."""
    key = update_key(names)
    held = [f"n{n}" for n in range(256)]
    for name in held:
        assert exchange(names.server, message(key, build=lambda u, n=name: u.delete(n, "A"))) == "NOERROR", name
        assert exchange(names.server, message(
            key, build=lambda u, n=name: u.add(n, 300, "A", "10.59.37.2"))) == "NOERROR", name
    assert len(records(names)) == 256
    assert exchange(names.server, message(key, build=lambda u: u.add("more", 300, "A", "10.59.37.2"))) == "REFUSED"
    assert exchange(names.server, message(key, build=lambda u: [u.delete(n) for n in held[:100]])) == "NOERROR"
    assert len(records(names)) == 156


def test_a_name_belongs_to_who_holds_it(names):
    """The owner's, or the device's that came first; nobody else changes it."""
    names.tunnel.call("device.set-dns-injection", subnet=SUBNET, ip=names.PHONE, enabled=True)
    assert publish(names, "mine.example.com") == "NOERROR"
    add(names, "ours.example.com", "A", "10.59.37.9")
    phone, server = update_key(names, names.PHONE), update_key(names)
    for host, key, name in ((names.phone, phone, "mine"), (names.phone, phone, "ours"),
                            (names.server, server, "ours")):
        for build in (lambda u, n=name: u.delete(n), lambda u, n=name: u.add(n, 1, "TXT", "x"),
                      lambda u, n=name: u.delete(n, "A")):
            assert exchange(host, message(key, build=build)) == "REFUSED"
    assert [(r["name"], r["source"]) for r in records(names)] == [
        ("mine.example.com", names.SERVER), ("ours.example.com", None)]


def test_a_permission_counts_at_once(names):
    """Given and taken; what a device may not hold any more goes with it."""
    key = update_key(names, names.PHONE)

    def try_to_add(name):
        return exchange(names.phone, message(key, build=lambda u: u.add(name, 60, "A", names.PHONE)))

    assert try_to_add("phone") == "REFUSED"
    names.tunnel.cli("device", "set-dns-injection", SUBNET, names.PHONE, "--enabled")
    assert try_to_add("phone") == "NOERROR"
    assert publish(names, "home.example.com") == "NOERROR"
    names.tunnel.cli("device", "set-dns-injection", SUBNET, names.PHONE)
    assert try_to_add("other") == "REFUSED"
    assert [r["name"] for r in records(names)] == ["home.example.com"]
    names.tunnel.call("device.set-kind", subnet=SUBNET, ip=names.PHONE, kind="server")
    assert try_to_add("phone") == "NOERROR"
    names.tunnel.call("device.set-kind", subnet=SUBNET, ip=names.PHONE, kind="client")
    assert [r["name"] for r in records(names)] == ["home.example.com"]


def test_records_go_with_their_device(names):
    for subnet, ip in ((SUBNET, "10.59.37.50"), ("10.61.0.1/24", "10.61.0.2")):
        names.tunnel.call("subnet.add", subnet=subnet, name="Some")
        names.tunnel.call("device.add", subnet=subnet, name="Some", ip=ip, kind="server")
        names.tunnel.call("db.apply", expr='.dnsRecords += [{"name": "some.example.com", "type": "A",'
                                           f' "value": "{ip}", "ttl": 60, "source": "{ip}"}}]')
        assert dig(names.phone, GATE, "some.example.com") == [ip]
        if subnet == SUBNET:
            names.tunnel.call("device.remove", subnet=subnet, ip=ip)
        else:
            names.tunnel.call("subnet.remove", subnet=subnet)
        assert records(names) == []


def test_subnets_come_and_go(names):
    """Others are served on meanwhile."""
    address = f"10.61.0.1%{INTERFACE}:53"
    for _ in range(3):
        names.tunnel.call("subnet.add", subnet="10.61.0.1/24", name="Short")
        wait_until(lambda: address in names.vps.run("ss", "-Hlntu"), "the subnet is served")
        assert dig(names.server, GATE, "www.example") == ["192.0.2.7"]
        names.tunnel.call("subnet.remove", subnet="10.61.0.1/24")
        wait_until(lambda: address not in names.vps.run("ss", "-Hlntu"), "it is not any more")
    assert dig(names.laptop, OTHER_GATE, "www.example") == ["192.0.2.7"]


def test_records_outlive_a_crash(names):
    add(names, "kept.example.com", "A", "10.59.37.2")
    assert publish(names, "home.example.com") == "NOERROR"
    names.tunnel.kill()
    names.tunnel.start()
    wait_for(names.phone, GATE, "home.example.com", ["10.59.37.2"])
    assert dig(names.phone, GATE, "kept.example.com") == ["10.59.37.2"]


def test_a_flood_of_one_device_leaves_others_served(names):
    """Questions that go out are counted for each device; connections too."""
    add(names, "home.example.com", "A", "10.59.37.2")
    names.phone.write_file("/run/queries", "".join(f"n{n}.example A\n" for n in range(20000)), 0o644)
    flood = names.phone.start("dnsperf", "-s", GATE, "-d", "/run/queries", "-n", "1", "-q", "200")
    holders = [names.phone.connect(GATE, 53, 10 * PATIENCE) for _ in range(40)]
    for _ in range(5):
        assert dig(names.server, GATE, "home.example.com") == ["10.59.37.2"]
        assert dig(names.server, GATE, "home.example.com", "A", "+tcp") == ["10.59.37.2"]
    assert dig(names.server, GATE, f"fresh{time.monotonic_ns()}.example") == ["status: NXDOMAIN"]
    assert names.tunnel.call("status")["dns"] == {"problem": None}
    flood.stop()
    for holder in holders:
        holder.close()


def test_a_port_that_somebody_holds(names):
    """The daemon goes on, says so, and serves when the port is free."""
    names.tunnel.stop()
    with names.vps.socket(kind=socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 53))
        names.tunnel.start()
        wait_until(lambda: names.tunnel.call("status")["dns"]["problem"], "the problem is shown")
        assert ":53 is not available" in names.tunnel.call("status")["dns"]["problem"]
        assert "DNS " in names.tunnel.cli("status")
    names.vps.ip("address", "add", "198.18.0.77/32", "dev", "lo")  # a change: it is tried at once
    wait_until(lambda: names.tunnel.call("status")["dns"] == {"problem": None}, "DNS is served", 40)
    names.vps.ip("address", "delete", "198.18.0.77/32", "dev", "lo")
    assert dig(names.server, GATE, "www.example") == ["192.0.2.7"]


def test_the_interface_is_made_anew(names):
    """
    Somebody deletes it; start-netd makes another, and names are served on that. The last test: devices
    notice late, and only the server joins again.
    """
    before = names.tunnel.link_index()
    names.vps.ip("link", "delete", INTERFACE)
    wait_until(lambda: names.vps.try_run("ip", "link", "show", INTERFACE)[0] == 0
               and names.tunnel.link_index() != before, "the interface is there again")
    names.peers[names.SERVER].leave()
    names.peers[names.SERVER] = join_as_startos(names.server, names.config[names.SERVER])
    names.peers[names.SERVER].wait_for_handshake()
    wait_for(names.server, GATE, "www.example", ["192.0.2.7"])
