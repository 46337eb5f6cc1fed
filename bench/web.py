"""The web interface and the calls behind it: sockets, slow clients, calls a second, wrong passwords."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import product
from lab import Lab, wait_until
from product import RpcError

HERE = os.path.dirname(os.path.abspath(__file__))
PORT = 8443
PASSWORD = "grey-otters-swim-at-dawn"
SOCKETS = 1000
SLOW = 200
SLOW_S = 20
EDITS = 200  # so that one slow sync of the disk is not the 99th percentile
SESSIONS = 20  # each may have 64 sockets
SOURCES = [f"198.18.3.{number}" for number in range(10, 30)]  # each may have 256 connections
SMALL_CALL = {"method": "db.dump", "params": {"pointer": "/wg/port"}}
PACE_S = 0.005  # between two small calls of one client
WRONG_PASSWORDS = 10000


def serve(router):
    """The web interface on the router, as `web init` sets it up."""
    with router.tunnel.rpc() as rpc:
        rpc.call("auth.set-password", password=PASSWORD)
        rpc.call("web.set-listen", listen=f"{Lab.VPS}:{PORT}")
        rpc.call("web.generate-certificate", subject=[Lab.VPS])
        rpc.call("web.enable")
    wait_until_served(router)


def wait_until_served(router):
    wait_until(lambda: router.tunnel.call("status")["web"]["listening"], "the interface listens")


def make_sessions(router, count):
    """Sessions, as logins would leave them in the document. Returns their tokens."""
    tokens = [base64.b32encode(os.urandom(16)).decode().rstrip("=").lower() for _ in range(count)]
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sessions = {base64.b32encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=").lower():
                {"loggedIn": now, "lastActive": now} for token in tokens}
    router.tunnel.call("db.apply", expr=f".sessions = {json.dumps(sessions)}")
    return tokens


class Client:
    """A client on another machine: one connection over TLS that is kept, and a session."""

    def __init__(self, host, root, token, source=None):
        self.context = ssl.create_default_context(cadata=root)
        self.connection = http.client.HTTPSConnection(Lab.VPS, PORT, timeout=60)
        plain = host.connect(Lab.VPS, PORT, 30, (source, 0) if source else None)
        self.connection.sock = self.context.wrap_socket(plain, server_hostname=Lab.VPS)
        self.token = token

    def call(self, method, **params):
        self.connection.request("POST", "/rpc/v1", json.dumps({"method": method, "params": params}),
                                {"Content-Type": "application/json",
                                 "Cookie": f"session={self.token}"})
        answer = json.loads(self.connection.getresponse().read())
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def close(self):
        self.connection.close()


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part / 100))]


class Memory:
    """The most that the daemon has resident from now on."""

    def __init__(self, router):
        self._process = f"/proc/{router.tunnel.process.pid}"
        self.reset()

    def reset(self):
        with open(f"{self._process}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def peak_mib(self):
        with open(f"{self._process}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file
                        if line.startswith("VmHWM:")) / 1024


sys.setswitchinterval(1e-4)  # else a thread that edits would delay the one that measures


def small_calls_ms(client, seconds):
    """How long small calls take, one after the other with pauses."""
    durations = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        client.call(SMALL_CALL["method"], **SMALL_CALL["params"])
        durations.append((time.perf_counter() - begin) * 1e3)
        time.sleep(PACE_S)
    return durations


class Helper:
    """A program on a host, which takes lines and says lines, and ends with its standard input."""

    def __init__(self, host, *argv):
        self._process = subprocess.Popen(
            host.command(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=host.environment(), text=True)
        self._said = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._process.stdout:
            what, *numbers = line.split()
            self.on_line(what, [int(number) for number in numbers])

    def on_line(self, what, numbers):
        self._said[what] = numbers[0]

    def tell(self, lines):
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()

    def wait_until(self, what, timeout_s=120):
        """Until the program says so; returns the number behind it."""
        wait_until(lambda: what in self._said or self._process.poll() is not None,
                   f"{self._process.args[-1]} says {what}", timeout_s)
        return self._said[what]

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._thread.join()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def subscribers_program():
    return os.path.join(product.BUILD_DIR, "bench", "subscribers")


class Subscribers(Helper):
    """SOCKETS sockets, and when each got which revision."""

    def __init__(self, host, tokens, revision):
        self.arrivals = {}  # revision: times in ns
        self.closed = 0
        super().__init__(host, subscribers_program(), Lab.VPS, PORT, revision, SOCKETS, *SOURCES)
        self.tell([*tokens, ""])

    def on_line(self, what, numbers):
        if what == "revision":
            self.arrivals[numbers[0]] = numbers[1:]
        elif what == "closed":
            self.closed += 1
        else:
            super().on_line(what, numbers)

    def wait_for_revision(self, revision):
        wait_until(lambda: revision in self.arrivals, f"all have got revision {revision}", 30)
        return self.arrivals.pop(revision)


class Labels:
    """Edits of the large document, one after the other."""

    def __init__(self, router, source):
        self._router = router
        self._source = source
        self._number = 0

    def edit(self):
        """Returns the revision."""
        self._number += 1
        self._router.tunnel.call("port-forward.update-label", source=self._source,
                                 label=f"label {self._number}")
        return self._router.tunnel.revision()


@contextlib.contextmanager
def repeated(function, pause_s):
    """Calls a function over and over while the body runs."""
    done = threading.Event()
    failed = []

    def run():
        try:
            while not done.wait(pause_s):
                function()
        except Exception as error:  # pylint: disable=broad-except
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if failed:
        raise failed[0]


def measure_edits(results, subscribers, labels):
    """When an edit has reached the sockets, from the moment that it is asked for."""
    delays, last = [], []
    for _ in range(EDITS):
        begin = time.monotonic_ns()
        arrivals = [(at - begin) / 1e6 for at in subscribers.wait_for_revision(labels.edit())]
        delays += arrivals
        last.append(max(arrivals))
    results.add(f"an edit reaches {SOCKETS:,} sockets over TLS, p99", percentile(delays, 99), "ms",
                "< 100", percentile(delays, 99) < 100)
    results.add("an edit reaches the last of them, median", statistics.median(last), "ms", "< 100",
                statistics.median(last) < 100)


def measure_sockets(results, lab, router, source):
    """SOCKETS subscribers and SLOW slow clients of the large document, as another machine's browsers."""
    host = lab.stranger
    for address in SOURCES:
        host.ip("address", "add", f"{address}/24", "dev", "eth0")
    root = router.tunnel.call("web.get-root")
    tokens = make_sessions(router, SESSIONS + 1)
    client = Client(host, root, tokens[0])
    labels = Labels(router, source)
    memory = Memory(router)
    alone = small_calls_ms(client, 5)
    revision = labels.edit()
    with Subscribers(host, tokens[1:], revision) as subscribers:
        subscribers.wait_until("open")
        subscribers.wait_until("status")
        measure_edits(results, subscribers, labels)
        with Helper(host, os.path.join(HERE, "slow_clients.py"), Lab.VPS, PORT, revision, SLOW,
                    *SOURCES) as slow:
            slow.tell(tokens[:1])
            if slow.wait_until("open") < SLOW:
                raise RuntimeError("not all slow clients are there")
            with repeated(labels.edit, 0.5):
                beside = small_calls_ms(client, SLOW_S)
        if subscribers.closed:
            raise RuntimeError(f"{subscribers.closed} sockets were closed")
    client.close()
    value, peer = percentile(beside, 99), percentile(alone, 99)
    results.add(f"a small call beside them and {SLOW} slow clients, p99", value, "ms", "< 20",
                value < 20, "without them", peer, value / peer)
    peak = memory.peak_mib()
    results.add(f"start-tunneld resident at most, {SOCKETS:,} sockets and {SLOW} slow clients", peak,
                "MiB", "< 64", peak < 64)


