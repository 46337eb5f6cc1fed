"""start-wg as a program of its own, with Debian's wireguard-go and wg on the other side."""

import base64
import errno
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from lab import PATIENCE, Host, link, wait_until
from product import BUILD_DIR, is_sanitized, program
from wg_pair import (INTERFACE, PORT, End, Pair, check_both_ways, connection, ping, transfer,
                     wait_for_ping)

SOCKET = f"/run/wireguard/{INTERFACE}.sock"


@pytest.fixture
def pair():
    with Pair() as pair:
        yield pair
        assert pair.a.pid()


@pytest.fixture
def end():
    """A start-wg alone."""
    end = End(1)
    end.start_wg()
    yield end
    end.host.close()


def uapi(end, request):
    """One request on the configuration socket; the whole answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(end.host.path(SOCKET))
        client.sendall(request)
        answer = b""
        while not answer.endswith(b"\n\n"):
            part = client.recv(65536)
            assert part, answer
            answer += part
        return answer.decode()


# Packets


@pytest.mark.parametrize("outer", [4, 6])
def test_both_families_inside_and_outside(outer):
    with Pair(outer=outer) as pair:
        for family in (4, 6):
            for size in (0, 56, 1300, 4000):
                ping(pair.a, pair.b, family, size)
                ping(pair.b, pair.a, family, size)
        check_both_ways(pair)
        assert pair.a.peer(pair.b)["endpoint"] == pair.endpoint(pair.b)


def link_local(end):
    """Its own address on the cable, as an endpoint for the other end, whose cable has the same name."""
    found = end.host.json("ip", "-json", "-6", "address", "show", "dev", "e0", "scope", "link")
    address, = (entry["local"] for entry in found[0]["addr_info"] if "local" in entry)
    return f"[{address}%e0]:{PORT}"


@pytest.mark.parametrize("other", ["wireguard-go", "start-wg"])
def test_link_local_endpoints(other):
    """wg names the interface in them; what it prints it takes back."""
    with Pair(other) as pair:
        pair.a.set("peer", pair.b.public_key, "endpoint", link_local(pair.b))
        check_both_ways(pair, 1 << 20)
        assert pair.a.peer(pair.b)["endpoint"] == link_local(pair.b)
        # Now the other end speaks first, from an address that nobody configured.
        pair.a.set("peer", pair.b.public_key, "remove")
        pair.a.add_peer(pair.b)
        pair.b.set("peer", pair.a.public_key, "remove")
        pair.b.add_peer(pair.a, link_local(pair.a))
        wait_for_ping(pair.b, pair.a)
        check_both_ways(pair, 1 << 20)
        shown = pair.a.wg("showconf", INTERFACE)
        assert f"Endpoint = {link_local(pair.b)}\n" in shown
        pair.a.host.write_file("/run/again.conf", shown)
        for way in ("syncconf", "setconf"):
            pair.a.wg(way, INTERFACE, "/run/again.conf")
            assert pair.a.wg("showconf", INTERFACE) == shown
        check_both_ways(pair, 1 << 16)


def test_an_endpoint_on_an_interface_that_is_not_there(pair):
    before = pair.a.wg("showconf", INTERFACE)
    request = f"set=1\npublic_key={'0' * 64}\nendpoint=[fe80::1%none]:5\n\n"
    assert uapi(pair.a, request.encode()) == f"errno={-errno.ENODEV}\n\n"
    assert pair.a.wg("showconf", INTERFACE) == before


@pytest.mark.parametrize("mtu", [1280, 1420, 9000])
def test_mtu(pair, mtu):
    for end in (pair.a, pair.b):
        end.mtu(mtu)
    ping(pair.a, pair.b, 4, mtu - 28, 3)
    check_both_ways(pair)


@pytest.mark.parametrize("without", ["vnet-hdr", "tso", "uso", "coalesce", "gso", "gro",
                                     "vnet-hdr,gso,gro"])
def test_every_offload_can_be_missing(without):
    with Pair("start-wg", env={"START_WG_WITHOUT": without}) as pair:
        check_both_ways(pair)


def test_jumbo_tunnel_over_small_links_is_fragmented():
    with Pair("start-wg", outer=6) as pair:
        for end in (pair.a, pair.b):
            end.mtu(4000)
            end.host.ip("link", "set", "e0", "mtu", "1400")
        ping(pair.a, pair.b, 6, 3900, 3)
        check_both_ways(pair)


def test_udp_in_bulk_keeps_datagrams(pair):
    """Datagrams of one size in a run, which offloads join and part, and of all sizes."""
    sizes = [1000] * 200 + list(range(1, 1300, 7)) + [1372] * 100
    for client, server in ((pair.a, pair.b), (pair.b, pair.a)):
        with server.host.socket(kind=socket.SOCK_DGRAM) as receiver, \
                client.host.socket(kind=socket.SOCK_DGRAM) as sender:
            receiver.bind((server.inner, 7001))
            receiver.settimeout(10)
            sender.connect((server.inner, 7001))
            wait_for_ping(client, server)
            for at in range(0, len(sizes), 50):
                sent = [struct.pack("!I", i) * (sizes[i] // 4 + 1) for i in
                        range(at, min(at + 50, len(sizes)))]
                for data in sent:
                    sender.send(data)
                assert [receiver.recv(2000) for _ in sent] == sent


def test_iperf(pair):
    pair.b.host.start("iperf3", "-s", "-B", pair.b.inner)
    wait_until(lambda: pair.b.host.try_run("ss", "-Hltn", "sport = 5201")[1], "iperf3 listens")
    for arguments in (["-C", "cubic"], ["-R"], ["-u", "-b", "50M", "-l", "1200"]):
        result = pair.a.host.json("iperf3", "-J", "-c", pair.b.inner, "-n", "2M", *arguments)
        # Not counted is what the server has not read when it hears that the client is through.
        assert result["end"].get("sum_received", result["end"].get("sum"))["bytes"] > 1 << 16


def test_preshared_key():
    psk = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
    with Pair(psk=psk) as pair:
        check_both_ways(pair, 1 << 16)
        assert pair.a.peer(pair.b)["preshared_key"] == psk
        pair.a.set("peer", pair.b.public_key, "preshared-key", "/dev/null")
        assert pair.a.peer(pair.b)["preshared_key"] == "(none)"


def test_a_new_handshake_in_the_middle_of_a_connection(pair):
    with connection(pair.a, pair.b) as (one, other):
        transfer(one, other, 1 << 20)
        for _ in range(3):
            pair.b.set("peer", pair.a.public_key, "remove")
            pair.b.add_peer(pair.a, pair.endpoint(pair.a))
            transfer(other, one, 1 << 20)  # which begins with a handshake of b
            transfer(one, other, 1 << 20)


def test_peer_roams_to_another_port(pair):
    with connection(pair.a, pair.b) as (one, other):
        transfer(one, other, 1 << 16)
        for port in (5077, 5078):
            pair.b.set("listen-port", port)
            transfer(other, one, 1 << 20)
            assert pair.a.peer(pair.b)["endpoint"] == f"192.0.2.2:{port}"
            transfer(one, other, 1 << 20)


def test_peer_roams_to_another_address():
    """Both ends are ours: Debian's wireguard-go never lets go of an address that its host lost."""
    with Pair("start-wg") as pair, connection(pair.a, pair.b) as (one, other):
        transfer(one, other, 1 << 16)
        pair.b.host.ip("address", "add", "192.0.2.77/24", "dev", "e0")
        pair.b.host.ip("address", "delete", "192.0.2.2/24", "dev", "e0")
        transfer(other, one, 1 << 20)
        assert pair.a.peer(pair.b)["endpoint"] == f"192.0.2.77:{PORT}"
        transfer(one, other, 1 << 20)


