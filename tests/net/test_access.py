"""Who may call: logins, sessions, the limiter, and requests signed by key, from another machine over HTTPS."""

import ctypes
import json
import random
import ssl
import subprocess
import time

import pytest

from lab import wait_until
from product import COOKIE, RpcError, is_sanitized
from request_signer import Key, PublicKey
from web_client import ADDRESS, NAME, PASSWORD, VPS, Remote, code_of, serve, wait_until_served


@pytest.fixture(scope="module")
def interface(tunnel):
    """The web interface, served; and its root."""
    return serve(tunnel)


@pytest.fixture
def remote(lab, tunnel, interface):
    return Remote(lab.stranger, interface)


@pytest.fixture
def key(tunnel, interface):
    key = Key()
    tunnel.call("auth.key.add", name="lab", key=key.ssh_line)
    yield key
    tunnel.call("auth.key.remove", key=key.pem)


# Sessions

def test_strangers_get_nothing(remote):
    for method in ("status", "db.dump", "auth.session.list", "auth.key.list", "auth.set-password",
                   "auth.reset-password", "web.uninit", "restart"):
        assert code_of(remote.call, method) == 34
    remote.cookie = "a" * 26
    assert code_of(remote.call, "status") == 34


def test_login_and_logout(tunnel, remote):
    headers = remote.log_in()
    cookie = headers["Set-Cookie"]
    assert cookie == (f"session={remote.cookie}; Path=/; HttpOnly; SameSite=Strict; "
                      "Max-Age=2592000; Secure")
    assert len(remote.cookie) == 26
    assert remote.call("status")["network"]["inSync"] is True
    listed = remote.call("auth.session.list")
    assert listed["sessions"][listed["current"]]["userAgent"] == "test/1"
    assert listed["current"] in tunnel.document()["sessions"]
    assert remote.cookie not in json.dumps(tunnel.document())
    remote.call("auth.logout")
    assert code_of(remote.call, "status") == 34
    assert listed["current"] not in tunnel.document()["sessions"]


def test_logout_survives_a_restart(tunnel, remote, lab, interface):
    kept = Remote(lab.stranger, interface)
    kept.log_in()
    remote.log_in()
    remote.call("auth.logout")
    assert tunnel.stop() == 0
    tunnel.start()
    wait_until_served(tunnel)
    assert code_of(remote.call, "status") == 34
    assert kept.call("status")["network"]["inSync"] is True


def test_ephemeral_sessions_are_not_kept(tunnel, remote):
    before = tunnel.document()["sessions"]
    assert "Max-Age" not in remote.log_in(ephemeral=True)["Set-Cookie"]
    remote.call("status")
    assert tunnel.document()["sessions"] == before
    remote.call("auth.logout")
    assert code_of(remote.call, "status") == 34


def test_kill_and_what_a_client_claims(tunnel, remote, lab, interface):
    other = Remote(lab.stranger, interface)
    other.log_in()
    remote.log_in()
    # A session ends itself alone, whatever it claims to be.
    remote.call("auth.logout", __Auth_session=other.cookie)
    assert code_of(remote.call, "status") == 34
    current = other.call("auth.session.list")["current"]
    tunnel.cli("auth", "session", "kill", current)
    assert code_of(other.call, "status") == 34


def test_sockets_end_with_their_session(remote):
    remote.log_in()
    guid = remote.call("db.subscribe")["guid"]
    connection = remote.connect()
    connection.request("GET", f"/ws/rpc/{guid}", headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Cookie": f"session={remote.cookie}",
        "Origin": f"https://{ADDRESS}"})
    stream = connection.sock
    answer = stream.recv(12)
    assert answer == b"HTTP/1.1 101"
    remote.call("auth.logout")
    stream.settimeout(60)
    try:
        while stream.recv(65536):
            pass  # what was on its way
    except ssl.SSLEOFError:
        pass  # dropped, without a close frame
    connection.close()


