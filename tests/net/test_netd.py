"""
start-netd alone: typed requests in, kernel state out, seen from strangers and devices.

One VPS, a stranger on its network, and two devices there that join by WireGuard.
"""

import errno
import os
import signal
import socket
import statistics
import time

import pytest

import netd
from lab import PATIENCE, Host, link, wait_until
from netd import IN_TUNNEL, TCP, UDP, Device, Netd, Refused, egress, forward, subnet
from product import INTERFACE, program
from traffic import Conversation, Talker, ask_tcp, ask_udp

VPS = "198.18.0.2"
SECOND = "198.18.0.3"
STRANGER = "198.18.0.9"
GATE = "10.59.0.1/24"
OTHER_GATE = "10.60.0.1/24"


class Site:
    """The hosts, and start-netd on the first of them."""

    def __init__(self):
        self.hosts = []
        self.vps = self._host("vps")
        self.cloud = self._host("cloud", forwards=True)
        self.cloud.ip("link", "add", "br0", "type", "bridge")
        self.cloud.ip("link", "set", "br0", "up")
        self.stranger = self._attach("stranger", 9)
        self.one = self._attach("one", 11)
        self.two = self._attach("two", 12)
        self._plug(self.vps, 2)
        self.vps.ip("address", "add", f"{SECOND}/24", "dev", "eth0")
        self.vps.ip("route", "add", "default", "via", "198.18.0.1")
        self.key = netd.new_key()
        self.netd = None

    def _host(self, name, **options):
        self.hosts.append(Host(name, **options))
        return self.hosts[-1]

    def _plug(self, host, number):
        link(self.cloud, f"p{number}", None, host, "eth0", f"198.18.0.{number}/24")
        self.cloud.ip("link", "set", f"p{number}", "master", "br0")

    def _attach(self, name, number):
        host = self._host(name)
        self._plug(host, number)
        return host

    def start(self, *options, **keywords):
        self.netd = Netd(self.vps, "--start-wg", program("start-wg"), *options, **keywords)
        return self.netd

    def items(self, *more, port=51820):
        return (netd.link(self.key, port), subnet(GATE), *more)

    def join(self, host, device, allowed="10.59.0.0/16"):
        """Has the device's host join, with replies to anybody going through the tunnel."""
        host.write_file("/run/wg0.conf", device.config(self.key, f"{VPS}:51820", "0.0.0.0/0"))
        host.run("wireguard-go", "wg0", env={"LOG_LEVEL": "error"})
        stripped = host.run("wg-quick", "strip", "/run/wg0.conf")
        host.run("wg", "setconf", "wg0", "/dev/stdin", input=stripped)
        host.ip("address", "add", f"{device.address}/24", "dev", "wg0")
        host.ip("link", "set", "wg0", "up", "mtu", "1420")
        # Everything but the way to the VPS itself goes through the tunnel.
        host.ip("route", "add", "0.0.0.0/1", "dev", "wg0")
        host.ip("route", "add", "128.0.0.0/1", "dev", "wg0")
        host.ip("route", "add", "table", "77", "198.18.0.0/24", "dev", "eth0")
        host.run("wg", "set", "wg0", "fwmark", "77")
        host.ip("route", "delete", "198.18.0.0/24", "dev", "eth0")
        host.ip("rule", "add", "fwmark", "77", "lookup", "77", "priority", "10")

    def leave(self, host):
        host.try_run("ip", "link", "delete", "wg0")
        host.try_run("ip", "rule", "delete", "priority", "10")
        host.try_run("ip", "route", "flush", "table", "77")
        host.try_run("ip", "route", "add", "198.18.0.0/24", "dev", "eth0")

    def close(self):
        while self.hosts:
            self.hosts.pop().close()


@pytest.fixture(scope="module")
def site():
    found = Site()
    yield found
    found.close()


@pytest.fixture
def running(site):
    """start-netd with nothing wanted yet; afterwards nothing is left."""
    site.start()
    yield site
    for host in (site.one, site.two):
        site.leave(host)
    if site.netd.process.poll() is None:
        site.netd.sync()
        assert site.netd.close() == 0, site.netd.output()


@pytest.fixture
def joined(running):
    """Two devices of one subnet that joined."""
    running.first, running.second = Device("10.59.0.2"), Device("10.59.0.3")
    running.netd.sync(*running.items(running.first.item(), running.second.item()))
    running.join(running.one, running.first)
    running.join(running.two, running.second)
    return running