def test_own_address_changes(pair):
    """The address that it answered from is taken away: it speaks from the next one."""
    with connection(pair.a, pair.b) as (one, other):
        transfer(one, other, 1 << 16)
        pair.a.host.ip("address", "add", "192.0.2.78/24", "dev", "e0")
        pair.a.host.ip("address", "delete", "192.0.2.1/24", "dev", "e0")
        pair.b.host.ip("neighbour", "flush", "dev", "e0")
        transfer(one, other, 1 << 20)
        transfer(other, one, 1 << 20)
        assert pair.b.peer(pair.a)["endpoint"] == f"192.0.2.78:{PORT}"


def test_answers_come_from_the_address_that_was_asked(pair):
    pair.a.host.ip("address", "add", "192.0.2.79/24", "dev", "e0")
    pair.b.set("peer", pair.a.public_key, "endpoint", f"192.0.2.79:{PORT}")
    ping(pair.b, pair.a)
    ping(pair.a, pair.b)
    assert pair.b.peer(pair.a)["endpoint"] == f"192.0.2.79:{PORT}"


FAR = {4: "203.0.113.2", 6: "2001:db8:f::2"}
UPLINKS = {4: (("192.0.2.1", "192.0.2.2"), ("198.51.100.1", "198.51.100.2")),
           6: (("2001:db8::1", "2001:db8::2"), ("2001:db8:1::1", "2001:db8:1::2"))}


def add_uplink(pair):
    """A second cable between both; `b` has an address that either leads to."""
    link(pair.a.host, "e1", "198.51.100.1/24", pair.b.host, "e1", "198.51.100.2/24")
    for end in (pair.a, pair.b):
        end.host.ip("-6", "address", "add", f"2001:db8:1::{end.number}/64", "dev", "e1", "nodad")
        for name in ("all", "e0", "e1"):
            end.host.set_sysctl(f"net.ipv4.conf.{name}.rp_filter", "0")
    pair.b.host.ip("address", "add", f"{FAR[4]}/32", "dev", "lo")
    pair.b.host.ip("-6", "address", "add", f"{FAR[6]}/128", "dev", "lo", "nodad")


def endpoint(address):
    return f"[{address}]:{PORT}" if ":" in address else f"{address}:{PORT}"


