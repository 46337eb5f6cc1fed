"""What someone else does to our table or interface is noticed, repaired and counted."""

import concurrent.futures

import pytest

import kernel
from conftest import SUBNET
from lab import Lab, wait_until
from product import INTERFACE, TABLE
from traffic import Conversation, ask_tcp

REPAIR_S = 10.0


class Watched:
    """The world with a forward, and what the kernel was like with it."""

    def __init__(self, world):
        self.world = world
        self.tunnel = world.tunnel
        self.vps = world.vps
        # Whoever keeps changing things is answered at growing intervals; a new daemon begins at once.
        self.tunnel.stop()
        self.tunnel.start()
        world.forward(8000, f"{world.SERVER}:7000", count=3)
        world.forward(443, f"{world.SERVER}:7001")
        self.table = self.tunnel.table()
        self.drift = self.tunnel.call("status")["drift"]
        assert not kernel.differences(self.tunnel)

    def wait_for_repair(self, timeout_s=REPAIR_S, sessions_are_kept=True):
        def repaired():
            if not self._is_right():
                return False
            now = self.tunnel.call("status")["drift"]
            return now["found"] > self.drift["found"] and now["repaired"] > self.drift["repaired"]

        try:
            wait_until(repaired, "everything is as it was, and counted", timeout_s)
        except TimeoutError as error:
            status = self.tunnel.call("status")
            raise AssertionError(f"{self.tunnel.table() == self.table=}, "
                                 f"{status['drift']}, {status['network']}") from error
        after = self.tunnel.call("status")["drift"]
        assert after["last"], "status does not say what it was"
        if not sessions_are_kept:
            self.wait_for_devices()
        assert ask_tcp(self.world.stranger, Lab.VPS, 8001) == ("server", Lab.STRANGER)

    def wait_for_devices(self):
        """WireGuard notices a lost session 15 s after it sent something that was not answered."""
        hosts = {self.world.server: "10.59.37.1", self.world.phone: "10.59.37.1",
                 self.world.laptop: "10.60.0.1"}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answers = pool.map(lambda host: host.ping(hosts[host], 25), hosts)
        missing = [str(host) for host, answer in zip(hosts, answers) if not answer]
        assert not missing, "these devices are not back"

    def _is_right(self):
        try:
            return self.tunnel.table() == self.table and not kernel.differences(self.tunnel)
        except Exception:  # pylint: disable=broad-except
            return False  # the interface is not there at the moment


@pytest.fixture
def watched(world):
    return Watched(world)


def test_flushed_table(watched):
    watched.vps.run("nft", "flush", "table", "inet", TABLE)
    watched.wait_for_repair()


def test_deleted_table(watched):
    watched.vps.run("nft", "delete", "table", "inet", TABLE)
    watched.wait_for_repair()


def test_flushed_ruleset(watched):
    """What a careless firewall script does."""
    watched.vps.run("nft", "flush", "ruleset")
    watched.wait_for_repair()


def rules(host):
    listing = host.json("nft", "-j", "list", "table", "inet", TABLE)["nftables"]
    return [entry["rule"] for entry in listing if "rule" in entry]


def test_each_deleted_rule(watched):
    """Every single rule, one after the other."""
    for position in range(len(rules(watched.vps))):
        watched.tunnel.stop()
        watched.tunnel.start()
        watched.drift = watched.tunnel.call("status")["drift"]
        rule = rules(watched.vps)[position]
        watched.vps.run("nft", "delete", "rule", "inet", TABLE, rule["chain"], "handle",
                        rule["handle"])
        watched.wait_for_repair()


def test_added_rule(watched):
    chain = rules(watched.vps)[0]["chain"]
    watched.vps.run("nft", "insert", "rule", "inet", TABLE, chain, "accept")
    watched.wait_for_repair()


def test_deleted_forward_elements(watched):
    """The maps that hold the forwards are emptied; open connections are not cut by the repair."""
    maps = [entry["map"]["name"] for entry in
            watched.vps.json("nft", "-j", "list", "table", "inet", TABLE)["nftables"]
            if "map" in entry]
    assert maps
    with Conversation(watched.world.stranger, Lab.VPS, 443) as conversation:
        conversation.say()
        for name in maps:
            watched.vps.run("nft", "flush", "map", "inet", TABLE, name)
        watched.wait_for_repair()
        conversation.say()


def test_removed_address(watched):
    watched.vps.ip("address", "delete", SUBNET, "dev", INTERFACE)
    watched.wait_for_repair()


def test_foreign_address(watched):
    watched.vps.ip("address", "add", "10.99.0.1/24", "dev", INTERFACE)
    watched.wait_for_repair()


def test_removed_route(watched):
    watched.vps.ip("route", "delete", "10.59.37.0/24", "dev", INTERFACE)
    watched.wait_for_repair()


