"""The daemon and its machine: privileges, files, sysctls, IPv6, a VPS behind 1:1 NAT, the reboot."""

import contextlib
import os
import re
import socket
import stat

import pytest

import kernel
from conftest import SUBNET
from lab import PATIENCE, Host, Lab, link, wait_until
from product import INTERFACE, ROOT, TABLE, Tunnel, is_sanitized, program
from told_services import Datagrams, First, converse, exchange, header
from traffic import Talker, ask_tcp, ask_udp
from wireguard_peer import join_as_startos, parse_config

SERVER = "10.59.37.2"


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


# Privileges

def test_the_daemon_that_faces_the_network_has_no_privilege(tunnel):
    status = status_of(tunnel.process.pid)
    assert set(status["Uid"].split()) != {"0"} and "0" not in status["Uid"].split()
    assert "0" not in status["Gid"].split()
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[capabilities], 16) == 0
    assert status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("name", ["start-tunneld", "start-netd"])
def test_the_daemons_have_filters_of_system_calls(tunnel, name):
    """What they let through: lib/sandbox/syscall_filter_test.c."""
    (pid,) = tunnel.host.processes(name)
    for thread in os.listdir(f"/proc/{pid}/task"):
        # A sanitizer needs more calls itself; its builds go without.
        assert status_of(f"{pid}/task/{thread}")["Seccomp"] == ("0" if is_sanitized(name) else "2")
    assert "system calls are not filtered" not in tunnel.log()


def test_the_data_plane_has_no_privilege_and_a_filter(tunnel):
    if tunnel.call("status")["interface"]["backend"].startswith("kernel"):
        pytest.skip("the kernel is the data plane here")
    pids = tunnel.host.processes("start-wg")
    assert pids
    for status in [status_of(f"{pid}/task/{thread}")
                   for pid in pids for thread in os.listdir(f"/proc/{pid}/task")]:
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[capabilities], 16) == 0
        assert status["NoNewPrivs"] == "1"
        if not is_sanitized("start-wg"):  # the sanitizer itself needs more system calls
            assert status["Seccomp"] == "2"


def test_the_privileged_process_keeps_what_it_needs_alone(tunnel):
    (pid,) = tunnel.host.processes("start-netd")
    effective = int(status_of(pid)["CapEff"], 16)
    assert effective == 1 << 12 | 1 << 10, "CAP_NET_ADMIN and CAP_NET_BIND_SERVICE"
    listening = tunnel.host.run("ss", "-Hlntup")
    assert "start-netd" not in listening


def test_secrets_are_in_private_files(tunnel):
    directory = tunnel.host.path(tunnel.data_dir)
    assert stat.S_IMODE(os.stat(directory).st_mode) & 0o077 == 0
    for name in os.listdir(directory):
        assert stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode) & 0o077 == 0


def test_no_secret_is_in_logs_or_arguments(tunnel):
    tunnel.clear()
    tunnel.call("subnet.add", subnet=SUBNET, name="x")
    tunnel.call("device.add", subnet=SUBNET, name="x")
    document = tunnel.document()
    client = document["wg"]["subnets"][SUBNET]["clients"][SERVER]
    texts = [tunnel.process.output()]
    for name in ("start-tunneld", "start-netd", "start-wg"):
        for pid in tunnel.host.processes(name):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                texts.append(file.read())
    for secret in (document["wg"]["key"], client["key"], client["psk"]):
        assert all(secret not in text for text in texts)


def capabilities_of_the_unit():
    """As setpriv names them."""
    with open(os.path.join(ROOT, "packaging/systemd/start-tunneld.service"), encoding="ascii") as unit:
        names = re.search("^CapabilityBoundingSet=(.*)$", unit.read(), re.M)[1].split()
    return [name.removeprefix("CAP_").lower() for name in names]


def test_the_capabilities_of_the_unit_suffice(machine):
    bounds = "--bounding-set=-all," + ",".join(f"+{name}" for name in capabilities_of_the_unit())
    machine.write_file("/run/start-tunneld", f"#!/bin/sh\nexec setpriv {bounds} "
                       f"{program('start-tunneld')} \"$@\"\n", 0o755)
    tunnel = Tunnel(machine, lambda name: "/run/start-tunneld" if name == "start-tunneld" else
                    program(name)).start()
    try:
        tunnel.cli("web", "init", "--listen", "198.18.0.2:443", "--generate")
        wait_until(lambda: tunnel.call("status")["web"]["listening"], "port 443 is served", 30)
        handles = machine.run("nft", "-a", "-s", "list", "table", "inet", TABLE)
        assert not kernel.differences(tunnel)
        tunnel.stop()
        tunnel.start()
        assert not kernel.differences(tunnel)
        # CAP_SYS_ADMIN is not among them: the unit has a filter in the place of start-netd's own.
        assert ("system calls are not filtered" in tunnel.log()) != is_sanitized("start-netd")
        for pid in machine.processes("start-wg"):
            if not is_sanitized("start-wg"):
                assert os.listdir(f"/proc/{pid}/root") == []
        # Without user namespaces start-netd does not know its table again, and loads it anew.
        if machine.try_run("setpriv", bounds, "unshare", "--user", "--net", "true")[0] == 0:
            assert machine.run("nft", "-a", "-s", "list", "table", "inet", TABLE) == handles
    finally:
        tunnel.stop_everything()


