"""Fixtures of the end-to-end suite: one lab with joined devices serves the tests of a module."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lab as lab_module
import product
from lab import Lab
from product import Tunnel
from traffic import Talker, WebServer
from wireguard_peer import join_as_startos, join_by_wg_quick

SUBNET = "10.59.37.1/24"
OTHER_SUBNET = "10.60.0.1/24"


def pytest_addoption(parser):
    parser.addoption("--build-dir", help="where the programs are (default: $BUILD_DIR or build)")


def pytest_configure(config):
    if config.getoption("--build-dir"):
        product.BUILD_DIR = os.path.abspath(config.getoption("--build-dir"))


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    if os.geteuid() != 0:
        pytest.exit("the namespace suite needs root", 1)
    missing = lab_module.missing_programs() + product.missing_programs()
    if missing:
        pytest.exit(f"missing: {' '.join(missing)}", 1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what the daemon said last."""
    outcome = yield
    report = outcome.get_result()
    for value in getattr(item, "funcargs", {}).values():
        tunnel = value if isinstance(value, Tunnel) else getattr(value, "tunnel", None)
        if report.failed and isinstance(tunnel, Tunnel) and tunnel.process:
            lines = tunnel.process.output().splitlines()[-40:]
            report.sections.append(("start-tunneld", "\n".join(lines)))
            break


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def tunnel(lab):
    """The daemon on the VPS, with an empty document."""
    tunnel = Tunnel(lab.vps).start()
    tunnel.clear()
    yield tunnel
    running = tunnel.process.running()
    status = tunnel.stop() if running else None
    tunnel.stop_everything()
    assert running, f"the daemon ended by itself: {tunnel.log()[-2000:]}"
    assert status == 0
    assert not tunnel.findings()


class World:
    """
    The lab with everyone in it. In the subnet 10.59.37.0/24 are
    `server` (StartOS' way, behind two NATs) and `phone` (wg-quick); in 10.60.0.0/24 is `laptop`, whose
    owner changed its configuration so that it sends every private address into the tunnel.
    """

    SERVER = "10.59.37.2"
    PHONE = "10.59.37.3"
    LAPTOP = "10.60.0.2"

    def __init__(self, lab, tunnel):
        self.lab = lab
        self.tunnel = tunnel
        self.vps, self.server, self.phone = lab.vps, lab.server, lab.phone
        self.stranger = lab.stranger
        self.laptop = lab.add_host("laptop")
        lab.attach(self.laptop, 4)
        tunnel.clear()  # tests before this may have left something
        with tunnel.rpc() as rpc:
            rpc.call("subnet.add", subnet=SUBNET, name="Home")
            rpc.call("subnet.add", subnet=OTHER_SUBNET, name="Guests")
            rpc.call("device.add", subnet=SUBNET, name="Server", kind="server")
            rpc.call("device.add", subnet=SUBNET, name="Phone")
            rpc.call("device.add", subnet=OTHER_SUBNET, name="Laptop")
            config = {ip: rpc.call("device.show-config", subnet=subnet, ip=ip)
                      for subnet, ip in ((SUBNET, self.SERVER), (SUBNET, self.PHONE),
                                         (OTHER_SUBNET, self.LAPTOP))}
            self._subnets = rpc.call("db.dump", pointer="/wg")["value"]
        self.config = config
        modified = config[self.LAPTOP].replace("AllowedIPs = 10.60.0.0/24",
                                               "AllowedIPs = 10.0.0.0/8")
        self.peers = {
            self.SERVER: join_as_startos(self.server, config[self.SERVER]),
            self.PHONE: join_by_wg_quick(self.phone, config[self.PHONE]),
            self.LAPTOP: join_by_wg_quick(self.laptop, modified),
        }
        for peer in self.peers.values():
            peer.wait_for_handshake()
        self.web = WebServer(self.server, 80)
        self.talkers = [
            Talker(self.server, [7000, 7001, 7002, 7003, 9000]),
            Talker(self.phone, [7000]),
            Talker(self.stranger, [7000]),
            Talker(self.vps, [7777], tcp=True),
        ]

    def reset(self):
        """The document as it was after everyone joined; devices do not notice."""
        self.tunnel.call("db.apply", expr=f".wg = {product.json.dumps(self._subnets)}"
                                          " | .portForwards = {}")

    def forward(self, port, target, count=1, label=None):
        self.tunnel.call("port-forward.add", externalPort=port, target=target, count=count,
                         label=label)

    def close(self):
        for server in (self.web, *self.talkers):
            server.close()


@pytest.fixture(scope="module")
def joined(lab, tunnel):
    world = World(lab, tunnel)
    yield world
    world.close()


@pytest.fixture
def world(joined):
    """The joined world, as it was at first."""
    assert joined.tunnel.process.running(), "a test before this one left no daemon"
    joined.reset()
    return joined