class Wrk:
    """wrk that posts calls over connections that are kept, for some seconds."""

    def __init__(self, host, url, body, cookie=None, connections=8, seconds=5, cpu=None):
        self._process = subprocess.Popen(
            host.command([*(["taskset", "-c", str(cpu)] if cpu is not None else []),
                          "wrk", "-t1", f"-c{connections}", f"-d{seconds}s",
                          "--timeout", "60s", "-s", os.path.join(HERE, "post.lua"),
                          *(["-H", f"Cookie: {cookie}"] if cookie else []), url, "--",
                          json.dumps(body)]),
            stdout=subprocess.PIPE, env=host.environment(), text=True)

    def result(self):
        """What post.lua says in the end."""
        output = self._process.communicate(timeout=120)[0]
        result = json.loads(output.splitlines()[-1])
        if result["failed"]:
            raise RuntimeError(f"wrk: {output}")
        return result


@contextlib.contextmanager
def on_core(router, core):
    """Keeps every thread of the daemon on one core while the body runs."""
    threads = [int(thread) for thread in os.listdir(f"/proc/{router.tunnel.process.pid}/task")]
    before = os.sched_getaffinity(0)
    for thread in threads:
        os.sched_setaffinity(thread, {core})
    try:
        yield
    finally:
        for thread in threads:
            os.sched_setaffinity(thread, before)