@pytest.mark.parametrize("family", [4, 6])
def test_the_source_goes_when_the_route_moves_to_an_uplink_that_does_not_take_it(family):
    """The address stays on the host, and nothing but silence says that it is of no use any more."""
    with Pair(outer=family) as pair:
        add_uplink(pair)
        pair.b.host.nft("""
            table inet t {
                chain c {
                    type filter hook input priority filter;
                    iifname "e1" ip saddr 192.0.2.1 drop
                    iifname "e1" ip6 saddr 2001:db8::1 drop
                }
            }""")

        def move(uplink):
            pair.a.host.ip(f"-{family}", "route", "replace", FAR[family], "via",
                           UPLINKS[family][uplink][1])

        def follows(uplink):
            return pair.a.host.ping(pair.b.inner, 0.3) and \
                pair.b.peer(pair.a)["endpoint"] == endpoint(UPLINKS[family][uplink][0])

        move(0)
        pair.a.set("peer", pair.b.public_key, "endpoint", endpoint(FAR[family]))
        ping(pair.a, pair.b)
        ping(pair.b, pair.a)
        for uplink in (1, 0, 1):
            move(uplink)
            wait_until(lambda: follows(uplink), "packets go by the other uplink", 4)


def test_the_source_stays_whatever_becomes_of_other_routes(pair):
    """Also where answers leave by another interface than what they answer came in by."""
    add_uplink(pair)
    pair.a.host.ip("route", "add", FAR[4], "via", "192.0.2.2")
    pair.b.set("peer", pair.a.public_key, "endpoint", "198.51.100.1:5000")
    pair.b.host.ip("route", "replace", "198.51.100.1", "dev", "e1", "src", FAR[4])
    pair.a.set("peer", pair.b.public_key, "endpoint", endpoint(FAR[4]))
    pair.b.host.ip("link", "set", INTERFACE, "down")  # it chooses its source anew
    pair.b.host.ip("link", "set", INTERFACE, "up")
    wait_for_ping(pair.b, pair.a)
    assert pair.b.peer(pair.a)["endpoint"] == "198.51.100.1:5000"
    for i in range(20):
        pair.a.host.ip("route", "add", f"10.77.{i}.0/24", "via", "192.0.2.2")
        ping(pair.a, pair.b, count=2)
        assert pair.b.peer(pair.a)["endpoint"] == "198.51.100.1:5000"
    assert pair.a.peer(pair.b)["endpoint"] == endpoint(FAR[4])


def test_killed_and_started_again(pair):
    ping(pair.a, pair.b)
    os.kill(pair.a.pid(), signal.SIGKILL)
    wait_until(lambda: not os.path.exists(pair.a.host.path(SOCKET)), "the opener cleans up")
    wait_until(lambda: not pair.a.host.processes("start-wg-opener"), "the opener ends")
    pair.a.start_wg()
    pair.a.set_key()
    pair.a.add_peer(pair.b, pair.endpoint(pair.b))
    pair.a.address()
    wait_for_ping(pair.a, pair.b)
    check_both_ways(pair, 1 << 16)


def test_link_down_is_silent_and_up_goes_on(pair):
    ping(pair.a, pair.b)
    pair.a.host.ip("link", "set", INTERFACE, "down")
    assert not pair.b.host.ping(pair.a.inner, 0.5)
    pair.a.host.ip("link", "set", INTERFACE, "up")
    wait_for_ping(pair.a, pair.b)
    wait_for_ping(pair.b, pair.a)


