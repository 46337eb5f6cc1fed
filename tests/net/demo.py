#!/usr/bin/python3
"""The main job of StartTunnel, on real packets, shown step by step (`sudo make demo`).

Builds the lab (lab.py), runs the daemon on the VPS and Debian's WireGuard on the devices, and proves
each step. On a terminal the lab then stays up until Ctrl-C. Ends with 0 only if every step held.
"""

import argparse
import base64
import hashlib
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lab as lab_module
import product
from certificates import Authority
from lab import CommandFailed, Lab, wait_until
from pcp_client import SUCCESS, PcpClient, names_option
from product import Tunnel
from traffic import Conversation, Relay, Talker, WebServer, ask_tcp
from wireguard_peer import join_as_startos, join_by_wg_quick, update_key

SUBNET = "10.59.37.1/24"
SERVER = "10.59.37.2"
PHONE = "10.59.37.3"
OTHER_SUBNET = "10.60.0.1/24"
GUEST = "10.60.0.2"
WEB_PORT = 8443
ROOT_FILE = "/run/root-ca.crt"
NAME = "git.example.com"  # of the home server
HOME_ROOT_FILE = "/run/home-root.crt"  # that its certificate is under


class StepFailed(Exception):
    """A step did not show what it was to prove."""


class Screen:
    """Prints for a person; with colours on a terminal."""

    def __init__(self):
        self._colours = sys.stdout.isatty()

    def _paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def say(self, text=""):
        print(text, flush=True)

    def step(self, number, title):
        self.say()
        self.say(self._paint("1", f"{number:2}. {title}"))

    def command(self, host, line):
        self.say(f"    {self._paint('36', f'{host} $')} {line}")

    def output(self, text):
        for line in text.rstrip("\n").splitlines():
            self.say(f"      {line}")

    def proved(self, text):
        self.say(f"    {self._paint('32', 'proved:')} {text}")

    def failed(self, text):
        self.say(f"    {self._paint('31', 'FAILED:')} {text}")


def hide_keys(text):
    return re.sub(r"((?:PrivateKey|PresharedKey) = ).*", r"\1(hidden)", text)


def expect(condition, otherwise):
    if not condition:
        raise StepFailed(otherwise)


