"""The web interface: methods, certificates, and the HTTPS listener that follows the document.

Strangers check what we make: OpenSSL's verifier and client, and curl from another machine.
"""

import json
import re

import pytest

from product import RpcError

VPS = "198.18.0.2"
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


def make_chain(host, *, days="90", names="DNS:own.example.com", key=("ec", "P-256")):
    """A root and a leaf that openssl(1) makes. Returns (key, leaf, root)."""
    option = ["-pkeyopt", f"ec_paramgen_curve:{key[1]}"] if key[0] == "ec" else \
        ["-pkeyopt", f"rsa_keygen_bits:{key[1]}"]
    at = {name: f"/run/{name}" for name in ("ca.key", "ca.pem", "own.key", "own.csr",
                                                       "own.ext", "own.pem")}
    host.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-subj", "/CN=Owner's root", "-days", "900", "-keyout", at["ca.key"],
             "-out", at["ca.pem"])
    host.run("openssl", "req", "-newkey", "rsa" if key[0] == "rsa" else "ec", *option, "-nodes",
             "-subj", "/CN=own", "-keyout", at["own.key"], "-out", at["own.csr"])
    host.write_file("/run/own.ext", f"subjectAltName={names}\n" if names else "")
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
    web.call("db.apply", expr=f'.password = "{PASSWORD_HASH}"')
    root = web.call("web.get-root")
    web.call("web.uninit")
    document = web.document()
    assert document["password"] is None
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