def test_a_new_password_ends_the_other_sessions(tunnel, remote, lab, interface):
    other = Remote(lab.stranger, interface)
    other.log_in()
    remote.log_in()
    assert code_of(remote.call, "auth.set-password", password="12345678") == 38
    remote.call("auth.set-password", password=PASSWORD[::-1])
    assert code_of(other.call, "status") == 34
    assert remote.call("status")["network"]["inSync"] is True
    with pytest.raises(RpcError):
        other.log_in()
    assert code_of(remote.call, "auth.reset-password") == 38  # the server itself only
    random_one = tunnel.call("auth.reset-password")
    assert len(random_one) == 26
    assert code_of(remote.call, "status") == 34
    remote.log_in(random_one)
    remote.call("auth.set-password", password=PASSWORD)


def test_a_hash_with_several_lanes_is_verified(tunnel, remote):
    """As another program may have made it. libargon2 has a thread for each lane."""
    encoded = ctypes.create_string_buffer(256)
    size = ctypes.c_size_t
    made = ctypes.CDLL("libargon2.so.1").argon2id_hash_encoded(
        2, 4096, 4, PASSWORD.encode(), size(len(PASSWORD)), b"0123456789abcdef", size(16), size(32),
        encoded, size(256))
    before = tunnel.document()["password"]
    try:
        assert made == 0
        tunnel.call("db.apply", expr=f".password = {json.dumps(encoded.value.decode())}")
        remote.log_in(PASSWORD)
        remote.call("auth.logout")
    finally:
        tunnel.call("db.apply", expr=f".password = {json.dumps(before)}")


def test_authenticated_requests_write_nothing(tunnel, remote, key):
    remote.log_in()
    before = tunnel.revision()
    body = json.dumps({"method": "status", "params": {}})
    connection = remote.connect()
    for _ in range(200):
        assert "result" in remote.post(body, connection=connection)[1]
    remote.cookie = None
    for _ in range(5):
        signed = {"X-StartOS-Auth-Sig": key.header(body.encode(), VPS)}
        assert "result" in remote.post(body, signed, connection)[1]
    connection.close()
    assert tunnel.revision() == before


# The limiter

def test_ten_thousand_wrong_passwords(tunnel, remote, lab, interface):
    """They are refused at once, do not slow the others, and the owner comes in again."""
    owner = Remote(lab.server, interface)  # another source, which has logged in before
    owner.log_in()
    wrong = json.dumps([{"method": "auth.login", "params": {"password": f"wrong {i}"}}
                        for i in range(100)])
    codes = {7: 0, 37: 0}
    connection = remote.connect()
    for i in range(100):
        for answer in remote.post(wrong, connection=connection)[1]:
            codes[answer["error"]["code"]] += 1
        if i % 20 == 0:
            assert owner.call("status")["network"]["inSync"] is True
            tunnel.call("status")
    connection.close()
    assert sum(codes.values()) == 10000
    assert codes[37] > 9000
    owner.log_in()
    remote.log_in()  # the guesser's own address recovers too


def test_one_password_is_hashed_at_a_time(tunnel, remote):
    """64 MiB, not 64 MiB for each."""
    wrong = json.dumps([{"method": "auth.login", "params": {"password": "wrong"}}] * 50)
    for _ in range(4):
        remote.post(wrong)
    with open(f"/proc/{tunnel.process.pid}/status", encoding="utf-8") as status:
        peak = next(line for line in status if line.startswith("VmHWM"))
    assert int(peak.split()[1]) < 160 * 1024 or is_sanitized()


