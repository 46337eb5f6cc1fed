"""Port forwards the way upstream keeps them: rules, and one nft process for each step.

After sections 4.1 to 4.3 of the specification: five rules for each forward, found again by their
comment in a listing of each chain. What nft, conntrack and the kernel do here is real; only the
daemon around them is missing, and rules are for TCP alone (a set of both protocols in each rule would take
nft minutes to load). Both can only make this faster than upstream.
"""

import hashlib
import re

BASE = """
table ip startos {
    chain prerouting { type nat hook prerouting priority dstnat; }
    chain output { type nat hook output priority -100; }
    chain postrouting { type nat hook postrouting priority srcnat; }
    chain forward { type filter hook forward priority filter; policy drop; }
}
"""

CHAINS = ("prerouting", "output", "forward", "postrouting")


def tag(external, port, target, target_port):
    text = f"{external}:{port}+1 -> {target}/32:{target_port} any\n"
    return "F" + hashlib.sha256(text.encode()).hexdigest()[:15]


def rules(external, port, target, target_port):
    """The five rules of a forward, as (chain, text)."""
    comment = f'comment "{tag(external, port, target, target_port)}"'
    inside = f"ip daddr {target} tcp dport {target_port}"
    dnat = (f"ip daddr {external} tcp dport {port} "
            f"dnat to {target}:{target_port} {comment}")
    return [
        ("prerouting", dnat),
        ("output", dnat),
        ("forward", f"{inside} ct state new accept {comment}"),
        ("postrouting", f"fib saddr type local ct original ip daddr {external} {inside} "
                        f"masquerade {comment}"),
        ("postrouting", f"ip saddr {target} {inside} masquerade {comment}"),
    ]


class Upstream:
    def __init__(self, host):
        self.host = host

    def fill(self, forwards):
        """Puts many forwards in at once; this is not measured."""
        self.host.nft(BASE + "".join(
            f"add rule ip startos {chain} {text}\n"
            for forward in forwards for chain, text in rules(*forward)))

    def _delete_tagged(self, comment):
        pattern = re.compile(rf'comment "{comment}" # handle (\d+)')
        for chain in CHAINS:
            listing = self.host.run("nft", "-a", "list", "chain", "ip", "startos", chain)
            for handle in pattern.findall(listing):
                self.host.run("nft", "delete", "rule", "ip", "startos", chain, "handle", handle)

    def add(self, *forward):
        self._delete_tagged(tag(*forward))
        for chain, text in rules(*forward):
            self.host.run("nft", "add", "rule", "ip", "startos", chain, text)

    def remove(self, *forward):
        self._delete_tagged(tag(*forward))
        for protocol in ("tcp", "udp"):
            self.host.try_run("conntrack", "-D", "-p", protocol, "--orig-dst", forward[0],
                              "--dport", str(forward[1]))
