"""`kill -9` of the daemon at any moment: nothing acknowledged is lost, nothing is left half done."""

import http.client
import os
import random
import signal
import threading
import time

import pytest

import kernel
from conftest import SUBNET
from lab import CommandFailed, Lab, wait_until
from product import RpcError, Tunnel
from traffic import Conversation, ask_tcp, ask_udp

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "50"))
EDITS = 1000
SUBNETS = [f"10.80.{number}.1/24" for number in range(4)]
HOSTS = range(2, 14)
PORTS = range(2000, 2400, 4)


class Model:
    """What the document has to hold after the edits that were acknowledged."""

    def __init__(self):
        self.subnets = {}  # key: {"name", "wan", "clients": {ip: {"name", "kind", "wan"}}}
        self.forwards = {}  # first port: {"target", "label", "enabled", "count"}

    def copy(self):
        other = Model()
        other.subnets = {key: subnet | {"clients": {ip: dict(client)
                                                    for ip, client in subnet["clients"].items()}}
                         for key, subnet in self.subnets.items()}
        other.forwards = {port: dict(forward) for port, forward in self.forwards.items()}
        return other

    def clients(self):
        return [(key, ip) for key, subnet in self.subnets.items() for ip in subnet["clients"]]

    def _wan(self, target):
        ip = target.split(":")[0]
        for subnet in self.subnets.values():
            if ip in subnet["clients"]:
                return subnet["clients"][ip]["wan"] or subnet["wan"] or Lab.VPS
        return Lab.VPS

    def view(self):
        return (
            {key: (subnet["name"], subnet["wan"],
                   {ip: (client["name"], client["kind"], client["wan"])
                    for ip, client in subnet["clients"].items()})
             for key, subnet in self.subnets.items()},
            {f"{self._wan(forward['target'])}:{port}":
                 (forward["target"], forward["label"], forward["enabled"], forward["count"])
             for port, forward in self.forwards.items()},
        )

    @staticmethod
    def view_of(document):
        return (
            {key: (subnet["name"], subnet["wanIp"],
                   {ip: (client["name"], client["kind"], client["wanIp"])
                    for ip, client in subnet["clients"].items()})
             for key, subnet in document["wg"]["subnets"].items()},
            {source: (entry["target"], entry["label"], entry["enabled"], entry["count"])
             for source, entry in document["portForwards"].items()},
        )

    def _prune(self):
        present = {ip for _, ip in self.clients()}
        self.forwards = {port: forward for port, forward in self.forwards.items()
                         if forward["target"].split(":")[0] in present}

    def random_edit(self, chance):
        """A valid edit as (method, params), and the model after it."""
        after = self.copy()
        clients = self.clients()
        kinds = ["subnet", "add", "add", "add", "forward", "forward", "forward", "unforward", "label",
                 "enable", "remove", "kind", "wan", "unsubnet", "subnet wan"]
        kind = chance.choice(kinds)
        if kind == "unsubnet" and self.subnets and chance.random() < 0.3:
            key = chance.choice(list(self.subnets))
            del after.subnets[key]
            after._prune()
            return ("subnet.remove", {"subnet": key}), after
        if kind == "subnet wan" and self.subnets:
            key = chance.choice(list(self.subnets))
            wan = chance.choice([None, Lab.VPS_SECOND])
            after.subnets[key]["wan"] = wan
            return ("subnet.set-wan", {"subnet": key, "wanIp": wan}), after
        if kind in ("label", "enable", "unforward") and self.forwards:
            port = chance.choice(list(self.forwards))
            source = f"{self._wan(self.forwards[port]['target'])}:{port}"
            if kind == "unforward":
                del after.forwards[port]
                return ("port-forward.remove", {"source": source}), after
            if kind == "label":
                after.forwards[port]["label"] = label = f"label {chance.random()}"
                return ("port-forward.update-label", {"source": source, "label": label}), after
            enabled = chance.random() < 0.5
            after.forwards[port]["enabled"] = enabled
            return ("port-forward.set-enabled", {"source": source, "enabled": enabled}), after
        if kind in ("forward", "remove", "kind", "wan") and clients:
            key, ip = chance.choice(clients)
            if kind == "forward":
                free = [port for port in PORTS if port not in self.forwards]
                if free:
                    port, count = chance.choice(free), chance.choice([1, 1, 4])
                    target = f"{ip}:{chance.choice([port, 80])}"
                    after.forwards[port] = {"target": target, "label": None, "enabled": True,
                                            "count": count}
                    return ("port-forward.add", {"externalPort": port, "target": target,
                                                 "count": count}), after
            elif kind == "remove":
                del after.subnets[key]["clients"][ip]
                after._prune()
                return ("device.remove", {"subnet": key, "ip": ip}), after
            elif kind == "kind":
                after.subnets[key]["clients"][ip]["kind"] = value = \
                    chance.choice(["client", "server"])
                return ("device.set-kind", {"subnet": key, "ip": ip, "kind": value}), after
            else:
                wan = chance.choice([None, Lab.VPS, Lab.VPS_SECOND])
                after.subnets[key]["clients"][ip]["wan"] = wan
                return ("device.set-wan", {"subnet": key, "ip": ip, "wanIp": wan}), after
        if kind == "add" and self.subnets:
            key = chance.choice(list(self.subnets))
            ip = key.rsplit(".", 1)[0] + f".{chance.choice(HOSTS)}"
            client = after.subnets[key]["clients"].setdefault(
                ip, {"kind": "client", "wan": None})
            client["name"] = name = f"device {chance.random()}"
            return ("device.add", {"subnet": key, "ip": ip, "name": name}), after
        key = chance.choice(SUBNETS)
        name = f"subnet {chance.random()}"
        after.subnets.setdefault(key, {"wan": None, "clients": {}})["name"] = name
        return ("subnet.add", {"subnet": key, "name": name}), after


