"""The web interface: methods, certificates, and the HTTPS listener that follows the document.

Strangers check what we make: OpenSSL's verifier and client, and curl from another machine.
"""

import datetime
import json
import plistlib
import re
import socket
import ssl
import time

import pytest

from lab import wait_until
from product import RpcError

VPS = "198.18.0.2"
SECOND = "198.18.0.3"
SUBJECT = ["vpn.example.com", VPS]
PASSWORD_HASH = "$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43


@pytest.fixture
def web(tunnel):
    """A daemon without a web interface, before and after."""
    forget(tunnel)
    yield tunnel
    forget(tunnel)


def forget(tunnel):
    tunnel.call("web.uninit")
    tunnel.call("db.apply", expr=".webserver.authority = null")


def certificates(chain):
    return re.findall("-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n", chain, re.S)


def refused(tunnel, code, says, method, **params):
    """The call fails so, and changes nothing."""
    before = tunnel.document()
    with pytest.raises(RpcError) as error:
        tunnel.call(method, **params)
    assert (error.value.code, says in error.value.details) == (code, True), error.value
    assert tunnel.document() == before


def verify(host, chain, root, *options):
    """What `openssl verify` says to the chain under this root alone."""
    leaf, *others = certificates(chain)
    host.write_file("/run/leaf.pem", leaf)
    host.write_file("/run/others.pem", "".join(others[:1]))
    host.write_file("/run/root.pem", root)
    return host.try_run(
        "openssl", "verify", "-no-CApath", "-no-CAstore", "-CAfile", "/run/root.pem",
        "-untrusted", "/run/others.pem", "-x509_strict", "-auth_level", "2",
        "-purpose", "sslserver", *options, "/run/leaf.pem")


def make_chain(host, *, days="90", names="DNS:own.example.com", key=("ec", "P-256"), more=""):
    """A root and a leaf that openssl(1) makes. @more: extensions. Returns (key, leaf, root)."""
    option = ["-pkeyopt", f"ec_paramgen_curve:{key[1]}"] if key[0] == "ec" else \
        ["-pkeyopt", f"rsa_keygen_bits:{key[1]}"]
    at = {name: f"/run/{name}" for name in ("ca.key", "ca.pem", "own.key", "own.csr",
                                                       "own.ext", "own.pem")}
    host.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=Owner's root", "-days", "900", "-addext",
             "keyUsage=critical,keyCertSign,cRLSign", "-keyout", at["ca.key"], "-out", at["ca.pem"])
    host.run("openssl", "req", "-newkey", "rsa" if key[0] == "rsa" else "ec", *option, "-nodes",
             "-subj", "/CN=own", "-keyout", at["own.key"], "-out", at["own.csr"])
    host.write_file("/run/own.ext", (f"subjectAltName={names}\n" if names else "") + more)
    host.run("openssl", "x509", "-req", "-in", at["own.csr"], "-CA", at["ca.pem"], "-CAkey",
             at["ca.key"], "-CAcreateserial", "-days", days, "-extfile", at["own.ext"], "-out",
             at["own.pem"])
    return tuple(host.read_file(f"/run/{name}") for name in ("own.key", "own.pem", "ca.pem"))


# Methods

def test_enabling_asks_for_what_is_missing_in_order(web):
    """The kinds drive `web init`."""
    refused(web, 41, "address", "web.enable")
    web.call("web.set-listen", listen=f"{VPS}:8443")
    refused(web, 49, "certificate", "web.enable")
    web.call("web.generate-certificate", subject=SUBJECT)
    refused(web, 34, "password", "web.enable")
    web.call("db.apply", expr=f'.password = "{PASSWORD_HASH}"')
    web.call("web.enable")
    assert web.document()["webserver"]["enabled"] is True
    web.call("web.disable")
    assert web.document()["webserver"]["enabled"] is False
    assert web.document()["webserver"]["listen"] == f"{VPS}:8443"


