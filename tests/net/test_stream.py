"""db.subscribe: what clients make of the frames, who gets which, and what never goes out."""

import json
import random

import pytest

from conftest import SUBNET
from lab import PATIENCE, Lab, wait_until
from product import RpcError
from stream import Refused, Subscription, WebSocket
from traffic import fetch
from wireguard_peer import join_by_wg_quick

SERVER, PHONE = "10.59.37.2", "10.59.37.3"
PASSWORD = "correct horse battery staple"


def log_in(tunnel):
    """A browser's cookie."""
    if tunnel.call("db.dump", pointer="/password")["value"] is None:
        tunnel.call("auth.set-password", password=PASSWORD)
    body = json.dumps({"method": "auth.login", "params": {"password": PASSWORD}})
    status, headers, answer = tunnel.rpc().post(body, {"Cookie": "none=1"})
    assert status == 200 and "session=" in headers["Set-Cookie"], answer
    return headers["Set-Cookie"].split(";")[0]


@pytest.fixture(scope="module")
def browser(tunnel):
    return log_in(tunnel)


def current(tunnel, cookie=None):
    headers = {"Cookie": cookie} if cookie else {}
    body = json.dumps({"method": "db.dump", "params": {}})
    result = json.loads(tunnel.rpc().post(body, headers)[2])["result"]
    return result["value"]


def secrets_of(document):
    """Every text in the document that no browser may see."""
    found = [document["wg"]["key"], document["password"], *document["sessions"]]
    for subnet in document["wg"]["subnets"].values():
        for client in subnet["clients"].values():
            found += [client["key"], client["psk"]]
    if document["webserver"]["certificate"]:
        found.append(document["webserver"]["certificate"]["key"])
    if document["webserver"].get("authority"):
        found += [document["webserver"]["authority"][name]
                  for name in ("rootKey", "intermediateKey")]
    # In JSON's own spelling; lines of a key would be told apart by it.
    return [json.dumps(text)[1:-1] for text in found if text]


def random_edit(tunnel, number, choose):
    """One edit of some kind; refusals are fine."""
    subnet = f"10.70.{choose.randrange(4)}.1/24"
    device = subnet.replace(".1/24", f".{choose.randrange(2, 6)}")
    edits = [
        ("subnet.add", {"subnet": subnet, "name": f"net {number} ~/\" ü"}),
        ("subnet.remove", {"subnet": subnet}),
        ("device.add", {"subnet": subnet, "name": f"device {number}", "ip": device}),
        ("device.add", {"subnet": subnet, "name": f"device {number}"}),
        ("device.remove", {"subnet": subnet, "ip": device}),
        ("device.set-kind", {"subnet": subnet, "ip": device, "kind": "server"}),
        ("subnet.set-wan", {"subnet": subnet, "wanIp": "198.18.0.3"}),
        ("subnet.set-wan", {"subnet": subnet, "wanIp": None}),
        ("port-forward.add", {"externalPort": 4000 + choose.randrange(20), "target": f"{device}:80",
                              "label": f"forward {number}"}),
        ("port-forward.set-enabled", {"source": f"{Lab.VPS}:{4000 + choose.randrange(20)}",
                                      "enabled": bool(choose.randrange(2))}),
        ("port-forward.remove", {"source": f"{Lab.VPS}:{4000 + choose.randrange(20)}"}),
        ("db.apply", {"expr": f'.dnsRecords += [{{"name": "n{number}.example", "type": "TXT", '
                              f'"value": "v", "ttl": 60, "source": null}}]'}),
        ("db.apply", {"expr": ".dnsRecords |= .[1:]"}),
        ("db.apply", {"expr": f'.wg.subnets["{subnet}"].name = "applied {number}"'}),
    ]
    method, params = choose.choice(edits)
    try:
        tunnel.call(method, **params)
    except RpcError:
        pass


def test_dump_and_patches_make_the_document(tunnel, browser):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    views = [Subscription(tunnel), Subscription(tunnel, browser), Subscription(tunnel, browser),
             Subscription(tunnel, pointer="/wg/subnets"),
             Subscription(tunnel, browser, pointer="/wg/subnets/10.70.1.1~124/clients")]
    late = Subscription(tunnel, browser, connect=False)
    for number in range(120):
        random_edit(tunnel, number, choose)
    whole, seen = current(tunnel), current(tunnel, browser)
    late.open()
    assert seen["wg"]["key"] == "" and whole["wg"]["key"] != ""
    part = seen["wg"]["subnets"].get("10.70.1.1/24", {}).get("clients")
    wanted = [whole, seen, seen, whole["wg"]["subnets"], part, seen]
    for view, document in zip([*views, late], wanted):
        with view:
            view.until(lambda view=view, document=document: view.document == document,
                       "the document is followed")
    for secret in secrets_of(whole):
        for view in (views[1], views[2], views[4], late):
            assert secret.encode() not in view.socket.received
            assert secret.encode() not in view.answer


