"""Servers and clients that live on the lab's hosts, to see who reaches whom and as whom."""

import contextlib
import http.server
import selectors
import socket
import ssl
import struct
import threading
import time

from lab import PATIENCE, family_of

# How long an answer that has to come may take. One that must not come is waited for by what the test says.
ANSWER_S = 5.0 * PATIENCE

IP_PKTINFO = 8  # ip(7); Python 3.11 has no name for it
PKTINFO = {  # by family: the level, what asks for it, and its type
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, socket.IPV6_PKTINFO),
}


class WebServer:
    """A web server on a host that tells each client the address it came from. Over HTTPS with @certificate,
    a file with key and certificate."""

    def __init__(self, host, port=80, certificate=None):
        outer = self
        self.seen = []  # addresses of the clients, in order

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.seen.append(self.client_address[0])
                body = (f"This is {host.name}. You are {self.client_address[0]}.\n").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with host.network():
            self._server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Talker:
    """Answers every TCP line and UDP datagram with "<name> <client address> <what was said>"."""

    def __init__(self, host, ports, name=None, tcp=True, udp=True, family=socket.AF_INET):
        self.name = name or host.name
        self.family = family
        self._selector = selectors.DefaultSelector()
        self._sockets = set()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        for port in ports:
            if tcp:
                listener = self._bind(host, socket.SOCK_STREAM, port)
                listener.listen(128)
                self._add(listener, self._accept)
            if udp:
                self._add(self._bind(host, socket.SOCK_DGRAM, port), self._datagram)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _bind(self, host, kind, port):
        sock = host.socket(self.family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_DGRAM:
            level, wanted, *_ = PKTINFO[self.family]
            sock.setsockopt(level, wanted, 1)
        sock.bind(("::" if self.family == socket.AF_INET6 else "0.0.0.0", port))
        return sock

    def _add(self, sock, handler):
        sock.setblocking(False)
        self._sockets.add(sock)
        self._selector.register(sock, selectors.EVENT_READ, handler)

    def _accept(self, listener):
        connection, _ = listener.accept()
        self._add(connection, self._line)

    def _line(self, connection):
        data = connection.recv(4096)
        if not data:
            raise ConnectionResetError
        peer = connection.getpeername()[0]
        connection.sendall(f"{self.name} {peer} ".encode() + data)

    def _datagram(self, sock):
        # Answers from the address that was asked, as a server with several addresses must.
        data, (control, *_), _, peer = sock.recvmsg(4096, 64)
        if self.family == socket.AF_INET:
            local = control[2][4:8]
            answer = struct.pack("=i4s4s", 0, local, bytes(4))
        else:
            answer = struct.pack("=16si", control[2][:16], 0)
        level, _, kind = PKTINFO[self.family]
        sock.sendmsg([f"{self.name} {peer[0]} ".encode(), data], [(level, kind, answer)], 0, peer)

    def _serve(self):
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                try:
                    key.data(key.fileobj)
                except BlockingIOError:
                    pass
                except OSError:
                    if key.data == self._line:
                        self._selector.unregister(key.fileobj)
                        self._sockets.discard(key.fileobj)
                        key.fileobj.close()

    def close(self):
        self._wake.send(b"x")
        self._thread.join()
        for sock in (*self._sockets, self._wake, self._woken):
            sock.close()
        self._selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Conversation:
    """An open TCP connection to a Talker."""

    def __init__(self, host, address, port, timeout_s=ANSWER_S, source=None):
        self._socket = host.connect(address, port, timeout_s, source)
        self._count = 0

    def say(self, timeout_s=ANSWER_S):
        """Sends a line; returns (name of the server, address it saw). OSError where it is broken."""
        self._count += 1
        line = f"line{self._count}\n"
        self._socket.settimeout(timeout_s)
        self._socket.sendall(line.encode())
        answer = b""
        while not answer.endswith(b"\n"):
            data = self._socket.recv(4096)
            if not data:
                raise ConnectionResetError("the server closed the connection")
            answer += data
        name, seen, said = answer.decode().split(" ", 2)
        if said != line:
            raise ConnectionError(f"said {line!r}, heard {said!r}")
        return name, seen

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask_tcp(host, address, port, timeout_s=ANSWER_S, source=None):
    """One TCP exchange with a Talker: (name, address it saw), or None where nobody answers."""
    try:
        with Conversation(host, address, port, timeout_s, source) as conversation:
            return conversation.say(timeout_s)
    except OSError:
        return None


def ask_udp(host, address, port, timeout_s=ANSWER_S, source=None):
    """The same by UDP, repeated until it is answered or the time is up."""
    with host.socket(family_of(address), socket.SOCK_DGRAM) as sock:
        if source:
            sock.bind(source)
        sock.settimeout(min(0.3, timeout_s))
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                sock.sendto(b"hello\n", (address, port))
                data, peer = sock.recvfrom(4096)
                break
            except OSError:
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.002)  # a refusal comes at once
        if peer[:2] != (address, port):
            return None  # an answer from elsewhere is none: a real client would drop it
        name, seen, _ = data.decode().split(" ", 2)
        return name, seen


def fetch(host, address, port=80, timeout_s=ANSWER_S, source=None):
    """The page that a web server gives; raises OSError where there is none."""
    with host.connect(address, port, timeout_s, source) as connection:
        connection.sendall(f"GET / HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        page = b""
        while data := connection.recv(65536):
            page += data
    return page.partition(b"\r\n\r\n")[2].decode()


class Relay:
    """Carries TCP connections to this machine's 127.0.0.1:port on to an address that a host reaches."""

    def __init__(self, host, address, target_port, port=0):
        self._host = host
        self._target = address, target_port
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return  # closed
            try:
                far = self._host.connect(*self._target)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source, sink):
        """One direction, to its end."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        self._listener.close()
