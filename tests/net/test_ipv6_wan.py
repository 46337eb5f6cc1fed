"""
The machine's own IPv6: learned by router advertisements (radvd), another one, none, a small link, switched
off. Each test has a lab of its own: what they do to a machine stays with it.

upnpc and natpmpc have nothing to say here: NAT-PMP has no IPv6, and for UPnP "upnpc -6" looks for a firewall
service (WANIPv6FirewallControl) that this gateway does not have; devices ask by PCP.
"""

import re
import socket

import pytest

from kernel import differences
from lab import Lab, wait_until
from pcp_client import SUCCESS, PcpClient
from product import INTERFACE, RpcError, Tunnel
from traffic import Talker, ask_tcp, ask_udp
from wireguard_peer import join_as_startos



SUBNET = "10.59.37.1/24"
SERVER = "10.59.37.2"
FIRST, SECOND = "2001:db8:70:1:", "2001:db8:70:2:"
RADVD = "/run/radvd.conf"


class Machine:
    """A lab whose VPS runs the daemon with one subnet; nothing of IPv6 is there yet."""

    def __init__(self, prepare=lambda vps: None):
        self.lab = Lab()
        self.talkers = []
        try:
            self.vps, self.stranger, self.server = self.lab.vps, self.lab.stranger, self.lab.server
            prepare(self.vps)
            self.tunnel = Tunnel(self.vps).start()
            self.tunnel.clear()
            self.tunnel.call("subnet.add", subnet=SUBNET, name="Home")
            self.tunnel.call("device.add", subnet=SUBNET, name="Server", kind="server")
        except BaseException:
            self.lab.close()
            raise

    def join(self):
        config = self.tunnel.call("device.show-config", subnet=SUBNET, ip=SERVER)
        self.peer = join_as_startos(self.server, config)
        self.peer.wait_for_handshake()
        for host in (self.server, self.stranger):
            self.talkers.append(Talker(host, [7000]))
            if self.peer.address6:
                self.talkers.append(Talker(host, [7000], family=socket.AF_INET6))

    def addresses(self, prefix):
        return [address for address in self.tunnel.call("status")["addresses"]
                if address.startswith(prefix)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            for talker in self.talkers:
                talker.close()
            log = self.tunnel.findings()
            if self.tunnel.process.running():
                assert self.tunnel.stop() == 0
            self.tunnel.stop_everything()
            assert not log
        finally:
            self.lab.close()


class Router:
    """The provider's, which tells hosts their network and that it leads to the internet."""

    def __init__(self, lab, *prefixes):
        self.host = lab.internet
        self.advertise(*prefixes)
        self.process = self.host.start("radvd", "-n", "-C", RADVD, "-m", "stderr", "-p", "/run/radvd.pid")

    def advertise(self, *prefixes):
        for prefix in prefixes:
            self.host.try_run("ip", "address", "add", f"{prefix}:1/64", "dev", "net0")
        self.host.write_file(RADVD, "interface net0 { AdvSendAdvert on; MinRtrAdvInterval 3;"
                                    " MaxRtrAdvInterval 4; AdvDefaultLifetime 60;\n"
                             + "".join(f"prefix {prefix}:/64 {{}};\n" for prefix in prefixes) + "};\n",
                             0o644)

    def change(self, *prefixes):
        self.process.stop()
        self.advertise(*prefixes)
        self.process = self.host.start("radvd", "-n", "-C", RADVD, "-m", "stderr", "-p", "/run/radvd.pid")


def default_route(host):
    return "proto ra" in host.run("ip", "-6", "route", "show", "default")


def test_addresses_and_routes_of_router_advertisements():
    """
    They are taken while this machine is a router itself; when the provider gives it another network,
    egress goes on by that, forwards of the old address say so, and what is opened anew is at the new one.
    """
    with Machine() as machine:
        vps, tunnel = machine.vps, machine.tunnel
        assert vps.sysctl("net.ipv6.conf.eth0.accept_ra") == "1"
        machine.lab.attach_ipv6(machine.stranger, 3)
        router = Router(machine.lab, FIRST)
        wait_until(lambda: default_route(vps) and machine.addresses(FIRST), "an advertisement", 40)
        tunnel.call("subnet.set-ipv6", subnet=SUBNET, ipv6="on")
        assert vps.sysctl("net.ipv6.conf.all.forwarding") == "1"
        assert vps.sysctl("net.ipv6.conf.eth0.accept_ra") == "2"
        assert vps.sysctl(f"net.ipv6.conf.{INTERFACE}.accept_ra") == "0"
        machine.join()
        old = machine.addresses(FIRST)[0]
        source = (machine.peer.address6, 0)
        assert ask_tcp(machine.server, Lab.STRANGER6, 7000, source=source) == ("stranger", old)

        # Forwarding is on, and the next advertisement still counts.
        vps.ip("-6", "route", "delete", "default")
        wait_until(lambda: default_route(vps), "the next advertisement", 40)
        assert ask_tcp(machine.server, Lab.STRANGER6, 7000, source=source) == ("stranger", old)

        tunnel.call("port-forward.add", externalPort=8000, target=f"[{machine.peer.address6}]:7000")
        assert ask_tcp(machine.stranger, old, 8000) == ("server", Lab.STRANGER6)
        inside = machine.peer.address6.rpartition("::")[0] + "::1"
        with PcpClient(machine.server, machine.peer.address6, inside) as client:
            answer = client.map(7000, 8002)
            assert (answer.result, answer.address) == (SUCCESS, old)

        router.change(SECOND)
        wait_until(lambda: machine.addresses(SECOND), "the second network", 40)
        network = vps.run("ip", "-6", "-o", "address", "show", "dev", "eth0", "scope", "global")
        vps.ip("address", "delete", re.search(rf"{FIRST}\S+/64", network).group(), "dev", "eth0")
        wait_until(lambda: not machine.addresses(FIRST), "the first is gone", 20)
        new = machine.addresses(SECOND)[0]
        assert ask_tcp(machine.server, Lab.STRANGER6, 7000, source=source) == ("stranger", new)
        assert ask_udp(machine.server, Lab.STRANGER6, 7000, source=source) == ("stranger", new)
        # What the device opened goes there by itself, what the owner made stays.
        wait_until(lambda: ask_tcp(machine.stranger, new, 8002, 0.6) == ("server", Lab.STRANGER6),
                   "the device's forward follows", 20)
        states = {row["source"]: row["state"] for row in tunnel.call("status")["forwards"]}
        assert states.pop(f"[{old}]:8000") == "external address is not on this machine"
        assert set(states) == {f"[{new}]:8002"}
        tunnel.call("port-forward.add", externalPort=8000, target=f"[{machine.peer.address6}]:7000")
        assert ask_tcp(machine.stranger, new, 8000) == ("server", Lab.STRANGER6)
        with PcpClient(machine.server, machine.peer.address6, inside) as client:
            answer = client.map(7000, 8001)
            assert (answer.result, answer.address) == (SUCCESS, new)
        assert ask_tcp(machine.stranger, new, 8001) == ("server", Lab.STRANGER6)
        assert differences(tunnel) == []
        router.process.stop()


@pytest.mark.parametrize("scope", ["all", "default"])
def test_a_machine_where_ipv6_is_switched_off(scope):
    """Everything of IPv4 is as ever. Off for all: the switch says why not. Off for what comes: it is ours."""
    def prepare(vps):
        for name in ("all", "default") if scope == "all" else ("default",):
            vps.set_sysctl(f"net.ipv6.conf.{name}.disable_ipv6", "1")

    with Machine(prepare) as machine:
        tunnel = machine.tunnel
        if scope == "all":
            for ipv6 in ("on", "2001:db8:d:1::/64"):
                with pytest.raises(RpcError) as refused:
                    tunnel.call("subnet.set-ipv6", subnet=SUBNET, ipv6=ipv6)
                assert "net.ipv6.conf.all.disable_ipv6" in refused.value.details
            tunnel.call("subnet.set-ipv6", subnet=SUBNET, ipv6="off")
        machine.join()
        tunnel.call("port-forward.add", externalPort=8000, target=f"{SERVER}:7000")
        assert ask_tcp(machine.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)
        assert ask_udp(machine.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)
        with PcpClient(machine.server, SERVER, "10.59.37.1") as client:
            assert client.map(7000, 8001).result == SUCCESS
        status = tunnel.call("status")
        assert status["network"]["inSync"] and status["drift"]["found"] == 0
        assert status["dns"] == {"problem": None}
        assert machine.vps.run("ip", "-6", "address", "show", "dev", INTERFACE) == ""
        assert machine.vps.sysctl("net.ipv6.conf.all.forwarding") == "0"
        assert differences(tunnel) == []
        if scope == "default":
            tunnel.call("subnet.set-ipv6", subnet=SUBNET, ipv6="on")
            assert "fd" in machine.vps.run("ip", "-6", "address", "show", "dev", INTERFACE)
            assert differences(tunnel) == []


def test_a_link_that_is_too_small_for_ipv6_inside():
    """The tunnel gets what IPv6 needs; what it sends goes in two packets outside. Without IPv6 it is smaller."""
    with Machine(lambda vps: vps.ip("link", "set", "eth0", "mtu", "1300")) as machine:
        tunnel = machine.tunnel
        assert tunnel.call("status")["interface"]["mtu"] == 1220
        tunnel.call("subnet.set-ipv6", subnet=SUBNET, ipv6="on")
        assert tunnel.call("status")["interface"]["mtu"] == 1280
        machine.lab.internet.ip("link", "set", "net0", "mtu", "1300")
        machine.join()
        gate = machine.peer.address6.rpartition("::")[0] + "::1"
        wait_until(lambda: machine.server.try_run("ping", "-6", "-n", "-c", "1", "-M", "do", "-s", "1232",
                                                  "-W", "2", gate)[0] == 0, "a whole packet", 40)
        assert differences(tunnel) == []
        tunnel.call("subnet.set-ipv6", subnet=SUBNET, ipv6="off")
        assert tunnel.call("status")["interface"]["mtu"] == 1220
        assert differences(tunnel) == []