def cpu_ticks(end):
    with open(f"/proc/{end.pid()}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("mtu", [1500, 1300])
def test_a_full_socket_stops_the_reading_and_nothing_else(pair, mtu):
    """A cable that is far too slow, and perhaps too small for segmented sends: start-wg waits without
    work, loses nothing, and goes on when it can."""
    for end in (pair.a, pair.b):
        end.host.ip("link", "set", "e0", "mtu", mtu)
    wait_for_ping(pair.a, pair.b)
    if pair.a.host.try_run("tc", "qdisc", "add", "dev", "e0", "root", "tbf", "rate", "4mbit",
                           "burst", "64k", "limit", "100mb")[0] != 0:
        pytest.skip("the kernel has no tbf")
    with pair.b.host.socket(kind=socket.SOCK_DGRAM) as sink, \
            pair.a.host.socket(kind=socket.SOCK_DGRAM) as flood:
        sink.bind((pair.b.inner, 9))
        flood.connect((pair.b.inner, 9))

        def flooded():
            before = cpu_ticks(pair.a)
            for _ in range(20000):
                flood.send(bytes(1300))
            return cpu_ticks(pair.a) == before

        wait_until(flooded, "the socket is full, and start-wg rests", 30)
        assert pair.a.wg("show", INTERFACE, "peers").strip() == pair.b.public_key
    now = status(pair.a)
    assert now["drop_out_not_sent"] == 0 and now["drop_out_queue_full"] > 0
    assert (now["udp_segment_refused"] > 0) == (mtu < 1500)
    pair.a.host.run("tc", "qdisc", "delete", "dev", "e0", "root")
    wait_for_ping(pair.a, pair.b)
    check_both_ways(pair)


# Packets from hell


@pytest.fixture
def stranger(pair):
    host = Host("stranger")
    link(pair.a.host, "e1", "198.51.100.1/24", host, "e0", "198.51.100.2/24")
    yield host
    host.close()


def capture(pair, count):
    """WireGuard messages from b to a, as they pass b's cable."""
    with pair.b.host.network():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    messages = []
    with sniffer:
        sniffer.bind(("e0", 3))
        sniffer.settimeout(10)
        pair.b.host.start("ping", "-c", count, "-i", "0.01", pair.a.inner)
        while len(messages) < count:
            packet = sniffer.recv(65536)
            if packet[9] == 17 and packet[12:16] == socket.inet_aton(pair.b.outer):
                messages.append(packet[28:])
    return messages


def hostile_messages(captured):
    handshake = b"\1\0\0\0" + os.urandom(144)
    yield from captured  # replayed
    for message in captured:
        for size in (0, 1, 3, 4, 8, 15, 16, 31, 32, len(message) - 1):
            yield message[:size]
        yield message + bytes(16)
        for at in (0, 1, 4, 8, 15, 16, len(message) - 1):
            changed = bytearray(message)
            changed[at] ^= 0x80
            yield bytes(changed)
    for kind, size in ((1, 148), (2, 92), (3, 64), (4, 32), (5, 100), (0, 148), (255, 64)):
        for extra in (-1, 0, 1, 1000):
            yield bytes([kind, 0, 0, 0]) + os.urandom(size + extra - 4)
    for size in (1472, 9000, 60000, 65507):
        yield os.urandom(size)
        yield b"\4\0\0\0" + os.urandom(size - 4)
    for _ in range(3000):
        yield handshake[:4] + os.urandom(144)


def test_packets_from_hell_do_not_stop_a_session(pair, stranger):
    ping(pair.a, pair.b)
    captured = capture(pair, 5)
    wait_for_ping(pair.b, pair.a)
    before = pair.a.peer(pair.b)
    with connection(pair.a, pair.b) as (one, other), \
            stranger.socket(kind=socket.SOCK_DGRAM) as flood:
        flood.connect(("198.51.100.1", PORT))
        for number, message in enumerate(hostile_messages(captured)):
            flood.send(message)
            if number % 500 == 0:
                transfer(one, other, 1 << 16)
                transfer(other, one, 1 << 16)
        transfer(one, other, 1 << 20)
    after = pair.a.peer(pair.b)
    assert after["endpoint"] == before["endpoint"]
    assert after["handshake"] == before["handshake"]


def status(end):
    lines = end.host.run(program("start-wg"), "--status", INTERFACE).splitlines()
    return {name: int(value) if value.isdigit() else value
            for name, value in (line.split("=") for line in lines)}


def test_status_tells_what_was_dropped_and_why(pair, stranger):
    ping(pair.a, pair.b)
    captured = capture(pair, 1)
    wait_for_ping(pair.b, pair.a)
    before = status(pair.a)
    assert before["up"] == 1 and before["mtu"] == 1420
    assert before["sealed"] > 0 and before["opened"] > 0
    assert before["cipher"] in ("AVX-512", "AVX2", "NEON", "libcrypto")
    assert before["udp_send_buffer"] == before["udp_receive_buffer"] == 8 << 20
    pair.a.host.ip("route", "add", "10.99.0.0/16", "dev", INTERFACE)
    assert pair.a.host.try_run("ping", "-c", 1, "-W", 1, "10.99.0.1")[0] != 0
    messages = {"in_bad_mac": b"\1\0\0\0" + bytes(144), "malformed": b"\4\0\0\0",
                "in_bad_datagram": b"",
                "in_unknown_index": b"\4\0\0\0" + bytes(28),
                "in_replayed": captured[0], "in_bad_tag": captured[0][:-1] + bytes(1)}
    if captured[0][-1] == 0:
        messages["in_bad_tag"] = captured[0][:-1] + b"\1"
    with stranger.socket(kind=socket.SOCK_DGRAM) as sender:
        sender.connect(("198.51.100.1", PORT))
        for message in messages.values():
            sender.send(message)
    expected = {f"drop_{name}" for name in messages} | {"drop_out_no_peer"}

    def counted():
        now = status(pair.a)
        return all(now[name] > before[name] for name in expected)

    wait_until(counted, "each drop is counted")
    pair.a.mtu(1300)
    wait_until(lambda: status(pair.a)["mtu"] == 1300, "the MTU is followed")


def test_status_of_others_is_a_clear_fault(end):
    code, _, error = end.host.try_run(program("start-wg"), "--status", "nope")
    assert code != 0 and "cannot ask for the status of nope" in error


FLOOD_SOURCES, FLOOD_RATE = 8000, 20000
COOKIES_PER_SECOND, COOKIES_BURST = 4000, 1024  # lib/protocol/wireguard/device_internal.h


def test_real_handshakes_in_a_flood_stop_nobody(pair, stranger):
    """Someone who knows our public key, but whom we do not know, asks from thousands of addresses."""
    ping(pair.a, pair.b)
    stranger.ip("route", "add", "local", "10.77.0.0/16", "dev", "lo")
    pair.a.host.ip("route", "add", "10.77.0.0/16", "via", "198.51.100.2")
    with connection(pair.a, pair.b) as (one, other):
        begin = time.monotonic()
        flood = stranger.start(os.path.join(BUILD_DIR, "bench/crowd"), "flood", "198.51.100.1", PORT,
                               base64.b64decode(pair.a.public_key).hex(), "10.77.0.1", 10,
                               FLOOD_SOURCES, FLOOD_RATE, 600_000)
        wait_until(lambda: status(pair.a)["drop_in_cookie_refused"] > FLOOD_SOURCES,
                   "there are more than get cookies", 30)
        for _ in range(20):
            transfer(one, other, 1 << 16)
            transfer(other, one, 1 << 16)
        counted = status(pair.a)
        assert flood.running()
        flood.stop()
    assert 0 < counted["drop_in_cookie_given"] <= (
        COOKIES_BURST + (time.monotonic() - begin) * COOKIES_PER_SECOND)
    assert pair.a.wg("show", INTERFACE, "peers").split() == [pair.b.public_key]


DEAD_PEERS = 5000


def test_peers_that_do_not_answer_are_in_nobodys_way(pair):
    """Thousands of peers that all want a handshake at once, and an established one that asks and answers."""
    wait_for_ping(pair.b, pair.a)
    pair.a.host.ip("route", "add", "198.18.0.0/15", "via", pair.b.outer)  # which drops them
    peers = "".join(f"public_key={os.urandom(32).hex()}\nendpoint=198.18.{number >> 8}.{number & 255}:1\n"
                    "persistent_keepalive_interval=25\n" for number in range(DEAD_PEERS))
    assert uapi(pair.a, f"set=1\n{peers}\n".encode()) == "errno=0\n\n"
    output = pair.b.host.run("ping", "-c", 300, "-i", 0.01, pair.a.inner, timeout_s=60)
    times_ms = [float(time_ms) for time_ms in re.findall(r"time=([\d.]+)", output)]
    assert len(times_ms) >= 290
    assert sum(time_ms > 100 * PATIENCE for time_ms in times_ms) <= 15


# Configuration


def test_wg_show_dump(pair):
    ping(pair.a, pair.b)
    own, peer = pair.a.wg("show", INTERFACE, "dump").splitlines()
    assert own.split("\t") == [pair.a.private_key, pair.a.public_key, str(PORT), "off"]
    fields = peer.split("\t")
    assert fields[:4] == [pair.b.public_key, "(none)", pair.endpoint(pair.b),
                          f"{pair.b.inner}/32,{pair.b.inner6}/128"]
    assert abs(int(fields[4]) - time.time()) < 60
    assert int(fields[5]) > 0 and int(fields[6]) > 0
    assert fields[7] == "off"


def test_counters_agree_with_the_other_end(pair):
    for size in (0, 100, 1300):  # one at a time, so that no queue drops any
        ping(pair.a, pair.b, 4, size, 5)
        ping(pair.b, pair.a, 6, size, 5)

    def agree():
        a, b = pair.a.peer(pair.b), pair.b.peer(pair.a)
        return a["rx"] == b["tx"] and a["tx"] == b["rx"]

    wait_until(agree, "what one sent the other received")


def test_setconf_showconf_syncconf_addconf(end):
    config = (f"[Interface]\nListenPort = 4711\nFwMark = 0x33\nPrivateKey = {end.private_key}\n\n"
              f"[Peer]\nPublicKey = {End(2).public_key}\nAllowedIPs = 10.1.0.0/16, fd01::/48\n"
              "Endpoint = 192.0.2.9:99\nPersistentKeepalive = 21\n")
    end.host.write_file("/run/wg.conf", config)
    end.wg("setconf", INTERFACE, "/run/wg.conf")
    shown = end.wg("showconf", INTERFACE)
    end.host.write_file("/run/again.conf", shown)
    for line in config.lower().splitlines():
        assert line in shown.lower()
    end.wg("syncconf", INTERFACE, "/run/again.conf")
    assert end.wg("showconf", INTERFACE) == shown
    end.wg("addconf", INTERFACE, "/run/again.conf")
    assert end.wg("showconf", INTERFACE) == shown


def test_syncconf_leaves_other_peers_undisturbed(pair):
    with connection(pair.a, pair.b) as (one, other):
        transfer(one, other, 1 << 16)
        before = pair.a.peer(pair.b)
        shown = pair.a.wg("showconf", INTERFACE)
        for number in range(3, 30):
            key = pair.a.host.run("wg", "genkey").strip()
            public = pair.a.host.run("wg", "pubkey", input=key).strip()
            shown += f"\n[Peer]\nPublicKey = {public}\nAllowedIPs = 10.9.0.{number}/32\n"
            pair.a.host.write_file("/run/more.conf", shown)
            pair.a.wg("syncconf", INTERFACE, "/run/more.conf")
            transfer(one, other, 1 << 14)
        after = pair.a.peer(pair.b)
        assert len(pair.a.wg("show", INTERFACE, "peers").split()) == 28
        assert after["handshake"] == before["handshake"]


def test_a_port_in_use_changes_nothing(pair):
    ping(pair.a, pair.b)
    with pair.a.host.socket(kind=socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 6000))
        before = pair.a.wg("show", INTERFACE, "dump")
        status, _, error = pair.a.host.try_run("wg", "set", INTERFACE, "listen-port", "6000",
                                               "fwmark", "7")
        assert status != 0
        assert "Address already in use" in error
        assert pair.a.wg("show", INTERFACE, "dump") == before
    ping(pair.a, pair.b)


