"""The key with which kube-apiserver signs ServiceAccount tokens, made without OpenSSL or a package.

The standard library makes no asymmetric keys, and a bare machine has no `openssl`. An elliptic curve key is
one multiplication on the curve (NIST P-256, FIPS 186-4 D.1.2.3) and some fixed DER bytes (RFC 5915, RFC
5480). Good for a throw-away test server, and for nothing else: the arithmetic is not constant-time.
"""

import base64
import secrets
from pathlib import Path

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None
"""None is the point at infinity."""

EC_PRIVATE_KEY = bytes.fromhex("30770201010420")  # SEQUENCE { INTEGER 1, OCTET STRING (32 bytes)
PRIME256V1 = bytes.fromhex(
    "a00a06082a8648ce3d030107a14403420004"
)  # [0] OID, [1] BIT STRING (uncompressed point)
SUBJECT_PUBLIC_KEY = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    slope = (
        (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    )
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def _multiply(scalar: int, point: Point) -> Point:
    result: Point = None
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _pem(label: str, der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def write_signing_key(private: Path, public: Path) -> None:
    """Writes a new P-256 key pair as PEM files."""
    scalar = secrets.randbelow(N - 1) + 1
    point = _multiply(scalar, G)
    if point is None:
        raise ArithmeticError("a scalar below the order of the curve gave the point at infinity")
    xy = point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")
    private.touch(mode=0o600)
    private.write_text(
        _pem("EC PRIVATE KEY", EC_PRIVATE_KEY + scalar.to_bytes(32, "big") + PRIME256V1 + xy),
        encoding="ascii",
    )
    public.write_text(_pem("PUBLIC KEY", SUBJECT_PUBLIC_KEY + xy), encoding="ascii")
