"""The web interface as other machines use it: over HTTPS, with a session or without."""

import http.client
import json
import socket
import ssl

from lab import PATIENCE, wait_until
from product import RpcError

VPS = "198.18.0.2"
PORT = 8443
ADDRESS = f"{VPS}:{PORT}"
NAME = "vpn.example.com"
PASSWORD = "grey-otters-swim-at-dawn"


def serve(tunnel):
    """Switches the interface on. Returns its root."""
    tunnel.call("auth.set-password", password=PASSWORD)
    tunnel.call("web.set-listen", listen=ADDRESS)
    tunnel.call("web.generate-certificate", subject=[VPS, NAME])
    tunnel.call("web.enable")
    wait_until_served(tunnel)
    return tunnel.call("web.get-root")


def wait_until_served(tunnel):
    wait_until(lambda: tunnel.call("status")["web"]["listening"], "the interface listens")


class Remote:
    """A client on another machine, with a cookie or without."""

    def __init__(self, host, root):
        self.host = host
        self.context = ssl.create_default_context(cadata=root)
        self.cookie = None

    def open(self, receive_buffer=None):
        """A TLS connection."""
        plain = self.host.socket()
        try:
            plain.settimeout(30 * PATIENCE)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            plain.connect((VPS, PORT))
            return self.context.wrap_socket(plain, server_hostname=VPS)
        except BaseException:
            plain.close()
            raise

    def connect(self):
        connection = http.client.HTTPSConnection(VPS, PORT, timeout=60 * PATIENCE)
        connection.sock = self.open()
        return connection

    def request(self, method, path, body=None, headers=None):
        """On a connection of its own. Returns (status, headers, bytes)."""
        connection = self.connect()
        try:
            cookie = {"Cookie": f"session={self.cookie}"} if self.cookie else {}
            connection.request(method, path, body, cookie | (headers or {}))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def post(self, body, headers=None, connection=None):
        """Returns (headers, answer)."""
        used = connection or self.connect()
        try:
            fields = {"Content-Type": "application/json", "User-Agent": "test/1"}
            if self.cookie:
                fields["Cookie"] = f"session={self.cookie}"
            used.request("POST", "/rpc/v1", body, fields | (headers or {}))
            response = used.getresponse()
            data = response.read()
            assert response.status == 200, (response.status, data)
            return response.headers, json.loads(data)
        finally:
            if not connection:
                used.close()

    def call(self, method, headers=None, **params):
        body = json.dumps({"method": method, "params": params})
        answer = self.post(body, headers)[1]
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def log_in(self, password=PASSWORD, **params):
        """Logs in, waiting where there were too many tries. Returns the headers of the answer."""
        body = json.dumps({"method": "auth.login", "params": {"password": password, **params}})
        tries = []

        def succeeds():
            tries.append(self.post(body))
            error = tries[-1][1].get("error")
            if error and error["code"] != 37:
                raise RpcError(error)
            return not error

        wait_until(succeeds, "a login is let through", 60)
        headers, answer = tries[-1]
        self.cookie = answer["result"]["session"]
        return headers


def code_of(call, *arguments, **params):
    """The code that a call fails with, or None."""
    try:
        call(*arguments, **params)
    except RpcError as error:
        return error.code
    return None
