"""DNS through the tunnel: local and cached names, against dnsmasq on the same host and path."""

import json
import re
import statistics

import product
from device import DEVICE, GATE, joined
from lab import Lab, wait_until

NAMES = 1000
SECONDS = 4
ROUNDS = 3
CACHED, LOCAL = "cached.example", "local.example"


def questions(host, zone):
    path = f"/run/{zone}"
    host.write_file(path, "".join(f"n{number}.{zone} A\n" for number in range(NAMES)), 0o644)
    return path


def ask(host, port, path, *options):
    """Runs dnsperf once; returns questions a second and the part that was lost."""
    output = host.run("dnsperf", "-s", GATE, "-p", str(port), "-d", path, "-q", "64", *options,
                      timeout_s=120)
    rate = float(re.search(r"Queries per second:\s+([\d.]+)", output)[1])
    lost = re.search(r"Queries lost:\s+\d+ \(([\d.]+)%\)", output)
    assert re.search(r"NOERROR \d+ \(100.00%\)", output), output
    return rate, float(lost[1]) / 100


def dnsmasq(host, *options):
    return host.start("dnsmasq", "--keep-in-foreground", "--pid-file=", "--user=root",
                      "--no-resolv", "--no-hosts", "--bind-interfaces",
                      "--no-dhcp-interface=*", *options)


def measure(results):
    """From a device whose tunnel start-wg serves: wireguard-go would take four fifths of the CPU, and be what is
    measured."""
    with joined("Names", program=product.program("start-wg")) as (lab, tunnel):
        held = [{"name": f"n{number}.{LOCAL}", "type": "A", "value": DEVICE, "ttl": 3600,
                 "source": None} for number in range(NAMES)]
        lab.vps.write_file("/run/held", "".join(
            f"host-record={record['name']},{DEVICE}\n" for record in held), 0o644)
        for first in range(0, NAMES, 200):
            tunnel.call("db.apply", expr=f".dnsRecords += {json.dumps(held[first:first + 200])}")
        above = dnsmasq(lab.stranger, "--conf-file=/dev/null", f"--listen-address={Lab.STRANGER}", "--local-ttl=3600",
                        f"--address=/{CACHED}/192.0.2.7")
        other = dnsmasq(lab.vps, f"--listen-address={GATE}", "--port=5300", "--cache-size=10000",
                        f"--server={Lab.STRANGER}", "--conf-file=/run/held", "--local-ttl=3600")
        lab.vps.write_file("/run/etc/resolv.conf", f"nameserver {Lab.STRANGER}\n", 0o644)
        for zone, words in ((LOCAL, "local"), (CACHED, "cached")):
            path = questions(lab.server, zone)
            for port in (53, 5300):
                wait_until(lambda p=port, z=zone: "NOERROR" in lab.server.run(
                    "dig", f"@{GATE}", "-p", str(p), f"n1.{z}"), "DNS is served", 30)
                ask(lab.server, port, path, "-n", "1", "-q", "8")
            rounds = [(ask(lab.server, 53, path, "-l", str(SECONDS), "-n", "1000000"),
                       ask(lab.server, 5300, path, "-l", str(SECONDS), "-n", "1000000"))
                      for _ in range(ROUNDS)]
            ours = statistics.median(round[0][0] for round in rounds)
            theirs = statistics.median(round[1][0] for round in rounds)
            lost = max(round[0][1] for round in rounds)
            results.add(f"DNS questions for {words} names", ours, "per s", "ratio >= 1",
                        ours >= theirs, "dnsmasq", theirs, ours / theirs)
            results.add(f"DNS questions for {words} names that are lost", lost * 100, "%",
                        "< 0.1 %", lost < 0.001)
        for process in (above, other):
            process.stop()