def test_port_changes_while_a_connection_lives(pair):
    with connection(pair.a, pair.b) as (one, other):
        transfer(one, other, 1 << 16)
        for port in (443, 6001, 0):
            pair.a.set("listen-port", port)
            shown = int(pair.a.wg("show", INTERFACE, "listen-port"))
            assert shown == port if port else shown > 0
            sockets = pair.a.host.run("ss", "-Hulpn")
            assert re.search(rf"0\.0\.0\.0:{shown}\b", sockets)
            assert re.search(rf"\[::\]:{shown}\b", sockets)
            assert not re.search(rf":{PORT}\b", sockets)
            transfer(one, other, 1 << 18)
            transfer(other, one, 1 << 18)
            assert pair.b.peer(pair.a)["endpoint"] == f"192.0.2.1:{shown}"


def test_firewall_mark_is_on_what_is_sent(pair):
    pair.a.host.nft(f"""
        table inet t {{
            chain c {{
                type filter hook output priority 0;
                udp sport {PORT} meta mark 0x51 counter
            }}
        }}""")
    pair.a.set("fwmark", "0x51")
    ping(pair.a, pair.b)
    assert not re.search(r"counter packets 0", pair.a.host.run("nft", "list", "ruleset"))
    pair.a.set("fwmark", "0")
    assert pair.a.wg("show", INTERFACE, "fwmark").strip() == "off"


