"""The main job: who reaches whom through the tunnel, and as whom."""

import contextlib
import re
import socket
import struct
import threading

import pytest

from conftest import SUBNET
from lab import Lab, wait_until
from traffic import Conversation, ask_tcp, ask_udp, fetch
from wireguard_peer import join_by_wg_quick, parse_config

SERVER, PHONE, LAPTOP = "10.59.37.2", "10.59.37.3", "10.60.0.2"
UNREACHABLE_S = 0.6  # how long a test waits for an answer that must not come


# Devices

def test_devices_are_seen_at_their_carriers_addresses(world):
    endpoints = {peer["allowed"][0]: peer["endpoint"].split(":")[0]
                 for peer in world.tunnel.wg_dump()["peers"].values()}
    assert endpoints == {f"{SERVER}/32": Lab.CARRIER, f"{PHONE}/32": Lab.MOBILE,
                         f"{LAPTOP}/32": "198.18.4.2"}


def test_configuration_is_byte_for_byte_that_of_the_specification(world):
    document = world.tunnel.document()
    client = document["wg"]["subnets"][SUBNET]["clients"][SERVER]
    key = world.vps.run("wg", "pubkey", input=document["wg"]["key"] + "=\n").strip()
    assert world.config[SERVER] == f"""# StartTunnel config for Server

[Interface]
Address = {SERVER}/24
PrivateKey = {client["key"]}=
DNS = 10.59.37.1

[Peer]
PublicKey = {key}
PresharedKey = {client["psk"]}=
AllowedIPs = 10.59.37.0/24
Endpoint = {Lab.VPS}:51820
PersistentKeepalive = 25
"""


def test_stated_endpoint_is_used_where_it_can_be_reached(world):
    def endpoint(address):
        text = world.tunnel.call("device.show-config", subnet=SUBNET, ip=SERVER, wanAddr=address)
        return parse_config(text)["Peer"]["Endpoint"]

    assert endpoint("198.18.0.3") == "198.18.0.3:51820"
    assert endpoint("2001:db8::5") == "[2001:db8::5]:51820"
    assert endpoint("192.168.1.1") == f"{Lab.VPS}:51820"
    assert endpoint("127.0.0.1") == f"{Lab.VPS}:51820"


def test_devices_of_a_subnet_reach_each_other(world):
    assert ask_tcp(world.phone, SERVER, 7000) == ("server", PHONE)
    assert ask_udp(world.phone, SERVER, 7000) == ("server", PHONE)
    assert ask_tcp(world.server, PHONE, 7000, source=(SERVER, 0)) == ("phone", SERVER)


def test_subnets_are_isolated_in_the_firewall(world):
    assert world.laptop.ping("10.60.0.1", 3), "the laptop's tunnel must work for this test"
    assert ask_tcp(world.laptop, SERVER, 7000, UNREACHABLE_S) is None
    assert ask_udp(world.laptop, SERVER, 7000, UNREACHABLE_S) is None
    assert not world.laptop.ping(SERVER, UNREACHABLE_S)
    assert ask_tcp(world.server, LAPTOP, 22, UNREACHABLE_S, source=(SERVER, 0)) is None
    assert not world.laptop.ping(PHONE, UNREACHABLE_S)


def test_another_subnets_forward_does_not_open_the_private_address(world):
    world.forward(8080, f"{SERVER}:7000")
    assert ask_tcp(world.laptop, SERVER, 7000, UNREACHABLE_S) is None
    assert ask_tcp(world.laptop, Lab.VPS, 8080, source=("198.18.4.2", 0)) == \
        ("server", "198.18.4.2")


def test_device_cannot_take_another_devices_address(world):
    """The source of what comes out of the tunnel is checked against the peer it came from."""
    world.phone.ip("address", "add", "10.59.37.99/32", "dev", "wg0")
    try:
        assert ask_udp(world.phone, SERVER, 7000, UNREACHABLE_S, source=("10.59.37.99", 0)) is None
    finally:
        world.phone.ip("address", "delete", "10.59.37.99/32", "dev", "wg0")
    assert ask_udp(world.phone, SERVER, 7000) == ("server", PHONE)