class Demo:
    """The steps, in order. Each returns what it proved, as a sentence."""

    def __init__(self, screen, lab):
        self.screen = screen
        self.lab = lab
        self.tunnel = Tunnel(lab.vps)
        self.web = self.secure = self.talker = self.peers = self.relay = self.folder = None
        self.authority = None
        self.password = self.fingerprint = self.root = None

    def cli(self, *arguments, show=True):
        """Runs the command on the VPS in front of the viewer."""
        shown = " ".join(f"'{a}'" if " " in a else a for a in arguments)
        self.screen.command("vps", f"start-tunnel {shown}")
        output = self.tunnel.cli(*arguments)
        if show:
            self.screen.output(hide_keys(output))
        return output

    def curl(self, host, *arguments):
        """Fetches a page on a host in front of the viewer; returns it."""
        self.screen.command(host.name, f"curl {' '.join(arguments)}")
        page = host.run("curl", "-sS", "--max-time", "10", *arguments)
        self.screen.output(page)
        return page

    def daemon_up(self):
        """The daemon comes up on the VPS"""
        self.screen.command("vps", "start-tunneld &")
        begin = time.monotonic()
        self.tunnel.start()
        status = self.tunnel.call("status")
        owner = os.stat(f"/proc/{self.tunnel.process.pid}").st_uid
        expect(owner != 0, "start-tunneld, which faces the network, runs as root")
        self.cli("status")
        self.backend = self._backend(status)
        return (f"ready after {time.monotonic() - begin:.2f} s; start-tunneld runs without privilege "
                f"(user id {owner}); WireGuard by {self.backend}")

    @staticmethod
    def _backend(status):
        found = re.search(r'"backend": "([^"]*)"', product.json.dumps(status))
        return found.group(1) if found else "?"

    def subnet(self):
        """The owner makes a subnet"""
        self.cli("subnet", SUBNET, "add", "Home")
        addresses = self.tunnel.link_addresses()
        expect(SUBNET in addresses, f"the interface has {addresses}, not {SUBNET}")
        self.screen.command("vps", f"ip -br address show {product.INTERFACE}")
        self.screen.output(self.lab.vps.ip("-br", "address", "show", product.INTERFACE))
        return f"{product.INTERFACE} has {SUBNET} as soon as the command returns"

    def devices(self):
        """Two devices are added: the home server and a phone"""
        self.cli("device", "add", SUBNET, "Server", "--kind", "server")
        self.cli("device", "add", SUBNET, "Phone")
        self.cli("device", "list", SUBNET)
        peers = self.tunnel.wg_dump()["peers"].values()
        allowed = sorted(peer["allowed"][0] for peer in peers)
        expect(allowed == [f"{SERVER}/32", f"{PHONE}/32"], f"WireGuard knows {allowed}")
        return "each got an address, a key pair and a preshared key, and WireGuard knows both"

    def config(self):
        """The owner takes the server's configuration"""
        text = self.cli("device", "show-config", SUBNET, SERVER)
        expect(f"Endpoint = {Lab.VPS}:51820" in text, "the endpoint is not the VPS's public address")
        return "the endpoint is the VPS's public address, found without asking a third party"

    def join(self):
        """The devices join, from behind two NATs each"""
        config = self.tunnel.cli("device", "show-config", SUBNET, SERVER)
        self.screen.command("server", "wireguard-go wg0   (as StartOS applies the configuration)")
        server = join_as_startos(self.lab.server, config)
        config = self.tunnel.cli("device", "show-config", SUBNET, PHONE)
        self.screen.command("phone", "wg-quick up wg0.conf   (the configuration verbatim)")
        phone = join_by_wg_quick(self.lab.phone, config)
        self.peers = server, phone
        for peer in self.peers:
            peer.wait_for_handshake()
        endpoints = sorted(p["endpoint"] for p in self.tunnel.wg_dump()["peers"].values())
        expect(endpoints[0].startswith(Lab.CARRIER) and endpoints[1].startswith(Lab.MOBILE),
               f"the devices' endpoints are {endpoints}")
        expect(self.lab.phone.ping(SERVER, 3), "the phone cannot ping the server")
        return ("both shook hands with Debian's wireguard-go; the VPS sees them at their carriers' "
                f"addresses, {Lab.CARRIER} and {Lab.MOBILE}")

    def forward(self):
        """A public port is forwarded to the home server"""
        self.web = WebServer(self.lab.server, 80)
        self.talker = Talker(self.lab.server, [7000])
        try:
            self.curl(self.lab.stranger, f"http://{Lab.VPS}:8080/")
        except CommandFailed as refused:
            self.screen.output(refused.error)
        else:
            raise StepFailed("port 8080 was open before it was forwarded")
        self.cli("port-forward", "add", "8080", f"{SERVER}:80", "--label", "web")
        self.cli("port-forward", "add", "7000", f"{SERVER}:7000", "--label", "talk")
        return "the port was closed before, and the command that opens it returns when it is open"

    def stranger(self):
        """A stranger on the internet reaches the home server"""
        self.curl(self.lab.stranger, f"http://{Lab.VPS}:8080/")
        expect(self.web.seen == [Lab.STRANGER], f"the web server saw {self.web.seen}")
        return (f"the web server at home saw {Lab.STRANGER}: the stranger's own address, not that of "
                "the VPS")

    def private(self):
        """The phone reaches the home server privately"""
        self.curl(self.lab.phone, f"http://{SERVER}/")
        expect(self.web.seen[-1] == PHONE, f"the web server saw {self.web.seen[-1]}")
        expect(ask_tcp(self.lab.stranger, SERVER, 80, 0.7) is None,
               "a stranger reaches the private address")
        return (f"through the tunnel, as {PHONE}; the stranger has no way to {SERVER}")

    def isolation(self):
        """Subnets are kept apart"""
        self.cli("subnet", OTHER_SUBNET, "add", "Guests")
        self.cli("device", "add", OTHER_SUBNET, "Guest")
        config = self.tunnel.cli("device", "show-config", OTHER_SUBNET, GUEST)
        # A guest that does not keep to its configuration and sends everything into the tunnel.
        modified = re.sub(r"AllowedIPs = .*", "AllowedIPs = 10.0.0.0/8", config)
        self.screen.command("stranger", "wg-quick up guest.conf   (AllowedIPs = 10.0.0.0/8)")
        guest = join_by_wg_quick(self.lab.stranger, modified, "guest")
        try:
            guest.wait_for_handshake()
            expect(self.lab.stranger.ping("10.60.0.1", 3), "the guest does not reach its gateway")
            expect(not self.lab.stranger.ping(SERVER, 0.7), "the guest pings the home server")
            expect(ask_tcp(self.lab.stranger, SERVER, 7000, 0.7) is None,
                   "the guest connects to the home server")
        finally:
            guest.leave()
        self.screen.output(f"{GUEST} -> 10.60.0.1 answered, {GUEST} -> {SERVER} dropped")
        return "the firewall drops what crosses subnets, even from a device with a changed config"

    def hairpins(self):
        """The VPS and the server itself reach the public port"""
        self.curl(self.lab.vps, f"http://{Lab.VPS}:8080/")
        self.curl(self.lab.server, "--interface", SERVER, f"http://{Lab.VPS}:8080/")
        return "both hairpins work: what is public is public for everyone, the two ends included"

    def opens_itself(self):
        """The home server opens its own port 443 and name"""
        gateway = SUBNET.split("/", maxsplit=1)[0]
        self.authority = Authority("Home Root")
        self.secure = WebServer(self.lab.server, 443, self.authority.serve([f"DNS:{NAME}"]))
        self.screen.command("server", f"PCP to {gateway}: TCP port 443 for HOSTNAME {NAME}   "
                                      "(as StartOS asks)")
        with PcpClient(self.lab.server, SERVER, gateway) as pcp:
            answer = pcp.map(443, 443, options=names_option(NAME))
        expect(answer.result == SUCCESS, f"the server is refused: {answer.result}")
        self.screen.output(f"granted: {answer.address}:{answer.external}, for {answer.lifetime} s")
        route = self.tunnel.forwards()[f"{Lab.VPS}:443"]["routes"][NAME]
        expect(route["auto"] and route["lease"], "the name is not marked as automatic")

        key = base64.b64encode(update_key(self.peers[0].config["Peer"]["PresharedKey"])).decode()
        update = f"update add {NAME} 300 A {SERVER}"
        self.screen.command("server", f"nsupdate -y hmac-sha256:startos-dns-update:(hidden)   ({update})")
        self.lab.server.run("nsupdate", "-y", f"hmac-sha256:startos-dns-update:{key}",
                            input=f"server {gateway}\nzone example.com\n{update}\nsend\n")
        self.screen.command("phone", f"dig +short @{gateway} {NAME}")
        found = self.lab.phone.run("dig", "+short", f"@{gateway}", NAME)
        self.screen.output(found)
        expect(found.split() == [SERVER], "the phone does not find the name")

        self.lab.stranger.write_file("/run/etc/hosts", f"{Lab.VPS} {NAME}\n", 0o644)
        self.lab.stranger.write_file(HOME_ROOT_FILE, self.authority.root)
        self.screen.command("stranger", f"curl -v --cacert home-root.crt https://{NAME}/   "
                                        f"(whose public address is {Lab.VPS})")
        _, page, talk = self.lab.stranger.try_run("curl", "-sSv", "--max-time", "10", "--cacert",
                                                  HOME_ROOT_FILE, f"https://{NAME}/")
        self.screen.output("\n".join(re.findall(r"\* +(issuer: .*|subjectAltName: .*)", talk)))
        self.screen.output(page)
        expect(self.secure.seen == [Lab.STRANGER], f"the server saw {self.secure.seen}\n{talk}")
        return (f"the owner touched nothing: {NAME} leads to the server, the stranger sees the server's "
                f"own certificate, and the server sees {Lab.STRANGER}, the stranger's own address; the "
                "port, unless it is renewed, closes at " + route["lease"]["tcp"]["until"])

    def killed(self):
        """The daemon is killed under an open connection"""
        with Conversation(self.lab.stranger, Lab.VPS, 7000) as conversation:
            expect(conversation.say() == ("server", Lab.STRANGER), "the connection does not work")
            self.screen.command("vps", "kill -9 $(pidof start-tunneld)")
            self.tunnel.kill()
            conversation.say()
            self.screen.output("open TCP connection: alive")
            self.curl(self.lab.stranger, f"http://{Lab.VPS}:8080/")
            self.screen.command("vps", "start-tunneld &")
            self.tunnel.start()
            expect(conversation.say() == ("server", Lab.STRANGER), "the connection changed")
            self.screen.output("open TCP connection: alive")
        forwards = self.tunnel.forwards()
        expect(len(forwards) == 3, f"the document has {len(forwards)} forwards")
        return ("without the daemon and through its next start, the open connection went on, new ones "
                "came through, nothing was lost")

    def measure(self):
        """The tunnel is measured"""
        self.lab.server.start("iperf3", "-s", "-p", "5201")
        self.cli("port-forward", "add", "5201", f"{SERVER}:5201", "--label", "iperf3")
        # Asked of the kernel: iperf3 would take a connection for the beginning of a test.
        wait_until(lambda: self.lab.server.run("ss", "-Hltn", "sport = :5201"), "iperf3 listens")
        rates = []
        for host, name, address in ((self.lab.stranger, "stranger", Lab.VPS),
                                    (self.lab.phone, "phone", SERVER)):
            self.screen.command(name, f"iperf3 -c {address} -t 3")
            result = host.json("iperf3", "-c", address, "-t", "3", "-J")
            expect("error" not in result, f"iperf3: {result.get('error')}")
            rate = result["end"]["sum_received"]["bits_per_second"] / 1e6
            expect(rate > 10, f"only {rate:.1f} Mbit/s")
            self.screen.output(f"{rate:.0f} Mbit/s received")
            rates.append(rate)
        self.cli("port-forward", "remove", f"{Lab.VPS}:5201")
        return (f"{rates[0]:.0f} Mbit/s from the internet to the server, {rates[1]:.0f} Mbit/s from the "
                f"phone to the server, on {os.cpu_count()} cores that carry every host of the lab")

    def web_interface(self):
        """The owner sets up the web interface"""
        # 127.0.0.1 is for the relay that shows the pages on this machine.
        shown = self.cli("web", "init", "--listen", f"{Lab.VPS}:{WEB_PORT}", "--generate",
                         "--san", "127.0.0.1", show=False)
        self.screen.output(re.sub(r"(BEGIN CERTIFICATE-----\n).*?(?=-----END)", r"\1...\n", shown,
                                  flags=re.S))
        self.password = re.search(r"Password\n([a-z2-7]{26})\n", shown)[1]
        self.fingerprint = re.search(r"SHA-256 fingerprint: (\S+)", shown)[1]
        self.root = re.search(r"-----BEGIN CERT.*-----END CERTIFICATE-----\n", shown, re.S)[0]
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.root.strip())).digest()
        expect(digest.hex(":").upper() == self.fingerprint, "the fingerprint is not the root's")
        self.lab.stranger.write_file(ROOT_FILE, self.root)
        try:
            self.lab.stranger.run("curl", "-sS", "--max-time", "20", "--retry", "5",
                                  "--retry-connrefused", f"https://{Lab.VPS}:{WEB_PORT}/")
        except CommandFailed as refused:
            expect(refused.status == 60, f"without the root: {refused}")
        else:
            raise StepFailed("curl trusts a root that it does not know")
        page = self.web_call("the page", "/")
        expect("<title>StartTunnel" in page, "the front page is not there")
        return (f"https://{Lab.VPS}:{WEB_PORT} serves the pages to the internet, with a certificate that "
                "curl accepts once it trusts the owner's own root, and not before")

    def web_call(self, what, path, *arguments):
        """Asks the web interface from the internet, over HTTPS; returns the answer."""
        self.screen.command("stranger", f"curl --cacert root-ca.crt https://{Lab.VPS}:{WEB_PORT}{path}"
                                        f"   ({what})")
        return self.lab.stranger.run("curl", "-sS", "--max-time", "20", "--fail", "--cacert", ROOT_FILE,
                                     "--retry", "5", "--retry-connrefused", *arguments,
                                     f"https://{Lab.VPS}:{WEB_PORT}{path}")

    def web_rpc(self, method, *arguments, **params):
        body = product.json.dumps({"method": method, "params": params})
        return product.json.loads(self.web_call(method, "/rpc/v1", "-H",
                                                "Content-Type: application/json", "-d", body,
                                                *arguments))

    def web_login(self):
        """The owner logs in over HTTPS, and a stranger does not"""
        refused = self.web_rpc("db.dump")
        expect(refused.get("error", {}).get("code") == 34, f"without a session: {refused}")
        wrong = self.web_rpc("auth.login", password="not the password")
        expect(wrong.get("error", {}).get("code") == 7, f"with a wrong password: {wrong}")
        login = self.web_rpc("auth.login", "-c", "/run/cookies", password=self.password)
        expect("result" in login, f"with the password: {login}")
        devices = self.web_rpc("device.list", "-b", "/run/cookies", subnet=SUBNET)
        names = sorted(c["name"] for c in devices["result"]["clients"].values())
        expect(names == ["Phone", "Server"], f"the devices are {names}")
        keys = self.tunnel.call("device.list", subnet=SUBNET)["clients"].values()
        expect(not any(c["key"] in product.json.dumps(devices) for c in keys),
               "a browser gets the devices' private keys")
        self.screen.output(f"logged in; devices: {', '.join(names)}; no private key among it")
        return ("the password opens a session that sees devices and no key; without it the answer is "
                "Unauthorized")

    def remote(self):
        """The owner manages the tunnel from another machine, by an SSH key"""
        laptop = self.lab.stranger

        def from_afar(*arguments):
            self.screen.command("laptop", f"start-tunnel {' '.join(arguments)}")
            return laptop.try_run(product.program("start-tunnel"), "-t", f"{Lab.VPS}:{WEB_PORT}",
                                  "--root-ca", ROOT_FILE, *arguments)

        self.screen.output(f"(-t {Lab.VPS}:{WEB_PORT} --root-ca root-ca.crt go with each command of "
                           "the laptop)")
        laptop.run("mkdir", "-p", "-m", "700", "/run/home/.ssh")
        self.screen.command("laptop", "ssh-keygen -t ed25519")
        laptop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f",
                   "/run/home/.ssh/id_ed25519")
        status, _, error = from_afar("device", "list", SUBNET)
        expect(status == 34, f"an unknown key is not refused: {status} {error}")
        self.screen.output(error)
        self.cli("auth", "key", "add", "laptop",
                 laptop.read_file("/run/home/.ssh/id_ed25519.pub").strip())
        status, _, error = from_afar("device", "add", SUBNET, "Tablet")
        expect(status == 0, f"the key is known and refused: {error}")
        status, devices, error = from_afar("device", "list", SUBNET)
        self.screen.output(devices)
        expect("Tablet" in devices, f"the new device is not listed: {error}")
        expect(len(self.tunnel.wg_dump()["peers"]) == 4, "WireGuard does not know the new device")
        return "unknown, the key is refused; known, it adds a device from across the internet"

    def this_machine(self):
        """The pages are on this machine, outside the lab, for a browser"""
        try:
            self.relay = Relay(self.lab.stranger, Lab.VPS, WEB_PORT, WEB_PORT)
        except OSError:  # the port is taken here
            self.relay = Relay(self.lab.stranger, Lab.VPS, WEB_PORT)
        self.folder = tempfile.TemporaryDirectory(prefix="start-tunnel-demo-")
        os.chmod(self.folder.name, 0o755)  # a browser is another user's
        with open(f"{self.folder.name}/root-ca.crt", "w", encoding="ascii") as file:
            file.write(self.root)
        page = self.here("/", [])
        expect("<title>StartTunnel" in page, "the front page is not there")
        # As a browser posts it: the page's origin is this very address.
        body = product.json.dumps({"method": "auth.login", "params": {"password": self.password}})
        login = self.here("/rpc/v1", ["-H", f"Origin: https://127.0.0.1:{self.relay.port}", "-H",
                                      "Content-Type: application/json", "-d", body])
        expect('"result"' in login, f"logging in: {login}")
        return f"https://127.0.0.1:{self.relay.port} on this machine is the VPS's web interface"

    def here_command(self, path):
        return ["curl", "--cacert", f"{self.folder.name}/root-ca.crt",
                f"https://127.0.0.1:{self.relay.port}{path}"]

    def here(self, path, arguments):
        """curl on the machine that the demo runs on, and no proxy of it."""
        command = self.here_command(path)
        self.screen.command("here", " ".join(command))
        done = subprocess.run([*command, "-sS", "--max-time", "20", "--fail", "--noproxy", "*",
                               *arguments], capture_output=True, check=False)
        expect(done.returncode == 0, done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    STEPS = (daemon_up, subnet, devices, config, join, forward, stranger, private, isolation,
             hairpins, opens_itself, killed, measure, web_interface, web_login, remote, this_machine)

    def show_pages(self):
        """Tells how the web interface is opened on this machine."""
        if self.relay is None:
            return
        port = self.relay.port
        for line in ("", "The web interface, for a browser on this machine for as long as the lab is up:",
                     f"  URL               https://127.0.0.1:{port}",
                     f"  Password          {self.password}",
                     f"  Root certificate  {self.folder.name}/root-ca.crt",
                     f"  its SHA-256       {self.fingerprint}",
                     f"  with curl         {' '.join(self.here_command('/'))}",
                     "A browser warns until it trusts that root. Where this machine has no browser, from one",
                     f"that has: ssh -L {port}:127.0.0.1:{port} THIS-MACHINE, and the same URL there."):
            self.screen.say(line)

    def run(self):
        """Runs the steps until one fails. Returns what was proved and the failure, or None."""
        proved = []
        for number, step in enumerate(self.STEPS, 1):
            self.screen.step(number, step.__doc__)
            try:
                sentence = step(self)
            except (StepFailed, CommandFailed, OSError, product.RpcError,
                    lab_module.LabError) as error:
                self.screen.failed(str(error))
                if self.tunnel.process:
                    self.screen.say("    The daemon said last:")
                    self.screen.output("\n".join(self.tunnel.process.output().splitlines()[-20:]))
                return proved, f"step {number}, {step.__doc__}: {error}"
            self.screen.proved(sentence)
            proved.append((step.__doc__, sentence))
        return proved, None

    def close(self):
        for part in (self.web, self.secure, self.talker, self.relay, self.authority):
            if part:
                part.close()
        if self.folder:
            self.folder.cleanup()


def summary(screen, proved, failure, seconds):
    screen.say()
    screen.say("What was proved")
    for title, sentence in proved:
        screen.say(f"  + {title}: {sentence}.")
    if failure:
        screen.say(f"  - FAILED at {failure}")
    else:
        screen.say(f"All {len(proved)} steps held, in {seconds:.0f} s.")


def stay(screen, lab):
    screen.say()
    screen.say("The lab stays up until Ctrl-C. Each host can be entered from another terminal:")
    for host in lab.hosts:
        screen.say(f"  {host.name:9} sudo nsenter -t {host.pid} -n -m -p -u -- bash")
    screen.say(f"For example, on the stranger: curl http://{Lab.VPS}:8080/")
    screen.say(f"and on the VPS: {product.program('start-tunnel')} status")
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        screen.say()


def main():
    parser = argparse.ArgumentParser(description="StartTunnel's main job, shown step by step.")
    parser.add_argument("--once", action="store_true", help="end after the summary")
    parser.add_argument("--build-dir", help="where the programs are (default: build)")
    options = parser.parse_args()
    if options.build_dir:
        product.BUILD_DIR = os.path.abspath(options.build_dir)
    if os.geteuid() != 0:
        sys.exit("demo: namespaces need root: sudo make demo")
    missing = lab_module.missing_programs((*lab_module.REQUIRED_PROGRAMS, "curl", "dig", "iperf3",
                                           "nsupdate", "openssl", "ssh-keygen"))
    missing += product.missing_programs()
    if missing:
        sys.exit(f"demo: missing: {' '.join(missing)}")

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    screen = Screen()
    begin = time.monotonic()
    try:
        with Lab() as lab:
            screen.say("StartTunnel on real packets. Every host below is a network namespace:")
            screen.say()
            screen.output(Lab.PICTURE)
            demo = Demo(screen, lab)
            try:
                proved, failure = demo.run()
                summary(screen, proved, failure, time.monotonic() - begin)
                if sys.stdin.isatty() and not options.once:
                    demo.show_pages()
                    stay(screen, lab)
            finally:
                demo.close()
    except KeyboardInterrupt:
        screen.say("\ndemo: interrupted; the lab is removed")
        return 130
    screen.say("The lab is removed.")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
