"""One port for many host names, against HAProxy's inspection of the same on the same host and path."""

import os
import statistics

import product
from device import DEVICE, joined
from lab import Lab, wait_until

NAMES = 100
MS = 4000
ROUNDS = 3
HELD = 5000
SOURCES = ("198.18.3.101", "198.18.3.116")  # that hold them, on the stranger's network

# What HAProxy's documentation has for a choice by SNI, with the client's own address towards the server.
HAPROXY = """
global
    maxconn 8000
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend shared
    bind {vps}:8443
    tcp-request inspect-delay 10s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend device if {{ req.ssl_sni -i -f /run/names }}
backend device
    source 0.0.0.0 usesrc clientip
    server one {server}:443
"""

# Its sockets have no mark of their own: this is how its documentation leads back what is theirs.
DIVERT = """
table inet divert {
    chain prerouting {
        type filter hook prerouting priority -140;
        iifname "wg-start-tunnel" socket transparent 1 meta mark set 0x540001
    }
}
"""


def load(host, *arguments, **options):
    return host.run(os.path.join(product.BUILD_DIR, "bench", "named_load"), *arguments, **options)


def memory_kib(host, name):
    (pid,) = host.processes(name)
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])


def compare(results, stranger, words, unit, bound, least, *arguments, scale=1.0):
    def once(port):
        return float(load(stranger, arguments[0], Lab.VPS, port, *arguments[1:])) * scale

    for port in (443, 8443):
        once(port)
    rounds = [(once(443), once(8443)) for _ in range(ROUNDS)]
    ours = statistics.median(one[0] for one in rounds)
    theirs = statistics.median(one[1] for one in rounds)
    results.add(words, ours, unit, bound, ours >= least * theirs, "HAProxy", theirs, ours / theirs)


def hold(results, lab):
    """Connections that are open and say nothing, from several addresses."""
    for last in range(101, 117):
        lab.stranger.ip("address", "add", f"198.18.3.{last}/24", "dev", "eth0")
    before = memory_kib(lab.vps, "start-tunneld")
    held = lab.stranger.start("sh", "-c", f"sleep 600 | {product.BUILD_DIR}/bench/named_load hold "
                              f"{Lab.VPS} 443 n1.example.com {HELD} {SOURCES[0]} {SOURCES[1]}")
    wait_until(lambda: "held" in held.output() or not held.running(), "connections are held", 120)
    assert "held" in held.output(), held.output()
    used = memory_kib(lab.vps, "start-tunneld")
    results.add(f"memory of the daemon with {HELD} connections by host name", used / 1024, "MiB",
                "<= 64", used <= 64 * 1024)
    results.add("memory that one of them takes", (used - before) * 1024 / HELD, "bytes", "<= 8192",
                used - before <= 8 * HELD)
    held.stop()


def measure(results):
    """With a device that joined as StartOS does."""
    with joined("Hosts") as (lab, tunnel):
        service = lab.server.start(os.path.join(product.BUILD_DIR, "bench", "named_load"), "serve",
                                   "443")
        names = [f"n{i}.example.com" for i in range(NAMES)] + ["bulk.example.com"]
        for first in range(0, len(names), 50):
            tunnel.call("port-forward.add", externalPort=443, target=f"{DEVICE}:443",
                        sni=names[first:first + 50])
        lab.vps.write_file("/run/names", "\n".join(names) + "\n", 0o644)
        lab.vps.write_file("/run/haproxy.cfg", HAPROXY.format(vps=Lab.VPS, server=DEVICE), 0o644)
        lab.vps.nft(DIVERT)
        peer = lab.vps.start("haproxy", "-db", "-f", "/run/haproxy.cfg")
        for port in (443, 8443):
            wait_until(lambda p=port: lab.stranger.try_run(
                os.path.join(product.BUILD_DIR, "bench", "named_load"), "rate", Lab.VPS, p,
                "n1.example.com", 200)[1].strip() not in ("", "0"), f"port {port} is served", 30)
        compare(results, lab.stranger, "connections by host name", "per s", "ratio >= 0.9", 0.9,
                "rate", "n1.example.com", MS, scale=1000 / MS)
        compare(results, lab.stranger, "bulk by host name", "Mbit/s", "ratio >= 1", 1.0,
                "bulk", "bulk.example.com", MS, 4, scale=8 / MS / 1000)
        hold(results, lab)
        for process in (peer, service):
            process.stop()
