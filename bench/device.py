"""A lab with one device that joined as StartOS does: what a measurement from a device's side begins with."""

import contextlib

from lab import Lab
from product import Tunnel
from wireguard_peer import join_as_startos

SUBNET = "10.59.37.1/24"
GATE = "10.59.37.1"
DEVICE = "10.59.37.2"


@contextlib.contextmanager
def joined(name, **how):
    """Gives the lab and the product on its VPS. @name: of the subnet; @how: for join_as_startos()."""
    with Lab() as lab:
        tunnel = Tunnel(lab.vps).start()
        tunnel.clear()
        tunnel.call("subnet.add", subnet=SUBNET, name=name)
        tunnel.call("device.add", subnet=SUBNET, name="Server", kind="server")
        config = tunnel.call("device.show-config", subnet=SUBNET, ip=DEVICE)
        join_as_startos(lab.server, config, **how).wait_for_handshake()
        yield lab, tunnel
        tunnel.stop()
        tunnel.stop_everything()
