"""`web init` and what else asks a person, on a real terminal; then the interface from outside."""

import json
import os
import signal

import pytest

from certificates import Authority
from terminal import CTRL_C, CTRL_D, DOWN, ENTER, UP, Terminal

SUBNET = "10.59.37.1/24"
FIRST, SECOND = "198.18.0.2", "198.18.0.3"
PEM = r"(-----BEGIN CERTIFICATE-----\n(?:[A-Za-z0-9+/=]+\n)+-----END CERTIFICATE-----)"
ASKS_FOR_KEY = "private key in PEM; it does not show:\n"
PASSWORD = r"Password\n([a-z2-7]{26})\n"


@pytest.fixture
def fresh(tunnel):
    """The daemon without a web interface; returns what starts the command on a terminal."""
    tunnel.cli("web", "uninit")

    def start(*arguments, **options):
        return Terminal(tunnel.host, tunnel.program("start-tunnel"), *arguments, **options)

    return start


@pytest.fixture(scope="module")
def authority():
    authority = Authority()
    yield authority
    authority.close()


def webserver(tunnel):
    return tunnel.call("db.dump", pointer="/webserver")["value"]


def curl(host, root, url, body):
    """Posts JSON from a host that trusts this root alone; returns the answer."""
    host.write_file("/run/curl-root.pem", root)
    output = host.run("curl", "--silent", "--show-error", "--retry", 20, "--retry-connrefused",
                      "--cacert", "/run/curl-root.pem", "--json", json.dumps(body), url,
                      timeout_s=60.0)
    return json.loads(output)


def log_in(host, root, address, password):
    return curl(host, root, f"https://{address}/rpc/v1",
                {"method": "auth.login", "params": {"password": password}})


def test_generate(lab, tunnel, fresh):
    with fresh("web", "init") as terminal:
        terminal.expect("Listen Address:")
        terminal.expect(SECOND)
        terminal.type(DOWN)
        terminal.type(UP)
        terminal.type(DOWN + ENTER)
        terminal.expect(r"Port \[8443\]: ")
        terminal.type("\n")
        terminal.expect("SSL Certificate:")
        terminal.expect("Provide")
        terminal.type(ENTER)
        terminal.expect(f"Web URL\nhttps://{SECOND}:8443\n")
        password = terminal.expect(PASSWORD)[1]
        root = terminal.expect("Root CA:\n" + PEM)[1]
        fingerprint = terminal.expect("SHA-256 fingerprint: ([0-9A-F:]{95})\n")[1]
        assert terminal.end() == 0
        assert terminal.shown.count(password) == 1
    assert password not in tunnel.log() + json.dumps(tunnel.document())
    assert webserver(tunnel)["enabled"] is True
    assert tunnel.cli("web", "get-root").strip() == root
    assert fingerprint in tunnel.cli("web", "get-root", "--fingerprint")
    assert "session" in log_in(lab.stranger, root, f"{SECOND}:8443", password)["result"]
    assert log_in(lab.stranger, root, f"{SECOND}:8443", "not this one")["error"]["code"] == 7


def test_all_there_already(tunnel, fresh):
    tunnel.cli("web", "init", "--listen", f"{FIRST}:8443", "--generate")
    with fresh("web", "init") as terminal:
        terminal.expect(f"https://{FIRST}:8443\n")
        terminal.expect("It was set before")
        assert terminal.end() == 0
        assert "Root CA" not in terminal.shown


def test_provide_by_pasting(lab, tunnel, fresh, authority):
    key, certificate = authority.leaf([f"IP:{FIRST}"])
    with fresh("web", "init", env={"TERM": "dumb"}) as terminal:
        terminal.expect("1\\) " + FIRST)
        terminal.expect("Number, 1 to 2: ")
        terminal.type("1\n")
        terminal.expect(r"Port \[8443\]: ")
        terminal.type("8444\n")
        terminal.expect("SSL Certificate:")
        terminal.expect("Number, 1 to 2: ")
        terminal.type("2\n")
        terminal.expect(ASKS_FOR_KEY)
        terminal.type("nonsense\n-----END nonsense\n")
        terminal.expect("again")
        terminal.type(key)
        terminal.expect("the root last")
        terminal.type(certificate + "\n" + authority.root)
        terminal.expect(f"Web URL\nhttps://{FIRST}:8444\n")
        password = terminal.expect(PASSWORD)[1]
        assert terminal.end() == 0
        assert "Root CA" not in terminal.shown
    assert "session" in log_in(lab.stranger, authority.root, f"{FIRST}:8444", password)["result"]


