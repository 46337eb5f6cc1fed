"""The product on a host of the lab: the daemon, the command, the RPC interface, the kernel's state."""

import base64
import http.client
import json
import os
import signal

from lab import PATIENCE, CommandFailed, LabError, wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD_DIR = os.path.join(ROOT, os.environ.get("BUILD_DIR", "build"))

ADDRESS = "127.0.59.60"
PORT = 5960
COOKIE = "/run/startos/tunnel.authcookie"
DATA_DIR = "/var/lib/start-tunnel"
INTERFACE = "wg-start-tunnel"
TABLE = "start_tunnel"
DAEMONS = ("start-tunneld", "start-netd", "start-wg")


def program(name):
    return os.path.join(BUILD_DIR, "programs", name, name)


def is_sanitized(name="start-tunneld"):
    """Then it needs more system calls, its memory says nothing (what is freed is kept), and all takes long."""
    with open(program(name), "rb") as file:
        content = file.read()
    return b"__asan_init" in content or b"__tsan_init" in content


def missing_programs():
    names = ("start-tunnel", *DAEMONS)
    return [program(name) for name in names if not os.access(program(name), os.X_OK)]


class RpcError(Exception):
    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")
        self.details = self.data.get("details", "") if isinstance(self.data, dict) else self.data


class Rpc:
    """Calls of the daemon, each on a connection of its own, as a command makes it."""

    def __init__(self, tunnel):
        self._tunnel = tunnel
        self._cookie = "local=" + tunnel.host.read_file(COOKIE)

    def post(self, body, headers=None, path="/rpc/v0"):
        """Sends bytes; returns (status, headers, bytes)."""
        connection = http.client.HTTPConnection(ADDRESS, PORT, timeout=30 * PATIENCE)
        connection.sock = self._tunnel.host.connect(ADDRESS, PORT, 30 * PATIENCE)
        try:
            connection.request("POST", path, body, {
                "Content-Type": "application/json", "Cookie": self._cookie} | (headers or {}))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def call(self, method, **params):
        """Calls a method; returns its result or raises RpcError."""
        body = json.dumps({"id": 0, "method": method, "params": params})
        answer = json.loads(self.post(body)[2])
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass  # nothing stays open between calls


