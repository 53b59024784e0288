"""What is taken out of an object before anything else of the core sees it.

Field ownership and kubectl's copy of the last manifest go for every kind: they are large, change with each
write and the copy of a Secret holds its values. A Secret's values become digests, so that a change of a
value is still seen.

What the digest protects: it is an HMAC-SHA256, cut to 128 bits, with a key that the caller gives. Equal
values of different Secrets are not recognised as equal, and tables prepared in advance are of no use.
Whoever knows the key can still try out guesses, so a short or guessable value is only as safe as the key is
unknown.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator
from typing import Any, Final

from eventsource_operator.core.paths import canonical

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

_SHORTEST: Final = 4
"""Characters below which a value is too short to be recognised within an annotation."""

_MANIFESTS: Final = ("{", "[", "H4sI")
"""How copies of a manifest begin that tools keep in annotations: JSON, or gzip in base64."""


class RedactionError(ValueError):
    """An object that does not say what it is, so that nobody can tell whether it is a Secret."""


def strip(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without ``metadata.managedFields`` and kubectl's last-applied annotation.

    The argument is never changed; what is not touched is shared with it. Without anything to remove it is
    returned itself.
    """
    meta = obj.get("metadata")
    if not isinstance(meta, dict):
        return obj
    annotations: Any = meta.get("annotations")
    applied = isinstance(annotations, dict) and LAST_APPLIED in annotations
    if not applied and "managedFields" not in meta:
        return obj
    meta = {name: value for name, value in meta.items() if name != "managedFields"}
    if applied:
        kept = {name: value for name, value in annotations.items() if name != LAST_APPLIED}
        if kept:
            meta["annotations"] = kept
        else:
            del meta["annotations"]
    return {**obj, "metadata": meta}


def is_secret(obj: dict[str, Any]) -> bool:
    """Whether the object is a core ``v1`` Secret."""
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1"


def redact(obj: dict[str, Any], *, key: bytes) -> dict[str, Any]:
    """A Secret with digests for its values (``hmac-sha256:`` and 32 hex digits); any other object as it is.

    The values of ``data`` and ``stringData`` are replaced, and so is each annotation that holds one of them
    (as it is or decoded) or that looks like a copy of a manifest. Labels are left alone, as selectors need
    them.

    Args:
        obj: the object; it must say its ``kind`` and ``apiVersion``, which items of a list do not by
            themselves.
        key: the key of the digests. The same key gives the same digests, also after a restart.

    Raises:
        RedactionError: the object says no kind or no API version.
    """
    if not obj.get("kind") or not obj.get("apiVersion"):
        raise RedactionError(
            "kind and apiVersion must be set before an object is used; items of a list lack them"
        )
    if not is_secret(obj):
        return obj
    result = dict(obj)
    for field in ("data", "stringData"):
        if field in obj:
            values = obj[field]
            result[field] = (
                {name: _digest(value, key) for name, value in values.items()}
                if isinstance(values, dict)
                else {}
            )
    meta = obj.get("metadata")
    annotations = meta.get("annotations") if isinstance(meta, dict) else None
    if isinstance(meta, dict) and isinstance(annotations, dict):
        needles = {needle for needle in _needles(obj) if len(needle) >= _SHORTEST}
        result["metadata"] = {
            **meta,
            "annotations": {
                name: _digest(value, key) if _tells(value, needles) else value
                for name, value in annotations.items()
            },
        }
    return result


def sanitize(obj: dict[str, Any], *, key: bytes) -> dict[str, Any]:
    """`strip` and `redact`: the only form of an object that the rest of the core ever sees.

    Raises:
        RedactionError: see `redact`.
    """
    return redact(strip(obj), key=key)


def _digest(value: Any, key: bytes) -> str:
    message = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else canonical(value)
    return f"hmac-sha256:{hmac.digest(key, message, 'sha256').hex()[:32]}"


def _needles(obj: dict[str, Any]) -> Iterator[str]:
    """The Secret's values in the forms in which an annotation may repeat them."""
    for field in ("data", "stringData"):
        values = obj.get(field)
        for value in values.values() if isinstance(values, dict) else ():
            if not isinstance(value, str):
                continue
            yield value
            if field == "stringData":
                yield base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()
                continue
            try:
                yield base64.b64decode(value, validate=True).decode().strip()
            except (binascii.Error, UnicodeDecodeError):
                continue  # binary values cannot stand in an annotation other than in base64


def _tells(annotation: Any, needles: set[str]) -> bool:
    """Whether an annotation repeats one of the values, or is a manifest's copy."""
    if not isinstance(annotation, str):
        return True
    return annotation.lstrip().startswith(_MANIFESTS) or any(needle in annotation for needle in needles)