def test_start_as_a_user_is_refused_in_words(lab):
    status, output, error = lab.vps.try_run(
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        Tunnel(lab.vps).program("start-tunneld"))
    if status in (126, 127):
        pytest.skip("the build directory is closed to other users")
    assert status not in (0, -11) and "root" in output + error


# The machine

@pytest.fixture
def machine():
    """A server of its own, without a daemon yet."""
    internet, server = Host("internet"), Host("machine")
    link(internet, "net0", "198.18.0.1/24", server, "eth0", "198.18.0.2/24")
    yield server
    server.close()
    internet.close()


def test_fresh_document_has_one_random_subnet(machine):
    tunnel = Tunnel(machine).start()
    try:
        document = tunnel.document()
        (key, subnet), = document["wg"]["subnets"].items()
        assert key.startswith("10.59.") and key.endswith(".1/24")
        assert subnet == {"name": "Default Subnet", "clients": {}, "dns": {"type": "default"},
                          "wanIp": None}
        assert document["wg"]["port"] == 51820
        assert set(document["migrations"]) == {"PortForwardAuto", "PortForwardEntry",
                                               "PortForwardKind", "WgClientKind"}
        gateway = document["gateways"]["eth0"]["ipInfo"]
        assert "198.18.0.2/24" in gateway["subnets"] and gateway["deviceType"] in ("ethernet", None)
        assert INTERFACE not in document["gateways"]
        assert not kernel.differences(tunnel)
    finally:
        tunnel.stop_everything()


def test_sysctls(tunnel):
    assert tunnel.host.sysctl("net.ipv4.ip_forward") == "1"


def test_new_addresses_of_the_machine_are_noticed(tunnel):
    host = tunnel.host
    host.ip("address", "add", "198.18.0.44/24", "dev", "eth0")
    try:
        wait_until(lambda: "198.18.0.44/24" in tunnel.document()["gateways"]["eth0"]["ipInfo"]["subnets"],
                   "the document shows the address")
    finally:
        host.ip("address", "delete", "198.18.0.44/24", "dev", "eth0")
    wait_until(lambda: "198.18.0.44/24" not in
               tunnel.document()["gateways"]["eth0"]["ipInfo"]["subnets"],
               "the document does not show the address any more")


def test_restart_command_reboots_by_the_configured_program(machine):
    """Never the machine that runs this test: a program of the lab stands for reboot(8)."""
    machine.write_file("/run/bin/lab-reboot", "#!/bin/sh\necho rebooted >/run/rebooted\n", 0o755)
    tunnel = Tunnel(machine).start("--reboot-command", "/run/bin/lab-reboot")
    try:
        assert tunnel.cli("restart") == ""
        wait_until(lambda: os.path.exists(machine.path("/run/rebooted")), "the program ran")
    finally:
        tunnel.stop_everything()


# IPv6 is closed for now

def test_ipv6_is_not_forwarded():
    left, machine, right = Host("left"), Host("machine"), Host("right")
    link(left, "eth0", "fd00:a::1/64", machine, "eth0", "fd00:a::2/64")
    link(machine, "eth1", "fd00:b::1/64", right, "eth0", "fd00:b::2/64")
    machine.ip("address", "add", "198.18.0.2/24", "dev", "eth0")
    left.ip("route", "add", "default", "via", "fd00:a::2")
    right.ip("route", "add", "default", "via", "fd00:b::1")
    machine.set_sysctl("net.ipv6.conf.all.forwarding", "1")

    def passes(address="fd00:b::2", seconds=1):
        return left.try_run("ping", "-6", "-n", "-c", "1", "-W", seconds, address)[0] == 0

    wait_until(passes, "IPv6 passes through this machine without the product")
    tunnel = Tunnel(machine).start()
    try:
        machine.set_sysctl("net.ipv6.conf.all.forwarding", "1")
        assert not passes()
        assert passes("fd00:a::2", 3), "the machine itself still speaks IPv6"
    finally:
        tunnel.stop_everything()
    wait_until(passes, "IPv6 passes again")
    for host in (left, machine, right):
        host.close()


# A VPS whose provider maps its public address to a private one