def holds(process, secrets):
    """Which of the secrets the memory of a process holds anywhere."""
    found = set()
    with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{process.pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            area, access, *_ = line.split()
            if not access.startswith("rw") or line.rstrip().endswith("]") and "heap" not in line \
                    and "stack" not in line:
                continue
            start, end = (int(part, 16) for part in area.split("-"))
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except OSError:
                continue  # is gone, or cannot be read
            found |= {name for name, secret in secrets.items() if secret.encode() in data}
    return found


def test_passwords_and_tokens_leave_no_trace_in_memory(tunnel, remote):
    """Nor in the log or the database."""
    password, other, wrong = (f"{name}-{random.getrandbits(64):x}" for name in ("one", "two", "bad"))
    tunnel.call("auth.set-password", password=password)
    remote.log_in(password)
    remote.call("auth.set-password", password=other)
    first = remote.cookie
    assert code_of(remote.call, "auth.login", password=wrong) in (7, 37)
    remote.call("auth.logout")
    remote.cookie = None
    remote.log_in(other)
    second = remote.cookie
    batch = [{"method": "auth.session.list", "params": {}},
             {"method": "auth.set-password", "params": {"password": password}}]
    assert all("result" in answer for answer in remote.post(json.dumps(batch))[1])
    remote.call("auth.logout")
    secrets = {"password": password, "other": other, "wrong": wrong, "first": first,
               "second": second}
    log, document = tunnel.log(), json.dumps(tunnel.document())
    assert not [name for name, secret in secrets.items() if secret in log + document]
    assert "a login from 198.18." in log and "a new password from 198.18." in log
    assert "a new password from this machine" in log
    if not is_sanitized():
        there = tunnel.document()["password"]  # what is kept is found, so what is not found is not
        assert holds(tunnel.process, secrets | {"hash": there}) == {"hash"}
    tunnel.call("auth.set-password", password=PASSWORD)


# Signatures

BODY = json.dumps({"id": 0, "method": "auth.key.list", "params": {}}).encode()


def signed(remote, header, body=BODY):
    """The code that a signed request fails with, or None."""
    answer = remote.post(body, {"X-StartOS-Auth-Sig": header})[1]
    return answer["error"]["code"] if "error" in answer else None


def test_signed_requests(remote, key):
    for context in (VPS, NAME, ADDRESS):
        assert signed(remote, key.header(BODY, context)) is None
        assert signed(remote, key.ssh_header(BODY, context)) is None


def test_signatures_of_ssh_keygen(tunnel, remote, tmp_path):
    """Made by OpenSSH itself: by its namespace, and by no other one."""
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    line = (tmp_path / "key.pub").read_text(encoding="ascii").strip()
    key = PublicKey.of_ssh(line)

    def signer(namespace, algorithm="sha512"):
        return lambda message: subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-O", f"hashalg={algorithm}", "-f",
             path], input=message, check=True, capture_output=True).stdout.decode()

    assert signed(remote, key.header_by(signer("start-tunnel"), BODY, VPS)) == 34
    tunnel.cli("auth", "key", "add", "ssh", line)
    assert signed(remote, key.header_by(signer("start-tunnel"), BODY, VPS)) is None
    assert signed(remote, key.header_by(signer("start-tunnel", "sha256"), BODY, VPS)) is None
    assert signed(remote, key.header_by(signer("git"), BODY, VPS)) == 34
    assert signed(remote, key.header_by(signer("start-tunnel"), BODY, "198.18.0.3")) == 34
    tunnel.cli("auth", "key", "remove", line)
    assert signed(remote, key.header_by(signer("start-tunnel"), BODY, VPS)) == 34


def test_replayed_signatures_are_refused(remote, key):
    for header in (key.header(BODY, VPS), key.ssh_header(BODY, VPS)):
        assert signed(remote, header) is None
        assert signed(remote, header) == 34
    nonce = random.getrandbits(64)
    assert signed(remote, key.header(BODY, VPS, nonce=nonce)) is None
    assert signed(remote, key.header(BODY, NAME, nonce=nonce)) == 34


