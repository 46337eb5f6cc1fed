#!/usr/bin/python3
"""start-wg for long, at full speed: streams both ways through a tunnel, by the clock of the machine.

Sessions are renewed every two minutes. Says what it found, and ends with 0 only where

  - every byte arrived as it was sent, in order;
  - no message was lost: what each end sent the other received, by their own counters;
  - sessions were renewed as often as the time asks for;
  - memory and descriptors of start-wg did not grow after the first tenth of the time, at most a minute.

SOAK_SECONDS (600) is how long, SOAK_END ("start-wg") the program at the other end. Another one's end may
lose messages for want of room in its buffers; that is told, and no failure.
"""

import multiprocessing
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lab import wait_until
from wg_pair import Pair, connection, wait_for_ping

OURS = "start-wg"
BLOCK = random.Random(1).randbytes(1 << 22)
CHUNK = 1 << 20
GROWTH_KIB_MAX = 512


def send(connection, stop):
    """The block again and again, until it is told to stop."""
    view, at = memoryview(BLOCK), 0
    while not stop.is_set():
        connection.sendall(view[at:at + CHUNK])
        at = (at + CHUNK) % len(BLOCK)
    connection.shutdown(1)


def receive(connection, total, faults):
    """Counts what comes, and compares it with the block."""
    view, buffer, at = memoryview(BLOCK), memoryview(bytearray(CHUNK)), 0
    while size := connection.recv_into(buffer, min(CHUNK, len(BLOCK) - at)):
        if buffer[:size] != view[at:at + size]:
            faults.value += 1
        at = (at + size) % len(BLOCK)
        total.value += size


class Direction:
    """One stream: two processes, so that each has a core of its own where there is one."""

    def __init__(self, sender, receiver):
        context = multiprocessing.get_context("fork")
        self.total, self.faults = context.Value("Q", 0), context.Value("Q", 0)
        self.stop = context.Event()
        self.processes = [context.Process(target=send, args=(sender, self.stop)),
                          context.Process(target=receive, args=(receiver, self.total, self.faults))]
        for process in self.processes:
            process.start()

    def finish(self):
        self.stop.set()
        for process in self.processes:
            process.join(60)
            if process.exitcode != 0:
                self.faults.value += 1


def state_of(end):
    """(resident KiB, descriptors) of start-wg."""
    return (int(end.status()["VmRSS"].split()[0]), len(os.listdir(f"/proc/{end.pid()}/fd")))


def lost(pair):
    """Bytes that one end sent and the other did not receive, both ways, once nothing is on its way."""
    def difference():
        a, b = pair.a.peer(pair.b), pair.b.peer(pair.a)
        return int(a["tx"]) - int(b["rx"]), int(b["tx"]) - int(a["rx"])

    try:
        wait_until(lambda: difference() == (0, 0), "the counters agree", 5)
    except TimeoutError:
        pass
    return difference()


def watch(pair, directions, seconds):
    """Returns (the times of handshakes, the states of our ends after the start) over the whole time."""
    ours = [end for end in (pair.a, pair.b) if end.process == OURS]
    began = time.monotonic()
    handshakes, states = set(), {end: [] for end in ours}
    shown = began
    while (now := time.monotonic()) < began + seconds:
        handshakes.add(pair.a.peer(pair.b)["handshake"])
        if now - began >= min(seconds / 10, 60):
            for end in ours:
                states[end].append(state_of(end))
        if now - shown >= 60:
            shown = now
            total = sum(direction.total.value for direction in directions)
            print(f"{now - began:6.0f} s  {total * 8e-9 / (now - began):5.2f} Gbit/s  "
                  f"{len(handshakes) - 1} renewals  "
                  f"{' '.join(str(states[end][-1][0]) for end in ours)} KiB", flush=True)
        time.sleep(1)
    return handshakes, states


def main():
    seconds = float(os.environ.get("SOAK_SECONDS") or 600)
    other = os.environ.get("SOAK_END") or OURS
    faults = []
    with Pair(other) as pair:
        wait_for_ping(pair.a, pair.b)
        before = lost(pair)
        with connection(pair.a, pair.b) as forth, connection(pair.a, pair.b, 7001) as back:
            for end in (*forth, *back):
                end.settimeout(None)
            directions = [Direction(*forth), Direction(*back[::-1])]
            handshakes, states = watch(pair, directions, seconds)
            for direction in directions:
                direction.finish()
        after = lost(pair)
    speeds = [direction.total.value * 8e-9 / seconds for direction in directions]
    print(f"{seconds:.0f} s against {other}: {speeds[0]:.2f} Gbit/s forth, {speeds[1]:.2f} back; "
          f"{len(handshakes) - 1} renewals; bytes lost: {after[0]} forth, {after[1]} back")
    if any(direction.faults.value for direction in directions):
        faults.append("bytes arrived changed, or a stream broke")
    if after != before and other == OURS:
        faults.append(f"messages were lost: {before} before, {after} after")
    if len(handshakes) - 1 < int((seconds - 10) / 130):
        faults.append("sessions were not renewed")
    for number, samples in enumerate(states.values()):
        (first, first_fds), (last, last_fds) = samples[0], samples[-1]
        largest = max(size for size, _ in samples)
        print(f"end {number + 1}: {first} KiB at first, {last} at last, {largest} at most; "
              f"{first_fds} descriptors, then {last_fds}")
        if largest - first > GROWTH_KIB_MAX or last_fds > first_fds:
            faults.append(f"end {number + 1} grew")
    for fault in faults:
        print("FAILED:", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
