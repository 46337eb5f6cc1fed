"""The tunnel managed from another machine: by keys, by password, over HTTPS."""

import contextlib
import http.server
import json
import re
import ssl
import tempfile
import threading
import time
from email.utils import formatdate

import pytest

from certificates import Authority
from lab import wait_until
from request_signer import parse_header, ssh_message

ADDRESS, PORT = "198.18.0.2", 8443
TARGET = f"{ADDRESS}:{PORT}"
NAME = "vps.example.com"
OTHER_NAME = "other.example.com"
FAKE_NAME = "fake.example.com"
SUBNET = "10.77.0.1/24"
ROOT = "/run/root.pem"


class Laptop:
    """Another machine, with a home of its own."""

    def __init__(self, host, tunnel, root):
        self.host = host
        self.tunnel = tunnel
        host.write_file(ROOT, root)
        for name, address in ((NAME, ADDRESS), (OTHER_NAME, ADDRESS), (FAKE_NAME, "127.0.0.1")):
            host.run("sh", "-c", f"echo {address} {name} >>/etc/hosts")

    def fresh_home(self):
        self.host.run("sh", "-c", "rm -rf /run/home && mkdir -p /run/home/.ssh")

    def try_run(self, *arguments, target=TARGET, root=ROOT, env=None):
        """The command, told where to connect; returns (status, output, error)."""
        options = [*(["-t", target] if target else []), *(["--root-ca", root] if root else [])]
        return self.host.try_run(self.tunnel.program("start-tunnel"), *options, *arguments, env=env)

    def run(self, *arguments, **options):
        status, output, error = self.try_run(*arguments, **options)
        assert status == 0, error
        return output

    def refused(self, status, says, *arguments, **options):
        got, output, error = self.try_run(*arguments, **options)
        assert (got, output) == (status, ""), error
        assert re.search(says, error), error
        assert "UNAUTHORIZED" not in error, error  # what programs are told, not people

    def make_ssh_key(self, name="id_ed25519", passphrase=""):
        """Returns the line of its public key."""
        path = f"/run/home/.ssh/{name}"
        self.host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name,
                      "-f", path)
        return self.host.read_file(path + ".pub").strip()


@pytest.fixture(scope="module")
def machine(lab, tunnel):
    tunnel.cli("web", "init", "--listen", TARGET, "--generate", "--san", NAME)
    laptop = Laptop(lab.stranger, tunnel, tunnel.cli("web", "get-root"))

    def answers():
        return laptop.try_run("status")[0] == 34

    wait_until(answers, "the web interface answers", 30.0)
    return laptop


@pytest.fixture
def laptop(machine, tunnel):
    """Without keys, and unknown to the daemon."""
    machine.fresh_home()
    for key in tunnel.call("auth.key.list"):
        tunnel.call("auth.key.remove", key=key)
    tunnel.clear()
    return machine


# Keys

def test_developer_key(laptop, tunnel):
    shown = laptop.run("auth", "key", "init", target=None, root=None)
    pem, line = re.fullmatch(r"(-----BEGIN.*-----END PUBLIC KEY-----\n)(ssh-ed25519 .*)\n", shown,
                             re.S).groups()
    assert laptop.run("auth", "key", "init", target=None, root=None) == shown
    assert laptop.host.run("stat", "-c", "%a",
                           "/run/home/.startos/developer.key.pem") == "600\n"
    laptop.refused(34, "accepts none of your keys .*developer.key.pem.*auth key add", "status")
    tunnel.cli("auth", "key", "add", "laptop", pem)
    laptop.run("subnet", SUBNET, "add", "From afar")
    laptop.run("device", "add", SUBNET, "Phone")
    assert "Phone" in laptop.run("device", "list", SUBNET)
    assert list(tunnel.subnets()) == [SUBNET]
    laptop.run("auth", "key", "remove", pem)
    laptop.refused(34, "Unauthorized", "status")
    tunnel.cli("auth", "key", "add", "laptop", line)  # the same key, as SSH has it
    laptop.run("status")


def test_ssh_key(laptop, tunnel):
    laptop.refused(34, "no key to sign with", "status")
    tunnel.cli("auth", "key", "add", "laptop", laptop.make_ssh_key())
    assert "laptop" in laptop.run("auth", "key", "list")
    laptop.run("status", target=f"{NAME}:{PORT}")