def edit_until_killed(tunnel, model, chance):
    """Edits until the daemon dies in the middle. Returns (model of what was acknowledged, model with
    the edit that was under way, number of acknowledged edits)."""
    kill_at, delay_s = chance.randrange(EDITS), chance.random() * 0.003
    reached = threading.Event()

    def kill():
        reached.wait()
        time.sleep(delay_s)  # anywhere within an edit or between two
        tunnel.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    count = 0
    after = model
    try:
        with tunnel.rpc() as rpc:
            while True:
                if count == kill_at:
                    reached.set()
                (method, params), after = model.random_edit(chance)
                rpc.call(method, **params)
                model, count = after, count + 1
    except (OSError, http.client.HTTPException):
        return model, after, count
    finally:
        reached.set()
        killer.join()


def test_kill_9_in_the_middle_of_random_edits(tunnel):
    seed = int(os.environ.get("CRASH_SEED", str(random.randrange(1 << 32))))
    print(f"CRASH_SEED={seed} to repeat")
    chance = random.Random(seed)
    model, total = Model(), 0
    for number in range(ROUNDS):
        known, unsure, count = edit_until_killed(tunnel, model, chance)
        total += count
        if number % 10 == 9:
            tunnel.stop_everything()  # as after a loss of power: the kernel remembers nothing
        tunnel.start()
        document = tunnel.document()
        view = Model.view_of(document)
        where = f"round {number}, after {count} edits (CRASH_SEED={seed})"
        assert view in (known.view(), unsure.view()), f"{where}: not what was acknowledged"
        model = known if view == known.view() else unsure
        assert not kernel.differences(tunnel, document), where
        tunnel.call("db.apply", expr=".")  # the daemon itself holds it for a valid document
    print(f"{ROUNDS} kills within {total} acknowledged edits")
    clean_machine_yields_the_same_table(tunnel)


def clean_machine_yields_the_same_table(tunnel):
    """After all that, the table is to the rule what a first start makes of the same document."""
    table = tunnel.table()
    tunnel.stop()
    tunnel.stop_everything()
    assert tunnel.table() is None
    tunnel.start()
    assert tunnel.table() == table


def test_tunnel_carries_on_without_the_daemon(world):
    """Killed, the daemon leaves the tunnel, forwards and open connections running, also new ones."""
    world.forward(8000, f"{world.SERVER}:7000")
    index = world.tunnel.link_index()
    with Conversation(world.stranger, Lab.VPS, 8000) as forwarded, \
            Conversation(world.phone, world.SERVER, 7000) as private:
        forwarded.say()
        private.say()
        world.tunnel.kill()
        forwarded.say()
        private.say()
        assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)
        assert ask_udp(world.phone, world.SERVER, 7000) == ("server", world.PHONE)
        world.tunnel.start()
        forwarded.say()
        private.say()
    assert world.tunnel.link_index() == index
    assert not kernel.differences(world.tunnel)