def shows_any_of(terminal, secret):
    """Whether a line of it is on the screen."""
    return any(line in terminal.shown for line in secret.splitlines()[1:-1])


def test_pasted_key_does_not_show(tunnel, fresh, authority):
    """Neither at once, nor behind what is no key, nor where both come in one go."""
    key, certificate = authority.leaf([f"IP:{FIRST}"])
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    with fresh("web", "import-certificate") as terminal:
        terminal.expect(ASKS_FOR_KEY)
        assert not terminal.echoes()
        terminal.type(parameters + key)
        terminal.expect("no private key in PEM .*again")
        terminal.expect("the root last")
        terminal.type(certificate + authority.root)
        assert terminal.end() == 0
        assert not shows_any_of(terminal, parameters) and not shows_any_of(terminal, key)
    assert webserver(tunnel)["certificate"] is not None


@pytest.mark.parametrize("ending", [CTRL_C, signal.SIGTERM, signal.SIGHUP, "too long"])
def test_paste_that_is_cut_off_does_not_show(tunnel, fresh, authority, ending):
    """The program ends in the middle of a key: the terminal is as it was, and no line was seen."""
    key, _ = authority.leaf([f"IP:{FIRST}"])
    half = "\n".join(key.splitlines()[:2]) + "\n"
    with fresh("web", "import-certificate") as terminal:
        terminal.expect(ASKS_FOR_KEY)
        terminal.type(half)
        if ending == CTRL_C:
            terminal.type(CTRL_C)
            assert terminal.end() == 73
        elif ending == "too long":
            line = "A" * 62 + "\n"
            terminal.type(line * ((65536 - len(half)) // len(line) + 1))
            terminal.expect("longer than 65536 bytes")
            assert terminal.end() == 12
            assert "AAAA" not in terminal.shown
        else:
            pid, = tunnel.host.processes("start-tunnel")
            os.kill(pid, ending)
            assert terminal.end() in (-ending, 128 + ending)
        assert not shows_any_of(terminal, half + "\n")


def test_paste_after_a_stop_begins_anew(tunnel, fresh, authority):
    """Ctrl-Z in the middle of a key."""
    key, certificate = authority.leaf([f"IP:{FIRST}"])
    with fresh("web", "import-certificate") as terminal:
        terminal.expect(ASKS_FOR_KEY)
        terminal.type("\n".join(key.splitlines()[:2]) + "\n\x1a")
        terminal.expect(ASKS_FOR_KEY)
        assert not terminal.echoes()
        terminal.type(key)
        terminal.expect("the root last")
        terminal.type(certificate + authority.root)
        assert terminal.end() == 0
        assert not shows_any_of(terminal, key)


def test_pasted_certificate_of_another_key(tunnel, fresh, authority):
    key, _ = authority.leaf([f"IP:{FIRST}"])
    _, certificate = authority.leaf([f"IP:{FIRST}"])
    with fresh("web", "import-certificate") as terminal:
        terminal.expect(ASKS_FOR_KEY)
        terminal.type(key)
        terminal.expect("the root last")
        terminal.type(certificate)
        terminal.expect("Invalid Signature: the first certificate is not for this private key")
        assert terminal.end() == 31
    assert webserver(tunnel)["certificate"] is None


def test_provide_by_files(lab, tunnel, fresh, authority):
    key, certificate = authority.leaf([f"IP:{FIRST}", "DNS:vps.example"])
    tunnel.host.write_file("/run/web.key", key)
    tunnel.host.write_file("/run/web.pem", certificate + authority.root)
    shown = tunnel.cli("web", "init", "--listen", f"{FIRST}:8443", "--key", "/run/web.key",
                       "--cert", "/run/web.pem")
    password = shown.partition("Password\n")[2].partition("\n")[0]
    assert "session" in log_in(lab.stranger, authority.root, f"{FIRST}:8443", password)["result"]
    status, _, error = tunnel.try_cli("web", "import-certificate", "--key", "/run/web.key")
    assert status == 38 and "--key and --cert belong together" in error
    status, _, error = tunnel.try_cli("web", "import-certificate", "--key", "/run/web.pem",
                                      "--cert", "/run/web.pem")
    assert status != 0 and error


def test_address_that_is_taken_is_asked_for_again(tunnel, fresh):
    with tunnel.host.socket() as taken:
        taken.bind((FIRST, 8445))
        taken.listen()
        with fresh("web", "init") as terminal:
            terminal.expect(SECOND)
            terminal.type(ENTER)
            terminal.expect(r"Port \[8443\]: ")
            terminal.type("8445\n")
            terminal.expect("Network Error: .*8445")
            terminal.expect("Listen Address:")
            terminal.expect(SECOND)
            terminal.type(CTRL_C)
            assert terminal.end() == 73


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
def test_cancelled_at_every_question(tunnel, fresh, key):
    answers = [("Listen Address:[^$]*" + SECOND, ENTER), (r"Port \[8443\]: ", "\n"),
               ("SSL Certificate:[^$]*Provide", DOWN + ENTER), (ASKS_FOR_KEY, key)]
    for count in range(len(answers)):
        tunnel.cli("web", "uninit")
        with fresh("web", "init") as terminal:
            for pattern, answer in answers[:count]:
                terminal.expect(pattern)
                terminal.type(answer)
            terminal.expect(answers[count][0])
            terminal.type(key)
            terminal.expect("Cancelled")
            assert terminal.end() == 73
        assert webserver(tunnel)["enabled"] is False


def test_without_a_terminal(tunnel, fresh):
    status, output, error = tunnel.try_cli("web", "init", input="7\n")
    assert (status, output) == (38, "")
    assert f"1) {FIRST}" in error and '"7" is not the number of one of' in error
    status, _, error = tunnel.try_cli("web", "init", input="1\n")
    assert status == 2 and "on a terminal only" in error
    status, _, error = tunnel.try_cli("web", "import-certificate")
    assert status == 2 and "--key and --cert" in error
    status, _, error = tunnel.try_cli("auth", "set-password")
    assert status == 2 and "on a terminal only" in error and "auth reset-password" in error
    status, _, error = tunnel.try_cli("auth", "login")
    assert status == 2 and "on a terminal only" in error and "variable PASSWORD" in error
    status, _, error = tunnel.try_cli("web", "init", "--listen", "0.0.0.0:8443", "--generate")
    assert status == 38 and "--san" in error


def test_passwords(lab, tunnel, fresh):
    tunnel.cli("web", "init", "--listen", f"{FIRST}:8443", "--generate")
    root = tunnel.cli("web", "get-root")
    with fresh("auth", "set-password") as terminal:
        terminal.expect("New Password: ")
        terminal.type("correct horse battery\n")
        terminal.expect("Confirm Password: ")
        terminal.type("correct horse battery\n")
        assert terminal.end() == 0
        assert "horse" not in terminal.shown
    assert "result" in log_in(lab.stranger, root, f"{FIRST}:8443", "correct horse battery")
    with fresh("auth", "set-password") as terminal:
        terminal.expect("New Password: ")
        terminal.type("correct horse battery\n")
        terminal.expect("Confirm Password: ")
        terminal.type("another horse battery\n")
        terminal.expect("Invalid Request: the two passwords differ")
        assert terminal.end() == 38
    announced, label, password, rest = tunnel.cli("auth", "reset-password").split("\n")
    assert announced and label and len(password) == 26 and not rest
    assert "result" in log_in(lab.stranger, root, f"{FIRST}:8443", password)


def test_qr_code(tunnel, fresh):
    tunnel.clear()
    tunnel.cli("subnet", SUBNET, "add", "Home")
    tunnel.cli("device", "add", SUBNET, "Phone")
    command = ("device", "show-config", SUBNET, "10.59.37.2", "198.18.0.9", "--qr")
    with fresh(*command, columns=120, lines=80) as terminal:
        assert terminal.end() == 0
        drawn = [line for line in terminal.shown.split("\n") if "\u2588" in line]
        assert len(drawn) > 20
    with fresh(*command, columns=80, lines=24) as terminal:
        terminal.expect("Invalid Request: the QR code needs .* and this terminal has 80 and 24")
        assert terminal.end() == 38