def test_no_secret_reaches_a_browser(tunnel, browser):
    """Also none that was there only for a moment."""
    secrets = set()
    with Subscription(tunnel, browser) as view:
        for number in range(5):
            tunnel.call("subnet.add", subnet="10.71.0.1/24", name="Secrets")
            tunnel.call("device.add", subnet="10.71.0.1/24", name=f"d{number}")
            tunnel.call("web.generate-certificate", subject=[Lab.VPS])
            log_in(tunnel)
            secrets.update(secrets_of(tunnel.document()))
            tunnel.call("subnet.remove", subnet="10.71.0.1/24")
        tunnel.call("subnet.add", subnet="10.71.0.1/24", name="The last one")
        last = current(tunnel, browser)
        view.until(lambda: view.document == last, "the document is followed")
        view.until(lambda: view.status, "the status")
        assert len(secrets) > 15
        answers = [view.answer, bytes(view.socket.received)]
        for method, params in (("db.dump", {}), ("device.list", {"subnet": "10.71.0.1/24"}),
                               ("status", {}), ("db.dump", {"pointer": "/wg/key"}),
                               ("db.dump", {"pointer": "/sessions"})):
            body = json.dumps({"method": method, "params": params})
            answers.append(tunnel.rpc().post(body, {"Cookie": browser})[2])
        for secret in secrets:
            for answer in answers:
                assert secret.encode() not in answer


def test_a_filter_that_sees_secrets_is_not_for_a_login(tunnel, browser):
    before = tunnel.document()
    for expr in ("error(tostring)", ".wg.subnets = {}"):
        body = json.dumps({"method": "db.apply", "params": {"expr": expr}})
        error = json.loads(tunnel.rpc().post(body, {"Cookie": browser})[2])["error"]
        assert error["code"] == 34 and "not for a login" in error["data"]["details"]
    assert tunnel.document() == before


def test_who_comes_back_is_told_what_followed(tunnel):
    with Subscription(tunnel) as view:
        tunnel.call("subnet.add", subnet="10.72.0.1/24", name="One")
        view.until(lambda: "10.72.0.1/24" in view.document["wg"]["subnets"], "the first edit")
    for name in ("Two", "Three"):
        tunnel.call("subnet.add", subnet="10.72.0.1/24", name=name)
    with Subscription(tunnel, since=view.revision, document=view.document) as again:
        assert again.resumed and json.loads(again.answer)["result"]["dump"] == {
            "id": view.revision, "value": None}
        document = current(tunnel)
        again.until(lambda: again.document == document, "what was missed")
    with Subscription(tunnel, since=10 ** 9) as stranger:
        assert not stranger.resumed and stranger.document == document
    with Subscription(tunnel, since=0) as stranger:
        assert not stranger.resumed and stranger.document == document
    tunnel.call("subnet.remove", subnet="10.72.0.1/24")


def test_a_guid_is_used_once_and_by_its_session(tunnel):
    browser = log_in(tunnel)
    view = Subscription(tunnel, browser, connect=False)
    path = f"/ws/rpc/{view.guid}"

    def refusal(path, cookie=None):
        with pytest.raises(Refused) as error:
            WebSocket(tunnel.host.connect("127.0.59.60", 5960, 30 * PATIENCE), path, cookie)
        return error.value.status

    assert refusal(path) == 404
    assert refusal(path, "session=" + "a" * 26) == 404
    assert refusal("/ws/rpc/" + "A" * 32, browser) == 404
    with view.open():
        view.until(lambda: view.status, "the status")
        assert refusal(path, browser) == 404


def big_edit(tunnel, letter):
    """About 600 KB of a revision that concerns nobody but readers."""
    tunnel.call("db.apply", expr='.dnsRecords = [range(2000) | {name: "n\\(.).example", type: "TXT", '
                                 f'value: ("{letter}" * 250), ttl: 60, source: null}}]')


def test_a_slow_reader_is_dropped_and_delays_nobody(tunnel):
    slow = Subscription(tunnel, connect=False).open(receive_buffer=4096)
    with Subscription(tunnel) as fast:
        for number in range(16):
            big_edit(tunnel, "abcdefghijklmnop"[number])
            fast.until(lambda: fast.document == current(tunnel), "the others go on")
        while slow.socket.message(60 * PATIENCE):
            pass
        assert slow.socket.closed and not slow.socket.close_frame
        tunnel.call("db.apply", expr=".dnsRecords = []")
        fast.until(lambda: fast.document["dnsRecords"] == [], "the last edit")
    slow.close()