def test_sync_makes_everything(running):
    device = Device("10.59.0.2")
    running.netd.sync(*running.items(
        device.item(), egress("10.59.0.2/32", SECOND), egress("10.59.0.0/24", VPS),
        forward(f"{VPS}:8000", "10.59.0.2:80", 3)))
    assert running.netd.peers() == {device.public_key: "10.59.0.2/32"}
    assert running.netd.addresses() == [GATE]
    assert running.netd.routes() == ["10.59.0.0/24"]
    table = running.netd.table()
    for text in ("198.18.0.2 . 8002 : 10.59.0.2 . 82", "10.59.0.0/24 . 10.59.0.0/24",
                 "10.59.0.2 : 198.18.0.3", "10.59.0.0/24 : 198.18.0.2"):
        assert text in table
    assert running.vps.run("sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
    status = running.netd.status()
    assert status["up"] and status["mtu"] == 1420 and status["port"] == 51820
    assert status["backend"] == "start-wg" and set(status["peers"]) == {device.public_key}
    assert (status["found"], status["repaired"]) == (0, 0)


def test_an_empty_wish_leaves_nothing(running):
    running.netd.sync(*running.items(Device("10.59.0.2").item()))
    running.netd.sync()
    assert running.vps.try_run("ip", "link", "show", INTERFACE)[0] != 0
    assert "start_tunnel" not in running.vps.run("nft", "list", "tables")


def test_other_tables_are_left_alone(running):
    running.vps.nft("table inet theirs { chain input { type filter hook input priority 0; }; }")
    before = running.vps.run("nft", "list", "table", "inet", "theirs")
    running.netd.sync(*running.items())
    running.netd.sync()
    assert running.vps.run("nft", "list", "table", "inet", "theirs") == before
    running.vps.nft("delete table inet theirs")


def test_sync_equals_the_sum_of_changes(running):
    """The same state by edits and at once, whatever the way there was."""
    devices = [Device(f"10.59.0.{2 + n}") for n in range(5)]
    wanted = [device.item() for device in devices[1:]] + [
        subnet("10.70.0.1/16"), egress("10.70.0.0/16", SECOND), egress("10.59.0.3/32", VPS),
        forward(f"{VPS}:1000", "10.59.0.3:2000", 50), forward(f"{SECOND}:53", "10.59.0.4:53")]
    running.netd.sync(*running.items())
    running.netd.change((), [devices[0].item(), forward(f"{VPS}:1000", "10.59.0.2:1", 7),
                             subnet("10.70.0.1/24"), egress("10.70.0.0/24", VPS)])
    running.netd.change([forward(f"{VPS}:1000", "10.59.0.2:1", 7)],
                        [forward(f"{VPS}:1003", "10.59.0.2:1", 7), devices[1].item()])
    running.netd.change([subnet("10.70.0.1/24"), egress("10.70.0.0/24", VPS)],
                        [subnet("10.70.0.1/16"), egress("10.70.0.0/16", SECOND)])
    running.netd.change([devices[0].item(), forward(f"{VPS}:1003", "10.59.0.2:1", 7)], wanted)
    by_changes = running.netd.state()
    running.netd.sync()
    running.netd.sync(*running.items(*wanted))
    assert running.netd.state() == by_changes
    assert running.netd.status()["found"] == 0


def test_neighbouring_subnets_come_and_go(running):
    """Where one interval ends the next begins: neither may take the other along."""
    gates = [f"10.59.{n}.1/24" for n in (1, 2, 3)]
    running.netd.sync(*running.items())
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        states = [running.netd.state()]
        for n in order:
            running.netd.change((), [subnet(gates[n]), egress(gates[n].replace(".1/", ".0/"), VPS)])
            states.append(running.netd.state())
        assert all(gate in states[-1][2] for gate in gates)
        for n in reversed(order):
            assert running.netd.state() == states.pop()
            running.netd.change([subnet(gates[n]), egress(gates[n].replace(".1/", ".0/"), VPS)], ())
        assert running.netd.state() == states.pop()
    assert running.netd.status()["found"] == 0


def test_every_port_at_once(running):
    everything = forward(f"{VPS}:1", "10.59.0.2:1", 65535)
    running.netd.sync(*running.items())
    before = running.netd.state()
    running.netd.change((), [everything])
    found = running.vps.run("nft", "get element inet start_tunnel forwards { 198.18.0.2 . 65535 }")
    assert "198.18.0.2 . 65535 : 10.59.0.2 . 65535" in found
    running.netd.change([everything], [forward(f"{VPS}:7", "10.59.0.2:7")])
    running.netd.change([forward(f"{VPS}:7", "10.59.0.2:7")], ())
    assert running.netd.state() == before
    assert running.netd.status()["found"] == 0


def test_a_range_moves_over_itself(running):
    running.netd.sync(*running.items(forward(f"{VPS}:1000", "10.59.0.2:1000", 100)))
    running.netd.change([forward(f"{VPS}:1000", "10.59.0.2:1000", 100)],
                        [forward(f"{VPS}:1050", "10.59.0.2:1000", 100)])
    table = running.netd.table()
    assert "198.18.0.2 . 1049 :" not in table
    assert "198.18.0.2 . 1050 : 10.59.0.2 . 1000" in table
    assert "198.18.0.2 . 1149 : 10.59.0.2 . 1099" in table


def test_key_and_port_change_in_place(running):
    device = Device("10.59.0.2")
    running.netd.sync(*running.items(device.item()))
    before = running.vps.read_file(f"/sys/class/net/{INTERFACE}/ifindex")
    old, running.key = running.key, netd.new_key()
    running.netd.change([netd.link(old)], [netd.link(running.key, 51821)])
    assert running.netd.status()["port"] == 51821
    assert running.vps.run("wg", "show", INTERFACE, "public-key").strip() == \
        netd.public_key(running.key)
    assert running.vps.read_file(f"/sys/class/net/{INTERFACE}/ifindex") == before


def test_strangers_reach_devices_as_themselves(joined):
    joined.netd.change((), [forward(f"{VPS}:8000", "10.59.0.2:7000", 3)])
    with Talker(joined.one, [7000, 7001, 7002]):
        for ask in (ask_tcp, ask_udp):
            assert ask(joined.stranger, VPS, 8001) == ("one", STRANGER)
            assert ask(joined.stranger, SECOND, 8001, 0.5) is None
            assert ask(joined.stranger, VPS, 8003, 0.5) is None


def test_both_hairpins_and_a_neighbour(joined):
    joined.netd.change((), [forward(f"{VPS}:8000", "10.59.0.2:7000")])
    with Talker(joined.one, [7000]):
        for ask in (ask_tcp, ask_udp):
            assert ask(joined.vps, VPS, 8000) == ("one", "10.59.0.1"), "the host itself"
            assert ask(joined.one, VPS, 8000) == ("one", "10.59.0.1"), "a device itself"
            assert ask(joined.two, VPS, 8000) == ("one", "10.59.0.3"), "another device"


def test_devices_of_one_subnet_talk_and_others_do_not(joined):
    far = Device("10.60.0.2")
    with Talker(joined.one, [7000]):
        assert ask_tcp(joined.two, "10.59.0.2", 7000) == ("one", "10.59.0.3")
        joined.leave(joined.two)
        joined.netd.change([joined.second.item()], [subnet(OTHER_GATE), far.item()])
        joined.join(joined.two, far)
        assert joined.two.ping("10.60.0.1", 5)
        assert ask_tcp(joined.two, "10.59.0.2", 7000, 0.7) is None
        joined.netd.change((), [forward(f"{VPS}:8000", "10.59.0.2:7000")])
        assert ask_tcp(joined.two, VPS, 8000) == ("one", "10.60.0.2"), "what is public is public"


def test_egress_has_the_address_that_is_wanted(joined):
    with Talker(joined.stranger, [9000]):
        assert ask_tcp(joined.one, STRANGER, 9000) == ("stranger", VPS)
        joined.netd.change((), [egress("10.59.0.0/24", SECOND)])
        assert ask_tcp(joined.one, STRANGER, 9000) == ("stranger", SECOND)
        joined.netd.change((), [egress("10.59.0.2/32", VPS)])
        assert ask_tcp(joined.one, STRANGER, 9000) == ("stranger", VPS), "a device outranks"
        assert ask_tcp(joined.two, STRANGER, 9000) == ("stranger", SECOND)


def test_nothing_untranslated_comes_in(joined):
    """A packet from outside straight to a device's address is no forward, whatever port it is for."""
    joined.netd.change((), [forward(f"{VPS}:8000", "10.59.0.2:7000")])
    joined.stranger.ip("route", "add", "10.59.0.0/24", "via", VPS)
    try:
        with Talker(joined.one, [7000]):
            assert ask_tcp(joined.stranger, "10.59.0.2", 7000, 0.7) is None
            assert ask_udp(joined.stranger, "10.59.0.2", 7000, 0.7) is None
    finally:
        joined.stranger.ip("route", "delete", "10.59.0.0/24")


def is_cut(conversation):
    """Whether the connection is broken or silent."""
    try:
        conversation.say(0.5)
    except OSError:
        return True
    return False


def test_connections_of_what_goes_end_and_others_go_on(joined):
    stays, goes = forward(f"{VPS}:8000", "10.59.0.2:7000"), forward(f"{VPS}:8001", "10.59.0.2:7001")
    joined.netd.change((), [stays, goes])
    with Talker(joined.one, [7000, 7001]), \
            Conversation(joined.stranger, VPS, 8000) as one, \
            Conversation(joined.stranger, VPS, 8001) as two:
        assert one.say() == two.say() == ("one", STRANGER)
        joined.netd.change([goes], [egress("10.59.0.3/32", SECOND)])
        assert is_cut(two)
        assert one.say() == ("one", STRANGER)


def test_a_repointed_forward_takes_its_clients_along(joined):
    """UDP by one socket: the kernel would remember the old device for it."""
    old, new = forward(f"{VPS}:8000", "10.59.0.2:7000"), forward(f"{VPS}:8000", "10.59.0.3:7000")
    joined.netd.change((), [old])
    with Talker(joined.one, [7000]), Talker(joined.two, [7000]), \
            joined.stranger.socket(kind=socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)

        def who():
            try:
                client.sendto(b"x\n", (VPS, 8000))
                return client.recv(100).decode().split()[0]
            except OSError:
                return None

        assert wait_until(who, "an answer") == "one"
        joined.netd.change([old], [new])
        assert wait_until(who, "an answer") == "two"


def test_sync_ends_what_was_removed_while_nobody_ran(joined):
    goes = forward(f"{VPS}:8001", "10.59.0.2:7001")
    devices = (joined.first.item(), joined.second.item())
    joined.netd.change((), [goes])
    with Talker(joined.one, [7001]), Conversation(joined.stranger, VPS, 8001) as conversation:
        conversation.say()
        assert joined.netd.close() == 0
        conversation.say()  # nobody runs, and it goes on
        joined.start()
        joined.netd.sync(*joined.items(*devices, goes))
        conversation.say()  # nothing changed, and it goes on
        assert joined.netd.close() == 0
        joined.start()
        joined.netd.sync(*joined.items(*devices))
        assert is_cut(conversation)


def test_edits_disturb_no_other_peer(joined):
    with Talker(joined.one, [7000]), \
            Conversation(joined.two, "10.59.0.2", 7000) as conversation:
        conversation.say()
        before = joined.netd.status()["peers"]
        third = Device("10.59.0.4")
        joined.netd.change((), [third.item(), subnet(OTHER_GATE)])
        joined.netd.change([third.item(), subnet(OTHER_GATE)], ())
        conversation.say()
        after = joined.netd.status()["peers"]
        assert {key: peer[0] for key, peer in after.items()} == \
            {key: peer[0] for key, peer in before.items()}, "a session was begun anew"


@pytest.mark.parametrize("items, words", [
    ([Device("10.61.0.2").item()], "device 10.61.0.2 is in no wanted subnet"),
    ([Device("10.59.0.1").item()], "device 10.59.0.1 is in no wanted subnet"),
    ([subnet("10.59.0.129/25")], "subnet 10.59.0.129/25 overlaps another one"),
    ([Device("10.59.0.2").item()], "device 10.59.0.2 is wanted twice"),
    ([forward(f"{VPS}:7999", "10.59.0.2:1", 5)], "198.18.0.2:8000 is wanted twice"),
    ([forward(f"{VPS}:65535", "10.59.0.2:1", 2)], "external ports are not within 1 to 65535"),
    ([netd.link(netd.new_key())], "exactly one interface must be wanted, not 2"),
    ([b"\x02\x0a\x3b\x00\x00\x18"], "the network's own"),
])
def test_what_makes_no_sense_is_refused_and_changes_nothing(running, items, words):
    running.netd.sync(*running.items(Device("10.59.0.2").item(),
                                     forward(f"{VPS}:8000", "10.59.0.2:80")))
    before = running.netd.state()
    with pytest.raises(Refused) as refused:
        running.netd.change((), items)
    assert words in str(refused.value)
    assert running.netd.state() == before
    running.netd.change((), [forward(f"{VPS}:9000", "10.59.0.2:80")])
    running.netd.change([forward(f"{VPS}:9000", "10.59.0.2:80")], ())
    assert running.netd.state() == before


def test_a_step_that_fails_is_undone(running):
    """The listen port is taken by somebody else: the last step of an edit that does much more."""
    running.netd.sync(*running.items(Device("10.59.0.2").item()))
    before = running.netd.state()
    with running.vps.socket(kind=socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 51999))
        with pytest.raises(Refused) as refused:
            running.netd.change(
                [netd.link(running.key)],
                [netd.link(running.key, 51999), subnet(OTHER_GATE), Device("10.59.0.3").item(),
                 forward(f"{VPS}:8000", "10.59.0.2:80")])
    assert "configuring the key and listen port of wg-start-tunnel" in str(refused.value)
    assert "Address already in use" in str(refused.value)
    assert running.netd.state() == before
    assert running.netd.status()["port"] == 51820
    running.netd.change((), [forward(f"{VPS}:8000", "10.59.0.2:80")])


