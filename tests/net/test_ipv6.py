"""IPv6 in the tunnel: addresses of devices, egress, isolation, forwards and pinholes, restarts, drift."""

import base64
import json
import re
import socket

import pytest

from kernel import differences
from lab import PATIENCE, CommandFailed, Lab, wait_until
from pcp_client import (ADDRESS_MISMATCH, CANNOT_PROVIDE_EXTERNAL, NO_RESOURCES, NOT_AUTHORIZED,
                        SUCCESS, UDP, PcpClient, mapped, option)
from product import INTERFACE, RpcError
from test_dns import KEY_NAME, dig, update_key
from traffic import Conversation, Talker, ask_tcp, ask_udp
from wireguard_peer import join_as_startos, join_by_wg_quick

HOME, GUESTS, GLOBAL = "10.59.37.1/24", "10.60.0.1/24", "10.61.0.1/24"
PREFIX = "2001:db8:d:1::"  # that the provider routes to the VPS
UNREACHABLE_S = 1.0 * PATIENCE


class World:
    """
    `server` and `phone` in a subnet with unique local addresses; `laptop`, whose owner sends everything
    into the tunnel, in another one; `box` in a subnet with addresses of the internet.
    """

    def __init__(self, lab, tunnel):
        self.lab, self.tunnel, self.vps, self.stranger = lab, tunnel, lab.vps, lab.stranger
        self.server, self.phone = lab.server, lab.phone
        self.laptop, self.box = lab.add_host("laptop"), lab.add_host("box")
        lab.attach(self.laptop, 4)
        lab.attach(self.box, 5)
        lab.attach_ipv6(lab.vps, 0)
        lab.attach_ipv6(lab.stranger, 3)
        lab.delegate(PREFIX + "/64")
        for subnet, name in ((HOME, "Home"), (GUESTS, "Guests"), (GLOBAL, "Global")):
            tunnel.call("subnet.add", subnet=subnet, name=name)
        self.call("subnet.set-ipv6", HOME, ipv6="on")
        self.call("subnet.set-ipv6", GUESTS, ipv6="on")
        self.call("subnet.set-ipv6", GLOBAL, ipv6=PREFIX + "/64")
        for subnet, name in ((HOME, "Server"), (HOME, "Phone"), (GUESTS, "Laptop"), (GLOBAL, "Box")):
            self.call("device.add", subnet, name=name, kind="server")
        self.config = {
            name: self.call("device.show-config", subnet, ip=ip)
            for name, subnet, ip in (("server", HOME, "10.59.37.2"), ("phone", HOME, "10.59.37.3"),
                                     ("laptop", GUESTS, "10.60.0.2"), ("box", GLOBAL, "10.61.0.2"))}
        guests = self.network(GUESTS)
        everything = self.config["laptop"].replace(f"10.60.0.0/24, {guests}/64", "10.0.0.0/8, ::/0")
        assert everything != self.config["laptop"]
        self.peers = {
            "server": join_as_startos(self.server, self.config["server"]),
            "phone": join_by_wg_quick(self.phone, self.config["phone"]),
            "laptop": join_by_wg_quick(self.laptop, everything),
            "box": join_by_wg_quick(self.box, self.config["box"]),
        }
        for peer in self.peers.values():
            peer.wait_for_handshake()
        self.talkers = [
            Talker(host, [7000, 7001], family=socket.AF_INET6)
            for host in (self.server, self.phone, self.laptop, self.box, self.stranger)]
        self.wg = tunnel.call("db.dump", pointer="/wg")["value"]

    def call(self, method, subnet, **params):
        return self.tunnel.call(method, subnet=subnet, **params)

    def network(self, subnet):
        """The IPv6 network of a subnet, up to the "::"."""
        return self.tunnel.subnets()[subnet]["ipv6"].removesuffix("/64")

    def address(self, name):
        return self.peers[name].address6

    def close(self):
        for talker in self.talkers:
            talker.close()


