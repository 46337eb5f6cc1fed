"""X-StartOS-Auth-Sig by the books: Ed25519ph from RFC 8032, BLAKE3 from its paper.

Nothing of it is ours or of a library that ours uses, so that the two check one another.
"""

import base64
import hashlib
import os
import random
import struct
import time
import urllib.parse

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, PRIME - 2, PRIME) % PRIME
MASK = 0xFFFFFFFF
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
LINES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def _recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, PRIME - 2, PRIME)
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return x if x % 2 == sign else PRIME - x


_Y = 4 * pow(5, PRIME - 2, PRIME) % PRIME
BASE = (_recover_x(_Y, 0), _Y, 1, _recover_x(_Y, 0) * _Y % PRIME)


def _add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % PRIME, (p[1] + p[0]) * (q[1] + q[0]) % PRIME
    c, d = 2 * p[3] * q[3] * D % PRIME, 2 * p[2] * q[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def _multiply(scalar):
    """The base point times a number, encoded."""
    result, point = (0, 1, 1, 0), BASE
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point, scalar = _add(point, point), scalar >> 1
    inverse = pow(result[2], PRIME - 2, PRIME)
    x, y = result[0] * inverse % PRIME, result[1] * inverse % PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _number(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def _expand(seed):
    digest = hashlib.sha512(seed).digest()
    return int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254, digest[32:]


def public_key(seed):
    return _multiply(_expand(seed)[0])


def sign(seed, message, context=None):
    """Plain Ed25519, or Ed25519ph where there is a context."""
    scalar, prefix = _expand(seed)
    domain = b""
    if context is not None:
        message = hashlib.sha512(message).digest()
        domain = b"SigEd25519 no Ed25519 collisions" + bytes([1, len(context)]) + context
    nonce = _number(domain, prefix, message) % ORDER
    point = _multiply(nonce)
    challenge = _number(domain, point, _multiply(scalar), message) % ORDER
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


def _compress(chain, block, flags):
    v = list(chain) + list(IV[:4]) + [0, 0, len(block), flags]
    m = struct.unpack("<16I", block.ljust(64, b"\0"))

    def rotate(x, n):
        return (x >> n | x << 32 - n) & MASK

    for _ in range(7):
        for i, (a, b, c, d) in enumerate(LINES):
            for word, first, second in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & MASK
                v[d] = rotate(v[d] ^ v[a], first)
                v[c] = (v[c] + v[d]) & MASK
                v[b] = rotate(v[b] ^ v[c], second)
        m = [m[i] for i in PERMUTATION]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data):
    """Of at most one chunk."""
    assert len(data) <= 1024
    blocks = [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
    chain = IV
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        chain = _compress(chain, block, (i == 0) * 1 | last * (2 | 8))
    return struct.pack("<8I", *chain)


def _pem(label, data):
    digits = base64.b64encode(data).decode()
    lines = [digits[at:at + 64] for at in range(0, len(digits), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _string(data):
    return struct.pack(">I", len(data)) + data


def _commitment(body, timestamp=None, nonce=None, size=None):
    """What is signed, and the fields of the header that tell it."""
    timestamp = int(time.time()) if timestamp is None else timestamp
    nonce = random.getrandbits(64) if nonce is None else nonce
    size = len(body) if size is None else size
    digest = blake3(body)
    return struct.pack(">qQQ", timestamp, nonce, size) + digest, {
        "timestamp": timestamp, "nonce": nonce, "size": size,
        "blake3": base64.b64encode(digest).decode().rstrip("=")}


def ssh_message(commitment, context):
    """What an SSH key signs (docs/formats/signature-header.md)."""
    name = context.encode()
    return bytes([len(name)]) + name + commitment


def parse_header(value):
    """The fields, the commitment, and the public key of a header."""
    fields = dict(urllib.parse.parse_qsl(value, strict_parsing=True))
    commitment = struct.pack(">qQQ", int(fields["timestamp"]), int(fields["nonce"]),
                             int(fields["size"])) + base64.b64decode(fields["blake3"] + "=")
    return fields, commitment


class PublicKey:
    """A key whose private half somebody else has."""

    def __init__(self, public):
        self.public = public
        self.pem = _pem("PUBLIC KEY", bytes.fromhex("302a300506032b6570032100") + public)
        blob = _string(b"ssh-ed25519") + _string(public)
        self.ssh_line = "ssh-ed25519 " + base64.b64encode(blob).decode() + " test@lab"

    @classmethod
    def of_ssh(cls, line):
        return cls(base64.b64decode(line.split()[1])[-32:])

    def header_by(self, sign, body, context):
        """The value of the header; `sign` makes an armored SSH signature of a message."""
        commitment, fields = _commitment(body)
        return urllib.parse.urlencode(fields | {
            "signer": self.pem, "signature": sign(ssh_message(commitment, context))})


class Key(PublicKey):
    def __init__(self):
        self.seed = os.urandom(32)
        super().__init__(public_key(self.seed))

    def header(self, body, context, **stated):
        """The value of the header for a body; timestamp, nonce and size may be other ones."""
        commitment, fields = _commitment(body, **stated)
        signature = sign(self.seed, commitment, context.encode())
        return urllib.parse.urlencode(fields | {
            "signer": self.pem,
            "signature": _pem("SIGNATURE", bytes.fromhex("3049300506032b65700440") + signature)})

    def _sign_ssh(self, message):
        fixed = _string(b"start-tunnel") + _string(b"") + _string(b"sha512")
        signature = sign(self.seed,
                         b"SSHSIG" + fixed + _string(hashlib.sha512(message).digest()))
        return _pem("SSH SIGNATURE",
                    b"SSHSIG" + struct.pack(">I", 1)
                    + _string(_string(b"ssh-ed25519") + _string(self.public)) + fixed
                    + _string(_string(b"ssh-ed25519") + _string(signature)))

    def ssh_header(self, body, context):
        """The same as an SSH agent would sign it."""
        return self.header_by(self._sign_ssh, body, context)