class Cloud:
    """A VPS with 10.0.0.5 alone; the provider's router makes that 198.18.5.2 and back, for what comes
    from the internet: the machine does not reach its own public address by it."""

    PUBLIC = "198.18.5.2"

    def __init__(self, lab):
        self.router = lab.add_host("provider", forwards=True)
        lab.attach(self.router, 5)
        self.vps = lab.add_host("cloud")
        link(self.router, "lan", "10.0.0.1/24", self.vps, "eth0", "10.0.0.5/24")
        self.vps.ip("route", "add", "default", "via", "10.0.0.1")
        self.router.nft(f"""
            table ip nat {{
                chain prerouting {{
                    type nat hook prerouting priority dstnat;
                    iifname "eth0" ip daddr {self.PUBLIC} dnat to 10.0.0.5
                }}
                chain postrouting {{
                    type nat hook postrouting priority srcnat;
                    ip saddr 10.0.0.5 snat to {self.PUBLIC}
                }}
            }}""")


def test_vps_behind_1_to_1_nat(lab):
    cloud = Cloud(lab)
    tunnel = Tunnel(cloud.vps).start()
    tunnel.clear()
    tunnel.cli("subnet", SUBNET, "add", "Home")
    tunnel.cli("device", "add", SUBNET, "Server", "--kind", "server")

    for status, arguments in ((6, ["device", "show-config", SUBNET, SERVER]),
                              (9, ["port-forward", "add", "8080", f"{SERVER}:7000"])):
        got, output, error = tunnel.try_cli(*arguments)
        assert (got, output) == (status, "")
        assert "10.0.0.5" in error and "set-wan" in error, f"does not say what to do: {error}"

    tunnel.cli("subnet", SUBNET, "set-wan", "--wan-ip", cloud.PUBLIC)
    config = tunnel.cli("device", "show-config", SUBNET, SERVER)
    assert parse_config(config)["Peer"]["Endpoint"] == f"{cloud.PUBLIC}:51820"
    tunnel.cli("port-forward", "add", "8080", f"{SERVER}:7000")
    assert list(tunnel.forwards()) == [f"{cloud.PUBLIC}:8080"]

    peer = join_as_startos(lab.server, config)
    try:
        peer.wait_for_handshake()
        with Talker(lab.server, [7000]), Talker(lab.stranger, [7000]):
            assert ask_tcp(lab.stranger, cloud.PUBLIC, 8080) == ("server", Lab.STRANGER)
            assert ask_udp(lab.stranger, cloud.PUBLIC, 8080) == ("server", Lab.STRANGER)
            # Both hairpins reach the public address that this machine does not have.
            assert ask_tcp(lab.server, cloud.PUBLIC, 8080, source=(SERVER, 0)) == \
                ("server", "10.59.37.1")
            assert ask_tcp(cloud.vps, cloud.PUBLIC, 8080) == ("server", "10.59.37.1")
            # What the device sends to the internet comes from the public address.
            assert ask_tcp(lab.server, Lab.STRANGER, 7000, source=(SERVER, 0)) == \
                ("stranger", cloud.PUBLIC)
        forward, = tunnel.call("status")["forwards"]
        assert forward["state"] == "active"
        # A device that is told its clients is told the address that they dialled.
        tunnel.cli("port-forward", "add", "8081", f"{SERVER}:7001", "--proxy-protocol")
        wait_until(lambda: all(row["state"] == "active" for row in tunnel.call("status")["forwards"]),
                   "both are served")
        with contextlib.closing(First(lab.server, 7001)) as mail, \
                contextlib.closing(Datagrams(lab.server, 7001)) as datagrams, \
                lab.stranger.socket(kind=socket.SOCK_DGRAM) as client:
            own = converse(lab.stranger.connect(cloud.PUBLIC, 8081, 10 * PATIENCE))
            assert mail.seen == [("10.59.37.1", header(own, (cloud.PUBLIC, 8081)) + b"EHLO\n")]
            client.connect((cloud.PUBLIC, 8081))
            assert exchange(client, b"told") == b"TOLD"
            assert datagrams.seen[-1][1] == header(client.getsockname(), (cloud.PUBLIC, 8081), True) + b"\ntold"
    finally:
        peer.leave()
        tunnel.stop_everything()


@pytest.mark.parametrize("directory, options, words", [
    ("/var/lib/start-tunnel", ("--listen", "198.18.0.99:5960"),
     "cannot listen on 198.18.0.99:5960: Cannot assign requested address"),
    ("/var/lib/spoiled", (), "/var/lib/spoiled/tunnel.sqlite"),
])
def test_a_start_that_fails_says_why(tunnel, directory, options, words):
    """Whatever it had made by then is released: leaks would be told by the sanitized build."""
    tunnel.stop()
    tunnel.host.run("mkdir", "-p", "/var/lib/spoiled")
    tunnel.host.write_file("/var/lib/spoiled/tunnel.sqlite", "This is no database. " * 100)
    tunnel.host.run("chown", "start-tunnel:", "/var/lib/spoiled/tunnel.sqlite")
    other = Tunnel(tunnel.host, data_dir=directory)
    other.start(*options, wait=False)
    assert 0 < other.process.wait(30.0) < 128
    assert words in other.process.output() and not other.findings()
    wait_until(lambda: not tunnel.host.processes("start-netd"), "start-netd ends too")
    tunnel.start()