@pytest.fixture(scope="module")
def joined(lab, tunnel):
    world = World(lab, tunnel)
    yield world
    world.close()


@pytest.fixture
def world(joined):
    joined.tunnel.call("db.apply", expr=f".wg = {json.dumps(joined.wg)} | .portForwards = {{}}"
                                        " | .dnsRecords = [] | del(.portForwards6)")
    return joined


def unreachable(host, address, port):
    return ask_tcp(host, address, port, UNREACHABLE_S) is None and \
        ask_udp(host, address, port, UNREACHABLE_S) is None


# Addresses

def test_configurations_tell_the_addresses(world):
    home = world.network(HOME)
    assert home.startswith("fd") and home.endswith("::")
    assert f"Address = 10.59.37.2/24, {home}2/64\n" in world.config["server"]
    assert f"AllowedIPs = 10.59.37.0/24, {home}/64\n" in world.config["server"]
    assert f"Address = 10.61.0.2/24, {PREFIX}2/64\n" in world.config["box"]
    assert "AllowedIPs = 10.61.0.0/24, ::/0\n" in world.config["box"]
    assert differences(world.tunnel) == []


def test_on_again_keeps_the_network(world):
    home = world.network(HOME)
    world.call("subnet.set-ipv6", HOME, ipv6="on")
    assert world.network(HOME) == home


def test_devices_of_a_subnet_reach_each_other(world):
    server, phone = world.address("server"), world.address("phone")
    assert ask_tcp(world.phone, server, 7000) == ("server", phone)
    assert ask_udp(world.phone, server, 7000) == ("server", phone)


def test_subnets_are_isolated(world):
    assert ask_tcp(world.laptop, world.network(GUESTS) + "2", 7000), "the laptop speaks IPv6"
    assert unreachable(world.laptop, world.address("server"), 7000)
    assert unreachable(world.laptop, world.address("box"), 7000)
    assert unreachable(world.box, world.address("server"), 7000)


def test_device_cannot_take_another_devices_address(world):
    """WireGuard lets a device send from its own address alone."""
    box = world.address("box")
    other = box[:-1] + "9"
    world.box.ip("address", "add", f"{other}/128", "dev", "wg0")
    try:
        assert ask_tcp(world.box, Lab.STRANGER6, 7000, source=(box, 0))
        assert ask_tcp(world.box, Lab.STRANGER6, 7000, UNREACHABLE_S, (other, 0)) is None
    finally:
        world.box.ip("address", "delete", f"{other}/128", "dev", "wg0")


# The internet

def test_unique_local_addresses_are_masqueraded(world):
    """By a server as StartOS does it, and a laptop whose owner wants everything in the tunnel."""
    for host, name in ((world.server, "server"), (world.laptop, "laptop")):
        source = (world.address(name), 0)
        assert ask_tcp(host, Lab.STRANGER6, 7000, source=source) == ("stranger", Lab.VPS6)
        assert ask_udp(host, Lab.STRANGER6, 7000, source=source) == ("stranger", Lab.VPS6)


def test_addresses_of_the_internet_are_routed(world):
    """With the configuration as it is given out."""
    assert ask_tcp(world.box, Lab.STRANGER6, 7000) == ("stranger", world.address("box"))
    assert ask_udp(world.box, Lab.STRANGER6, 7000) == ("stranger", world.address("box"))


def test_nothing_enters_uninvited(world):
    assert unreachable(world.stranger, world.address("box"), 7000)
    assert world.stranger.try_run("ping", "-6", "-n", "-c", "1", "-W", "1",
                                  world.address("box"))[0] != 0
    world.lab.delegate(world.network(HOME) + "/64")
    try:
        assert unreachable(world.stranger, world.address("server"), 7000)
    finally:
        world.lab.internet.ip("-6", "route", "delete", world.network(HOME) + "/64")


