"""The public key of a private one (RFC 7748), so that a thousand peers need no thousand programs."""

import base64

PRIME = 2**255 - 19


def _ladder(scalar, u):
    x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
    for position in range(254, -1, -1):
        bit = scalar >> position & 1
        if swapped ^ bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swapped = bit
        plus, minus = x2 + z2, x2 - z2
        plus_squared, minus_squared = plus * plus % PRIME, minus * minus % PRIME
        across, back = (x3 - z3) * plus % PRIME, (x3 + z3) * minus % PRIME
        x3, z3 = (across + back) ** 2 % PRIME, u * (across - back) ** 2 % PRIME
        difference = plus_squared - minus_squared
        x2 = plus_squared * minus_squared % PRIME
        z2 = difference * (plus_squared + 121665 * difference) % PRIME
    if swapped:
        x2, z2 = x3, z3
    return x2 * pow(z2, PRIME - 2, PRIME) % PRIME


def public_key(private):
    """Both in base64; the private key with padding or without, the public one with."""
    scalar = bytearray(base64.b64decode(private.rstrip("=") + "="))
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    u = _ladder(int.from_bytes(scalar, "little"), 9)
    return base64.b64encode(u.to_bytes(32, "little")).decode()