def test_named_key(laptop, tunnel):
    line = laptop.make_ssh_key("other")
    tunnel.cli("auth", "key", "add", "laptop", line)
    laptop.refused(34, "no key to sign with", "status")
    laptop.run("--developer-key-path", "/run/home/.ssh/other", "status")
    laptop.refused(2, "--developer-key-path: reading /run/nothing", "--developer-key-path",
                   "/run/nothing", "status")


def test_key_behind_an_agent(laptop, tunnel):
    agent = laptop.host.start("ssh-agent", "-D", "-a", "/run/agent")
    env = {"SSH_AUTH_SOCK": "/run/agent"}
    try:
        wait_until(lambda: laptop.host.try_run("ssh-add", "-l", env=env)[0] == 1,
                   "the agent answers", 30.0)
        # An agent with other keys, too: each is tried until one is accepted.
        lines = []
        for name in ("first", "second", "id_ed25519"):
            lines.append(laptop.make_ssh_key(name))
            laptop.host.run("ssh-add", "-q", f"/run/home/.ssh/{name}", env=env)
        laptop.host.run("ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f",
                        "/run/home/.ssh/id_ed25519")
        laptop.refused(34, "protected by a passphrase.*ssh-add", "status")
        laptop.refused(34, "accepts none of your keys", "status", env=env)
        tunnel.cli("auth", "key", "add", "laptop", lines[2])
        laptop.run("subnet", SUBNET, "add", "By the agent", env=env)
        assert list(tunnel.subnets()) == [SUBNET]
    finally:
        agent.stop()


def test_signatures_of_the_agent_are_opensshs(laptop):
    """What the command sends, verified by ssh-keygen."""
    agent = laptop.host.start("ssh-agent", "-D", "-a", "/run/agent")
    env = {"SSH_AUTH_SOCK": "/run/agent"}
    try:
        wait_until(lambda: laptop.host.try_run("ssh-add", "-l", env=env)[0] == 1,
                   "the agent answers", 30.0)
        laptop.make_ssh_key("key")
        laptop.host.run("ssh-add", "-q", "/run/home/.ssh/key", env=env)
        _, headers, body = caught_request(laptop, NAME, "status", env=env)
    finally:
        agent.stop()
    fields, commitment = parse_header(headers["X-StartOS-Auth-Sig"])
    assert int(fields["size"]) == len(body)
    laptop.host.write_file("/run/signature", fields["signature"])
    verify = ["-Y", "check-novalidate", "-n", "start-tunnel", "-s", "/run/signature"]
    with tempfile.NamedTemporaryFile() as message:
        message.write(ssh_message(commitment, NAME))
        message.flush()
        laptop.host.run("sh", "-c", f"ssh-keygen {' '.join(verify)} <{message.name}")
        message.write(b"x")
        message.flush()
        assert laptop.host.try_run(
            "sh", "-c", f"ssh-keygen {' '.join(verify)} <{message.name}")[0] != 0


