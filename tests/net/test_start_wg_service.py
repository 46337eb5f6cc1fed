"""start-wg as systemd runs it: the lines of its template unit, in the sandbox that the unit asks for."""

import os

import pytest

from lab import wait_until
from product import is_sanitized, program
from service import Service
from wg_pair import INTERFACE, PORT, End

CONFIG = f"/etc/wireguard/{INTERFACE}.conf"


@pytest.fixture
def end():
    end = End(1)
    end.process = "start-wg"
    end.host.run("mkdir", "-m", "700", "/run/etc/wireguard")
    end.host.run("mount", "--bind", "/run/etc/wireguard", "/etc/wireguard")
    end.service = Service(end.host, "start-wg@.service", INTERFACE,
                          {"/usr/sbin/start-wg": program("start-wg")})
    yield end
    end.host.close()


def configure(end, port=PORT, peers=(2, 3)):
    """Writes a file in the form of wg-quick(8)."""
    end.host.write_file(CONFIG, f"[Interface]\nPrivateKey = {end.private_key}\nAddress = {end.inner}/24\n"
                        f"ListenPort = {port}\n" + "".join(
                            f"[Peer]\nPublicKey = {peer.public_key}\nAllowedIPs = {peer.inner}/32\n"
                            for peer in peers))


@pytest.fixture
def peers():
    found = [End(2), End(3)]
    yield found
    for peer in found:
        peer.host.close()


def status(end):
    lines = end.host.run(program("start-wg"), "--status", INTERFACE).splitlines()
    return dict(line.split("=") for line in lines)


def shown(end):
    return end.wg("show", INTERFACE, "dump")


def test_it_is_ready_when_it_can_be_configured(end):
    """Without a file nothing is applied, and that is no failure."""
    assert end.service.start()[0] == 0
    end.set_key()
    assert end.wg("show", INTERFACE, "listen-port").strip() == str(PORT)
    if not is_sanitized("start-wg"):
        assert status(end)["empty_root"] == "1"
        assert os.listdir(f"/proc/{end.pid()}/root") == []
    assert os.listdir(end.host.path("/run/wireguard")) == [f"{INTERFACE}.sock"]
    assert end.service.process.stop() == 0


def test_the_file_is_applied(end, peers):
    configure(end, peers=peers)
    status, _, error = end.service.start()
    assert (status, error) == (0, "")
    assert end.wg("show", INTERFACE, "listen-port").strip() == str(PORT)
    assert end.wg("show", INTERFACE, "private-key").strip() == end.private_key
    assert set(end.wg("show", INTERFACE, "peers").split()) == {p.public_key for p in peers}
    configure(end, PORT + 1, peers[:1])
    status, _, error = end.service.run("ExecReload")
    assert (status, error) == (0, "")
    assert end.wg("show", INTERFACE, "listen-port").strip() == str(PORT + 1)
    assert end.wg("show", INTERFACE, "peers").split() == [peers[0].public_key]


@pytest.mark.parametrize("what", ["no file", "an empty file", "a directory", "a wrong line"])
def test_a_file_that_cannot_be_applied_changes_nothing(end, peers, what):
    configure(end, peers=peers)
    assert end.service.start()[0] == 0
    before = shown(end)
    if what == "a wrong line":
        end.host.write_file(CONFIG, "[Interface]\nListenPort = 1\nPrivateKey = x\n")
    elif what == "an empty file":
        end.host.write_file(CONFIG, "")
    else:
        end.host.run("rm", CONFIG)
    if what == "a directory":
        end.host.run("mkdir", CONFIG)
    status, _, error = end.service.run("ExecReload")
    assert status != 0 and error
    assert shown(end) == before


def test_a_start_with_a_file_that_cannot_be_read_fails(end):
    end.host.run("mkdir", CONFIG)
    assert end.service.start()[0] != 0
    assert end.service.process.stop() == 0
    wait_until(lambda: not end.host.processes("start-wg-opener"), "its opener ends")
