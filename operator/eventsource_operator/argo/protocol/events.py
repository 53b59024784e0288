"""receive_event as values: which request is sent for which arguments.

What the server would only answer with 501 or a redirect is refused here, before anything is sent and with the
argument's name; `unchecked=True` lets it through, so that a server which can do it is not locked out.
"""

import datetime as dt
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import orjson

from eventsource_operator.argo.errors import InvalidArgument

JSONValue: TypeAlias = (
    "bool | int | float | str | dt.date | dt.datetime | Mapping[str, JSONValue] | Sequence[JSONValue] | None"
)
"""A body: any JSON value; dates are written as RFC 3339 strings."""

MAX_DEPTH = 200
"""Levels of nesting accepted in a body. orjson stops at 254; nothing in Kubernetes comes near."""

_NAMED_DEPTH = 8
"""Levels whose keys an error names."""

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HEADER_NAME = re.compile(r"[xX]-[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~\t]*[!-~])?)?")


@dataclass(frozen=True, slots=True)
class EventRequest:
    """Where an event goes: prepared once, used for each event sent there.

    Attributes:
        namespace: the namespace whose bindings see the event.
        discriminator: what bindings see as `discriminator`, mostly empty.
        path: the quoted URL path below the server's address.
    """

    namespace: str
    discriminator: str
    path: str


def check_namespace(namespace: str, *, may_be_empty: bool = False) -> None:
    """Refuse what cannot be the name of a namespace (RFC 1123 label).

    Raises:
        InvalidArgument: naming `namespace`.
    """
    if not isinstance(namespace, str):
        raise InvalidArgument("namespace", f"must be a string, not {type(namespace).__name__}")
    if namespace == "" and may_be_empty:
        return
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidArgument(
            "namespace", "must be 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
        )


def event_request(namespace: str, discriminator: str = "", *, unchecked: bool = False) -> EventRequest:
    """Prepare the sending of events to a namespace.

    The path ends with a slash when the discriminator is empty: without it the server answers 501.

    Args:
        namespace: the namespace of the bindings. Empty means broadcast, which the server cannot do over HTTP.
        discriminator: offered to bindings as `discriminator`. The server cannot route one that holds
            a slash, a colon or only dots.
        unchecked: send what the Argo Server is known not to accept.

    Raises:
        InvalidArgument: naming the argument, and what to use instead.
    """
    if not isinstance(discriminator, str):
        raise InvalidArgument("discriminator", f"must be a string, not {type(discriminator).__name__}")
    if not unchecked:
        if namespace == "":
            raise InvalidArgument(
                "namespace",
                "an empty one means broadcast, which the Argo Server does not offer over HTTP; list the "
                "bindings of all namespaces and send to each that has one (or insist with unchecked=True)",
            )
        check_namespace(namespace)
        _check_discriminator(discriminator)
    for name, value in (("namespace", namespace), ("discriminator", discriminator)):
        if not is_unicode(value):
            raise InvalidArgument(name, "must not hold lone surrogates")
    path = f"/api/v1/events/{quote(namespace, safe='')}/{quote(discriminator, safe='')}"
    return EventRequest(namespace, discriminator, path)


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can carry a text: lone surrogates it cannot.

    The error of `str.encode` holds the whole text, so it must not be in the context of another error.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_discriminator(discriminator: str) -> None:
    for char in "/:":
        if char in discriminator:
            raise InvalidArgument(
                "discriminator",
                f"must not hold {char!r}: the Argo Server finds no method for such a path (501); "
                "put the value into the body or an X- header (or insist with unchecked=True)",
            )
    if discriminator in {".", ".."}:
        raise InvalidArgument(
            "discriminator", "must not be '.' or '..': a path segment of that name is resolved away"
        )
    if _CONTROL.search(discriminator):
        raise InvalidArgument("discriminator", "must not hold control characters")


def event_headers(headers: Mapping[Any, Any] | None, *, unchecked: bool = False) -> dict[str, str]:
    """Check the extra headers of an event: bindings read only those that begin with `X-`.

    Raises:
        InvalidArgument: naming `headers` and the header, never its value.
    """
    checked: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgument("headers", "names and values must be strings")
        if _CONTROL.search(name + value):
            raise InvalidArgument("headers", f"{name!r} holds a control character")
        if not unchecked and not _HEADER_NAME.fullmatch(name):
            raise InvalidArgument("headers", f"{name!r} does not begin with 'X-': bindings would not see it")
        if not _HEADER_VALUE.fullmatch(value):
            raise InvalidArgument(
                "headers",
                f"the value of {name!r} must be printable ASCII without outer spaces: percent-encode it",
            )
        checked[name] = value
    return checked


def encode_body(body: JSONValue) -> bytes:
    """Write a body as JSON: UTF-8, no white space, dates as RFC 3339.

    A datetime without a time zone, NaN, infinities, keys that are not strings, and types that JSON does not
    know are refused rather than guessed: orjson alone would write null for NaN, for instance.

    Integers beyond 64 bits are written exactly; the server reads every number as a 64-bit float.

    Raises:
        InvalidArgument: naming `body` and the place inside it, never the value there.
    """
    plain = _plain(body, "body", 0)
    try:
        return orjson.dumps(plain)
    except (orjson.JSONEncodeError, RecursionError):
        # Integers beyond 64 bits, which the standard library knows, or lone surrogates.
        text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if not is_unicode(text):
        raise InvalidArgument("body", "holds a string with a lone surrogate, which UTF-8 cannot carry")
    return text.encode()


def _plain(value: Any, where: str, depth: int) -> Any:
    """Turn a value into what JSON writers agree on; `where` is its path for the message."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgument(where, "NaN and infinities are not JSON; send a string or null")
        return float(value)
    if isinstance(value, dt.datetime):
        return rfc3339(value, where)
    if isinstance(value, dt.date):
        return value.isoformat()
    if depth >= MAX_DEPTH:
        raise InvalidArgument("body", f"is nested deeper than {MAX_DEPTH} levels, or holds itself")
    if isinstance(value, Mapping):
        plain = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidArgument(
                    where, f"a key is of type {type(key).__name__}; JSON knows only strings"
                )
            plain[str(key)] = _plain(item, f"{where}.{key}" if depth < _NAMED_DEPTH else where, depth + 1)
        return plain
    if isinstance(value, (list, tuple)):
        return [
            _plain(item, f"{where}[{i}]" if depth < _NAMED_DEPTH else where, depth + 1)
            for i, item in enumerate(value)
        ]
    raise InvalidArgument(
        where,
        f"{type(value).__name__} is not JSON; use bool, int, float, str, None, date, datetime, dict or list",
    )


def rfc3339(moment: dt.datetime, where: str = "body") -> str:
    """Write a moment as RFC 3339, UTC as `Z`.

    Raises:
        InvalidArgument: a datetime without a time zone names no moment.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise InvalidArgument(where, "the datetime has no time zone; use e.g. datetime.now(UTC)")
    if offset.total_seconds() % 60:  # RFC 3339 has no seconds in an offset
        try:
            moment = moment.astimezone(dt.UTC)
        except OverflowError:  # within a day of the calendar's ends
            raise InvalidArgument(where, "the datetime has no equivalent in UTC") from None
    return moment.isoformat().replace("+00:00", "Z")