def test_bad_requests_have_an_errno_and_change_nothing(end):
    before = uapi(end, b"get=1\n\n")
    assert before.endswith("errno=0\n\n")
    for request in (b"set=1\nlisten_port=70000\n\n", b"set=1\nfoo=1\n\n", b"hello\n\n",
                    b"set=1\nprivate_key=12\n\n", b"get=2\n\n", b"set=1\n\0\n\n"):
        assert re.fullmatch(r"errno=-[1-9]\d*\n\n", uapi(end, request)), request
    assert uapi(end, b"set=1\n\n") == "errno=0\n\n"
    assert uapi(end, b"get=1\n\n") == before


def test_clients_that_hang_stop_nobody(pair):
    clients = []
    for number in range(40):
        client = socket.socket(socket.AF_UNIX)
        client.connect(pair.a.host.path(SOCKET))
        # Half a request, or many requests whose answers nobody reads.
        client.setblocking(False)
        try:
            client.send(b"set=1\nprivate_key=" if number % 2 else b"get=1\n\n" * 20000)
        except OSError:
            pass
        clients.append(client)
        ping(pair.a, pair.b)
    assert pair.a.wg("show", INTERFACE, "peers").strip() == pair.b.public_key
    for client in clients:
        client.close()


def test_ten_thousand_peers(end):
    keys = [os.urandom(32).hex() for _ in range(10000)]
    request = "set=1\n" + "".join(
        f"public_key={key}\nallowed_ip=10.{i >> 8}.{i & 255}.0/24\n"
        for i, key in enumerate(keys)) + "\n"
    assert uapi(end, request.encode()) == "errno=0\n\n"
    assert uapi(end, b"get=1\n\n").count("public_key=") == 10000


def test_wg_quick(pair):
    """The whole configuration by wg-quick, with the default route in the tunnel."""
    pair.a.host.ip("link", "delete", INTERFACE)
    wait_until(lambda: not pair.a.host.processes("start-wg-opener"), "start-wg ends")
    pair.a.host.ip("route", "add", "default", "via", "192.0.2.2")
    pair.b.host.ip("address", "add", "203.0.113.5/32", "dev", "lo")
    pair.b.set("peer", pair.a.public_key, "allowed-ips", "10.9.0.1/32")
    pair.a.host.write_file(f"/run/{INTERFACE}.conf", f"""[Interface]
PrivateKey = {pair.a.private_key}
ListenPort = {PORT}
Address = 10.9.0.1/24
[Peer]
PublicKey = {pair.b.public_key}
Endpoint = {pair.endpoint(pair.b)}
AllowedIPs = 0.0.0.0/0, ::/0
""")
    os.symlink(program("start-wg"), pair.a.host.path("/run/bin/start-wg"))
    env = {"WG_QUICK_USERSPACE_IMPLEMENTATION": "start-wg"}
    pair.a.host.run("wg-quick", "up", f"/run/{INTERFACE}.conf", env=env)
    before = int(pair.b.peer(pair.a)["rx"])
    wait_until(lambda: pair.a.host.ping("203.0.113.5", 1), "the default route leads into the tunnel")
    assert int(pair.b.peer(pair.a)["rx"]) > before
    assert pair.a.wg("show", INTERFACE, "fwmark").strip() == "0xca6c"
    pair.a.host.run("wg-quick", "down", f"/run/{INTERFACE}.conf", env=env)
    wait_until(lambda: not pair.a.host.processes("start-wg"), "start-wg ends")
    assert not os.path.exists(pair.a.host.path(SOCKET))
    pair.a.host.run("wg-quick", "up", f"/run/{INTERFACE}.conf", env=env)


# The program


def user_id(end, name):
    return re.search(f"^{name}:x:(\\d+):", end.host.read_file("/etc/passwd"), re.M)[1]