def test_edits_do_not_interrupt_other_devices(world):
    """Devices, subnets and forwards come and go; nothing is lost on a connection beside them."""
    index = world.tunnel.link_index()
    with world.tunnel.rpc() as rpc, Conversation(world.phone, SERVER, 7000) as conversation:
        before = {key: peer["handshake"] for key, peer in world.tunnel.wg_dump()["peers"].items()}
        for round in range(5):
            rpc.call("subnet.add", subnet=f"10.70.{round}.1/24", name="short")
            conversation.say(1)
            rpc.call("device.add", subnet=f"10.70.{round}.1/24", name="short")
            conversation.say(1)
            rpc.call("port-forward.add", externalPort=4000, target=f"10.70.{round}.2:80")
            conversation.say(1)
            rpc.call("device.remove", subnet=f"10.70.{round}.1/24", ip=f"10.70.{round}.2")
            conversation.say(1)
            rpc.call("subnet.remove", subnet=f"10.70.{round}.1/24")
            conversation.say(1)
        after = {key: peer["handshake"] for key, peer in world.tunnel.wg_dump()["peers"].items()}
    assert world.tunnel.link_index() == index
    assert after.keys() == before.keys()
    assert all(after[key] >= before[key] > 0 for key in before), "a session was lost"


def test_removed_device_is_cut_off_and_a_new_one_joins(world, lab):
    world.tunnel.call("device.add", subnet=SUBNET, name="Tablet", ip="10.59.37.50")
    config = world.tunnel.call("device.show-config", subnet=SUBNET, ip="10.59.37.50")
    peer = join_by_wg_quick(lab.stranger, config, "tablet")
    try:
        peer.wait_for_handshake()
        assert ask_tcp(lab.stranger, SERVER, 7000) == ("server", "10.59.37.50")
        world.tunnel.call("device.remove", subnet=SUBNET, ip="10.59.37.50")
        assert ask_tcp(lab.stranger, SERVER, 7000, UNREACHABLE_S) is None
    finally:
        peer.leave()


def test_device_roams_to_another_address(world):
    """The phone's carrier gives it another public address in the middle of a connection."""
    mobile = world.lab.mobile
    with Conversation(world.phone, SERVER, 7000) as conversation:
        conversation.say()
        mobile.ip("address", "add", "198.18.2.77/24", "dev", "eth0")
        mobile.run("nft", "flush", "chain", "inet", "nat", "postrouting")
        mobile.run("nft", "add", "rule", "inet", "nat", "postrouting", "oifname", "eth0",
                   "snat", "ip", "to", "198.18.2.77")
        mobile.run("conntrack", "-F")
        try:
            conversation.say()
            endpoints = [peer["endpoint"] for peer in world.tunnel.wg_dump()["peers"].values()]
            assert any(endpoint.startswith("198.18.2.77:") for endpoint in endpoints)
        finally:
            mobile.run("nft", "flush", "chain", "inet", "nat", "postrouting")
            mobile.run("nft", "add", "rule", "inet", "nat", "postrouting", "oifname", "eth0",
                       "masquerade")
            mobile.ip("address", "delete", "198.18.2.77/24", "dev", "eth0")
            mobile.run("conntrack", "-F")
        conversation.say()


# Forwards

def test_stranger_reaches_the_server_with_its_own_address(world):
    assert ask_tcp(world.stranger, Lab.VPS, 8080, UNREACHABLE_S) is None
    world.forward(8080, f"{SERVER}:80")
    assert fetch(world.stranger, Lab.VPS, 8080) == f"This is server. You are {Lab.STRANGER}.\n"


def test_forward_carries_tcp_and_udp(world):
    world.forward(8000, f"{SERVER}:7000")
    assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)
    assert ask_udp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)