def test_old_and_future_signatures_are_refused(remote, key):
    now = int(time.time())
    for timestamp in (now - 31, now - 3600, now + 300, 0, -1, 2**62):
        assert signed(remote, key.header(BODY, VPS, timestamp=timestamp)) == 34


def test_signatures_of_before_the_start_are_refused(tunnel, remote, key):
    header = key.header(BODY, VPS)
    signed_at = int(time.time())
    assert signed(remote, header) is None
    assert tunnel.stop() == 0
    wait_until(lambda: int(time.time()) > signed_at, "the next second")
    tunnel.start()
    wait_until_served(tunnel)
    assert signed(remote, header) == 34
    assert signed(remote, key.header(BODY, VPS)) is None


def test_signatures_for_another_server_are_refused(remote, key):
    for context in ("198.18.0.3", "evil.example.com", f"{VPS}:443", "localhost", ""):
        assert signed(remote, key.header(BODY, context)) == 34
        assert signed(remote, key.ssh_header(BODY, context)) == 34


def test_signatures_of_another_body_are_refused(remote, key):
    other = json.dumps({"id": 0, "method": "auth.key.add", "params": {}}).encode()
    for header in (key.header(other, VPS), key.ssh_header(other, VPS),
                   key.header(BODY, VPS, size=len(BODY) + 1),
                   key.header(BODY[:-1], VPS), key.header(b"", VPS)):
        assert signed(remote, header) == 34


def test_unknown_and_removed_keys_are_refused(tunnel, remote, key):
    assert signed(remote, Key().header(BODY, VPS)) == 34
    assert signed(remote, key.header(BODY, VPS)) is None
    tunnel.call("auth.key.remove", key=key.pem)
    assert signed(remote, key.header(BODY, VPS)) == 34
    tunnel.call("auth.key.add", name="lab", key=key.pem)
    assert signed(remote, key.header(BODY, VPS)) is None


def test_broken_headers_are_refused(remote, key):
    right = key.header(BODY, VPS)
    for header in ("", "x", "timestamp=1", right[:-20], right.replace("nonce=", "nonce=x"),
                   right + "&timestamp=1", "&" * 4096, right + "&x=" + "y" * 5000):
        assert signed(remote, header) == 34


def test_a_certificate_for_other_names_changes_what_counts(tunnel, remote, key):
    assert signed(remote, key.header(BODY, NAME)) is None
    tunnel.call("web.generate-certificate", subject=[VPS])
    wait_until(lambda: signed(remote, key.header(BODY, NAME)) == 34, "the name counts no more")
    assert signed(remote, key.header(BODY, VPS)) is None
    tunnel.call("web.generate-certificate", subject=[VPS, NAME])
    wait_until(lambda: signed(remote, key.header(BODY, NAME)) is None, "the name counts again")


# The command

def test_keys_and_sessions_on_the_command_line(tunnel, remote, key):
    assert " ".join(key.ssh_line.split()[:2]) in tunnel.cli("auth", "key", "list")
    assert json.loads(tunnel.cli("auth", "key", "list", "--format", "json")) == \
        {key.pem: {"name": "lab"}}
    status, _, error = tunnel.try_cli("auth", "key", "add", "rsa", "ssh-rsa AAAAB3NzaC1yc2E")
    assert status == 12 and "ssh-keygen -t ed25519" in error
    remote.log_in()
    shown = tunnel.cli("auth", "session", "list")
    assert "USER AGENT" in shown and "test/1" in shown
    current = remote.call("auth.session.list")["current"]
    assert current in shown
    remote.call("auth.logout")


def test_the_local_secret_works_and_nothing_near_it(tunnel, remote):
    secret = tunnel.host.read_file(COOKIE)
    right = remote.call("status", {"Cookie": f"local={secret}"})
    assert right["network"]["inSync"] is True
    for wrong in (secret[:-1], secret + "A", "", secret.swapcase()):
        assert code_of(remote.call, "status", {"Cookie": f"local={wrong}"}) == 34