def test_pings_are_answered_and_messages_passed_over(tunnel):
    with Subscription(tunnel) as view:
        view.socket.send("what is this?")
        view.socket.ping(b"hello")
        wait_until(lambda: view.read(0.2) and False or view.socket.pongs, "a pong")
        assert view.socket.pongs == [b"hello"]
        tunnel.call("subnet.add", subnet="10.73.0.1/24", name="Ping")
        view.until(lambda: "10.73.0.1/24" in view.document["wg"]["subnets"], "an edit")
        tunnel.call("subnet.remove", subnet="10.73.0.1/24")


def test_a_session_takes_its_sockets_along(tunnel):
    staying, leaving = log_in(tunnel), log_in(tunnel)

    def post(cookie, method, **params):
        body = json.dumps({"method": method, "params": params})
        return json.loads(tunnel.rpc().post(body, {"Cookie": cookie})[2])["result"]

    with Subscription(tunnel, staying) as other, Subscription(tunnel, leaving) as view, \
            Subscription(tunnel, leaving) as second:
        waiting = Subscription(tunnel, leaving, connect=False)
        for each in (other, view, second):
            each.until(lambda each=each: each.status, "the status")
        post(leaving, "auth.logout")
        for each in (view, second):
            while each.socket.message() is not None:
                pass
            assert each.socket.closed and not each.socket.close_frame
        with pytest.raises(Refused):
            waiting.open()
        tunnel.call("subnet.add", subnet="10.74.0.1/24", name="Stay")
        other.until(lambda: "10.74.0.1/24" in other.document["wg"]["subnets"], "an edit")
        current_id = post(staying, "auth.session.list")["current"]
        tunnel.call("auth.session.kill", ids=[current_id])
        while other.socket.message() is not None:
            pass
        assert other.socket.closed and not other.socket.close_frame
    tunnel.call("subnet.remove", subnet="10.74.0.1/24")


def test_a_long_status_reaches_everybody(tunnel):
    """It is lent to the sockets and goes in fragments."""
    tunnel.call("db.apply", expr=f"""
        .portForwards = ([range(300) | {{key: "{Lab.VPS}:\\(20000 + .)", value: {{kind: "dnat",
            target: "{SERVER}:\\(20000 + .)", label: null, enabled: true, count: 1, auto: false}}}}]
            | from_entries)""")
    with Subscription(tunnel) as first, Subscription(tunnel) as second:
        for view in (first, second):
            view.until(lambda view=view: view.status, "the status")
            assert len(json.dumps(view.status_frames[0])) > 16384
            assert set(view.status["forwards"]) == set(view.document["portForwards"])
        assert first.status["forwards"] == second.status["forwards"]
        tunnel.clear()
        for view in (first, second):
            view.until(lambda view=view: not view.status["forwards"], "the forwards go")


def test_status_tells_who_comes_online_and_what_goes_through(world):
    tunnel = world.tunnel
    world.forward(8080, f"{SERVER}:80")
    source = f"{Lab.VPS}:8080"
    with Subscription(tunnel) as view:
        view.until(lambda: view.status, "the first status")
        first = view.status_frames[0]
        assert set(first) == {"now", "interface", "network", "drift", "web", "dns", "sni",
                              "devices", "forwards"}
        assert set(first["devices"]) == {SERVER, PHONE, "10.60.0.2"}
        assert first["network"]["inSync"] and first["interface"]["up"]
        view.until(lambda: view.status["forwards"].get(source), "the forward is known")
        assert view.status["forwards"][source]["state"] == "active"
        before = dict(view.status["forwards"][source])
        for _ in range(3):
            assert fetch(world.stranger, Lab.VPS, 8080)
        view.until(lambda: view.status["forwards"][source]["rxBytes"] > before["rxBytes"] + 300
                   and view.status["forwards"][source]["txBytes"] > before["txBytes"] + 300,
                   "bytes of the forward")
        # Later frames hold what changed alone.
        assert all("interface" not in frame for frame in view.status_frames[1:])
        peer = world.peers[PHONE]
        peer.leave()
        tunnel.call("device.remove", subnet=SUBNET, ip=PHONE)
        view.until(lambda: PHONE not in view.status["devices"], "the device goes")
        tunnel.call("device.add", subnet=SUBNET, name="Phone", ip=PHONE)
        view.until(lambda: PHONE in view.status["devices"], "the device comes")
        assert not view.status["devices"][PHONE]["online"]
        config = tunnel.call("device.show-config", subnet=SUBNET, ip=PHONE)
        world.peers[PHONE] = join_by_wg_quick(world.phone, config)
        view.until(lambda: view.status["devices"][PHONE]["online"], "the device is online",
                   120 * PATIENCE)
        assert view.status["devices"][PHONE]["endpoint"].startswith(Lab.MOBILE)