def test_mss_is_clamped_to_the_tunnel(world):
    with Conversation(world.box, Lab.STRANGER6, 7000) as conversation:
        conversation.say()
        output = world.stranger.run("ss", "-6", "-Htni", "state", "established", "sport = :7000")
    mss = [int(word.partition(":")[2]) for word in output.split() if word.startswith("mss:")]
    assert mss and max(mss) <= 1420 - 60


# The owner's switches

def test_off_and_on(world):
    """Off: as if it had never been, in the document, the configuration and the kernel."""
    vps, tunnel = world.vps, world.tunnel
    with Conversation(world.phone, world.address("server"), 7000) as conversation:
        conversation.say()
        for subnet in (HOME, GUESTS, GLOBAL):
            world.call("subnet.set-ipv6", subnet, ipv6="off")
        assert unreachable(world.phone, world.address("server"), 7000)
        assert "ipv6" not in tunnel.subnets()[HOME]
        config = world.call("device.show-config", HOME, ip="10.59.37.2")
        assert ":" not in config.replace("Endpoint", "").partition("[Peer]")[0]
        assert "AllowedIPs = 10.59.37.0/24\n" in config
        assert "ip6" not in vps.run("nft", "list", "table", "inet", "start_tunnel")
        assert vps.run("ip", "-6", "address", "show", "dev", INTERFACE) == ""
        assert vps.sysctl(f"net.ipv6.conf.{INTERFACE}.disable_ipv6") == "1"
        assert differences(tunnel) == []
        tunnel.call("db.apply", expr=f".wg = {json.dumps(world.wg)}")
        conversation.say()  # the session was not touched
    assert differences(tunnel) == []


def test_another_network(world):
    """Devices that have joined are cut off until they have their configuration anew."""
    world.call("subnet.set-ipv6", GLOBAL, ipv6="2001:db8:d:2::/64")
    assert differences(world.tunnel) == []
    assert ask_tcp(world.box, Lab.STRANGER6, 7000, UNREACHABLE_S) is None


@pytest.mark.parametrize("network, what", [
    ("maybe", "neither on, off"), ("2001:db8::/48", "/64"), ("2001:db8::1/64", "/64"),
    ("fe80::/64", "/64"), ("2001:db8::/64", "eth0"), (PREFIX + "/64", GLOBAL)])
def test_bad_networks_are_refused(world, network, what):
    before = world.tunnel.document()
    with pytest.raises(RpcError) as refused:
        world.call("subnet.set-ipv6", HOME, ipv6=network)
    assert refused.value.details.startswith("ipv6: ")
    assert what in refused.value.details
    assert world.tunnel.document() == before
    with pytest.raises(CommandFailed):
        world.tunnel.cli("subnet", HOME, "set-ipv6", network)


def test_command(world):
    world.tunnel.cli("subnet", GUESTS, "set-ipv6", "off")
    assert "ipv6" not in world.tunnel.subnets()[GUESTS]
    world.tunnel.cli("subnet", GUESTS, "set-ipv6", "on")
    assert world.network(GUESTS).startswith("fd")


def test_db_apply_names_the_fault(world):
    for ipv6 in ('"2001:db8::/63"', "7"):
        with pytest.raises(RpcError) as refused:
            world.tunnel.call("db.apply", expr=f'.wg.subnets."{HOME}".ipv6 = {ipv6}')
        assert "/ipv6: must be an IPv6 network of /64" in refused.value.details