def test_device_on_the_internet_side_keeps_its_address(world):
    """The phone reaches the public port by its carrier: the server sees the carrier's address."""
    world.forward(8000, f"{SERVER}:7000")
    assert ask_tcp(world.phone, Lab.VPS, 8000) == ("server", Lab.MOBILE)


def test_forward_answers_on_its_own_address_alone(world):
    world.forward(8000, f"{SERVER}:7000")
    assert ask_tcp(world.stranger, Lab.VPS, 8000) is not None
    assert ask_tcp(world.stranger, Lab.VPS_SECOND, 8000, UNREACHABLE_S) is None


def test_range_with_equal_ports(world):
    world.forward(7000, f"{SERVER}:7000", count=4)
    for port in range(7000, 7004):
        assert ask_tcp(world.stranger, Lab.VPS, port) == ("server", Lab.STRANGER)
        assert ask_udp(world.stranger, Lab.VPS, port) == ("server", Lab.STRANGER)
    assert ask_tcp(world.stranger, Lab.VPS, 7004, UNREACHABLE_S) is None


def test_range_with_other_ports_keeps_the_order(world):
    world.forward(20000, f"{SERVER}:7000", count=4)
    for offset in range(4):
        with Conversation(world.stranger, Lab.VPS, 20000 + offset) as conversation:
            assert conversation.say() == ("server", Lab.STRANGER)
            connections = world.server.run("ss", "-Htn", "state", "established",
                                           f"sport = :{7000 + offset}")
            assert Lab.STRANGER in connections
    assert ask_tcp(world.stranger, Lab.VPS, 20004, UNREACHABLE_S) is None


def test_whole_range_of_ports(world):
    """The largest range there is, up to the last port, in one command."""
    world.forward(52000, f"{SERVER}:1000", count=13536)
    assert ask_tcp(world.stranger, Lab.VPS, 52000 + 6000) == ("server", Lab.STRANGER)
    assert ask_udp(world.stranger, Lab.VPS, 52000 + 8000) == ("server", Lab.STRANGER)
    world.tunnel.call("port-forward.remove", source=f"{Lab.VPS}:52000")
    assert ask_tcp(world.stranger, Lab.VPS, 52000 + 6000, UNREACHABLE_S) is None


def test_two_public_ports_lead_to_one_server_port(world):
    """80 beside 443 is the usual case."""
    world.forward(443, f"{SERVER}:7000")
    world.forward(80, f"{SERVER}:7000")
    assert ask_tcp(world.stranger, Lab.VPS, 443) == ("server", Lab.STRANGER)
    assert ask_tcp(world.stranger, Lab.VPS, 80) == ("server", Lab.STRANGER)
    world.tunnel.call("port-forward.remove", source=f"{Lab.VPS}:80")
    assert ask_tcp(world.stranger, Lab.VPS, 443) == ("server", Lab.STRANGER)
    assert ask_tcp(world.stranger, Lab.VPS, 80, UNREACHABLE_S) is None


def test_only_translated_connections_pass(world):
    """Routed to the server's private address and port from outside: dropped, forward or not."""
    world.forward(8000, f"{SERVER}:7000")
    world.lab.internet.ip("route", "add", "10.59.37.0/24", "via", Lab.VPS)
    try:
        assert ask_tcp(world.stranger, SERVER, 7000, UNREACHABLE_S) is None
        assert ask_udp(world.stranger, SERVER, 7000, UNREACHABLE_S) is None
    finally:
        world.lab.internet.ip("route", "delete", "10.59.37.0/24", "via", Lab.VPS)