def test_key_of_openssl(laptop, tunnel):
    """PKCS#8 and SPKI as openssl(1) writes them."""
    path = "/run/home/openssl.key"
    laptop.host.run("openssl", "genpkey", "-algorithm", "ed25519", "-out", path)
    tunnel.cli("auth", "key", "add", "openssl",
               laptop.host.run("openssl", "pkey", "-in", path, "-pubout"))
    laptop.run("--developer-key-path", path, "status")
    laptop.host.run("openssl", "pkey", "-in", path, "-aes256", "-passout", "pass:secret", "-out",
                    path + ".locked")
    laptop.refused(12, "the private key is encrypted", "--developer-key-path", path + ".locked",
                   "status")
    laptop.host.run("openssl", "genpkey", "-algorithm", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-out", path)
    laptop.refused(12, "no Ed25519 key", "--developer-key-path", path, "status")


def test_wrong_key(laptop, tunnel):
    tunnel.cli("auth", "key", "add", "other", laptop.make_ssh_key("other"))
    laptop.make_ssh_key()
    laptop.refused(34, "accepts none of your keys .*id_ed25519", "subnet", SUBNET, "add", "x")
    assert not tunnel.subnets()


# Trust

def test_roots(laptop, tunnel):
    tunnel.cli("auth", "key", "add", "laptop", laptop.make_ssh_key())
    stranger = Authority("Another Root")
    laptop.host.write_file("/run/other.pem", stranger.root)
    laptop.host.write_file("/run/both.pem", stranger.root + laptop.host.read_file(ROOT))
    stranger.close()
    laptop.refused(9, "not trusted .*--root-ca.*get-root.*static/local-root-ca.crt", "status",
                   root=None)
    laptop.refused(9, "not trusted", "status", root="/run/other.pem")
    laptop.run("status", root="/run/both.pem")
    laptop.run("--root-ca", "/run/other.pem", "status")
    laptop.run("--insecure", "status", root=None)
    laptop.refused(2, "--root-ca: reading /run/nothing", "status", root="/run/nothing")
    laptop.refused(49, "holds no certificate", "status", root="/etc/hosts")


def test_names(laptop, tunnel):
    tunnel.cli("auth", "key", "add", "laptop", laptop.make_ssh_key())
    laptop.run("status", target=f"{NAME.upper()}:{PORT}")
    laptop.refused(9, f'is not for "{OTHER_NAME}".*generate-certificate', "status",
                   target=f"{OTHER_NAME}:{PORT}")
    laptop.refused(9, "nothing listens on 198.18.0.2:9.*web init", "status", target=f"{ADDRESS}:9")
    laptop.refused(9, "has no address", "status", target="nothing.invalid:8443")
    laptop.refused(41, "not an address or name with a port", "status", target=ADDRESS)
    laptop.refused(38, "--tunnel HOST:PORT", "status", target=None)


def test_downloaded_root(laptop, tunnel):
    tunnel.cli("auth", "key", "add", "laptop", laptop.make_ssh_key())
    laptop.host.run("curl", "--silent", "--fail", "--insecure", "--output", "/run/downloaded.pem",
                    f"https://{TARGET}/static/local-root-ca.crt")
    laptop.run("status", root="/run/downloaded.pem")


def test_config_file(laptop, tunnel):
    tunnel.cli("auth", "key", "add", "laptop", laptop.make_ssh_key())
    laptop.host.run("mkdir", "/run/home/.startos")
    laptop.host.write_file("/run/home/.startos/config.yaml",
                           f"tunnel: {NAME}:{PORT}\nroot-ca:\n  - {ROOT}\n")
    laptop.run("status", target=None, root=None)
    laptop.host.write_file("/run/second.json", json.dumps({"tunnel": f"{ADDRESS}:9"}))
    laptop.refused(9, "nothing listens", "-c", "/run/second.json", "status", target=None, root=None)


# Password

def test_login(laptop, tunnel):
    password = tunnel.cli("auth", "reset-password").split("\n")[2]
    laptop.refused(7, "^Incorrect Password: .*auth reset-password", "auth", "login", env={"PASSWORD": "not this one"})
    assert laptop.run("auth", "login", env={"PASSWORD": password}) == ""
    jar = "/run/home/.startos/.cookies.json"
    assert laptop.host.run("stat", "-c", "%a", jar) == "600\n"
    laptop.run("subnet", SUBNET, "add", "By password")
    assert list(tunnel.subnets()) == [SUBNET]
    token = re.match("session=([^;]*)", json.loads(laptop.host.read_file(jar))[0]["raw_cookie"])[1]
    laptop.run("auth", "logout")
    assert json.loads(laptop.host.read_file(jar)) == []
    laptop.refused(34, "Unauthorized", "status")
    # It is over at the daemon, too.
    laptop.refused(34, "^Unauthorized: .* does not know this session", "auth", "logout", token)


# What goes over the wire

@contextlib.contextmanager
def impostor(host, name, answer, date_offset_s=0):
    """A server of ours under a name, that keeps what it gets. Yields (port, root, requests)."""
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, dict(self.headers), body))
            text = json.dumps(answer).encode()
            self.send_response_only(200)
            self.send_header("Date", formatdate(time.time() + date_offset_s, usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    authority = Authority("Impostor")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.serve([f"DNS:{name}"]))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = context.wrap_socket(host.socket(), server_side=True)
    server.server_bind()
    server.server_activate()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], authority.root, requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        authority.close()