def test_status_and_lists_tell_the_addresses(world):
    status = world.tunnel.call("status")
    assert {Lab.VPS, Lab.VPS6} <= set(status["addresses"])
    assert not any(address.startswith("fe80") for address in status["addresses"])
    networks = {row["subnet"]: row["ipv6"] for row in status["subnets"]}
    assert networks == {HOME: world.network(HOME) + "/64", GUESTS: world.network(GUESTS) + "/64",
                        GLOBAL: PREFIX + "/64"}
    assert {row["ip"]: row["ipv6"] for row in status["devices"]} == {
        "10.59.37.2": world.address("server"), "10.59.37.3": world.address("phone"),
        "10.60.0.2": world.address("laptop"), "10.61.0.2": world.address("box")}
    text = world.tunnel.cli("status")
    for expected in (Lab.VPS6, PREFIX + "/64", world.address("box"), world.address("phone")):
        assert expected in text
    assert world.address("box") in world.tunnel.cli("device", "list", GLOBAL)
    listed = json.loads(world.tunnel.cli("device", "list", GLOBAL, "--format", "json"))
    assert listed["clients"]["10.61.0.2"]["ipv6"] == world.address("box")
    world.call("subnet.set-ipv6", GLOBAL, ipv6="off")
    assert "ipv6" not in world.call("device.list", GLOBAL)["clients"]["10.61.0.2"]
    assert "IPV6" not in world.tunnel.cli("device", "list", GLOBAL)


# DNS

def test_names_by_ipv6(world):
    """At the server's IPv6 address too, over UDP and TCP, to devices of the subnet alone."""
    gate, other = world.network(HOME) + "1", world.network(GUESTS) + "1"
    world.tunnel.call("dns.add", name="box.example.com", type="AAAA", value=world.address("box"))
    for transport in ("+notcp", "+tcp"):
        assert dig(world.server, gate, "box.example.com", "AAAA", transport) == [world.address("box")]
    assert dig(world.box, PREFIX + "1", "box.example.com", "AAAA") == [world.address("box")]
    assert dig(world.laptop, other, "box.example.com", "AAAA") == [world.address("box")]
    assert dig(world.laptop, gate, "box.example.com", "AAAA")[0].startswith("status")
    assert unreachable(world.stranger, PREFIX + "1", 53)
    world.call("subnet.set-ipv6", HOME, ipv6="off")
    assert dig(world.server, "10.59.37.1", "box.example.com", "AAAA") == [world.address("box")]
    assert f"[{gate}]" not in world.vps.run("ss", "-Hlntu", "sport = :53").replace("%" + INTERFACE, "")
    world.tunnel.call("db.apply", expr=f".wg = {json.dumps(world.wg)}")
    wait_until(lambda: dig(world.server, gate, "box.example.com", "AAAA") == [world.address("box")],
               "names are served again")
    wait_until(lambda: world.tunnel.call("status")["dns"] == {"problem": None}, "no problem is left")


@pytest.mark.parametrize("program", ["nsupdate", "knsupdate"])
def test_updates_by_ipv6(world, program):
    """A device is the same by both families: its key, its permission, its names."""
    gate = world.network(HOME) + "1"
    key = base64.b64encode(update_key(world, "10.59.37.2")).decode()

    def update(host, change):
        return host.try_run(program, "-y", f"hmac-sha256:{KEY_NAME}:{key}", timeout_s=60 * PATIENCE,
                            input=f"server {gate}\nzone example.com\n{change}\nsend\n")[0]

    assert update(world.server, "update add six.example.com 60 AAAA fd00::6") == 0
    records = world.tunnel.call("dns.list")
    assert [(r["name"], r["source"]) for r in records] == [("six.example.com", "10.59.37.2")]
    assert dig(world.phone, gate, "six.example.com", "AAAA") == ["fd00::6"]
    assert update(world.phone, "update add phone.example.com 60 AAAA fd00::7") != 0
    world.call("device.set-dns-injection", HOME, ip="10.59.37.2", enabled=False)
    assert world.tunnel.call("dns.list") == []
    assert update(world.server, "update add six.example.com 60 AAAA fd00::6") != 0


def test_connections_of_both_families_are_one_devices(world):
    """Who holds all that a device may hold by IPv6 gets no other by IPv4; others do."""
    gate = world.network(HOME) + "1"
    world.tunnel.call("dns.add", name="home.example.com", type="A", value="10.59.37.2")

    def answer(host):
        return dig(host, "10.59.37.1", "home.example.com", "A", "+tcp", "+tries=1")

    holders = [world.phone.connect(gate, 53, 10 * PATIENCE) for _ in range(16)]
    wait_until(lambda: answer(world.phone)[0].startswith("status"), "the device has its share")
    assert answer(world.server) == ["10.59.37.2"]
    for holder in holders:
        holder.close()
    wait_until(lambda: answer(world.phone) == ["10.59.37.2"], "it may connect again")