def test_removed_forward_ends_open_flows(world):
    """TCP and UDP flows of a removed forward stop at once: their conntrack entries are flushed."""
    world.forward(8000, f"{SERVER}:7000")
    world.forward(8001, f"{SERVER}:7001")
    with Conversation(world.stranger, Lab.VPS, 8000) as removed, \
            Conversation(world.stranger, Lab.VPS, 8001) as kept, \
            UdpFlow(world.stranger, Lab.VPS, 8000) as flow:
        removed.say()
        kept.say()
        assert flow.ask() == "server"
        world.tunnel.call("port-forward.remove", source=f"{Lab.VPS}:8000")
        with pytest.raises(OSError):
            removed.say(UNREACHABLE_S)
        assert flow.ask(UNREACHABLE_S) is None
        kept.say()
    assert not translated(world, 8000)


def test_removed_forward_takes_more_flows_along_than_are_looked_at_at_once(world):
    """Those of another forward, which stand among them, are kept."""
    world.forward(8000, f"{SERVER}:7000")
    world.forward(8001, f"{SERVER}:7001")
    with contextlib.ExitStack() as stack:
        flows = [stack.enter_context(world.stranger.socket(kind=socket.SOCK_DGRAM))
                 for _ in range(1200)]

        def are_known():
            """So many datagrams at once may be too many for a queue on their way."""
            for number, flow in enumerate(flows):
                flow.sendto(b"word\n", (Lab.VPS, 8001 if number % 4 == 0 else 8000))
            return len(translated(world, 8000)) >= 900 and len(translated(world, 8001)) >= 300

        wait_until(are_known, "all flows are known")
        world.tunnel.call("port-forward.remove", source=f"{Lab.VPS}:8000")
        wait_until(lambda: not translated(world, 8000), "the flows of the removed forward are gone")
        assert len(translated(world, 8001)) >= 300


def test_repointed_forward_flushes_conntrack(world):
    """The same public port leads elsewhere: an established UDP flow follows at once."""
    world.forward(8000, f"{SERVER}:7000")
    with UdpFlow(world.stranger, Lab.VPS, 8000) as flow:
        assert flow.ask() == "server"
        world.tunnel.call("db.apply", expr=f'.portForwards["{Lab.VPS}:8000"].target = "{PHONE}:7000"')
        # The phone has no way back for a stranger's address; what matters is who is asked.
        assert flow.ask(UNREACHABLE_S) is None
        assert {entry[1] for entry in translated(world, 8000)} == {PHONE}


def test_flow_that_was_there_before_its_forward_is_taken_along(world):
    """A client keeps sending from one port while the forward is made, disabled, enabled."""
    source = f"{Lab.VPS}:8000"
    with UdpFlow(world.stranger, Lab.VPS, 8000) as flow:
        assert flow.ask(UNREACHABLE_S) is None
        world.forward(8000, f"{SERVER}:7000")
        assert flow.ask() == "server"
        world.tunnel.call("port-forward.set-enabled", source=source, enabled=False)
        assert flow.ask(UNREACHABLE_S) is None
        world.tunnel.call("port-forward.set-enabled", source=source, enabled=True)
        assert flow.ask() == "server"


def test_disabled_and_enabled(world):
    source = f"{Lab.VPS}:8000"
    world.forward(8000, f"{SERVER}:7000", count=3)
    with Conversation(world.stranger, Lab.VPS, 8001) as conversation:
        conversation.say()
        world.tunnel.call("port-forward.set-enabled", source=source, enabled=False)
        with pytest.raises(OSError):
            conversation.say(UNREACHABLE_S)
    for port in (8000, 8001, 8002):
        assert ask_tcp(world.stranger, Lab.VPS, port, UNREACHABLE_S) is None
    world.tunnel.call("port-forward.set-enabled", source=source, enabled=True)
    for port in (8000, 8001, 8002):
        assert ask_tcp(world.stranger, Lab.VPS, port) == ("server", Lab.STRANGER)


def test_label_changes_without_touching_connections(world):
    world.forward(8000, f"{SERVER}:7000", label="old")
    with Conversation(world.stranger, Lab.VPS, 8000) as conversation:
        conversation.say()
        world.tunnel.call("port-forward.update-label", source=f"{Lab.VPS}:8000", label="new")
        conversation.say()
    assert world.tunnel.forwards()[f"{Lab.VPS}:8000"]["label"] == "new"