def test_uninit_forgets_all_but_the_root(web):
    web.call("web.set-listen", listen=f"{VPS}:8443")
    web.call("web.generate-certificate", subject=SUBJECT)
    session = {"loggedIn": "2026-11-01T00:00:00Z", "lastActive": "2026-11-01T00:00:00Z"}
    web.call("db.apply", expr=f'.password = "{PASSWORD_HASH}" | '
                              f'.sessions = {{"{"a" * 52}": {json.dumps(session)}}}')
    root = web.call("web.get-root")
    web.call("web.uninit")
    document = web.document()
    assert document["password"] is None and document["sessions"] == {}
    settings = document["webserver"]
    assert (settings["enabled"], settings["listen"], settings["certificate"]) == (False, None, None)
    assert web.call("web.get-listen") is None and web.call("web.get-certificate") is None
    assert web.call("web.get-root") == root
    web.call("web.generate-certificate", subject=SUBJECT)
    assert certificates(web.call("web.get-certificate"))[2] == root


def test_listen_is_tried(web):
    for address, port in ((VPS, 8443), (VPS, 443), ("127.0.0.1", 80), ("0.0.0.0", 8443)):
        web.call("web.set-listen", listen=f"{address}:{port}")
        assert web.call("web.get-listen") == f"{address}:{port}"
    refused(web, 9, "198.18.0.77:8443 is not available to bind to", "web.set-listen",
            listen="198.18.0.77:8443")
    refused(web, 38, "port", "web.set-listen", listen=f"{VPS}:0")
    with web.host.socket() as taken:
        taken.bind((VPS, 8444))
        taken.listen()
        refused(web, 9, f"{VPS}:8444 is not available to bind to: Address already in use",
                "web.set-listen", listen=f"{VPS}:8444")
    web.call("web.set-listen", listen=f"{VPS}:8444")


def test_available_ips_are_all_of_this_machine(web):
    listed = web.call("web.get-available-ips")
    present = {entry["local"] for link in web.host.json("ip", "-json", "address", "show")
               if link["ifname"] != "wg-start-tunnel" for entry in link["addr_info"]}
    assert VPS in listed and "127.0.0.1" in listed
    assert set(listed) == present and len(set(listed)) == len(listed)


def test_openssl_accepts_what_is_generated(web):
    chain = web.call("web.generate-certificate", subject=["b.example.com", "a.example.com", VPS,
                                                          "2001:db8::7", "A.EXAMPLE.com"])
    assert chain == web.call("web.get-certificate")
    assert chain.endswith("-----END CERTIFICATE-----\n\n")
    root = certificates(chain)[2]
    assert root == web.call("web.get-root") == web.cli("web", "get-root")
    for option in (["-verify_hostname", "a.example.com"], ["-verify_hostname", "b.example.com"],
                   ["-verify_ip", VPS], ["-verify_ip", "2001:db8::7"]):
        assert verify(web.host, chain, root, *option)[0] == 0
    for option in (["-verify_hostname", "c.example.com"], ["-verify_ip", "198.18.0.3"],
                   ["-attime", str(2**31 - 1)]):
        assert verify(web.host, chain, root, *option)[0] != 0
    text = web.host.run("openssl", "x509", "-noout", "-text", "-in", "/run/leaf.pem")
    assert "CN = a.example.com, O = Start9, OU = StartOS" in text
    assert "TLS Web Server Authentication" in text
    assert ("DNS:a.example.com, DNS:b.example.com, IP Address:198.18.0.2, "
            "IP Address:2001:DB8:0:0:0:0:0:7") in text
    print_of = web.host.run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in",
                            "/run/root.pem")
    assert print_of.strip().split("=")[1] == web.cli("web", "get-root", "--fingerprint").strip()


def test_the_root_is_kept_until_a_new_one_is_asked_for(web):
    first = certificates(web.call("web.generate-certificate", subject=SUBJECT))
    second = certificates(web.cli("web", "generate-certificate", "other.example.com", VPS))
    assert first[0] != second[0] and first[1:] == second[1:]
    third = certificates(web.call("web.generate-certificate", subject=SUBJECT, newRoot=True))
    assert third[2] != first[2] and third[1] != first[1]
    assert verify(web.host, "".join(third), first[2])[0] != 0
    for name in ("", "a b", "-a.example.com", "a..b", "*.example.com", "https://a.example.com"):
        refused(web, 38, "subject", "web.generate-certificate", subject=[name])
    refused(web, 38, "subject", "web.generate-certificate", subject=[])