def test_restart_keeps_connections(world):
    world.forward(8000, f"{world.SERVER}:7000")
    with Conversation(world.stranger, Lab.VPS, 8000) as forwarded, \
            Conversation(world.phone, world.SERVER, 7000) as private:
        forwarded.say()
        private.say()
        for _ in range(3):
            assert world.tunnel.stop() == 0
            forwarded.say()
            private.say()
            world.tunnel.start()
            forwarded.say()
            private.say()
    assert not kernel.differences(world.tunnel)


def test_upgrade_keeps_connections(world):
    """Every program is replaced by another file before the next start."""
    world.forward(8000, f"{world.SERVER}:7000")
    programs = world.tunnel.program
    world.vps.run("mkdir", "-p", "/run/upgrade")
    for name in ("start-tunneld", "start-netd", "start-wg", "start-tunnel"):
        world.vps.run("mkdir", "-p", f"/run/upgrade/{name}")
        world.vps.run("cp", programs(name), f"/run/upgrade/{name}/{name}")
    with Conversation(world.stranger, Lab.VPS, 8000) as forwarded, \
            Conversation(world.phone, world.SERVER, 7000) as private:
        forwarded.say()
        private.say()
        try:
            world.tunnel.stop()
            world.tunnel.program = lambda name: f"/run/upgrade/{name}/{name}"
            world.tunnel.start()
            running = os.readlink(f"/proc/{world.tunnel.process.pid}/exe")
            assert running == "/run/upgrade/start-tunneld/start-tunneld"
            forwarded.say()
            private.say()
            world.forward(8001, f"{world.SERVER}:7001")
            assert ask_tcp(world.stranger, Lab.VPS, 8001) == ("server", Lab.STRANGER)
        finally:
            world.tunnel.stop()
            world.tunnel.program = programs
            world.tunnel.start()
        forwarded.say()
        private.say()
    assert not kernel.differences(world.tunnel)


def test_edits_made_while_the_network_changed_are_carried_out_at_the_next_start(world):
    """The kernel was changed while no daemon ran: the next start mends it."""
    world.forward(8000, f"{world.SERVER}:7000")
    table = world.tunnel.table()
    world.tunnel.kill()
    world.vps.run("nft", "flush", "table", "inet", "start_tunnel")
    world.vps.ip("address", "delete", SUBNET, "dev", "wg-start-tunnel")
    world.tunnel.start()
    assert world.tunnel.table() == table
    assert not kernel.differences(world.tunnel)
    assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)


@pytest.mark.parametrize("directory", ["/var/lib/start-tunnel", "/var/lib/another"])
def test_second_daemon_is_told_and_the_first_one_goes_on(tunnel, directory):
    before = tunnel.table()
    second = Tunnel(tunnel.host, data_dir=directory)
    second.start(wait=False)
    assert second.process.wait() == 2
    assert "runs on this machine already" in second.process.output()
    assert tunnel.call("status")["network"]["inSync"] is True
    assert tunnel.table() == before


def test_killed_start_netd_ends_the_daemon_so_that_both_are_started_again(tunnel):
    tunnel.clear()
    tunnel.call("subnet.add", subnet="10.81.0.1/24", name="x")
    (pid,) = tunnel.host.processes("start-netd")
    os.kill(pid, signal.SIGKILL)
    assert tunnel.process.wait() not in (0, -signal.SIGSEGV)
    tunnel.start()
    assert list(tunnel.subnets()) == ["10.81.0.1/24"]
    assert not kernel.differences(tunnel)


def test_killed_data_plane_is_started_again(world):
    """start-wg dies: the interface comes back with the same keys, and so do the devices."""
    if world.tunnel.call("status")["interface"]["backend"].startswith("kernel"):
        pytest.skip("the kernel is the data plane here")
    for pid in world.vps.processes("start-wg"):
        os.kill(pid, signal.SIGKILL)

    def is_back():
        try:
            return not kernel.differences(world.tunnel)
        except (CommandFailed, OSError, RpcError):
            return False

    wait_until(is_back, "the interface is as it was")
    # WireGuard notices a lost session 15 s after it sent something that was not answered.
    assert world.server.ping("10.59.37.1", 25) and world.phone.ping("10.59.37.1", 25)
    assert ask_tcp(world.phone, world.SERVER, 7000) == ("server", world.PHONE)