def test_forwards_go_with_their_device(world):
    world.tunnel.call("device.add", subnet=SUBNET, name="Short", ip="10.59.37.60")
    world.forward(8000, "10.59.37.60:80")
    world.forward(8001, f"{SERVER}:7001")
    world.tunnel.call("device.remove", subnet=SUBNET, ip="10.59.37.60")
    assert list(world.tunnel.forwards()) == [f"{Lab.VPS}:8001"]
    assert ask_tcp(world.stranger, Lab.VPS, 8001) == ("server", Lab.STRANGER)


# Hairpins

def test_the_vps_reaches_its_own_public_port(world):
    world.forward(8000, f"{SERVER}:7000")
    assert ask_tcp(world.vps, Lab.VPS, 8000) == ("server", "10.59.37.1")
    assert ask_udp(world.vps, Lab.VPS, 8000) == ("server", "10.59.37.1")


@pytest.mark.parametrize("count", [1, 3])
def test_a_device_reaches_its_own_public_port_through_the_tunnel(world, count):
    world.forward(8000, f"{SERVER}:7000", count=count)
    for port in range(8000, 8000 + count):
        assert ask_tcp(world.server, Lab.VPS, port, source=(SERVER, 0)) == ("server", "10.59.37.1")
        assert ask_udp(world.server, Lab.VPS, port, source=(SERVER, 0)) == ("server", "10.59.37.1")


# What leaves for the internet

def test_egress_is_masqueraded(world):
    assert ask_tcp(world.server, Lab.STRANGER, 7000, source=(SERVER, 0)) == ("stranger", Lab.VPS)
    assert ask_udp(world.server, Lab.STRANGER, 7000, source=(SERVER, 0)) == ("stranger", Lab.VPS)


def test_egress_of_device_outranks_that_of_subnet(world):
    def seen():
        answers = {ask_tcp(world.server, Lab.STRANGER, 7000, source=(SERVER, 0)),
                   ask_udp(world.server, Lab.STRANGER, 7000, source=(SERVER, 0))}
        assert len(answers) == 1
        return answers.pop()[1]

    world.tunnel.call("subnet.set-wan", subnet=SUBNET, wanIp=Lab.VPS_SECOND)
    assert seen() == Lab.VPS_SECOND
    world.tunnel.call("device.set-wan", subnet=SUBNET, ip=SERVER, wanIp=Lab.VPS)
    assert seen() == Lab.VPS
    world.tunnel.call("device.set-wan", subnet=SUBNET, ip=SERVER)
    assert seen() == Lab.VPS_SECOND
    world.tunnel.call("subnet.set-wan", subnet=SUBNET)
    assert seen() == Lab.VPS


def test_forwards_follow_the_wan_address(world):
    """set-wan re-keys the forwards of the device, and old ones stop answering."""
    world.forward(8000, f"{SERVER}:7000", label="kept")
    world.forward(8001, f"{PHONE}:7000")
    world.tunnel.call("device.set-wan", subnet=SUBNET, ip=SERVER, wanIp=Lab.VPS_SECOND)
    forwards = world.tunnel.forwards()
    assert sorted(forwards) == [f"{Lab.VPS}:8001", f"{Lab.VPS_SECOND}:8000"]
    assert forwards[f"{Lab.VPS_SECOND}:8000"]["label"] == "kept"
    assert ask_tcp(world.stranger, Lab.VPS_SECOND, 8000) == ("server", Lab.STRANGER)
    assert ask_tcp(world.stranger, Lab.VPS, 8000, UNREACHABLE_S) is None
    world.tunnel.call("device.set-wan", subnet=SUBNET, ip=SERVER)
    assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)
    assert ask_tcp(world.stranger, Lab.VPS_SECOND, 8000, UNREACHABLE_S) is None