class Tunnel:
    """start-tunneld on a host. `build` may be another directory with the same programs."""

    def __init__(self, host, programs=program, data_dir=DATA_DIR):
        self.host = host
        self.program = programs
        self.data_dir = data_dir
        self.process = None
        self._processes = []
        host.run("mkdir", "-p", data_dir, "/run/startos")

    # The daemon

    def start(self, *options, wait=True, timeout_s=20.0):
        self.process = self.host.start(self.program("start-tunneld"), "-d", self.data_dir, *options)
        self._processes.append(self.process)
        if wait:
            self.wait_until_ready(timeout_s)
        return self

    def wait_until_ready(self, timeout_s=20.0):
        """Until the daemon that was started last answers a call."""

        def answers():
            if not self.process.running():
                raise LabError(f"start-tunneld ended: {self.process.output()}")
            try:
                return Rpc(self).call("db.dump", pointer="/wg/port") is not None
            except (OSError, http.client.HTTPException, RpcError, ValueError):
                return False

        wait_until(answers, "start-tunneld answers", timeout_s)

    def stop(self):
        """Asks the daemon to end; returns its exit status."""
        return self.process.stop(signal.SIGTERM)

    def kill(self):
        """kill -9, of start-tunneld alone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop_everything(self):
        """The daemon, its helpers and what they made; the document stays."""
        if self.process and self.process.running():
            self.process.stop(signal.SIGKILL)
        for name in DAEMONS:
            for pid in self.host.processes(name):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        wait_until(lambda: not any(self.host.processes(name) for name in DAEMONS),
                   "the daemons end")
        self.host.try_run("ip", "link", "delete", INTERFACE)
        self.host.try_run("nft", "delete", "table", "inet", TABLE)

    def log(self):
        """What every daemon since the first start wrote, and its helpers with it."""
        return "".join(process.output() for process in self._processes)

    def findings(self):
        """Lines of the log that tell of memory errors, failed assertions or crashes."""
        words = ("Sanitizer", "runtime error:", "Assertion", "stack smashing", "double free")
        return [line for line in self.log().splitlines() if any(word in line for word in words)]

    # The command

    def cli(self, *arguments, **options):
        """Runs start-tunnel; returns its output or raises CommandFailed."""
        return self.host.run(self.program("start-tunnel"), *arguments, **options)

    def try_cli(self, *arguments, **options):
        """Runs start-tunnel; returns (status, output, error)."""
        return self.host.try_run(self.program("start-tunnel"), *arguments, **options)

    # The document

    def rpc(self):
        return Rpc(self)

    def call(self, method, **params):
        return Rpc(self).call(method, **params)

    def document(self):
        return self.call("db.dump")["value"]

    def revision(self):
        return self.call("db.dump", pointer="/migrations")["id"]

    def subnets(self):
        return self.call("db.dump", pointer="/wg/subnets")["value"]

    def forwards(self):
        return self.call("db.dump", pointer="/portForwards")["value"]

    def clear(self):
        """An empty document: no subnets, no forwards, no pinned addresses."""
        self.call("db.apply", expr=".wg.subnets = {} | .portForwards = {}")

    # The kernel's state

    def wg_dump(self):
        """{"listen_port": ..., "public_key": ..., "peers": {public key: {...}}}, by wg(8)."""
        first, *rest = self.host.run("wg", "show", INTERFACE, "dump").splitlines()
        private, public, port, fwmark = first.split("\t")
        peers = {}
        for line in rest:
            key, psk, endpoint, allowed, handshake, received, sent, keepalive = line.split("\t")
            peers[key] = {"psk": psk, "endpoint": endpoint, "allowed": sorted(allowed.split(",")),
                          "handshake": int(handshake), "received": int(received),
                          "sent": int(sent), "keepalive": keepalive}
        return {"private_key": private, "public_key": public, "listen_port": int(port),
                "fwmark": fwmark, "peers": peers}

    def link_addresses(self):
        """["10.59.37.1/24", ...] of the interface, sorted."""
        links = self.host.json("ip", "-json", "-4", "address", "show", "dev", INTERFACE)
        return sorted(f"{entry['local']}/{entry['prefixlen']}"
                      for link in links for entry in link.get("addr_info", []))

    def link_index(self):
        return int(self.host.read_file(f"/sys/class/net/{INTERFACE}/ifindex"))

    def table(self):
        """Our table as nft reads it back, in a form that compares: without handles and counts, what has
        no order sorted. None where it is not there."""
        status, output, _ = self.host.try_run("nft", "-j", "list", "table", "inet", TABLE)
        if status != 0:
            return None
        objects = [stripped(entry) for entry in json.loads(output)["nftables"]
                   if "metainfo" not in entry]
        return sorted(objects, key=lambda entry: (
            list(entry)[0], entry.get("rule", {}).get("chain", "") or json.dumps(entry)))

    def conntrack(self):
        status, output, _ = self.host.try_run("conntrack", "-L")
        return output.splitlines()


def stripped(value):
    """nft's JSON without what differs between two listings of the same rules."""
    if isinstance(value, dict):
        kept = {key: stripped(member) for key, member in value.items()
                if key not in ("handle", "packets", "bytes", "expires")}
        if isinstance(kept.get("elem"), list):
            kept["elem"].sort(key=json.dumps)
        return kept
    if isinstance(value, list):
        return [stripped(member) for member in value]
    return value


def padded(key):
    """A key in base64 with its padding, as WireGuard's tools want it."""
    return base64.b64encode(base64.b64decode(key + "=")).decode()


__all__ = ["ADDRESS", "COOKIE", "DAEMONS", "DATA_DIR", "INTERFACE", "PORT", "ROOT", "TABLE",
           "CommandFailed", "Rpc", "RpcError", "Tunnel", "missing_programs", "padded", "program"]
