"""ServiceAccount tokens with an end of the test's choice: the API server grants none below ten minutes."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tools.controlplane.plane import ControlPlane


def resigned(plane: ControlPlane, token: str, ends: int) -> str:
    """The same token with another end (seconds since 1970), signed by the API server's key (RFC 7515)."""
    head, claims, _ = token.split(".")
    changed: dict[str, Any] = json.loads(_decode(claims)) | {
        "exp": ends,
        "iat": ends - 3600,
        "nbf": ends - 3600,
    }
    signed = f"{head}.{_encode(json.dumps(changed).encode())}"
    key = load_pem_private_key((plane.data / "sa.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