def test_certificates_of_the_owner(web):
    key, leaf, root = make_chain(web.host)
    web.call("web.import-certificate", key=key, cert="words\n" + leaf + root)
    assert certificates(web.call("web.get-certificate")) == [leaf, root]
    rsa_key, rsa_leaf, rsa_root = make_chain(web.host, key=("rsa", "2048"))
    web.call("web.import-certificate", key=rsa_key, cert=rsa_leaf + rsa_root)
    refused(web, 31, "certificate 1 does not belong to the private key",
            "web.import-certificate", key=key, cert=rsa_leaf + rsa_root)
    refused(web, 31, "certificate 1 was not issued by certificate 2",
            "web.import-certificate", key=rsa_key, cert=rsa_leaf + root)
    refused(web, 38, "certificate 1 is not a root", "web.import-certificate", key=rsa_key,
            cert=rsa_leaf)
    refused(web, 12, "cert: no certificate", "web.import-certificate", key=key, cert="nothing")
    refused(web, 12, "key: the private key is not sound", "web.import-certificate", key="nothing",
            cert=rsa_leaf + rsa_root)
    for options, says in (({"key": ("rsa", "1024")}, "its key must be RSA of 2048"),
                          ({"names": ""}, "certificate 1 names no host"),
                          ({"days": "-1"}, "certificate 1 expired on ")):
        bad_key, bad_leaf, bad_root = make_chain(web.host, **options)
        refused(web, 38, says, "web.import-certificate", key=bad_key, cert=bad_leaf + bad_root)
    refused(web, 6, "root of ours", "web.get-root")


def test_keys_stay_in_the_database(web):
    """No method but the dump of the document gives a key, and no log has one."""
    chain = web.call("web.generate-certificate", subject=SUBJECT)
    assert "PRIVATE" not in chain + web.call("web.get-certificate")
    settings = web.document()["webserver"]
    keys = [settings["certificate"]["key"], settings["authority"]["rootKey"],
            settings["authority"]["intermediateKey"]]
    log = web.log() + json.dumps(web.call("status"))
    for key in keys:
        assert key.startswith("-----BEGIN PRIVATE KEY-----\n")
        assert key.splitlines()[1] not in log
    database = web.host.run("find", web.data_dir, "-name", "tunnel.sqlite*", "-printf", "%m\n")
    assert set(database.split()) == {"600"}


# The listener

class Served:
    """The interface at VPS:8443, and what somebody else's machine sees of it."""

    def __init__(self, tunnel, stranger):
        self.tunnel, self.host, self.stranger = tunnel, tunnel.host, stranger
        tunnel.call("web.set-listen", listen=f"{VPS}:8443")
        tunnel.call("web.generate-certificate", subject=SUBJECT)
        tunnel.call("db.apply", expr=f'.password = "{PASSWORD_HASH}"')
        tunnel.call("web.enable")
        self.wait_until_listening()

    def status(self):
        return self.tunnel.call("status")["web"]

    def wait_until_listening(self, timeout_s=20.0):
        wait_until(lambda: self.status()["listening"], "the interface listens", timeout_s)

    def trust(self, root=None):
        self.stranger.write_file("/run/trusted.pem", root or self.tunnel.call("web.get-root"))

    def curl(self, url, *options):
        """(status of curl, output); the root in /run/trusted.pem is all that is trusted."""
        status, output, error = self.stranger.try_run(
            "curl", "--silent", "--show-error", "--cacert", "/run/trusted.pem", "--capath",
            "/nonexistent", "--resolve", f"vpn.example.com:8443:{VPS}", *options, url)
        return status, output or error

    def connect(self, address=VPS, port=8443):
        """A TLS connection with the certificate that it came with, in PEM."""
        context = ssl.create_default_context(cadata=self.stranger.read_file("/run/trusted.pem"))
        context.set_alpn_protocols(["http/1.1"])
        connection = context.wrap_socket(self.stranger.connect(address, port, 20.0),
                                         server_hostname=address)
        return connection, ssl.DER_cert_to_PEM_cert(connection.getpeercert(True))

    def is_closed(self, address, port):
        try:
            self.stranger.connect(address, port, 20.0).close()
        except ConnectionRefusedError:
            return True
        return False