def test_a_taken_element_does_not_stop_an_edit(running):
    """Somebody made the very element that an edit is to make: the edit still comes out right."""
    running.netd.sync(*running.items())
    running.vps.run("nft", "add element inet start_tunnel forwards "
                    "{ 198.18.0.2 . 8000 : 10.59.0.9 . 9 }")
    running.netd.change((), [forward(f"{VPS}:8000", "10.59.0.2:80")])
    assert "198.18.0.2 . 8000 : 10.59.0.2 . 80" in running.netd.table()


def test_reboot_runs_the_command(site):
    site.vps.write_file("/run/reboot", "#!/bin/sh\necho yes >/run/rebooted\n", 0o755)
    process = site.start("--reboot-command", "/run/reboot")
    assert process.request(netd.REBOOT) == (netd.DONE, b"")
    wait_until(lambda: site.vps.try_run("cat", "/run/rebooted")[1] == "yes\n", "it ran")
    assert process.close() == 0
    process = site.start("--reboot-command", "/nonexistent")
    with pytest.raises(Refused, match="running /nonexistent: No such file"):
        process.request(netd.REBOOT)
    assert process.close() == 0


def test_broken_frames_end_it(site):
    for data in (b"\xff\xff\xff\xff", b"\0\0\0\4\1\0\0\0", b"\0\0\0\5\x63\0\0\0\1",
                 b"\0\0\0\6\1\0\0\0\1\0"):
        broken = site.start()
        broken.send_bytes(data)
        assert broken.process.wait(10) == 1
        assert "protocol" in broken.output()
        broken.close()