# Forwards and pinholes

def add(world, external, target, port=7000, **params):
    world.tunnel.call("port-forward.add", externalPort=external, target=f"[{target}]:{port}", **params)


def test_forward(world):
    """To a unique local address, from this machine's; the server sees who asks."""
    add(world, 8000, world.address("server"))
    assert list(world.tunnel.call("db.dump", pointer="/portForwards6")["value"]) == \
        [f"[{Lab.VPS6}]:8000"]
    assert ask_tcp(world.stranger, Lab.VPS6, 8000) == ("server", Lab.STRANGER6)
    assert ask_udp(world.stranger, Lab.VPS6, 8000) == ("server", Lab.STRANGER6)
    assert unreachable(world.stranger, Lab.VPS6, 8001)
    assert unreachable(world.stranger, world.address("box"), 7000)
    assert differences(world.tunnel) == []


def test_pinhole(world):
    add(world, 7000, world.address("box"))
    assert ask_tcp(world.stranger, world.address("box"), 7000) == ("box", Lab.STRANGER6)
    assert ask_udp(world.stranger, world.address("box"), 7000) == ("box", Lab.STRANGER6)
    assert unreachable(world.stranger, world.address("box"), 7001)
    assert differences(world.tunnel) == []


def test_other_ports_by_the_command(world):
    """A range of this machine's own, and a pinhole whose port is another inside."""
    server, box = world.address("server"), world.address("box")
    world.tunnel.cli("port-forward", "add", f"[{Lab.VPS6}]:8000", f"[{server}]:7000", "--count", "2")
    world.tunnel.cli("port-forward", "add", f"[{box}]:443", f"[{box}]:7000", "--label", "Web")
    assert ask_tcp(world.stranger, Lab.VPS6, 8001) == ("server", Lab.STRANGER6)
    assert ask_tcp(world.stranger, box, 443) == ("box", Lab.STRANGER6)
    assert unreachable(world.stranger, box, 7000)
    assert differences(world.tunnel) == []
    states = {row["source"]: row for row in world.tunnel.call("status")["forwards"]}
    assert states[f"[{box}]:443"]["state"] == "active"
    assert states[f"[{box}]:443"]["label"] == "Web"
    assert states[f"[{box}]:443"]["rxBytes"] > 0 and states[f"[{box}]:443"]["txBytes"] > 0
    assert f"[{box}]:443" in world.tunnel.cli("status")


def test_disabled_enabled_removed(world):
    source = f"[{Lab.VPS6}]:8000"
    add(world, 8000, world.address("server"))
    with Conversation(world.stranger, Lab.VPS6, 8000) as conversation:
        conversation.say()
        world.tunnel.cli("port-forward", "set-enabled", source)
        with pytest.raises(OSError):
            conversation.say(UNREACHABLE_S)
    assert unreachable(world.stranger, Lab.VPS6, 8000)
    world.tunnel.cli("port-forward", "set-enabled", source, "--enabled")
    assert ask_tcp(world.stranger, Lab.VPS6, 8000) == ("server", Lab.STRANGER6)
    world.tunnel.cli("port-forward", "update-label", source, "Files")
    world.tunnel.cli("port-forward", "remove", source)
    assert world.tunnel.call("db.dump", pointer="/portForwards6")["value"] is None
    assert differences(world.tunnel) == []


def test_removed_pinhole_ends_its_connections(world):
    box = world.address("box")
    add(world, 7000, box)
    with Conversation(world.stranger, box, 7000) as conversation:
        conversation.say()
        world.tunnel.cli("port-forward", "remove", f"[{box}]:7000")
        with pytest.raises(OSError):
            conversation.say(UNREACHABLE_S)
    wait_until(lambda: not re.search(rf"dst={box} sport=\d+ dport=7000",
                                     world.vps.run("conntrack", "-L", "-f", "ipv6")),
               "the kernel forgets the connection")


