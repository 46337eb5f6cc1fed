"""Ports that a device opens by PCP: how many a second, each answered once it is open and on disk."""

import os
import socket
import statistics
import threading
import time

from pcp_client import SUCCESS, Answer, PcpClient

RATE = 300
SECONDS = 20  # long enough for the database to write a snapshot of the document beside them
PORTS = 900  # of one device; the first requests open them, later ones renew
FIRST_PORT = 1024
SYNC_SECONDS = 5


class Asker:
    """Asks at a steady rate, whether answers come or not, and notes how long each one took."""

    def __init__(self, client):
        self.client = client
        self.sent = {}
        self.durations = []
        self.refused = 0

    def _receive(self):
        self.client.socket.settimeout(2)
        while len(self.durations) + self.refused < RATE * SECONDS:
            try:
                answer = Answer(self.client.socket.recv(2048))
            except (TimeoutError, socket.timeout):
                return
            begin = self.sent.pop(answer.nonce, None)
            if begin is None:
                continue
            if answer.result == SUCCESS:
                self.durations.append((time.perf_counter() - begin) * 1e3)
            else:
                self.refused += 1

    def run(self):
        receiver = threading.Thread(target=self._receive)
        receiver.start()
        begin = time.perf_counter()
        for number in range(RATE * SECONDS):
            pause = begin + number / RATE - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            nonce = number.to_bytes(12, "big")
            port = FIRST_PORT + number % PORTS
            self.sent[nonce] = time.perf_counter()
            self.client.socket.send(self.client.request(port, port, nonce=nonce))
        receiver.join()


def p99_ms(durations):
    return statistics.quantiles(durations, n=100)[98] if len(durations) > 1 else 1e6


def syncs_ms(directory):
    """How long the disk takes to sync a page, at the pace of the requests: less than that nothing durable takes."""
    path = os.path.join(directory, "sync")
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    durations = []
    for number in range(RATE * SYNC_SECONDS):
        os.pwrite(fd, bytes(4096), number * 4096)
        begin = time.perf_counter()
        os.fdatasync(fd)
        durations.append((time.perf_counter() - begin) * 1e3)
        time.sleep(max(0, 1 / RATE - durations[-1] / 1e3))
    os.close(fd)
    os.unlink(path)
    return durations


def measure(results, router, host, device, subnet):
    """Beside the 10,000 forwards of the large document, from the device `device` on `host`."""
    router.tunnel.call("device.set-auto-port-forward", subnet=subnet, ip=device, enabled=True)
    with PcpClient(host, device, subnet.split("/", maxsplit=1)[0]) as client:
        client.announce()
        asker = Asker(client)
        asker.run()
    asked = RATE * SECONDS
    late = asked - len(asker.durations)
    p99 = p99_ms(asker.durations)
    results.add(f"PCP MAP at {RATE} a second, durable, beside 10,000, p99", p99, "ms", "< 30",
                p99 < 30)
    results.add(f"the same, of {asked} not granted", late, "", "0", late == 0)
    results.add("a sync of 4 KiB on that disk, p99, right after", p99_ms(syncs_ms(router.directory)), "ms",
                "none, it is told", True)
    router.tunnel.call("device.set-auto-port-forward", subnet=subnet, ip=device, enabled=False)