def wait_for_repair(netd_, state, found):
    def repaired():
        try:
            return netd_.state() == state
        except Exception:  # pylint: disable=broad-except
            return False  # there is no such table or interface at the moment

    wait_until(repaired, "everything is as it was")
    status = wait_until(lambda: netd_.status()["repaired"] > found and netd_.status(), "counted")
    assert status["found"] > found and status["last"] and status["last_s"] > 1_700_000_000
    return status


DRIFT = {
    "flushed table": "nft flush table inet start_tunnel",
    "deleted table": "nft delete table inet start_tunnel",
    "flushed ruleset": "nft flush ruleset",
    "flushed chain": "nft flush chain inet start_tunnel forward",
    "foreign rule": "nft insert rule inet start_tunnel forward accept",
    "other policy": "nft chain inet start_tunnel forward '{ policy accept; }'",
    "foreign chain": "nft add chain inet start_tunnel theirs",
    "emptied map": "nft flush map inet start_tunnel forwards",
    "element gone": "nft delete element inet start_tunnel published '{ 198.18.0.2 . 8000 }'",
    "foreign element": "nft add element inet start_tunnel subnets '{ 1.2.3.0/24 }'",
    "foreign interval": "nft add element inet start_tunnel subnets '{ 1.2.3.1-1.2.3.9 }'",
    "foreign pair": "nft add element inet start_tunnel hairpin '{ 1.2.3.4 . 1.2.3.5 }'",
    "address gone": "ip address delete 10.59.0.1/24 dev wg-start-tunnel",
    "foreign address": "ip address add 10.99.0.1/24 dev wg-start-tunnel",
    "link down": "ip link set wg-start-tunnel down",
    "other MTU": "ip link set wg-start-tunnel mtu 1300",
    "link gone": "ip link delete wg-start-tunnel",
    "route gone": "ip route delete 10.59.0.0/24 dev wg-start-tunnel",
    "dormant table": "nft add table inet start_tunnel '{ flags dormant; }'",
    "no forwarding": "echo 0 >/proc/sys/net/ipv4/ip_forward",
}