def test_hairpins(world):
    """A device reaches its own public port, and others', by the public address."""
    add(world, 8000, world.address("server"))
    add(world, 7000, world.address("box"))
    source = (world.address("server"), 0)
    assert ask_tcp(world.server, Lab.VPS6, 8000, source=source)[0] == "server"
    assert ask_tcp(world.box, Lab.VPS6, 8000) == ("server", world.address("box"))
    assert ask_tcp(world.laptop, Lab.VPS6, 8000) == ("server", world.address("laptop"))
    assert ask_tcp(world.laptop, world.address("box"), 7000) == ("box", world.address("laptop"))
    assert unreachable(world.laptop, world.address("box"), 7001)
    assert ask_tcp(world.vps, Lab.VPS6, 8000)[0] == "server"


def test_hairpins_within_and_by_udp(world):
    """From a neighbour in the subnet, over UDP, and by a pinhole whose port is another inside."""
    server, box, phone = (world.address(name) for name in ("server", "box", "phone"))
    add(world, 8000, server)
    world.tunnel.cli("port-forward", "add", f"[{box}]:443", f"[{box}]:7000")
    assert ask_udp(world.server, Lab.VPS6, 8000, source=(server, 0))[0] == "server"
    assert ask_udp(world.box, Lab.VPS6, 8000) == ("server", box)
    for ask in (ask_tcp, ask_udp):
        assert ask(world.laptop, box, 443) == ("box", world.address("laptop"))
        # The phone's configuration leads the subnet alone into the tunnel; this address is another.
        world.phone.ip("-6", "route", "replace", Lab.VPS6, "dev", "wg0")
        assert ask(world.phone, Lab.VPS6, 8000, source=(phone, 0)) is None  # ... nor is it in AllowedIPs
    world.phone.run("wg", "set", "wg0", "peer", world.peers["phone"].config["Peer"]["PublicKey"],
                    "allowed-ips", f"10.59.37.0/24,{world.network(HOME)}/64,{Lab.VPS6}/128")
    try:
        for ask in (ask_tcp, ask_udp):
            assert ask(world.phone, Lab.VPS6, 8000, source=(phone, 0)) == ("server", phone)
    finally:
        world.phone.run("wg", "set", "wg0", "peer", world.peers["phone"].config["Peer"]["PublicKey"],
                        "allowed-ips", f"10.59.37.0/24,{world.network(HOME)}/64")
        world.phone.ip("-6", "route", "delete", Lab.VPS6, "dev", "wg0")


def test_isolation_holds_where_forwards_are(world):
    """A forward lets in its own port by its public address, not the device's address nor its neighbours."""
    add(world, 8000, world.address("server"))
    add(world, 7000, world.address("box"))
    assert unreachable(world.laptop, world.address("server"), 7000)
    assert unreachable(world.box, world.address("server"), 7000)
    assert unreachable(world.box, world.address("phone"), 7000)
    assert unreachable(world.server, world.address("box"), 7001)
    assert world.box.try_run("ping", "-6", "-n", "-c", "1", "-W", "1", world.address("server"))[0] != 0
    assert world.phone.try_run("ping", "-6", "-n", "-c", "1", "-W", str(int(5 * PATIENCE)),
                               world.address("server"))[0] == 0