def post(laptop, header, body):
    """Sends a request to the daemon as it was caught; returns the answer."""
    return json.loads(laptop.host.run(
        "curl", "--silent", "--show-error", "--cacert", ROOT, "--data-binary", body.decode(),
        "--header", "Content-Type: application/json", "--header", f"X-StartOS-Auth-Sig: {header}",
        f"https://{TARGET}/rpc/v0"))


def caught_request(laptop, name, *arguments, env=None):
    """What the command sends to a server that is known by this name."""
    with impostor(laptop.host, name, {"jsonrpc": "2.0", "result": None, "id": 0}) as fake:
        port, root, requests = fake
        laptop.host.write_file("/run/impostor.pem", root)
        laptop.host.run("sh", "-c", f"cp /etc/hosts /run/hosts.before; echo 127.0.0.1 {name} "
                                    ">/etc/hosts")
        try:
            laptop.run(*arguments, target=f"{name}:{port}", root="/run/impostor.pem",
                       env=env)
        finally:
            laptop.host.run("sh", "-c", "cat /run/hosts.before >/etc/hosts")
    return requests[0]


def test_requests_are_upstreams(laptop):
    laptop.make_ssh_key()
    path, headers, body = caught_request(laptop, NAME, "device", "remove", SUBNET, "10.77.0.2")
    assert path == "/rpc/v0"
    assert body == (b'{"id":0,"method":"device.remove","params":{"subnet":"10.77.0.1/24",'
                    b'"ip":"10.77.0.2"}}')
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert re.match(r"timestamp=\d+&nonce=\d+&size=85&blake3=[^&]+&signer=-----BEGIN\+PUBLIC\+KEY"
                    r"[^&]*&signature=-----BEGIN\+SIGNATURE[^&]*$", headers["X-StartOS-Auth-Sig"])


def test_caught_requests_cannot_be_used_again(laptop, tunnel):
    tunnel.cli("auth", "key", "add", "laptop", laptop.make_ssh_key())
    _, headers, body = caught_request(laptop, NAME, "subnet", SUBNET, "add", "Once")
    header = headers["X-StartOS-Auth-Sig"]
    # A request that never reached its server is good once, and never again.
    assert "result" in post(laptop, header, body)
    assert list(tunnel.subnets()) == [SUBNET]
    assert post(laptop, header, body)["error"]["code"] == 34
    # For another body it never was, nor is one that was meant for another server.
    _, headers, body = caught_request(laptop, NAME, "subnet", SUBNET, "add", "Twice")
    assert "error" in post(laptop, headers["X-StartOS-Auth-Sig"], body.replace(b"Twice", b"Other"))
    _, headers, body = caught_request(laptop, FAKE_NAME, "subnet", SUBNET, "remove")
    assert post(laptop, headers["X-StartOS-Auth-Sig"], body)["error"]["code"] == 34
    assert tunnel.subnets()[SUBNET]["name"] == "Once"


def test_older_daemon(laptop):
    """One that does not know a method of ours, and one that speaks otherwise."""
    laptop.make_ssh_key()
    unknown = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32601, "message": "Method not found"}}
    for answer, status, says in ((unknown, 6, "older than this command"),
                                 ({"result": None}, 9, "is not a JSON-RPC response")):
        with impostor(laptop.host, FAKE_NAME, answer) as (port, root, _):
            laptop.host.write_file("/run/impostor.pem", root)
            laptop.refused(status, says, "web", "get-root", target=f"{FAKE_NAME}:{port}",
                           root="/run/impostor.pem")


def test_clocks_that_differ(laptop):
    laptop.make_ssh_key()
    refusal = {"jsonrpc": "2.0", "id": None, "error": {
        "code": 34, "message": "Unauthorized", "data": {"details": "UNAUTHORIZED"}}}
    with impostor(laptop.host, FAKE_NAME, refusal, date_offset_s=-3600) as (port, root, requests):
        laptop.host.write_file("/run/impostor.pem", root)
        laptop.refused(34, "the clock of fake.example.com is 3[56][0-9][0-9] s behind", "status",
                       target=f"{FAKE_NAME}:{port}", root="/run/impostor.pem")
        assert len(requests) == 1