def test_without_a_user_of_its_own_it_is_nobody():
    end = End(1)
    end.host.run("sh", "-c", 'kept=$(grep -v ^start-wg: /etc/passwd); echo "$kept" >/etc/passwd')
    end.start_wg()
    assert set(end.status()["Uid"].split()) == {user_id(end, "nobody")}
    end.host.close()


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_of_processes(limit):
    """Those of its user: without any thread it says why, with one it answers handshakes."""
    end = End(1)
    user = 65000 + os.getpid() % 400 * 2 + limit  # nobody else's, on the whole machine
    with open(end.host.path("/etc/passwd"), "a", encoding="ascii") as file:
        file.write(f"limited:x:{user}:{user}::/nonexistent:/usr/sbin/nologin\n")
    status_code, _, error = end.host.try_run("prlimit", f"--nproc={limit}", program("start-wg"), "--user",
                                             "limited", INTERFACE)
    if limit == 1:
        assert status_code == 1
        assert "cannot start threads" in error and "as many processes as it may" in error
    else:
        assert status_code == 0, error
        assert status(end)["handshake_threads"] == 1
    end.host.close()


def test_sockets_that_cannot_be_watched_change_nothing():
    """start-wg-unwatched finds no room in the kernel for IPv6 sockets with this mark."""
    with Pair(a_program=os.path.join(BUILD_DIR, "tests/net/start-wg-unwatched")) as pair:
        ping(pair.a, pair.b)
        before = pair.a.wg("show", INTERFACE, "dump")
        for _ in range(2):
            code, _, error = pair.a.host.try_run("wg", "set", INTERFACE, "listen-port", "6000",
                                                 "fwmark", "0x77")
            assert code != 0 and "No space left on device" in error
            assert pair.a.wg("show", INTERFACE, "listen-port").strip() == str(PORT)
            pair.a.host.ip("link", "set", INTERFACE, "down")  # which changes what is waited for
            pair.a.host.ip("link", "set", INTERFACE, "up")
            wait_for_ping(pair.a, pair.b)
        assert pair.a.wg("show", INTERFACE, "dump").splitlines()[0] == before.splitlines()[0]
        pair.a.set("listen-port", 6001)
        check_both_ways(pair, 1 << 18, [socket.AF_INET])  # the other address went with the link


def test_a_persistent_interface_with_longer_headers(end):
    """Another program had asked for those of virtio 1.0."""
    end.host.ip("link", "delete", INTERFACE)
    wait_until(lambda: not end.host.processes("start-wg-opener"), "start-wg ends")
    with end.host.network(), open("/dev/net/tun", "r+b", buffering=0) as tun:
        # TUNSETIFF: IFF_TUN, IFF_NO_PI and IFF_VNET_HDR; TUNSETVNETHDRSZ; TUNSETPERSIST.
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", INTERFACE.encode(), 0x5001))
        fcntl.ioctl(tun, 0x400454D8, struct.pack("i", 12))
        fcntl.ioctl(tun, 0x400454CB, 1)
    other = End(2)
    link(end.host, "e0", "192.0.2.1/24", other.host, "e0", "192.0.2.2/24")
    for one, peer in ((end, other), (other, end)):
        one.start_wg()
        one.set_key()
        one.add_peer(peer, f"{peer.outer}:{PORT}")
        one.address()
    ping(end, other)
    ping(other, end)
    other.host.close()


def test_privilege_is_gone(end):
    for thread in map(end.status, end.threads()):
        for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
            assert int(thread[f"Cap{kind}"], 16) == 0, kind
        assert thread["NoNewPrivs"] == "1"
        assert set(thread["Uid"].split()) == {user_id(end, "start-wg")}
        assert thread["Groups"].strip() == ""
        if not is_sanitized("start-wg"):
            assert thread["Seccomp"] == "2"
            assert thread["Threads"] == str(1 + min(16, len(os.sched_getaffinity(0))))
    if not is_sanitized("start-wg"):
        assert os.listdir(f"/proc/{end.pid()}/root") == []
        assert status(end)["empty_root"] == 1
    opener = end.host.processes("start-wg-opener")
    assert len(opener) == 1
    with open(f"/proc/{opener[0]}/status", encoding="ascii") as file:
        text = file.read()
    assert re.search(r"^CapEff:\t0000000000001400$", text, re.M)
    assert re.search(r"^CapBnd:\t0000000000000000$", text, re.M)


def test_without_an_empty_root_it_says_so():
    end = End(1)
    process = end.host.start("setpriv", "--bounding-set=-sys_chroot", program("start-wg"), "-f",
                             INTERFACE)
    wait_until(lambda: end.host.try_run("wg", "show", INTERFACE)[0] == 0, "it answers")
    assert "runs without an empty root directory" in process.output()
    assert status(end)["empty_root"] == 0
    assert process.stop() == 0
    end.host.close()


def test_outlives_its_starter_and_holds_nothing_of_it(end):
    pid = end.pid()
    assert os.getsid(pid) == pid
    for fd in range(3):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") in ("/dev/null",) or fd == 2


def test_socket_is_private(end):
    mode = os.stat(end.host.path(SOCKET)).st_mode
    assert mode & 0o777 == 0o600


def test_directory_is_made(end):
    end.host.ip("link", "delete", INTERFACE)
    wait_until(lambda: not end.host.processes("start-wg-opener"), "start-wg ends")
    end.host.run("rm", "-rf", "/run/wireguard")
    end.start_wg()
    assert os.stat(end.host.path("/run/wireguard")).st_mode & 0o777 == 0o700