def test_forwards_follow_the_network(world):
    """Their devices' addresses change with it; without IPv6 they go."""
    world.call("device.add", HOME, name="Extra", ip="10.59.37.9")  # one that never joins
    add(world, 8000, world.network(HOME) + "9")
    add(world, 7000, world.address("box"))
    world.call("subnet.set-ipv6", GLOBAL, ipv6="2001:db8:d:2::/64")
    forwards = world.tunnel.call("db.dump", pointer="/portForwards6")["value"]
    assert forwards["[2001:db8:d:2::2]:7000"]["target"] == "[2001:db8:d:2::2]:7000"
    assert len(forwards) == 2
    assert differences(world.tunnel) == []
    world.call("subnet.set-ipv6", GLOBAL, ipv6="off")
    assert len(world.tunnel.call("db.dump", pointer="/portForwards6")["value"]) == 1
    world.call("device.remove", HOME, ip="10.59.37.9")
    assert world.tunnel.call("db.dump", pointer="/portForwards6")["value"] is None
    assert differences(world.tunnel) == []


@pytest.mark.parametrize("external, target, params, what", [
    (8000, "[fd99::2]:80", {}, "target: "),
    (8000, "[2001:db8:d:1::9]:80", {}, "target: "),
    (0, f"[{PREFIX}2]:80", {}, "externalPort: "),
    ("[2001:db8:9::9]:80", f"[{PREFIX}2]:80", {}, "externalPort: "),
    ("198.18.0.2:80", "10.59.37.2:80", {}, "externalPort: "),
    (65530, f"[{PREFIX}2]:80", {"count": 7}, "count: "),
    (7005, f"[{PREFIX}2]:7005", {}, "externalPort: "),
    (f"[{Lab.VPS6}]:51820", f"[{PREFIX}2]:80", {}, "externalPort: "),
])
def test_bad_forwards_are_refused(world, external, target, params, what):
    add(world, 7000, world.address("box"), count=10)
    before = world.tunnel.document()
    with pytest.raises(RpcError) as refused:
        world.tunnel.call("port-forward.add", externalPort=external, target=target, **params)
    assert refused.value.details.startswith(what)
    assert world.tunnel.document() == before


# Ports that devices open by themselves

def forwards6(world):
    return world.tunnel.call("db.dump", pointer="/portForwards6")["value"]


def test_pcp_opens_a_pinhole(world):
    """A device with an address of the internet: for itself, at its own port, until it says otherwise."""
    box, gateway, nonce = world.address("box"), PREFIX + "1", b"n" * 12
    with PcpClient(world.box, box, gateway) as client:
        assert client.announce().result == SUCCESS
        answer = client.map(7000, 9000, 600, nonce=nonce)
        assert (answer.result, answer.external, answer.address) == (SUCCESS, 7000, box)
        assert 0 < answer.lifetime <= 600
        assert ask_tcp(world.stranger, box, 7000) == ("box", Lab.STRANGER6)
        entry = forwards6(world)[f"[{box}]:7000"]
        assert entry["auto"] and entry["label"] == "PCP" and entry["lease"]["via"] == "pcp"
        assert client.map(7000, 7000, 600, UDP, nonce=nonce).result == SUCCESS
        assert len(forwards6(world)) == 1
        assert client.map(7000, 0, 0, nonce=nonce).result == SUCCESS
        assert forwards6(world) is not None  # UDP's
        assert client.map(7000, 0, 0, UDP, nonce=nonce).result == SUCCESS
    assert forwards6(world) is None
    assert unreachable(world.stranger, box, 7000)
    assert differences(world.tunnel) == []


def test_pcp_opens_a_port_of_this_machine(world):
    """A device with a unique local address."""
    server, gateway = world.address("server"), world.network(HOME) + "1"
    with PcpClient(world.server, server, gateway) as client:
        answer = client.map(7000, 8000)
        assert (answer.result, answer.external, answer.address) == (SUCCESS, 8000, Lab.VPS6)
        assert ask_tcp(world.stranger, Lab.VPS6, 8000) == ("server", Lab.STRANGER6)
        again = client.map(7000, 0)
        assert (again.result, again.external) == (SUCCESS, 8000)
        assert client.map(7001, 22, options=option(2, b"")).result == CANNOT_PROVIDE_EXTERNAL
        world.tunnel.call("device.set-auto-port-forward", subnet=HOME, ip="10.59.37.2",
                          enabled=False)
        assert forwards6(world) is None
        assert client.map(7000, 8000).result == NOT_AUTHORIZED
    assert unreachable(world.stranger, Lab.VPS6, 8000)