def test_new_forwards_use_the_devices_wan_address(world):
    world.tunnel.call("subnet.set-wan", subnet=SUBNET, wanIp=Lab.VPS_SECOND)
    world.forward(8000, f"{SERVER}:7000")
    assert list(world.tunnel.forwards()) == [f"{Lab.VPS_SECOND}:8000"]
    assert ask_tcp(world.stranger, Lab.VPS_SECOND, 8000) == ("server", Lab.STRANGER)
    config = world.tunnel.call("device.show-config", subnet=SUBNET, ip=SERVER)
    assert parse_config(config)["Peer"]["Endpoint"] == f"{Lab.VPS_SECOND}:51820"


def test_colliding_rekey_is_refused(world):
    """Upstream loses one of two forwards that come to the same key; here nothing changes."""
    world.tunnel.call("device.set-wan", subnet=SUBNET, ip=PHONE, wanIp=Lab.VPS_SECOND)
    world.forward(8000, f"{SERVER}:7000")
    world.forward(8000, f"{PHONE}:7000")
    before = world.tunnel.document()
    with pytest.raises(Exception, match="8000"):
        world.tunnel.call("device.set-wan", subnet=SUBNET, ip=PHONE)
    assert world.tunnel.document() == before
    assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)


def test_mss_is_clamped_to_the_tunnel(world):
    """A stranger with an MTU of 1500 offers an MSS of 1460; the server is offered what fits."""
    world.forward(8000, f"{SERVER}:7000")
    with SynWatch(world.server, "wg0") as watch:
        assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)
        assert watch.mss() == 1420 - 40


