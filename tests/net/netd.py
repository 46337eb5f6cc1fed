"""start-netd on a host of the lab, spoken to as start-tunneld does (core/netstate/netd_protocol.h)."""

import base64
import ipaddress
import os
import socket
import struct
import subprocess
import tempfile

from lab import PATIENCE
from product import INTERFACE, TABLE, program
from x25519 import public_key

SYNC, CHANGE, STATUS, REBOOT, BIND, TRANSPARENT = 1, 2, 3, 4, 5, 6
TCP, UDP = 1, 2
IN_TUNNEL = 1
DONE, FAILED, STATUS_IS, BOUND = 128, 129, 130, 131


class Refused(Exception):
    """NETD_FAILED: nothing changed, and why."""


def _number(address):
    return int(ipaddress.IPv4Address(address))


def link(private_key, port=51820, mtu=0, ipv6=0):
    return struct.pack(">B32sHHB", 1, base64.b64decode(private_key), port, mtu, ipv6)


def subnet(interface):
    interface = ipaddress.ip_interface(interface)
    return struct.pack(">BIB", 2, int(interface.ip), interface.network.prefixlen)


def device(key, psk, address, address6="::"):
    return struct.pack(">B32s32sI16s", 3, base64.b64decode(key), base64.b64decode(psk),
                       _number(address), ipaddress.IPv6Address(address6).packed)


def egress(source, address):
    network = ipaddress.ip_network(source)
    return struct.pack(">BIBI", 4, int(network.network_address), network.prefixlen,
                       _number(address))


def forward(external, target, count=1):
    address, port = external.split(":")
    to_address, to_port = target.split(":")
    return struct.pack(">BIHHIH", 5, _number(address), int(port), count, _number(to_address),
                       int(to_port))


def _items(items):
    return struct.pack(">I", len(items)) + b"".join(items)


def new_key():
    return base64.b64encode(os.urandom(32)).decode()


class Device:
    """A device with keys, whose configuration is the one that an owner would be given."""

    def __init__(self, address):
        self.address = address
        self.key = new_key()
        self.psk = new_key()
        self.public_key = public_key(self.key)

    def item(self):
        return device(self.public_key, self.psk, self.address)

    def config(self, server_key, endpoint, allowed):
        return (
            f"[Interface]\nAddress = {self.address}/24\nPrivateKey = {self.key}\n"
            f"[Peer]\nPublicKey = {public_key(server_key)}\nPresharedKey = {self.psk}\n"
            f"AllowedIPs = {allowed}\nEndpoint = {endpoint}\nPersistentKeepalive = 25\n")


class Netd:
    """One run of start-netd. Closing its socket ends it and leaves the network as it is."""

    def __init__(self, host, *options, wrapper=()):
        self.host = host
        self._number = 0
        self._output = tempfile.TemporaryFile()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(60 * PATIENCE)
        fd = theirs.fileno()
        argv = host.command([*wrapper, program("start-netd"), *options])
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{fd} {fd}<&-', *argv],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
            pass_fds=(fd,), env=host.environment(), start_new_session=True)
        theirs.close()

    def output(self):
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def send_bytes(self, data):
        self._socket.sendall(data)

    def _receive(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self._socket.recv(size - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise ConnectionResetError(f"start-netd ended: {self.output()}")
            data += more
        return data

    def request(self, kind, body=b""):
        self._number += 1
        self.send_bytes(struct.pack(">IBI", len(body) + 5, kind, self._number) + body)
        (size,) = struct.unpack(">I", self._receive(4))
        answer = self._receive(size)
        kind, number = struct.unpack(">BI", answer[:5])
        assert number == self._number
        if kind == FAILED:
            raise Refused(answer[11:].decode())
        return kind, answer[5:]

    def sync(self, *items):
        assert self.request(SYNC, _items(items)) == (DONE, b"")

    def change(self, remove=(), add=()):
        assert self.request(CHANGE, _items(remove) + _items(add)) == (DONE, b"")

    def status(self, traffic=False):
        kind, body = self.request(STATUS, b"\1" if traffic else b"")
        assert kind == STATUS_IS

        def take(form):
            nonlocal body
            values = struct.unpack_from(">" + form, body)
            body = body[struct.calcsize(">" + form):]
            return values if len(values) > 1 else values[0]

        def take_string():
            return take(f"{take('H')}s").decode()

        found = {"backend": take_string(), "up": bool(take("B"))}
        found["mtu"], found["port"] = take("IH")
        found["found"], found["repaired"] = take("QQ")
        found["last"] = take_string()
        found["last_s"] = take("Q")
        found["peers"] = {}
        for _ in range(take("I")):
            key, *_, handshake, received, sent = take("32sB16sHIQQQ")
            found["peers"][base64.b64encode(key).decode()] = (handshake, received, sent)
        found["forwards"] = {}
        for _ in range(take("I")):
            family, address, port, received, sent = take("B16sHQQ")
            source = f"{ipaddress.ip_address(address[:4])}:{port}" if family == socket.AF_INET \
                else f"[{ipaddress.ip_address(address)}]:{port}"
            found["forwards"][source] = {"rx": received, "tx": sent}
        assert not body
        return found

    def bind(self, address, port, kind=TCP, flags=0):
        """The bound socket; with a listener's privilege on ports below 1024."""
        ip = ipaddress.ip_address(address)
        body = struct.pack(">BBB16sHI", kind, flags, 2 if ip.version == 4 else 10, ip.packed, port, 0)
        return self._descriptor(BIND, body)

    def transparent(self):
        """The channel for transparent sockets."""
        return self._descriptor(TRANSPARENT)

    def _descriptor(self, kind, body=b""):
        self._number += 1
        self.send_bytes(struct.pack(">IBI", len(body) + 5, kind, self._number) + body)
        head, fds, *_ = socket.recv_fds(self._socket, 4, 4)
        answer = self._receive(struct.unpack(">I", head)[0])
        if answer[0] == FAILED:
            assert not fds
            raise Refused(answer[11:].decode())
        assert answer == struct.pack(">BI", BOUND, self._number) and len(fds) == 1
        return socket.socket(fileno=fds[0])

    def hang_up(self):
        """As start-tunneld does that ends."""
        self._socket.close()

    def close(self):
        """Returns the exit status."""
        self.hang_up()
        return self.process.wait(10 * PATIENCE)

    # What is there, as others see it

    def table(self):
        return self.host.run("nft", "--stateless", "list", "table", "inet", TABLE)

    def peers(self):
        output = self.host.run("wg", "show", INTERFACE, "allowed-ips")
        return dict(line.split("\t") for line in output.splitlines())

    def addresses(self):
        entries = self.host.json("ip", "-json", "-4", "address", "show", "dev", INTERFACE)
        return sorted(f"{info['local']}/{info['prefixlen']}"
                      for entry in entries for info in entry.get("addr_info", []))

    def routes(self):
        entries = self.host.json("ip", "-json", "-4", "route", "show", "dev", INTERFACE)
        return sorted(entry["dst"] for entry in entries)

    def state(self):
        """Everything at once, to compare before and after."""
        return self.table(), self.peers(), self.addresses(), self.routes()
