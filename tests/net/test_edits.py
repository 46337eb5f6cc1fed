"""Edits as transactions: they serialise, fail as a whole and say why; what bad ones change: nothing."""

import json
import socket
import threading

import pytest

import kernel
from conftest import SUBNET
from lab import Lab
from product import RpcError
from traffic import Conversation, ask_tcp


def in_parallel(tunnel, calls):
    """Makes each list of calls on its own connection, all at once; returns the outcomes."""
    outcomes = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index):
        with tunnel.rpc() as rpc:
            barrier.wait()
            results = []
            for method, params in calls[index]:
                try:
                    results.append(rpc.call(method, **params))
                except RpcError as error:
                    results.append(error)
            outcomes[index] = results

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_one_of_two_equal_edits_wins(world):
    """The same port, at once, for different devices: one gets it, the others are told who has it."""
    for port in range(3000, 3020):
        targets = [f"{world.SERVER}:80", f"{world.PHONE}:80", f"{world.LAPTOP}:80", f"{world.PHONE}:81"]
        outcomes = in_parallel(world.tunnel, [
            [("port-forward.add", {"externalPort": port, "target": target})] for target in targets])
        won = [target for target, (result,) in zip(targets, outcomes) if result is None]
        lost = [result for (result,) in outcomes if isinstance(result, RpcError)]
        assert len(won) == 1 and len(lost) == 3
        assert all(error.code == 38 and str(port) in error.details for error in lost)
        assert world.tunnel.forwards()[f"{Lab.VPS}:{port}"]["target"] == won[0]
    assert not kernel.differences(world.tunnel)


def test_many_edits_at_once_all_happen(world):
    before = world.tunnel.revision()
    outcomes = in_parallel(world.tunnel, [
        [("port-forward.add", {"externalPort": 10000 + 100 * client + number,
                               "target": f"{world.SERVER}:80"}) for number in range(25)]
        for client in range(8)])
    assert all(result is None for results in outcomes for result in results)
    assert len(world.tunnel.forwards()) == 200
    assert world.tunnel.revision() == before + 200
    assert not kernel.differences(world.tunnel)


def test_failed_kernel_step_rolls_back_and_says_why(world):
    """The port that the owner wants for WireGuard is taken by another program."""
    world.forward(8000, f"{world.SERVER}:7000")
    before, revision, table = world.tunnel.document(), world.tunnel.revision(), world.tunnel.table()
    with world.vps.socket(kind=socket.SOCK_DGRAM) as squatter, \
            Conversation(world.phone, world.SERVER, 7000) as conversation:
        squatter.bind(("0.0.0.0", 51999))
        conversation.say()
        with pytest.raises(RpcError) as failure:
            world.tunnel.call("db.apply", expr=".wg.port = 51999"
                              f' | .portForwards["{Lab.VPS}:8000"].target = "{world.PHONE}:7000"')
        conversation.say()
    assert failure.value.code == 9
    assert "51999" in failure.value.details or "in use" in failure.value.details
    assert world.tunnel.document() == before
    assert world.tunnel.revision() == revision
    assert world.tunnel.table() == table
    assert not kernel.differences(world.tunnel)
    assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)


def test_listen_port_changes_without_losing_devices(world):
    """Devices that have the old port in their configuration are lost until they get a new one, but
    nothing else is: the interface stays."""
    index = world.tunnel.link_index()
    world.tunnel.call("db.apply", expr=".wg.port = 51999")
    assert world.tunnel.wg_dump()["listen_port"] == 51999
    assert world.tunnel.link_index() == index
    assert not kernel.differences(world.tunnel)
    world.tunnel.call("db.apply", expr=".wg.port = 51820")
    assert world.phone.ping(world.SERVER, 15)


def test_applied_document_is_carried_out(world):
    """Unlike upstream, `db apply` is followed by the same steps as any edit."""
    entry = {"kind": "dnat", "target": f"{world.SERVER}:7000", "label": None, "enabled": True,
             "count": 1, "auto": False}
    world.tunnel.call("db.apply", expr=f'.portForwards["{Lab.VPS}:8000"] = {json.dumps(entry)}')
    assert ask_tcp(world.stranger, Lab.VPS, 8000) == ("server", Lab.STRANGER)
    assert not kernel.differences(world.tunnel)
    world.tunnel.call("db.apply", expr=".portForwards = {}")
    assert ask_tcp(world.stranger, Lab.VPS, 8000, 0.6) is None