def test_removed_return_path(watched):
    """What leads replies to sockets that speak from their clients' addresses."""
    rule = watched.vps.run("ip", "-4", "rule", "show", "table", "1344")
    route = watched.vps.run("ip", "-4", "route", "show", "table", "1344")
    assert INTERFACE in rule and "local default dev lo" in route
    watched.vps.ip("rule", "delete", "table", "1344")
    watched.wait_for_repair()
    assert watched.vps.run("ip", "-4", "rule", "show", "table", "1344") == rule
    watched.drift = watched.tunnel.call("status")["drift"]
    watched.vps.ip("route", "flush", "table", "1344")
    # A look at the rule may come after it was told as repaired, and be told once more.
    wait_until(lambda: watched.vps.run("ip", "-4", "route", "show", "table", "1344") == route,
               "the route is back", 30)


def test_interface_down(watched):
    watched.vps.ip("link", "set", INTERFACE, "down")
    watched.wait_for_repair()


def test_changed_mtu(watched):
    watched.vps.ip("link", "set", INTERFACE, "mtu", "1280")
    wait_until(lambda: watched.vps.read_file(f"/sys/class/net/{INTERFACE}/mtu").strip() == "1420",
               "the MTU is as it was", REPAIR_S)
    watched.wait_for_repair()


def test_deleted_interface(watched):
    """The devices come back by themselves: the same keys, the same port."""
    watched.vps.ip("link", "delete", INTERFACE)
    watched.wait_for_repair(sessions_are_kept=False)


def test_somebody_who_does_not_stop(watched):
    """Repairs come at growing intervals, so that two programs do not fight with all their might; in the
    end it is as wanted."""
    for _ in range(50):
        watched.vps.run("nft", "flush", "table", "inet", TABLE)
    during = watched.tunnel.call("status")["drift"]["found"] - watched.drift["found"]
    assert during < 20
    watched.wait_for_repair(timeout_s=40)


# wg(8) tells nobody what it changes: such drift is found by the next look at the devices.

def look(watched):
    """An owner looks at the status, or makes any edit: either has the devices compared."""
    return watched.tunnel.call("status")


def test_foreign_peer(watched):
    key = watched.vps.run("wg", "genkey").strip()
    public = watched.vps.run("wg", "pubkey", input=key + "\n").strip()
    watched.vps.run("wg", "set", INTERFACE, "peer", public, "allowed-ips", "10.59.37.200/32")
    wait_until(lambda: look(watched) and public not in watched.tunnel.wg_dump()["peers"],
               "the foreign peer is gone", REPAIR_S)
    watched.wait_for_repair()


def test_removed_peer(watched):
    public = next(key for key, peer in watched.tunnel.wg_dump()["peers"].items()
                  if peer["allowed"] == [f"{watched.world.SERVER}/32"])
    watched.vps.run("wg", "set", INTERFACE, "peer", public, "remove")
    wait_until(lambda: look(watched) and public in watched.tunnel.wg_dump()["peers"],
               "the peer is back", REPAIR_S)
    watched.wait_for_repair(sessions_are_kept=False)


def test_sysctl(watched):
    watched.vps.set_sysctl("net.ipv4.ip_forward", "0")
    watched.wait_for_repair()
    assert watched.vps.sysctl("net.ipv4.ip_forward") == "1"


FOREIGN = """
table inet foreign {
    set known { type ipv4_addr; elements = { 192.0.2.1 } }
    chain input {
        type filter hook input priority 0; policy accept;
        ip saddr @known drop
    }
}
table ip start_tunnel {
    chain other {
    }
}
"""


def test_other_tables_are_left_alone(watched):
    def others():
        listing = watched.vps.json("nft", "-j", "list", "ruleset")["nftables"]
        return [entry for entry in listing if "metainfo" not in entry
                and not any(value.get("table", value.get("name")) == TABLE
                            and value.get("family") == "inet" for value in entry.values())]

    watched.vps.nft(FOREIGN)
    try:
        before = others()
        assert len(before) >= 5
        watched.vps.run("nft", "flush", "table", "inet", TABLE)
        watched.wait_for_repair()
        watched.world.forward(9000, f"{watched.world.SERVER}:7002")
        watched.tunnel.call("port-forward.remove", source=f"{Lab.VPS}:9000")
        watched.tunnel.stop()
        watched.tunnel.start()
        assert others() == before
    finally:
        watched.vps.run("nft", "delete", "table", "inet", "foreign")
        watched.vps.run("nft", "delete", "table", "ip", "start_tunnel")


def test_changes_elsewhere_are_no_drift(watched):
    watched.vps.nft(FOREIGN)
    watched.vps.run("nft", "delete", "table", "inet", "foreign")
    watched.vps.run("nft", "delete", "table", "ip", "start_tunnel")
    watched.vps.ip("link", "add", "other0", "type", "veth", "peer", "name", "other1")
    watched.vps.ip("link", "delete", "other0")
    watched.world.forward(9000, f"{watched.world.SERVER}:7002")  # nor are our own edits
    assert watched.tunnel.call("status")["drift"]["found"] == watched.drift["found"]
