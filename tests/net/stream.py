"""A client of db.subscribe, made of strangers: Debian's python3-websockets and python3-jsonpatch."""

import copy
import json
import socket
import time

import jsonpatch
from websockets.client import ClientConnection
from websockets.frames import Opcode
from websockets.uri import parse_uri

from lab import PATIENCE
from product import ADDRESS, PORT, COOKIE

ANSWER_S = 30 * PATIENCE


class Refused(Exception):
    """The server did not make a WebSocket of the request; `status` says how."""

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


class WebSocket:
    """A WebSocket on a connected socket. Keeps every byte of the messages that came."""

    def __init__(self, sock, path, cookie=None, host=f"{ADDRESS}:{PORT}", headers=()):
        self.socket = sock
        self.received = bytearray()
        self.closed = False  # the connection ended
        self.close_frame = False  # by a close frame
        self.pongs = []
        self._messages = []
        self._partial = b""
        self._protocol = ClientConnection(parse_uri(f"ws://{host}{path}"), max_size=None)
        request = self._protocol.connect()
        if cookie:
            request.headers["Cookie"] = cookie
        for name, value in headers:
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()
        self._handshake()

    def _flush(self):
        for data in self._protocol.data_to_send():
            if data:
                self.socket.sendall(data)

    def _handshake(self):
        deadline = time.monotonic() + ANSWER_S
        while self._protocol.state.name == "CONNECTING" and not self.closed:
            if self._protocol.handshake_exc:
                break
            self._receive(deadline)
        for event in self._pending:
            if hasattr(event, "status_code"):
                if event.status_code not in (101,):
                    raise Refused(event.status_code)
            else:
                self._take(event)
        if self._protocol.handshake_exc:
            raise self._protocol.handshake_exc
        if self.closed:
            raise ConnectionResetError("closed during the handshake")

    _pending = ()

    def _receive(self, deadline):
        """Reads once. False where nothing came in time."""
        self.socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            return False
        except ConnectionResetError:
            data = b""
        if data:
            self._protocol.receive_data(data)
        else:
            self.closed = True
            self._protocol.receive_eof()
        events = self._protocol.events_received()
        if any(hasattr(event, "status_code") for event in events):
            self._pending = events
        else:
            for event in events:
                self._take(event)
        try:
            self._flush()
        except OSError:
            self.closed = True
        return True

    def _take(self, frame):
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._partial += frame.data
            self.received += frame.data
            if frame.fin:
                self._messages.append(self._partial.decode())
                self._partial = b""
        elif frame.opcode is Opcode.PONG:
            self.pongs.append(bytes(frame.data))
        elif frame.opcode is Opcode.CLOSE:
            self.close_frame = True

    def message(self, timeout_s=ANSWER_S):
        """The next text message, or None where none comes or the connection ended."""
        deadline = time.monotonic() + timeout_s
        while not self._messages:
            if self.closed or not self._receive(deadline):
                return None
        return self._messages.pop(0)

    def ping(self, data):
        self._protocol.send_ping(data)
        self._flush()

    def send(self, text):
        self._protocol.send_text(text.encode())
        self._flush()

    def close(self):
        self.socket.close()


class Subscription:
    """A document that follows the daemon's."""

    def __init__(self, tunnel, cookie=None, pointer=None, since=None, document=None, connect=True):
        self._tunnel = tunnel
        self._cookie = cookie or "local=" + tunnel.host.read_file(COOKIE)
        params = {}
        if pointer is not None:
            params["pointer"] = pointer
        if since is not None:
            params["since"] = since
        body = json.dumps({"method": "db.subscribe", "params": params})
        self.answer = tunnel.rpc().post(body, {"Cookie": self._cookie})[2]
        result = json.loads(self.answer)["result"]
        self.guid = result["guid"]
        self.resumed = result.get("resumed", False)
        self.revision = result["dump"]["id"]
        self.document = document if self.resumed else result["dump"]["value"]
        self.status = None
        self.status_frames = []
        self.socket = None
        if connect:
            self.open()

    def open(self, receive_buffer=None):
        sock = self._tunnel.host.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(ANSWER_S)
        sock.connect((ADDRESS, PORT))
        self.socket = WebSocket(sock, f"/ws/rpc/{self.guid}", self._cookie)
        return self

    def read(self, timeout_s=ANSWER_S):
        """Takes in one frame; returns it, or None."""
        message = self.socket.message(timeout_s)
        if message is None:
            return None
        frame = json.loads(message)
        if frame["patch"]:
            assert frame["id"] > self.revision, "revisions come in order"
            # In an object of its own: jsonpatch refuses a document that is null, as what is not there.
            patch = [dict(operation, path="/it" + operation["path"]) for operation in frame["patch"]]
            self.document = jsonpatch.apply_patch({"it": self.document}, patch)["it"]
            self.revision = frame["id"]
        if "status" in frame:
            self._take_status(frame["status"])
        return frame

    def _take_status(self, status):
        self.status_frames.append(status)
        if self.status is None:
            self.status = copy.deepcopy(status)
            return
        for name, value in status.items():
            if name not in ("devices", "forwards"):
                self.status[name] = value
                continue
            for key, row in value.items():
                if row is None:
                    self.status[name].pop(key, None)
                else:
                    self.status[name][key] = row

    def until(self, condition, what, timeout_s=ANSWER_S):
        """Reads frames until the condition holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"waited for: {what}"
            frame = self.read(left)
            assert frame is not None or not self.socket.closed, f"the socket ended before: {what}"

    def close(self):
        if self.socket:
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