@pytest.mark.parametrize("command", DRIFT.values(), ids=DRIFT.keys())
def test_drift_is_repaired_and_counted(running, command):
    running.netd.sync(*running.items(Device("10.59.0.2").item(), egress("10.59.0.0/24", SECOND),
                                     forward(f"{VPS}:8000", "10.59.0.2:7000", 3)))
    state = running.netd.state()
    running.vps.run("sh", "-c", command)
    wait_for_repair(running.netd, state, 0)
    assert running.vps.run("sysctl", "-n", "net.ipv4.ip_forward") == "1\n"
    assert running.netd.status()["mtu"] == 1420


@pytest.mark.parametrize("command", [
    "peer {key} remove", "peer {key} allowed-ips 10.59.0.77/32", "peer {key} preshared-key /dev/null",
    "listen-port 1234",
    "peer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE= allowed-ips 10.59.0.9/32"])
def test_status_repairs_peers(running, command):
    """WireGuard itself notifies nobody."""
    device = Device("10.59.0.2")
    running.netd.sync(*running.items(device.item()))
    before = running.vps.run("wg", "showconf", INTERFACE)
    running.vps.run("wg", "set", INTERFACE, *command.format(key=device.public_key).split())
    wait_until(lambda: running.netd.status()["repaired"], "repaired")
    assert running.vps.run("wg", "showconf", INTERFACE) == before


