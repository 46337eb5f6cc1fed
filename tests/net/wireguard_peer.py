"""Devices of the tunnel, with software that is not ours: Debian's wireguard-go, wg and wg-quick."""

import base64
import hashlib
import hmac
import ipaddress

from lab import wait_until

MTU = 1420

# wg-quick hands the DNS servers of a configuration to this program, which Debian leaves to the owner.
RESOLVCONF = """#!/bin/sh
case "$1" in
-a) exec cat >/run/etc/resolv.wireguard ;;
-d) rm -f /run/etc/resolv.wireguard ;;
esac
"""

WIREGUARD_GO = {"LOG_LEVEL": "error"}


def parse_config(text):
    """{"Interface": {...}, "Peer": {...}} of a configuration with one peer."""
    sections = {}
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line:
            name, _, value = line.partition("=")
            section[name.strip()] = value.strip()
    return sections


def update_key(psk):
    """The key of a device for updates of names, out of its preshared key in base64 (tunnel.md 7.4)."""
    extracted = hmac.new(bytes(32), base64.b64decode(psk + "="), hashlib.sha256).digest()
    return hmac.new(extracted, b"startos-dns-update-v1\x01", hashlib.sha256).digest()


class Peer:
    """A device that has joined, by the interface `name` on `host`."""

    def __init__(self, host, name, text):
        self.host = host
        self.name = name
        self.text = text
        self.config = parse_config(text)
        self.addresses = [ipaddress.ip_interface(address.strip())
                          for address in self.config["Interface"]["Address"].split(",")]
        self.address = str(self.addresses[0].ip)
        self.network = self.addresses[0].network
        self.address6 = str(self.addresses[1].ip) if len(self.addresses) > 1 else None

    def last_handshake(self):
        """Seconds since 1970, 0: none yet."""
        output = self.host.run("wg", "show", self.name, "latest-handshakes")
        return max((int(line.split()[1]) for line in output.splitlines()), default=0)

    def wait_for_handshake(self, timeout_s=10.0):
        wait_until(self.last_handshake, f"{self.host}: a WireGuard handshake", timeout_s)

    def leave(self):
        """The device goes away and leaves its host as it was."""
        self.host.run("ip", "link", "delete", self.name)
        self.host.try_run("nft", "delete", "table", "ip", f"reply_{self.name}")
        for priority in ("50", "51"):
            for family in ("-4", "-6"):
                while self.host.try_run("ip", family, "rule", "delete",
                                        "priority", priority)[0] == 0:
                    pass


def join_by_wg_quick(host, text, name="wg0"):
    """Uses the configuration verbatim, as an owner of a phone or laptop does."""
    host.write_file("/run/bin/resolvconf", RESOLVCONF, 0o755)
    host.write_file(f"/run/{name}.conf", text)
    host.run("wg-quick", "up", f"/run/{name}.conf", env=WIREGUARD_GO)
    return Peer(host, name, text)


def join_as_startos(host, text, name="wg0", program="wireguard-go"):
    """
    Does with the configuration what a StartOS server does: every address may come through the tunnel,
    and what came through it is answered through it (marks on connections and a table of its own), as
    is what is sent from the tunnel's address, while other traffic goes its usual way. @program: another one that
    serves the interface.
    """
    peer = Peer(host, name, text)
    settings = peer.config["Peer"] | {"AllowedIPs": "0.0.0.0/0, ::/0"}
    stripped = (
        f"[Interface]\nPrivateKey = {peer.config['Interface']['PrivateKey']}\n[Peer]\n"
        + "".join(f"{key} = {value}\n" for key, value in settings.items())
    )
    host.run(program, name, env=WIREGUARD_GO)
    host.run("wg", "setconf", name, "/dev/stdin", input=stripped)
    for address in peer.addresses:
        host.ip("address", "add", str(address), "dev", name)
    host.ip("link", "set", name, "up", "mtu", str(MTU))
    for scope in ("all", "default", name):
        host.set_sysctl(f"net.ipv4.conf.{scope}.rp_filter", "2")
        host.set_sysctl(f"net.ipv4.conf.{scope}.src_valid_mark", "1")
    number = 1000 + int(host.read_file(f"/sys/class/net/{name}/ifindex"))
    host.ip("route", "add", "default", "dev", name, "table", str(number))
    host.ip("rule", "add", "fwmark", str(number), "lookup", str(number), "priority", "50")
    host.ip("rule", "add", "from", peer.address, "lookup", str(number), "priority", "51")
    if peer.address6:
        host.ip("-6", "route", "add", "default", "dev", name, "table", str(number))
        host.ip("-6", "rule", "add", "from", peer.address6, "lookup", str(number),
                "priority", "51")
    host.nft(f"""
        table ip reply_{name} {{
            chain prerouting {{
                type filter hook prerouting priority mangle;
                iifname "{name}" ct state new ct mark set {number}
                iifname != "{name}" ct mark {number} meta mark set ct mark
            }}
            chain output {{
                type route hook output priority mangle;
                ct mark {number} meta mark set ct mark
            }}
        }}""")
    return peer
