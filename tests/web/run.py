#!/usr/bin/python3
"""The pages in Debian's Chromium, against the real daemon in the lab of tests/net.

    sudo BUILD_DIR=build tests/web/run.py [--screenshots FOLDER | --figures FILE] [--junit FILE]
        [PLAYWRIGHT-OPTION...]

Builds the lab, runs the daemon on the VPS with its web interface switched on, has a throwaway profile of
Chromium trust its root (so that no warning is waived), and runs Playwright, whose browser lives on the
stranger. The tests ask this process for what only the lab can do, over a socket (class Control).
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests/net"))

import lab as lab_module
import product
from lab import PATIENCE, CommandFailed, Lab, wait_until
from pcp_client import PcpClient
from product import RpcError, Tunnel
from traffic import WebServer
from wireguard_peer import join_as_startos, join_by_wg_quick

PORT = 8443
LISTEN = f"{Lab.VPS}:{PORT}"
URL = f"https://{LISTEN}"
PASSWORD = "correct horse battery staple"

# Nothing but the pages may reach for a network.
CHROMIUM = """\
#!/bin/sh
export HOME={home} XDG_CONFIG_HOME={home}/.config XDG_CACHE_HOME={home}/.cache
unset DBUS_SESSION_BUS_ADDRESS DISPLAY http_proxy https_proxy
exec nsenter --target={pid} --net -- /usr/bin/chromium "$@"
"""


class World:
    """The lab with a daemon whose web interface is on, and the document that each test begins with."""

    SUBNET = "10.59.37.1/24"
    SERVER = "10.59.37.2"
    PHONE = "10.59.37.3"
    LAPTOP = "10.59.37.4"

    def __init__(self, lab):
        self.lab = lab
        self.tunnel = Tunnel(lab.vps).start()
        self.peers = {}
        self.web = WebServer(lab.server, 80)
        lab.attach_ipv6(lab.vps, 0)
        self._fill()
        self._switch_on()
        self._first = self.tunnel.document()

    def _fill(self):
        self.tunnel.clear()
        call = self.tunnel.call
        call("subnet.add", subnet=self.SUBNET, name="Home")
        call("device.add", subnet=self.SUBNET, name="Server", kind="server")
        call("device.add", subnet=self.SUBNET, name="Phone")
        call("device.add", subnet=self.SUBNET, name="Laptop")
        call("port-forward.add", externalPort=8080, target=f"{self.SERVER}:80", label="Website")
        call("port-forward.add", externalPort=7000, target=f"{self.SERVER}:7000", count=5,
             label="Game")

    def _switch_on(self):
        """What `web init` does."""
        self.tunnel.call("web.set-listen", listen=LISTEN)
        chain = self.tunnel.call("web.generate-certificate", subject=[Lab.VPS])
        self.root = "-----BEGIN" + chain.rstrip().rpartition("-----BEGIN")[2] + "\n"
        self.tunnel.call("auth.set-password", password=PASSWORD)
        self.tunnel.call("web.enable")
        self.wait_for_pages()

    def wait_for_pages(self):
        def connects():
            try:
                self.lab.stranger.connect(Lab.VPS, PORT).close()
                return True
            except OSError:
                return False

        wait_until(connects, f"{LISTEN} accepts connections", 30)

    def join(self, ip):
        if ip in self.peers:
            if self._knows(self.peers[ip]):
                return
            self.leave(ip)
        host = {self.SERVER: self.lab.server, self.PHONE: self.lab.phone}[ip]
        text = self.tunnel.call("device.show-config", subnet=self.SUBNET, ip=ip)
        join = join_as_startos if ip == self.SERVER else join_by_wg_quick
        self.peers[ip] = join(host, text)
        self.peers[ip].wait_for_handshake(30)

    def _knows(self, peer):
        """Whether the VPS can send to a device: not if a test removed it, and another reset made it anew."""
        key = peer.host.run("wg", "show", peer.name, "public-key").strip()
        known = self.tunnel.wg_dump()["peers"].get(key)
        return known is not None and known["handshake"] > 0

    def leave(self, ip):
        if ip in self.peers:
            self.peers.pop(ip).leave()

    def open_port(self, port, inner, seconds):
        """The server opens a public port to one of its own, without the owner."""
        self.lab.server.run("natpmpc", "-g", self.SUBNET.partition("/")[0], "-a", str(port),
                            str(inner), "tcp", str(seconds), timeout_s=60)

    def open_port6(self, port, inner, seconds):
        peer = self.peers[self.SERVER]
        gateway = peer.address6.rpartition("::")[0] + "::1"
        with PcpClient(self.lab.server, peer.address6, gateway) as client:
            answer = client.map(inner, port, seconds)
        if answer.result != 0:
            raise lab_module.LabError(f"PCP: {answer.result}")

    def reset(self):
        """Everything as it was before the first test, but for revisions and sessions."""
        if not self.tunnel.process.running():
            self.tunnel.start()
            self.wait_for_pages()
        parts = [f".{name} = {json.dumps(self._first[name])}"
                 for name in ("wg", "portForwards", "dnsRecords", "authPubkeys")
                 if name in self._first]
        self.tunnel.call("db.apply", expr=" | ".join([*parts, "del(.portForwards6)"]))

    def fill_up(self, devices, forwards):
        """A large document, written by one expression."""
        self.tunnel.call("db.apply", expr=f"""
            .wg.subnets = {{"10.60.0.1/16": {{name: "Large", dns: {{type: "default"}}, wanIp: null, clients: (
                [range({int(devices)}) | {{
                    key: "10.60.\\(. / 200 | floor).\\(. % 200 + 2)",
                    value: {{name: "Device \\(.)", kind: "client", wanIp: null,
                        key: ("private key                   "[0:26] + "\\(1000000 + .)"[1:7] | @base64),
                        psk: ("preshared key                 "[0:26] + "\\(1000000 + .)"[1:7] | @base64),
                        allowDnsInjection: false, allowAutoPortForward: false}}}}] | from_entries)}}}} |
            .portForwards = ([range({int(forwards)}) | {{
                key: "{Lab.VPS}:\\(10000 + .)",
                value: {{kind: "dnat", target: "10.60.0.2:\\(10000 + .)", label: "Forward \\(.)",
                    enabled: true, count: 1, auto: false}}}}] | from_entries)""")

    def close(self):
        self.web.close()


class Scene:
    """What the manual's pictures show: a household's servers and devices, some of them in use."""

    HOME = "10.59.37.1/24"
    FAMILY = "10.60.0.1/24"
    # Kind, name, address, and whether it is there.
    DEVICES = {
        HOME: (("server", "Home server", "10.59.37.2", True), ("server", "Game server", "10.59.37.3", False),
               ("client", "Laptop", "10.59.37.10", True), ("client", "Phone", "10.59.37.11", True),
               ("client", "Tablet", "10.59.37.12", False)),
        FAMILY: (("server", "Photo album", "10.60.0.2", True), ("client", "Anna’s phone", "10.60.0.10", True),
                 ("client", "Grandpa’s computer", "10.60.0.11", False)),
    }
    FORWARDS = (
        ("Website", 443, "10.59.37.2:443", 1), ("Website (HTTP redirect)", 80, "10.59.37.2:443", 1),
        ("Mail", 25, "10.59.37.2:25", 1), ("Mail, sending", 465, "10.59.37.2:465", 1),
        ("Mail, reading", 993, "10.59.37.2:993", 1), ("Matrix", 8448, "10.59.37.2:8448", 1),
        ("Photo album", 2342, "10.60.0.2:443", 1), ("Game", 27015, "10.59.37.3:27015", 6),
    )

    def __init__(self, world):
        self._world = world
        self._call = world.tunnel.call
        self._joined = []
        self._threads = []

    def fill(self):
        for peer in self._joined:
            peer.leave()
        self._world.tunnel.clear()
        self._joined = []
        for subnet, name in ((self.HOME, "Home"), (self.FAMILY, "Family")):
            self._call("subnet.add", subnet=subnet, name=name)
        self._call("subnet.set-wan", subnet=self.FAMILY, wanIp=Lab.VPS_SECOND)
        for subnet, devices in self.DEVICES.items():
            for kind, name, ip, _ in devices:
                self._call("device.add", subnet=subnet, ip=ip, name=name, kind=kind)
        for label, port, target, count in self.FORWARDS:
            self._call("port-forward.add", externalPort=port, target=target, label=label, count=count)
        self._call("port-forward.set-enabled", source=f"{Lab.VPS}:8448", enabled=False)
        for subnet, devices in self.DEVICES.items():
            for kind, _, ip, there in devices:
                if there:
                    self._join(subnet, kind, ip)
        for peer in self._joined:
            peer.wait_for_handshake(30)
        self._world.open_port(51413, 51413, 7200)
        if not self._threads:
            self._serve()

    def _join(self, subnet, kind, ip):
        world = self._world
        host = {"10.59.37.2": world.lab.server, "10.59.37.11": world.lab.phone}.get(ip)
        if host is None:
            number = 10 + [device[2] for devices in self.DEVICES.values() for device in devices].index(ip)
            name = f"device{number}"
            host = next((known for known in world.lab.hosts if known.name == name), None)
            if host is None:
                host = world.lab.add_host(name)
                world.lab.attach(host, number)
        join = join_as_startos if kind == "server" else join_by_wg_quick
        self._joined.append(join(host, self._call("device.show-config", subnet=subnet, ip=ip)))

    def _serve(self):
        """Something behind the forwards, and who reads it, at a changing pace, until the end."""
        server, laptop, phone, album, anna = self._joined
        for peer in (server, album):
            with peer.host.network():
                self._start(self._answer, socket.create_server(("0.0.0.0", 443)))
        stranger = self._world.lab.stranger
        for host, address, port in (
                (stranger, Lab.VPS, 443), (stranger, Lab.VPS, 443), (stranger, Lab.VPS, 80),
                (stranger, Lab.VPS_SECOND, 2342), (laptop.host, "10.59.37.2", 443),
                (phone.host, "10.59.37.2", 443), (anna.host, "10.60.0.2", 443)):
            self._start(self._visit, host, address, port)

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _answer(listener):
        while True:
            with listener.accept()[0] as connection, contextlib.suppress(OSError):
                connection.sendall(bytes(random.randrange(20_000, 900_000)))

    @staticmethod
    def _visit(host, address, port):
        with contextlib.suppress(lab_module.LabError):  # the lab ended
            while True:
                with contextlib.suppress(OSError), host.connect(address, port) as connection:
                    while connection.recv(1 << 16):
                        pass
                time.sleep(random.choice((0.2, 0.5, 1, 3, 6)))


class Control:
    """What the tests ask for. Each method is one that lab.ts names."""

    def __init__(self, world):
        self._world = world
        self._scene = None

    def reset(self):
        self._world.reset()

    def rpc(self, method, params):
        return self._world.tunnel.call(method, **params)

    def cli(self, *arguments):
        return self._world.tunnel.cli(*arguments)

    def join(self, ip):
        self._world.join(ip)

    def leave(self, ip):
        self._world.leave(ip)

    def scene(self):
        self._scene = self._scene or Scene(self._world)
        self._scene.fill()

    def fill_up(self, devices, forwards):
        self._world.fill_up(devices, forwards)

    def fetch(self, count):
        """The stranger gets the page behind the forward of port 8080 so many times."""
        script = f"for i in $(seq {int(count)}); do curl -sS --max-time 20 http://{Lab.VPS}:8080/; done"
        return self._world.lab.stranger.run("sh", "-c", script, timeout_s=120)

    def get(self, port):
        """The page that the stranger gets from a public port; nothing where there is none."""
        return self._world.lab.stranger.try_run("curl", "-s", "--max-time", "2",
                                                f"http://{Lab.VPS}:{int(port)}/")[1]

    def ping(self, ip, size, count):
        """The phone pings an address inside the tunnel."""
        self._world.lab.phone.run("ping", "-q", "-i", "0.01", "-c", str(count), "-s", str(size), ip,
                                  timeout_s=120)

    def open_port(self, port, inner, seconds):
        self._world.open_port(port, inner, seconds)

    def open_port6(self, port, inner, seconds):
        self._world.open_port6(port, inner, seconds)

    def stop(self):
        if self._world.tunnel.process.running():
            self._world.tunnel.stop()

    def start(self):
        if not self._world.tunnel.process.running():
            self._world.tunnel.start()
            self._world.wait_for_pages()


class Handler(socketserver.StreamRequestHandler):
    """A line of JSON in, [method, arguments]; a line out, {"result": ...} or {"error": ...}."""

    def handle(self):
        for line in self.rfile:
            method, arguments = json.loads(line)
            try:
                answer = {"result": getattr(self.server.control, method)(*arguments)}
            except RpcError as error:
                answer = {"error": f"{error.message}: {error.details}", "code": error.code}
            except CommandFailed as error:
                answer = {"error": str(error), "code": error.status}
            except Exception:
                answer = {"error": traceback.format_exc(), "code": -1}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def make_profile(folder, root):
    """A home directory whose Chromium trusts the root, as `How to trust it` tells owners to do."""
    database = folder / "home/.pki/nssdb"
    database.mkdir(parents=True)
    certificate = folder / "root.crt"
    certificate.write_text(root)
    for arguments in (["-N", "--empty-password"],
                      ["-A", "-n", "StartTunnel", "-t", "C,,", "-i", str(certificate)]):
        subprocess.run(["certutil", "-d", f"sql:{database}", *arguments], check=True)


def make_browser(folder, host):
    path = folder / "chromium"
    path.write_text(CHROMIUM.format(home=folder / "home", pid=host.pid))
    path.chmod(0o755)
    return path


def run_playwright(world, folder, options):
    make_profile(folder, world.root)
    with Server(str(folder / "control"), Handler) as server:
        server.control = Control(world)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = os.environ | {
            "WEB_URL": URL, "WEB_PASSWORD": PASSWORD, "WEB_CONTROL": str(folder / "control"),
            "WEB_CHROMIUM": str(make_browser(folder, world.lab.stranger)),
            "WEB_ROOT": str(folder / "root.crt"), "WEB_STATE": str(folder),
            "WEB_PATIENCE": str(PATIENCE),
        }
        if options.screenshots:
            environment["WEB_SCREENSHOTS"] = str(options.screenshots.resolve())
        if options.figures:
            environment["WEB_FIGURES"] = str(options.figures.resolve())
        if options.junit:
            environment["WEB_JUNIT"] = str(options.junit.resolve())
        only = ["--project=desktop", "speed.spec.ts"] if options.figures else []
        done = subprocess.run(["node_modules/.bin/playwright", "test", *only, *options.rest],
                              cwd=HERE, env=environment, stdin=subprocess.DEVNULL, check=False)
        server.shutdown()
    return done.returncode


def missing():
    found = lab_module.missing_programs((*lab_module.REQUIRED_PROGRAMS, "chromium", "certutil",
                                         "natpmpc", "node", "npm"))
    return found + product.missing_programs()


def main():
    parser = argparse.ArgumentParser(description="The pages in a real browser.")
    parser.add_argument("--build-dir", help="where the programs are (default: $BUILD_DIR or build)")
    parser.add_argument("--screenshots", type=pathlib.Path, help="only makes the manual's pictures")
    parser.add_argument("--figures", type=pathlib.Path,
                        help="only measures the pages, and writes the figures there as JSON")
    parser.add_argument("--junit", type=pathlib.Path, help="also writes the results there")
    options, options.rest = parser.parse_known_args()
    if options.build_dir:
        product.BUILD_DIR = os.path.abspath(options.build_dir)
    if os.geteuid() != 0:
        sys.exit("tests/web: namespaces need root")
    if missing():
        sys.exit(f"tests/web: missing: {' '.join(missing())}")
    subprocess.run([ROOT / "tools/build-web", "--packages", HERE], check=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="start-web-") as name, Lab() as lab:
        world = World(lab)
        try:
            status = run_playwright(world, pathlib.Path(name), options)
            if not world.tunnel.process.running():
                print("tests/web: the daemon ended by itself:", file=sys.stderr)
                status = 1
            for finding in world.tunnel.findings():
                print(finding, file=sys.stderr)
                status = 1
            if status != 0:
                print("\n".join(world.tunnel.log().splitlines()[-40:]), file=sys.stderr)
        finally:
            world.close()
            world.tunnel.stop_everything()
    return status


if __name__ == "__main__":
    sys.exit(main())