def test_a_killed_device_is_started_again(running):
    running.netd.sync(*running.items(Device("10.59.0.2").item()))
    state = running.netd.state()
    for pid in running.vps.processes("start-wg"):
        running.vps.run("kill", "-9", str(pid_in(pid)))
    wait_for_repair(running.netd, state, 0)


def pid_in(pid):
    """The process's id inside its own namespace."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    raise LookupError(pid)


def test_a_device_that_is_ending_is_not_taken_for_the_new_one(running):
    """The interface is gone and its device has not noticed: it still answers, but serves nothing."""
    running.netd.sync(*running.items(Device("10.59.0.2").item()))
    state = running.netd.state()
    path = f"/wireguard/{INTERFACE}.sock"

    def connections():
        with open(f"/proc/{running.vps.pid}/net/unix", encoding="ascii") as file:
            return sum(line.rstrip().endswith(path) for line in file)

    old = running.vps.processes("start-wg")
    before = connections()
    for pid in old:
        os.kill(pid, signal.SIGSTOP)
    try:
        running.vps.ip("link", "delete", INTERFACE)
        wait_until(lambda: connections() > before, "it is asked whether it is there")
    finally:
        for pid in old:
            os.kill(pid, signal.SIGCONT)
    wait_for_repair(running.netd, state, 0)
    assert not set(old) & set(running.vps.processes("start-wg"))
    assert "failed" not in running.netd.output()


def test_the_next_one_waits_until_this_one_has_ended(running):
    """As where start-tunneld was killed while its start-netd was at work."""
    running.netd.sync(*running.items())
    state = running.netd.state()
    first = running.netd
    (pid,) = running.vps.processes("start-netd")
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(first.process.pid), "nsenter stops with what it started")
    try:
        first.hang_up()
        running.vps.nft("flush table inet start_tunnel")
        running.vps.ip("address", "delete", GATE, "dev", INTERFACE)
        second = running.start()
        wait_until(lambda: waits_for_lock(set(running.vps.processes("start-netd")) - {pid}),
                   "the next one waits")
    finally:
        # It lets go on what it started. A second signal would come between LeakSanitizer and its stops.
        first.process.send_signal(signal.SIGCONT)
    second.sync(*running.items())
    assert running.netd.state() == state
    assert first.close() == 0
    assert "repaired" not in first.output()


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def waits_for_lock(pids):
    with open("/proc/locks", encoding="ascii") as file:
        return any(" -> " in line and str(pid) in line.split() for line in file for pid in pids)


def test_somebody_who_fights_is_met_with_patience(running):
    running.netd.sync(*running.items())
    start = time.monotonic()
    fight = running.vps.start(
        "sh", "-c", "while :; do ip link set wg-start-tunnel down; ip link set wg-start-tunnel up;"
        " ip route delete 10.59.0.0/24 dev wg-start-tunnel; done 2>/dev/null")
    wait_until(lambda: running.netd.status()["found"] >= 3, "drift is found")
    found = running.netd.status()["found"]
    elapsed = time.monotonic() - start
    fight.stop(9)
    assert found <= 3 + 10 * elapsed
    wait_until(lambda: running.netd.routes() == ["10.59.0.0/24"], "peace", 30)


def test_it_idles_without_a_wake_up(site):
    traced = site.start(wrapper=(
        "env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-o", "/run/trace"))
    traced.sync(*site.items(Device("10.59.0.2").item(), forward(f"{VPS}:8000", "10.59.0.2:80")))
    traced.status()
    wait_until(lambda: quiet(site), "it waits without an end")
    size = len(site.vps.read_file("/run/trace"))
    time.sleep(5)  # the absence of an event has no event
    assert len(site.vps.read_file("/run/trace")) == size
    traced.sync()
    assert traced.close() == 0


def quiet(site):
    """Whether it is in a poll() without a timeout."""
    last = site.vps.read_file("/run/trace").rpartition("\n")[2]
    return last.startswith("poll(") and last.endswith(", -1")


def test_ten_thousand_forwards(running):
    """Bounds with room for a machine that has other things to do; bench/ measures."""
    devices = [Device(f"10.59.{n // 250}.{2 + n % 250}") for n in range(20)]
    many = [forward(f"{VPS}:{10000 + n}", f"10.59.0.2:{10000 + n}") for n in range(10000)]
    items = (netd.link(running.key), subnet("10.59.0.1/16"), *(d.item() for d in devices), *many)
    start = time.monotonic()
    running.netd.sync(*items)
    assert time.monotonic() - start < 20 * PATIENCE
    times = {"add": [], "remove": []}
    one = forward(f"{VPS}:80", "10.59.0.3:80")
    for _ in range(30):
        for name, (remove, add) in {"add": ((), [one]), "remove": ([one], ())}.items():
            start = time.monotonic()
            running.netd.change(remove, add)
            times[name].append(time.monotonic() - start)
    assert statistics.median(times["add"]) < 0.05 * PATIENCE
    assert statistics.median(times["remove"]) < 0.05 * PATIENCE
    assert running.netd.table().count(" . 1") >= 20000


def test_devices_are_reached_at_once_after_the_interface_was_lost(joined):
    """The new interface knows where they were: a stranger's packet finds its way before they speak."""
    joined.netd.change((), [forward(f"{VPS}:8000", "10.59.0.2:7000")])
    with Talker(joined.one, [7000]):
        assert ask_tcp(joined.stranger, VPS, 8000) == ("one", STRANGER)
        state = joined.netd.state()
        joined.netd.status()
        joined.vps.ip("link", "delete", INTERFACE)
        wait_for_repair(joined.netd, state, 0)
        assert ask_tcp(joined.stranger, VPS, 8000) == ("one", STRANGER)