def test_pcp_is_for_oneself_alone(world):
    """Nobody else's address, no THIRD_PARTY, no other subnet's gateway, and no port that is taken."""
    box, gateway = world.address("box"), PREFIX + "1"
    add(world, 8000, world.address("phone"))
    with PcpClient(world.box, box, gateway) as client:
        assert client.map(7000, 7000, address=PREFIX + "9").result == ADDRESS_MISMATCH
        third = option(1, mapped(world.address("server")))
        assert client.map(7000, 7000, options=third).result == 5  # UNSUPP_OPTION
    assert list(forwards6(world)) == [f"[{Lab.VPS6}]:8000"]
    with PcpClient(world.laptop, world.address("laptop"), world.network(HOME) + "1") as client:
        assert client.ask(client.request(7000, 7000), tries=1) is None
    with PcpClient(world.server, world.address("server"), world.network(HOME) + "1") as client:
        assert client.map(7000, 8000).result == NO_RESOURCES


def test_pcp_leases_end_and_survive_a_restart(world):
    box = world.address("box")
    with PcpClient(world.box, box, PREFIX + "1") as client, client.listen() as unasked:
        assert client.map(7000, 7000, 3).result == SUCCESS
        assert client.map(7001, 7001, 3600).result == SUCCESS
        world.tunnel.kill()
        world.tunnel.start()
        data, sender = unasked.recvfrom(2048)  # it is told of the restart
        assert data[:8] == b"\x02\x80" + bytes(6) and sender[:2] == (PREFIX + "1", 5351)
        wait_until(lambda: list(forwards6(world)) == [f"[{box}]:7001"], "the lease ends", 20)
    assert ask_tcp(world.stranger, box, 7001) == ("box", Lab.STRANGER6)
    assert differences(world.tunnel) == []


# The machine

def test_the_machines_own_route_survives(world):
    """Routers take no routes from others: but this one has its own from its provider."""
    assert world.vps.sysctl("net.ipv6.conf.all.forwarding") == "1"
    assert world.vps.sysctl("net.ipv6.conf.eth0.accept_ra") == "2"


@pytest.mark.parametrize("change", [
    ("ip", "-6", "address", "flush", "dev", INTERFACE),
    ("ip", "-6", "route", "flush", "dev", INTERFACE),
    ("ip", "-6", "address", "add", "fd99::1/64", "dev", INTERFACE),
    ("nft", "flush", "set", "inet", "start_tunnel", "subnets6"),
    ("nft", "delete", "table", "inet", "start_tunnel"),
    ("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=0"),
    ("sysctl", "-q", "-w", f"net.ipv6.conf.{INTERFACE}.disable_ipv6=1"),
    ("ip", "link", "set", INTERFACE, "mtu", "1200"),  # below what IPv6 needs: its addresses go with it
])
def test_drift_is_repaired(world, change):
    before = world.tunnel.call("status")["drift"]["repaired"]
    world.vps.run(*change)
    wait_until(lambda: world.tunnel.call("status")["drift"]["repaired"] > before, "a repair", 40)
    wait_until(lambda: differences(world.tunnel) == [], "everything is as before", 40)
    assert ask_tcp(world.box, Lab.STRANGER6, 7000) == ("stranger", world.address("box"))


def test_kill_and_restart_keep_flows(world):
    with Conversation(world.box, Lab.STRANGER6, 7000) as routed, \
            Conversation(world.phone, world.address("server"), 7000) as inside:
        routed.say()
        inside.say()
        world.tunnel.kill()
        routed.say()
        inside.say()
        world.tunnel.start()
        routed.say()
        inside.say()
    assert world.tunnel.call("status")["drift"]["found"] == 0
    assert differences(world.tunnel) == []