@pytest.mark.parametrize("expression, code, says", [
    (".wg.port = 70000", 12, "/wg/port"),
    (".wg.port = \"x\"", 12, "/wg/port"),
    (".wg.key = \"short\"", 12, "/wg/key"),
    (f".wg.subnets[\"{SUBNET}\"].clients[\"10.59.37.2\"].psk = \"AAAA\"", 12, "psk"),
    (f".wg.subnets[\"{SUBNET}\"].clients[\"10.60.37.2\"] ="
     f" .wg.subnets[\"{SUBNET}\"].clients[\"10.59.37.2\"]", 12, "10.60.37.2"),
    (".wg.subnets[\"10.59.0.1/16\"] = {name: \"x\", clients: {}}", 12, "10.59"),
    (".portForwards[\"nonsense\"] = 1", 12, "nonsense"),
    (".portForwards[\"198.18.0.2:80\"] = {kind: \"dnat\", target: \"10.59.37.2:80\", count: 0}", 12,
     "count"),
    ("del(.wg)", 12, "wg"),
    ("empty", 38, ""),
    ("., .", 38, ""),
    (".[", 38, ""),
    ("error(\"no\")", 12, "no"),
    ("1", 12, ""),
])
def test_invalid_document_is_refused_with_its_first_fault(world, expression, code, says):
    before, revision = world.tunnel.document(), world.tunnel.revision()
    with pytest.raises(RpcError) as failure:
        world.tunnel.call("db.apply", expr=expression)
    assert failure.value.code == code, failure.value
    assert says in failure.value.details
    assert world.tunnel.document() == before
    assert world.tunnel.revision() == revision


def test_edit_without_effect_makes_no_revision(world):
    revision = world.tunnel.revision()
    world.tunnel.call("subnet.add", subnet=SUBNET, name="Home")
    world.tunnel.call("db.apply", expr=".")
    world.tunnel.call("port-forward.remove", source="198.18.0.2:1")
    assert world.tunnel.revision() == revision