def test_a_restart_loads_nothing_that_is_there(running):
    """Rules that are in place keep their handles."""
    items = running.items(forward(f"{VPS}:8000", "10.59.0.2:7000"))
    running.netd.sync(*items)
    before = running.vps.run("nft", "-a", "list", "table", "inet", "start_tunnel")
    assert running.netd.close() == 0
    running.start()
    running.netd.sync(*items)
    assert running.vps.run("nft", "-a", "list", "table", "inet", "start_tunnel") == before


def test_sockets_are_bound_for_the_daemon(running):
    """Any port, and no address but this machine's."""
    with running.vps.socket() as taken:
        taken.bind((VPS, 8443))
        taken.listen()
        with pytest.raises(Refused, match=f"{VPS}:8443 is not available to bind to: Address already"):
            running.netd.bind(VPS, 8443)
    for address, port in ((VPS, 443), (VPS, 8443), ("0.0.0.0", 80), ("::", 443)):
        with running.netd.bind(address, port) as bound:
            assert bound.getsockname()[:2] == (address, port)
            assert bound.type == socket.SOCK_STREAM
            assert not bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    for address, port in ((STRANGER, 443), (VPS, 0), ("224.0.0.1", 443), ("ff02::1", 443)):
        with pytest.raises(Refused, match="is not available to bind to"):
            running.netd.bind(address, port)