def measure_calls(results, router):
    """Small reads by callers that are known, on one core; who calls has the other one."""
    cores = sorted(os.sched_getaffinity(0))
    token = make_sessions(router, 1)[0]
    local = router.host.read_file(product.COOKIE)
    plain, secure = f"http://{product.ADDRESS}:{product.PORT}", f"https://{Lab.VPS}:{PORT}"
    with on_core(router, cores[0]):
        for what, url, cookie, bound in (
                ("HTTP/1.1, local cookie", plain, f"local={local}", 5000),
                ("HTTP/1.1, session", plain, f"session={token}", 5000),
                ("HTTP/1.1 over TLS, session", secure, f"session={token}", 2000)):
            runs = [Wrk(router.host, url, SMALL_CALL, cookie, seconds=2, cpu=cores[-1]).result()
                    for _ in range(3)]
            rate = statistics.median(run["calls"] / run["seconds"] for run in runs)
            results.add(f"small reads, {what}, one core", rate, "per s", f"> {bound:,}",
                        rate > bound)


def measure_passwords(results, lab, router):
    """Wrong passwords from a stranger, WRONG_PASSWORDS and more, while another client makes small calls."""
    host = lab.stranger
    token = make_sessions(router, 1)[0]
    client = Client(host, router.tunnel.call("web.get-root"), token)
    alone = small_calls_ms(client, 5)
    tried, beside = 0, []
    while tried < WRONG_PASSWORDS:
        strangers = Wrk(host, f"https://{Lab.VPS}:{PORT}",
                        {"method": "auth.login", "params": {"password": "no"}})
        beside += small_calls_ms(client, 5)
        tried += strangers.result()["calls"]
    client.close()
    value, peer = percentile(beside, 99), percentile(alone, 99)
    results.add(f"a small call while {WRONG_PASSWORDS:,} wrong passwords are tried, p99", value, "ms",
                "< 20", value < 20, "without them", peer, value / peer)


def measure_pages(results):
    """What the pages measure of themselves in a browser, by the program that tests them."""
    if not os.path.exists(os.path.join(product.ROOT, "tests", "web", "speed.spec.ts")):
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "figures.json")
        done = subprocess.run(
            [sys.executable, os.path.join(product.ROOT, "tests", "web", "run.py"), "--build-dir",
             product.BUILD_DIR, "--figures", path],
            capture_output=True, text=True, check=False, timeout=300)
        if not os.path.exists(path):
            raise RuntimeError(f"tests/web/run.py: {(done.stdout + done.stderr)[-1000:]}")
        with open(path, encoding="utf-8") as file:
            figures = json.load(file)
    for figure in figures:
        results.add(**figure, holds=figure["value"] < float(figure["bound"].removeprefix("< ")))