def test_a_second_one_is_refused(end):
    pid = end.pid()
    status, _, error = end.host.try_run(program("start-wg"), INTERFACE)
    assert status == 1
    assert f"cannot make interface {INTERFACE}: another program holds it" in error
    assert end.pid() == pid
    assert uapi(end, b"get=1\n\n").endswith("errno=0\n\n")


def test_a_stale_socket_is_replaced():
    end = End(1)
    with end.host.network(), socket.socket(socket.AF_UNIX) as stale:
        stale.bind(end.host.path(SOCKET))
    end.start_wg()
    assert uapi(end, b"get=1\n\n").endswith("errno=0\n\n")
    end.host.close()


def test_faults_are_told():
    end = End(1)
    end.host.ip("link", "add", "veth9", "type", "veth")
    cases = (
        (["veth9"], 1, "an interface of another kind has this name"),
        (["this-name-is-much-too-long"], 2, "a name has 1 to 15 characters"),
        (["a/b"], 2, "a name has 1 to 15 characters"),
        (["wg%d"], 2, "a name has 1 to 15 characters"),
        ([], 2, "name one interface"),
        (["a", "b"], 2, "name one interface"),
        (["--without", "wheels", "wg1"], 2, 'cannot leave out "wheels"'),
        (["--user", "no-such-user", "wg1"], 1, "there is no such user"),
        (["--no-such-option"], 2, "no-such-option"),
    )
    for arguments, expected, text in cases:
        status, _, error = end.host.try_run(program("start-wg"), *arguments)
        assert (status, text in error) == (expected, True), error
    assert not end.host.processes("start-wg")
    assert end.host.try_run("ip", "link", "show", "wg1")[0] != 0
    assert "Usage: start-wg" in end.host.run(program("start-wg"), "--help")
    assert re.fullmatch(r"start-wg \d+\.\d+\.\d+\n", end.host.run(program("start-wg"), "--version"))
    end.host.close()


def test_without_privilege_it_says_so():
    end = End(1)
    status, _, error = end.host.try_run("setpriv", "--reuid=65534", "--clear-groups",
                                        program("start-wg"), "wg1")
    assert status == 1
    assert "cannot" in error
    end.host.close()


def test_removal_of_the_interface_ends_it(end):
    end.host.ip("link", "delete", INTERFACE)
    wait_until(lambda: not end.host.processes("start-wg"), "start-wg ends")
    wait_until(lambda: not end.host.processes("start-wg-opener"), "its opener ends")
    assert not os.path.exists(end.host.path(SOCKET))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_foreground_ends_by_signal(number):
    end = End(1)
    process = end.host.start(program("start-wg"), "-f", INTERFACE)
    wait_until(lambda: os.path.exists(end.host.path(SOCKET)), "start-wg is ready")
    wait_until(lambda: end.host.try_run("wg", "show", INTERFACE)[0] == 0, "it answers")
    assert process.stop(number) == 0
    assert end.host.try_run("ip", "link", "show", INTERFACE)[0] != 0
    assert not os.path.exists(end.host.path(SOCKET))
    end.host.close()


def test_new_interface_is_down_with_its_mtu(end):
    shown = end.host.json("ip", "-json", "link", "show", INTERFACE)[0]
    assert shown["mtu"] == 1420
    assert "UP" not in shown["flags"]


def test_idle_device_sleeps(end):
    """Not one wake-up in a window, once it has settled: with the interface up and a peer that nothing was
    sent to."""
    end.set_key()
    end.add_peer(End(2))
    # Or the kernel itself would send solicitations into the tunnel.
    end.host.set_sysctl(f"net.ipv6.conf.{INTERFACE}.disable_ipv6", "1")
    end.host.ip("link", "set", INTERFACE, "up")
    end.wg("show", INTERFACE)

    def switches():
        return int(end.status()["voluntary_ctxt_switches"])

    def sleeps():
        before = switches()
        time.sleep(3)  # time is what this is about
        return switches() == before

    wait_until(sleeps, "it sleeps for three seconds")


def test_interface_moves_to_another_namespace(pair):
    """The sockets stay where the program was started, the inner side goes."""
    inside = Host("inside")
    ping(pair.a, pair.b)
    subprocess.run(["nsenter", f"--net=/proc/{pair.a.host.pid}/ns/net", "ip", "link", "set",
                    INTERFACE, "netns", str(inside.pid)], check=True)
    inside.ip("address", "add", f"{pair.a.inner}/24", "dev", INTERFACE)
    inside.ip("link", "set", INTERFACE, "up")
    wait_until(lambda: inside.ping(pair.b.inner, 0.5), "the tunnel works from there")
    assert pair.a.wg("show", INTERFACE, "peers").strip() == pair.b.public_key
    inside.ip("link", "delete", INTERFACE)
    wait_until(lambda: not pair.a.host.processes("start-wg"), "start-wg ends")
    inside.close()
    pair.a.host.run("true")
    pair.a.start_wg()  # the fixture looks for a living one


def test_renamed_interface_goes_on(pair):
    with connection(pair.a, pair.b) as (one, other):
        transfer(one, other, 1 << 16)
        pair.a.host.ip("link", "set", INTERFACE, "name", "other0")
        transfer(one, other, 1 << 16)
        assert pair.a.wg("show", INTERFACE, "peers").strip() == pair.b.public_key