def test_large_transfers_cross_the_tunnel(world):
    """16 MiB each way, byte for byte, through a forward."""
    world.forward(8000, f"{SERVER}:7100")
    size = 16 << 20
    listener = world.server.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", 7100))
    listener.listen()
    block = bytes(range(256)) * 256

    def echo():
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(1 << 18):
                connection.sendall(data)

    def send(connection):
        for _ in range(size // len(block)):
            connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)

    server = threading.Thread(target=echo, daemon=True)
    server.start()
    with listener, world.stranger.connect(Lab.VPS, 8000) as connection:
        connection.settimeout(60)
        sender = threading.Thread(target=send, args=(connection,), daemon=True)
        sender.start()
        received = bytearray()
        while data := connection.recv(1 << 18):
            received += data
        sender.join()
    server.join()
    assert len(received) == size
    assert bytes(received) == block * (size // len(block))


def translated(world, port):
    """Connections to a public port that conntrack sends elsewhere: (client, target)."""
    found = []
    for line in world.tunnel.conntrack():
        sources, destinations = re.findall(r"src=(\S+)", line), re.findall(r"dst=(\S+)", line)
        if f"dport={port} " in line and len(sources) == 2 and sources[1] != destinations[0]:
            found.append((sources[0], sources[1]))
    return found


class UdpFlow:
    """One UDP flow: always the same source port."""

    def __init__(self, host, address, port):
        self._socket = host.socket(kind=socket.SOCK_DGRAM)
        self._socket.connect((address, port))
        self._count = 0

    def ask(self, timeout_s=3.0):
        """Name of who answers, or None."""
        self._count += 1
        word = f"word{self._count}\n".encode()
        self._socket.settimeout(0.2)
        answers = []

        def exchange():
            try:
                self._socket.send(word)
                data = self._socket.recv(4096)
                if data.endswith(word):
                    answers.append(data.decode().split(" ")[0])
            except OSError:
                pass
            return answers

        try:
            return wait_until(exchange, "an answer", timeout_s)[0]
        except TimeoutError:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


# Traffic of forwards

def traffic_of(world, port):
    """(bytes from the device, bytes to it) of a forward, as status has them."""
    source = f"{Lab.VPS}:{port}"
    row = next(row for row in world.tunnel.call("status")["forwards"] if row["source"] == source)
    return row["rxBytes"], row["txBytes"]


def check_traffic(world, port, expected):
    """Counters are read again after twenty times as long as reading them took."""
    wait_until(lambda: traffic_of(world, port) == expected, f"{expected} are counted on port {port}")


def exchange(world, port, host=None, size=100):
    """One datagram there and one back. Returns (bytes back, bytes there), with their IP and UDP headers."""
    with (host or world.stranger).socket(kind=socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.sendto(b"x" * (size - 1) + b"\n", (Lab.VPS, port))
        return 28 + len(sock.recv(4096)), 28 + size


def plus(*counts):
    return tuple(sum(column) for column in zip(*counts))


def test_every_byte_through_a_forward_is_counted(world):
    world.forward(8080, f"{SERVER}:7000")
    world.forward(8090, f"{SERVER}:7000", count=4)
    assert traffic_of(world, 8080) == traffic_of(world, 8090) == (0, 0)
    one = plus(exchange(world, 8080), exchange(world, 8080, size=1000))
    check_traffic(world, 8080, one)
    assert traffic_of(world, 8090) == (0, 0)
    # The ports of a range count together; devices that come back through the public address count too.
    many = plus(*(exchange(world, 8090 + number) for number in range(4)),
                exchange(world, 8091, host=world.phone))
    check_traffic(world, 8090, many)
    check_traffic(world, 8080, one)
    with Conversation(world.stranger, Lab.VPS, 8080) as conversation:
        conversation.say()
        wait_until(lambda: all(now > before + 2 * 40
                               for now, before in zip(traffic_of(world, 8080), one)),
                   "a connection is counted while it lasts")


def test_counters_go_on_whatever_happens_around_them(world):
    world.forward(8080, f"{SERVER}:7000")
    counted = exchange(world, 8080)
    check_traffic(world, 8080, counted)
    # Edits of others, and of the forward's own label.
    world.forward(8081, f"{SERVER}:7001")
    world.tunnel.call("port-forward.update-label", source=f"{Lab.VPS}:8080", label="Counted")
    world.tunnel.call("port-forward.remove", source=f"{Lab.VPS}:8081")
    world.tunnel.call("device.set-kind", subnet=SUBNET, ip=SERVER, kind="client")
    check_traffic(world, 8080, counted)
    # A repair that replaces the whole table.
    drift = world.tunnel.call("status")["drift"]["repaired"]
    world.vps.run("nft", "flush", "chain", "inet", "start_tunnel", "clamp")
    wait_until(lambda: world.tunnel.call("status")["drift"]["repaired"] > drift, "the repair", 30)
    check_traffic(world, 8080, counted)
    counted = plus(counted, exchange(world, 8080))
    check_traffic(world, 8080, counted)
    # Another run of the daemons.
    world.tunnel.stop()
    world.tunnel.start()
    check_traffic(world, 8080, counted)
    counted = plus(counted, exchange(world, 8080))
    check_traffic(world, 8080, counted)
    # A forward that is made anew begins anew.
    world.tunnel.call("port-forward.set-enabled", source=f"{Lab.VPS}:8080", enabled=False)
    world.tunnel.call("port-forward.set-enabled", source=f"{Lab.VPS}:8080", enabled=True)
    check_traffic(world, 8080, (0, 0))


class SynWatch:
    """Sees the TCP SYN packets that come in on an interface without link-layer header."""

    def __init__(self, host, interface):
        self._socket = host.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self._socket.bind((interface, 0x0800))
        self._socket.settimeout(3)

    def mss(self):
        """The MSS that the first SYN without ACK offers."""
        while True:
            packet = self._socket.recv(65536)
            tcp = packet[(packet[0] & 15) * 4:]
            if packet[9] != 6 or tcp[13] & 0x12 != 0x02:
                continue
            options = tcp[20:(tcp[12] >> 4) * 4]
            while options and options[0] != 0:
                if options[0] == 1:
                    options = options[1:]
                elif options[0] == 2:
                    return struct.unpack(">H", options[2:4])[0]
                else:
                    options = options[options[1]:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()