@pytest.fixture
def served(web, lab):
    served = Served(web, lab.stranger)
    served.trust()
    return served


def ask(connection, path="/static/local-root-ca.json"):
    """One request on a connection that stays open; returns its status."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {VPS}:8443\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    size = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
    while len(body) < size:
        body += connection.recv(65536)
    return int(head.split()[1])


def test_another_machine_is_served_over_https(served):
    call = ["--data", '{"method":"db.dump","params":{}}', "-H", "Content-Type: application/json"]
    for host in (VPS, "vpn.example.com"):
        status, output = served.curl(f"https://{host}:8443/rpc/v1", *call)
        assert status == 0, output
        assert json.loads(output)["error"]["code"] == 34
    for version in ("--http1.1", "--http2"):
        status, output = served.curl(f"https://{VPS}:8443/static/local-root-ca.json", version)
        assert status == 0 and "fingerprint" in output
    assert served.status() == {"listening": True, "problem": None, "warning": None,
                               "url": f"https://{VPS}:8443"}
    served.trust(make_chain(served.host)[2])
    status, output = served.curl(f"https://{VPS}:8443/")
    assert status == 60, output  # nobody vouches for it


def s_client(served, *options):
    return served.stranger.try_run("openssl", "s_client", "-connect", f"{VPS}:8443", "-CAfile",
                                   "/run/trusted.pem", "-no-CApath", "-verify_return_error",
                                   *options, input="")


def test_openssl_speaks_tls_1_2_and_1_3_with_it_alone(served):
    for option, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        status, output, error = s_client(served, option, "-verify_ip", VPS)
        assert status == 0, output + error
        assert "Verify return code: 0 (ok)" in output and version in output
        # The client has the root: only what it lacks is sent.
        assert re.findall("^ *([0-9]) s:", output, re.M) == ["0", "1"]
    status, output, error = s_client(served, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert status != 0 and "protocol version" in error
    assert s_client(served, "-verify_hostname", "other.example.com")[0] != 0


def test_plain_http_is_sent_to_https(served):
    with served.stranger.connect(VPS, 8443, 20.0) as connection:
        connection.sendall(f"GET /a?b HTTP/1.1\r\nHost: {VPS}:8443\r\n\r\n".encode())
        answer = connection.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 307 ")
    assert f"location: https://{VPS}:8443/a?b\r\n" in answer.lower()
    with served.stranger.connect(VPS, 8443, 20.0) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_a_new_certificate_disturbs_nobody(served):
    with served.connect()[0] as connection:
        before = served.connect()[1]
        assert ask(connection) == 200
        served.tunnel.call("web.generate-certificate", subject=SUBJECT)
        other, after = served.connect()
        assert after != before and ask(other) == 200
        other.close()
        assert ask(connection) == 200


def test_the_address_changes_while_it_is_served(served):
    with served.connect()[0] as connection:
        served.tunnel.call("web.generate-certificate", subject=[VPS, SECOND])
        for address, port in ((SECOND, 8443), (VPS, 443), (VPS, 8444)):
            served.tunnel.call("web.set-listen", listen=f"{address}:{port}")
            wait_until(lambda: not served.is_closed(address, port), "the new address is served")
            assert ask(served.connect(address, port)[0]) == 200
            wait_until(lambda: served.is_closed(VPS, 8443), "the old address is left")
        assert ask(connection) == 200
    served.tunnel.call("web.set-listen", listen="0.0.0.0:8444")  # excludes the one before
    wait_until(lambda: not served.is_closed(SECOND, 8444), "all addresses are served")
    assert served.status()["url"] == f"https://{VPS}:8444"
    served.tunnel.call("web.disable")
    wait_until(lambda: served.is_closed(VPS, 8444), "nothing is served")
    assert served.status() == {"listening": False, "problem": None, "url": None, "warning": None}


def test_the_low_port_costs_the_daemon_no_privilege(served):
    served.tunnel.call("web.set-listen", listen=f"{VPS}:443")
    wait_until(lambda: not served.is_closed(VPS, 443), "port 443 is served")
    assert ask(served.connect(VPS, 443)[0]) == 200
    listening = served.host.run("ss", "-Hlntp", "sport", "=", ":443")
    assert "start-tunneld" in listening and "start-netd" not in listening
    (pid,) = served.host.processes("start-tunneld")
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        assert re.search(r"^CapEff:\s*0+$", status.read(), re.M)


def test_a_taken_port_is_shown_and_tried_again(served):
    with served.host.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((VPS, 8445))
        taken.listen()
        served.tunnel.call("db.apply", expr=f'.webserver.listen = "{VPS}:8445"')
        problem = wait_until(lambda: served.status()["problem"], "the problem is shown")
        assert problem == f"{VPS}:8445 is not available to bind to: Address already in use"
        assert (f"Web         https://{VPS}:8445, NOT served: {problem}\n"
                in served.tunnel.cli("status"))
        assert not served.is_closed(VPS, 8443)  # the old address is left for a new one alone
        served.tunnel.call("db.apply", expr=f'.webserver.listen = "{VPS}:8445" | .wg.port = 51821')
        assert served.tunnel.log().count(problem) == 1
    served.wait_until_listening(60.0)
    wait_until(lambda: not served.is_closed(VPS, 8445), "it comes up by itself", 60.0)
    assert served.status()["problem"] is None
    assert f"Web         https://{VPS}:8445\n" in served.tunnel.cli("status")
    served.tunnel.call("db.apply", expr=".wg.port = 51820")


def test_an_address_that_comes_later_is_served_then(served):
    late = "198.18.0.66"
    served.tunnel.call("web.generate-certificate", subject=[late])
    served.tunnel.call("db.apply", expr=f'.webserver.listen = "{late}:8443"')
    wait_until(lambda: "Cannot assign" in (served.status()["problem"] or ""), "it is refused")
    served.host.ip("address", "add", f"{late}/32", "dev", "lo")
    try:
        wait_until(lambda: served.status()["problem"] is None, "the address is served", 60.0)
        served.host.ip("address", "del", f"{late}/32", "dev", "lo")
        wait_until(lambda: served.status() == {
            "listening": False, "problem": "the address is not on this machine now",
            "url": f"https://{late}:8443", "warning": None}, "that it is gone")
        served.host.ip("address", "add", f"{late}/32", "dev", "lo")
        wait_until(lambda: served.status()["listening"], "it is served again")
    finally:
        served.tunnel.call("web.set-listen", listen=f"{VPS}:8443")
        served.host.ip("address", "del", f"{late}/32", "dev", "lo")


def test_the_root_is_there_for_everybody(served):
    root = served.tunnel.call("web.get-root")
    url = f"https://{VPS}:8443/static/local-root-ca"
    status, output = served.curl(url + ".crt", "--include")
    head, _, body = output.replace("\r\n", "\n").partition("\n\n")
    assert status == 0 and body == root
    assert "content-type: application/x-x509-ca-cert" in head.lower()
    assert 'content-disposition: attachment; filename="vpn.example.com.crt"' in head.lower()
    facts = json.loads(served.curl(url + ".json")[1])
    assert facts["fingerprint"] == served.tunnel.cli("web", "get-root", "--fingerprint").strip()
    assert facts["subject"] == "CN = start-tunnel Local Root CA, O = Start9, OU = StartOS"
    profile = plistlib.loads(served.curl(url + ".mobileconfig")[1].encode())
    (payload,) = profile["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root"
    assert payload["PayloadContent"] == ssl.PEM_cert_to_DER_cert(root)
    digits = facts["fingerprint"].replace(":", "")
    assert payload["PayloadUUID"].replace("-", "") == digits[:32]
    assert profile["PayloadUUID"].replace("-", "") == digits[32:]
    key, leaf, own_root = make_chain(served.host, names=f"IP:{VPS}")
    served.tunnel.call("web.import-certificate", key=key, cert=leaf + own_root)
    served.trust(own_root)
    for ending in ("crt", "json", "mobileconfig"):
        status, output = served.curl(f"{url}.{ending}", "--write-out", "%{http_code}", "--output",
                                     "/dev/null")
        assert (status, output) == (0, "404")


# What Apple's platforms ask of TLS servers, also under roots that their owner added: support.apple.com/103769
# (since iOS 13 and macOS 10.15); their limits on keys are those of App Transport Security.

class Certificate:
    """What `openssl x509 -text` reads in a certificate."""

    def __init__(self, host, pem):
        self.pem = pem
        host.write_file("/run/read.pem", pem)
        self.text = host.run("openssl", "x509", "-noout", "-text", "-in", "/run/read.pem")

    def has(self, pattern):
        return re.search(pattern, self.text) is not None

    def extension(self, name):
        """Its lines, or None."""
        found = re.search(rf"\n {{12}}X509v3 {name}:.*\n((?: {{16}}.*\n)+)", self.text)
        return found and found[1].strip()

    def days(self):
        begin, end = (ssl.cert_time_to_seconds(re.search(rf"Not {which} *: (.*)\n", self.text)[1])
                      for which in ("Before", "After"))
        return (end - begin) / 86400


@pytest.fixture
def chain(served):
    """As it comes in a handshake, and its root: (leaf, ..., root)."""
    shown = served.stranger.run("openssl", "s_client", "-connect", f"{VPS}:8443", "-showcerts",
                                "-CAfile", "/run/trusted.pem", "-verify_return_error", input="")
    sent = certificates(shown)
    root = served.stranger.read_file("/run/trusted.pem")
    if root.strip() not in [pem.strip() for pem in sent]:
        sent.append(root)
    assert len(sent) == 3
    return [Certificate(served.stranger, pem) for pem in sent]


def test_apple_accepts_the_keys(chain):
    """RSA of 2048 bits, or EC of 256."""
    for each in chain:
        assert each.has(r"Public Key Algorithm: id-ecPublicKey\n *Public-Key: \(256 bit\)")
        assert each.has("ASN1 OID: prime256v1")


def test_apple_accepts_the_signatures(chain):
    """SHA-2."""
    for each in chain:
        assert set(re.findall("Signature Algorithm: (.*)", each.text)) == {"ecdsa-with-SHA256"}


def test_apple_finds_the_names(chain):
    """Among the alternative names: the common name counts for nothing."""
    leaf = chain[0]
    assert leaf.extension("Subject Alternative Name") == \
        f"DNS:vpn.example.com, IP Address:{VPS}"
    assert all(name not in leaf.text for name in ("DNS:localhost", "DNS:*"))


def test_apple_finds_the_purpose(chain):
    """id-kp-serverAuth in the leaf; authorities that it would not forbid are above."""
    assert chain[0].extension("Extended Key Usage") == "TLS Web Server Authentication"
    for authority in chain[1:]:
        assert authority.extension("Extended Key Usage") is None
        assert authority.extension("Basic Constraints").startswith("CA:TRUE")
        assert "Certificate Sign" in authority.extension("Key Usage")
    assert chain[0].extension("Basic Constraints") == "CA:FALSE"
    assert "Digital Signature" in chain[0].extension("Key Usage")


def test_apple_accepts_how_long_it_holds(chain):
    """825 days under a root of one's own, 398 under any other: ours hold for at most 397."""
    assert 396 < chain[0].days() <= 397