def test_services_of_the_tunnel_are_bound_to_it(running):
    """Theirs are few ports, and nobody outside of the tunnel reaches them."""
    gate = GATE.split("/")[0]
    with pytest.raises(Refused, match="is not available to bind to"):
        running.netd.bind("0.0.0.0", 5351, UDP, IN_TUNNEL)  # there is none yet
    running.netd.sync(*running.items())
    for address, port, kind in ((gate, 53, UDP), (gate, 53, TCP), ("0.0.0.0", 5351, UDP),
                                ("0.0.0.0", 1900, UDP), (gate, 49001, TCP)):
        with running.netd.bind(address, port, kind, IN_TUNNEL) as bound:
            assert bound.getsockname() == (address, port)
            assert bound.type == (socket.SOCK_DGRAM if kind == UDP else socket.SOCK_STREAM)
            name = bound.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
            assert name.rstrip(b"\0").decode() == INTERFACE
            if kind == UDP:
                with pytest.raises(Refused, match="Address already in use"):
                    running.netd.bind(address, port, kind, IN_TUNNEL)
    for port, kind, flags in ((54, UDP, IN_TUNNEL), (443, TCP, IN_TUNNEL),
                              (53, 3, IN_TUNNEL), (53, UDP, 2), (443, TCP, 2), (443, 0, 0)):
        with pytest.raises(Refused, match="is not available to bind to: Invalid argument"):
            running.netd.bind(gate, port, kind, flags)


def test_ports_of_udp_are_bound_at_one_address(running):
    with running.netd.bind("127.0.0.1", 443, UDP) as bound:
        assert bound.type == socket.SOCK_DGRAM and bound.getsockname() == ("127.0.0.1", 443)
        with pytest.raises(Refused, match="Address already in use"):
            running.netd.bind("127.0.0.1", 443, UDP)
    for address in ("0.0.0.0", "::", "224.0.0.1"):
        with pytest.raises(Refused, match="is not available to bind to: Invalid argument"):
            running.netd.bind(address, 443, UDP)


def transparent_sockets(channel, count):
    channel.settimeout(60 * PATIENCE)
    channel.send(bytes([count]))
    answer, fds, *_ = socket.recv_fds(channel, 16, 64)
    return answer[0], [socket.socket(fileno=fd) for fd in fds]


def test_sockets_speak_to_devices_from_the_addresses_of_others(joined):
    """What comes back reaches them, although the address is not this machine's; and they reach nobody
    outside of the tunnel."""
    with joined.netd.transparent() as channel, Talker(joined.one, [7000]):
        error, sockets = transparent_sockets(channel, 64)
        assert error == 0 and len(sockets) == 64
        for one in sockets[3:]:
            one.close()
        first, second, third, *_ = sockets
        for one, port in ((first, 4433), (second, 4434)):
            one.bind((STRANGER, port))
            one.settimeout(10 * PATIENCE)
            one.connect(("10.59.0.2", 7000))
            one.sendall(b"hello\n")
            with one.makefile("rb") as answer:
                assert answer.readline().split()[:2] == [b"one", STRANGER.encode()]
            one.close()
        third.bind((VPS, 4435))
        third.settimeout(1)
        with pytest.raises(OSError):
            third.connect((STRANGER, 7000))
        third.close()
        channel.send(b"\0")  # none: no request that there is
        assert channel.recv(1) == b""


def test_without_a_tunnel_there_are_no_transparent_sockets(running):
    with running.netd.transparent() as first, running.netd.transparent() as channel:
        assert transparent_sockets(channel, 1) == (errno.ENODEV, [])
        assert first.recv(1) == b""  # the newer one took its place
