"""
What is special to a kernel that has WireGuard itself. The suite beside this file runs it together with
the main job and the repairs of tests/net on the same kernel. The phone and the laptop use the module,
too, for wg-quick prefers it; the server uses wireguard-go.
"""

from conftest import SUBNET, World
from lab import Lab
from product import INTERFACE, program
from traffic import Conversation, ask_tcp, fetch

PATIENCE_S = 60.0  # an emulated machine is slow


def backend(world):
    return world.tunnel.call("status")["interface"]["backend"]


def test_status_names_the_kernel(world):
    assert backend(world).split()[0] == "kernel"
    assert "wireguard" in world.vps.run("ip", "-details", "link", "show", INTERFACE)
    assert not world.vps.processes("start-wg"), "the kernel carries the packets, and nobody else"


def test_devices_of_the_kernel_and_of_wireguard_go_join(world):
    details = world.phone.run("ip", "-details", "link", "show", "wg0")
    assert "wireguard" in details, "the phone was to use the kernel's module"
    rows = {row["ip"]: row for row in world.tunnel.call("status")["devices"]}
    for address in (World.SERVER, World.PHONE, World.LAPTOP):
        assert rows[address]["online"] and rows[address]["lastHandshake"], address
        assert rows[address]["rxBytes"] > 0 and rows[address]["txBytes"] > 0, address


def test_the_internet_reaches_the_server(world):
    world.forward(8080, f"{World.SERVER}:80")
    assert Lab.STRANGER in fetch(world.stranger, Lab.VPS, 8080, PATIENCE_S)


def test_edits_leave_other_devices_alone(world):
    """Counters and sessions of the kernel's peers go on: no peer was made anew."""
    index, before = world.tunnel.link_index(), world.tunnel.wg_dump()["peers"]
    with world.tunnel.rpc() as rpc, \
            Conversation(world.phone, World.SERVER, 7000, PATIENCE_S) as conversation:
        for round in range(3):
            subnet = f"10.70.{round}.1/24"
            rpc.call("subnet.add", subnet=subnet, name="short")
            rpc.call("device.add", subnet=subnet, name="short")
            conversation.say()
            rpc.call("device.remove", subnet=subnet, ip=f"10.70.{round}.2")
            rpc.call("subnet.remove", subnet=subnet)
            conversation.say()
    after = world.tunnel.wg_dump()["peers"]
    assert world.tunnel.link_index() == index
    assert after.keys() == before.keys()
    for key, peer in before.items():
        assert after[key]["endpoint"] == peer["endpoint"]
        assert after[key]["handshake"] >= peer["handshake"] > 0
        assert after[key]["received"] >= peer["received"] > 0


def test_kill_and_restart_leave_the_tunnel_running(world):
    index = world.tunnel.link_index()
    with Conversation(world.phone, World.SERVER, 7000, PATIENCE_S) as conversation:
        world.tunnel.kill()
        conversation.say()
        world.tunnel.start(timeout_s=PATIENCE_S)
        conversation.say()
    assert world.tunnel.link_index() == index
    assert backend(world).split()[0] == "kernel"


def test_start_wg_serves_where_the_owner_asks_for_it(world):
    """The other back end on the same kernel: devices come back by themselves."""
    tunnel = world.tunnel
    assert tunnel.stop() == 0
    world.vps.run("ip", "link", "delete", INTERFACE)
    tunnel.process = world.vps.start(program("start-tunneld"), "-d", tunnel.data_dir,
                                     "--backend", "start-wg")
    tunnel.wait_until_ready(PATIENCE_S)
    assert backend(world).split()[0] == "start-wg"
    assert tunnel.call("db.dump", pointer="/wg/subnets")["value"][SUBNET]["clients"]
    assert ask_tcp(world.phone, World.SERVER, 7000, 4 * PATIENCE_S) == ("server", World.PHONE)