def test_the_chain_is_found_by_its_identifiers(chain):
    """Each names the key of its issuer; no two have a serial number in common."""
    keys = [each.extension("Subject Key Identifier") for each in chain]
    assert all(keys) and len(set(keys)) == len(keys)
    for each, issuer in zip(chain, [*keys[1:], keys[-1]]):
        assert each.extension("Authority Key Identifier").removeprefix("keyid:") \
            .startswith(issuer), each.text
    serials = [re.search(r"Serial Number:\s*(\S+)", each.text)[1] for each in chain]
    assert len(set(serials)) == len(serials)
    assert all(each.has(r"Version: 3 ") for each in chain)


@pytest.mark.parametrize("key", [("rsa", "2048"), ("rsa", "4096"), ("ec", "P-256"), ("ec", "P-384")])
def test_imported_certificates_are_served_and_accepted(served, key):
    """What an owner's own authority makes by the same rules."""
    own_key, leaf, root = make_chain(
        served.host, days="825", names=f"DNS:vpn.example.com,IP:{VPS}", key=key,
        more="extendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n"
             "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    served.tunnel.call("web.import-certificate", key=own_key, cert=leaf + root)
    status, _, error = verify(served.host, leaf + root, root, "-verify_hostname", "vpn.example.com")
    assert status == 0, error
    served.trust(root)
    status, output = served.curl("https://vpn.example.com:8443/")
    assert status == 0, output
    connection, sent = served.connect()
    connection.close()
    assert sent == leaf


CA_CONFIG = """
[ca]
default_ca = own
[own]
database = /run/ca.index
new_certs_dir = /run
rand_serial = yes
default_md = sha256
policy = anything
x509_extensions = leaf
[anything]
commonName = supplied
[leaf]
subjectAltName = DNS:vpn.example.com,IP:198.18.0.2
"""


def age(tunnel):
    """Has the kept authority issue a leaf that was made a year ago and has ten days left."""
    settings = tunnel.document()["webserver"]
    host, now = tunnel.host, datetime.datetime.now(datetime.timezone.utc)
    dates = [(now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (-387, 10)]
    host.write_file("/run/sign.key", settings["authority"]["intermediateKey"])
    host.write_file("/run/sign.pem", settings["authority"]["intermediateCert"])
    host.write_file("/run/old.key", settings["certificate"]["key"])
    host.write_file("/run/ca.index", "")
    host.write_file("/run/ca.cnf", CA_CONFIG)
    host.run("openssl", "req", "-new", "-key", "/run/old.key", "-subj", "/CN=old", "-out",
             "/run/old.csr")
    host.run("openssl", "ca", "-batch", "-notext", "-config", "/run/ca.cnf", "-cert",
             "/run/sign.pem", "-keyfile", "/run/sign.key", "-in", "/run/old.csr", "-out",
             "/run/old.pem", "-startdate", dates[0], "-enddate", dates[1])
    leaf = host.read_file("/run/old.pem")
    chain = "\n".join([leaf, *certificates(settings["certificate"]["cert"])[1:], ""])
    tunnel.call("db.apply", expr=f".webserver.certificate.cert = {json.dumps(chain)}")
    return leaf


def test_an_old_certificate_is_renewed_under_the_same_root(served):
    """Not while the interface is off; at a start, without anybody asking."""
    served.tunnel.call("web.disable")
    chain = certificates(served.tunnel.call("web.get-certificate"))
    leaf = age(served.tunnel)
    served.tunnel.stop()
    served.tunnel.start()
    assert certificates(served.tunnel.call("web.get-certificate")) == [leaf, *chain[1:]]
    served.tunnel.call("db.apply", expr=".webserver.enabled = true")
    wait_until(lambda: certificates(served.tunnel.call("web.get-certificate"))[0] != leaf,
               "the certificate is renewed")
    age(served.tunnel)
    served.tunnel.kill()
    wait_until(lambda: not served.host.processes("start-netd"), "the other daemon ends")
    served.tunnel.start()
    wait_until(lambda: certificates(served.tunnel.call("web.get-certificate"))[0] != leaf,
               "the certificate is renewed")
    served.wait_until_listening()
    renewed = served.tunnel.call("web.get-certificate")
    assert certificates(renewed)[1:] == chain[1:]
    assert served.connect()[1] == certificates(renewed)[0]
    in_a_year = str(int(time.time()) + 395 * 86400)
    for option in (["-verify_hostname", "vpn.example.com"], ["-verify_ip", VPS],
                   ["-attime", in_a_year]):
        assert verify(served.host, renewed, chain[2], *option)[0] == 0


def test_the_interface_sleeps_when_it_is_off(served):
    """No timer runs for it: a day's timer is armed while it is on alone."""
    served.tunnel.call("web.disable")
    (pid,) = served.host.processes("start-tunneld")

    def switches():
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status.read(), re.M)[1])

    def sleeps():
        before = switches()
        time.sleep(1.0)
        return switches() == before

    wait_until(sleeps, "the daemon sleeps", 60.0)