BAD = [
    # method, params, code, what the details name
    ("subnet.add", {"subnet": "10.70.0.0/25", "name": "x"}, 38, "subnet"),
    ("subnet.add", {"subnet": "10.70.0.0/33", "name": "x"}, None, "subnet"),
    ("subnet.add", {"subnet": "10.70.0.0", "name": "x"}, None, "subnet"),
    ("subnet.add", {"subnet": "fd00::/64", "name": "x"}, None, "subnet"),
    ("subnet.add", {"subnet": "10.59.0.0/16", "name": "x"}, 38, SUBNET),
    ("subnet.add", {"subnet": "10.59.36.0/22", "name": "x"}, 38, SUBNET),
    ("subnet.add", {"subnet": "10.70.0.0/24"}, -32602, "name"),
    ("subnet.add", {"subnet": "10.70.0.0/24", "name": "a\nb"}, None, "name"),
    ("subnet.add", {"subnet": "10.70.0.0/24", "name": 5}, -32602, "name"),
    ("subnet.add", {"subnet": "10.70.0.0/24", "name": "x" * 100000}, None, "name"),
    ("subnet.set-wan", {"subnet": "10.99.0.1/24"}, 6, "10.99.0.1/24"),
    ("subnet.set-wan", {"subnet": "10.59.37.7/24"}, 6, "10.59.37.7/24"),
    ("subnet.set-wan", {"subnet": SUBNET, "wanIp": "300.1.1.1"}, None, "wanIp"),
    ("device.add", {"subnet": "10.99.0.1/24", "name": "x"}, 6, "10.99.0.1/24"),
    ("device.add", {"subnet": SUBNET, "name": "x", "ip": "10.59.37.0"}, 38, "ip"),
    ("device.add", {"subnet": SUBNET, "name": "x", "ip": "10.59.37.255"}, 38, "ip"),
    ("device.add", {"subnet": SUBNET, "name": "x", "ip": "10.59.37.1"}, 38, "ip"),
    ("device.add", {"subnet": SUBNET, "name": "x", "ip": "10.59.38.2"}, 38, "ip"),
    ("device.add", {"subnet": SUBNET, "name": "x", "ip": "10.59.37"}, None, "ip"),
    ("device.add", {"subnet": SUBNET, "name": "x", "ip": "::1"}, None, "ip"),
    ("device.add", {"subnet": SUBNET, "name": "x\ny"}, None, "name"),
    ("device.add", {"subnet": SUBNET, "name": "x\u0000y"}, -32700, "u0000"),
    ("device.add", {"subnet": SUBNET, "name": "x\u007fy"}, None, "name"),
    ("device.add", {"subnet": SUBNET, "name": "x", "kind": "router"}, -32602, "kind"),
    ("device.remove", {"subnet": SUBNET, "ip": "10.59.37.77"}, 6, "10.59.37.77"),
    ("device.remove", {"subnet": "10.99.0.1/24", "ip": "10.59.37.2"}, 6, "10.99.0.1/24"),
    ("device.list", {"subnet": "10.99.0.1/24"}, 6, "10.99.0.1/24"),
    ("device.show-config", {"subnet": SUBNET, "ip": "10.59.37.77"}, 6, "10.59.37.77"),
    ("device.show-config", {"subnet": SUBNET, "ip": "10.59.37.2", "wanAddr": "here"}, None,
     "wanAddr"),
    ("device.set-wan", {"subnet": SUBNET, "ip": "10.59.37.77"}, 6, "10.59.37.77"),
    ("device.set-kind", {"subnet": SUBNET, "ip": "10.59.37.2"}, -32602, "kind"),
    ("port-forward.add", {"externalPort": 0, "target": "10.59.37.2:80"}, None, "externalPort"),
    ("port-forward.add", {"externalPort": 65536, "target": "10.59.37.2:80"}, -32602, "externalPort"),
    ("port-forward.add", {"externalPort": -1, "target": "10.59.37.2:80"}, -32602, "externalPort"),
    ("port-forward.add", {"externalPort": 80.5, "target": "10.59.37.2:80"}, -32602, "externalPort"),
    ("port-forward.add", {"externalPort": "80", "target": "10.59.37.2:80"}, -32602, "externalPort"),
    ("port-forward.add", {"externalPort": 80, "target": "10.59.37.2"}, None, "target"),
    ("port-forward.add", {"externalPort": 80, "target": "10.59.37.2:99999"}, None, "target"),
    ("port-forward.add", {"externalPort": 80, "target": "10.59.37.2:80", "count": 0}, 38, "count"),
    ("port-forward.add", {"externalPort": 65000, "target": "10.59.37.2:80", "count": 600}, 38, "65535"),
    ("port-forward.add", {"externalPort": 80, "target": "10.59.37.2:65000", "count": 600}, 38, "65535"),
    ("port-forward.add", {"externalPort": 5000, "target": "10.59.37.2:80"}, 38, "198.18.0.2:5000"),
    ("port-forward.add", {"externalPort": 5003, "target": "10.59.37.3:80"}, 38, "198.18.0.2:5000"),
    ("port-forward.add", {"externalPort": 4998, "target": "10.59.37.2:80", "count": 3}, 38,
     "198.18.0.2:5000"),
    ("port-forward.add", {"externalPort": 80, "target": "10.59.37.2:80", "label": "a\nb"}, None,
     "label"),
    ("port-forward.update-label", {"source": "198.18.0.2:81", "label": "x"}, 6, "198.18.0.2:81"),
    ("port-forward.set-enabled", {"source": "198.18.0.2:81", "enabled": True}, 6, "198.18.0.2:81"),
    ("port-forward.set-enabled", {"source": "nowhere", "enabled": True}, None, "source"),
]


@pytest.mark.parametrize("method, params, code, says", BAD,
                         ids=[f"{method} {json.dumps(params)[:70]}" for method, params, _, _ in BAD])
def test_bad_input_changes_nothing_and_names_the_field(world, method, params, code, says):
    world.forward(5000, f"{world.SERVER}:7000", count=5)
    before, revision, table = world.tunnel.document(), world.tunnel.revision(), world.tunnel.table()
    with pytest.raises(RpcError) as failure:
        world.tunnel.call(method, **params)
    assert failure.value.code in ((code,) if code else (-32602, 38)), failure.value
    assert says in str(failure.value.data), failure.value
    assert world.tunnel.document() == before
    assert world.tunnel.revision() == revision
    assert world.tunnel.table() == table
