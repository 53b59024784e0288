"""Reading the server's answers: success, or the error that says what to do.

The order of the rules matters and follows the facts in `docs/argo-server-facts.md`: redirects, then statuses
that mean the same whoever answers (401, 403, 413, 429, 502-504), then answers that are not the gateway's
JSON, then the gateway's own.
"""

import datetime as dt
import email.utils
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson

from eventsource_operator.argo.errors import (
    ArgoError,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Overloaded,
    RedirectRefused,
    ServerError,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unimplemented,
)
from eventsource_operator.argo.protocol.dispatch import DISPATCH_PREFIX, dispatch_error
from eventsource_operator.core.text import clean

MAX_RETRY_AFTER = 3600.0
"""Seconds; a server that asks for more, by mistake or malice, is asked again after an hour."""

_NO_JSON = object()

_REDACTED = "[redacted]"

_MIN_SECRET_CHARS = 4
"""Shorter secrets (a body `{}`) would redact ordinary words, and tell by doing so."""


class GrpcCode(enum.IntEnum):
    """The gRPC codes that rules depend on (google.golang.org/grpc/codes)."""

    CANCELLED = 1
    DEADLINE_EXCEEDED = 4
    ABORTED = 10
    UNIMPLEMENTED = 12


_SELF_HEALING = frozenset({GrpcCode.CANCELLED, GrpcCode.DEADLINE_EXCEEDED, GrpcCode.ABORTED})
_DOWN = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a transport hands it over.

    Attributes:
        status: the HTTP status.
        body: the bytes of the body.
        headers: names in lower case; only the few that `wanted_headers` names are needed.
        secrets: texts that no error may repeat, should the server quote them: the token, the request's body.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)


WANTED_HEADERS = ("content-type", "location", "retry-after", "date")
"""What `read_answer` looks at."""


def read_answer(answer: Answer, now: float) -> Any:
    """The JSON value of a success.

    Only 200 is one: the gateway knows no other, so anything else comes from something in between.

    Args:
        answer: what came back.
        now: seconds since 1970, for a `Retry-After` that is a date, should the answer carry no `Date`.

    Raises:
        ArgoError: the class that says what to do.
    """
    if answer.status != HTTPStatus.OK:
        raise answer_error(answer, now)
    document = _parsed(answer.body)
    if document is _NO_JSON:
        raise _foreign(answer, None)
    return document


def _parsed(body: bytes) -> Any:
    """The JSON value, or `_NO_JSON`: the parser's error holds the text, so none may be raised beside it."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _NO_JSON


def _shown(detail: Any) -> str:
    try:
        return str(detail)
    except RecursionError:  # a thousand levels: made to break whoever shows it
        return "(nested too deeply to be shown)"


def answer_error(answer: Answer, now: float) -> ArgoError:
    """The error that an unsuccessful answer stands for."""
    status = answer.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _redirect(answer)
    limited = status == HTTPStatus.TOO_MANY_REQUESTS
    retry_after = _retry_after(answer, now)
    said = _gateway_error(answer)
    message = _redact(said.message, answer.secrets) if said else ""
    facts: dict[str, Any] = {"status": status, "retry_after": retry_after}
    if said:
        facts |= {
            "code": said.code,
            "details": tuple(_redact(_shown(item), answer.secrets) for item in said.details),
        }
    if status == HTTPStatus.UNAUTHORIZED:
        return Unauthorized(message or "the credentials were refused", **facts)
    if status == HTTPStatus.FORBIDDEN:
        return Forbidden(_forbidden_message(message), **facts)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (limited and "larger than max" in message):
        return TooLarge(message or "the body is larger than the server accepts", **facts)
    if limited:
        return Overloaded(message or "the server limits the rate of requests", **facts)
    if status in _DOWN:
        return Unavailable(message or "the server is unavailable", **facts)
    if said is None:
        return _foreign(answer, retry_after)
    return _gateway_class(status, said, message, facts)


@dataclass(frozen=True, slots=True)
class _GatewayError:
    """GrpcGatewayRuntimeError of the seed page: `error` repeats `message` in older gateways."""

    message: str
    code: int | None
    details: tuple[Any, ...]


def _gateway_error(answer: Answer) -> _GatewayError | None:
    document = _parsed(answer.body)
    if not isinstance(document, dict):
        return None
    message = document.get("message", document.get("error"))
    if not isinstance(message, str):
        return None
    code, details = document.get("code"), document.get("details")
    return _GatewayError(
        message=message,
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        details=tuple(details) if isinstance(details, list) else (),
    )


def _gateway_class(status: int, said: _GatewayError, message: str, facts: dict[str, Any]) -> ArgoError:
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and message.startswith(DISPATCH_PREFIX):
        return dispatch_error(message, **facts)
    if status == HTTPStatus.NOT_IMPLEMENTED or said.code == GrpcCode.UNIMPLEMENTED:
        return Unimplemented(message, **facts)
    if status == HTTPStatus.NOT_FOUND:
        return NotFound(
            f"{message or 'not found'}: is the address an Argo Server's, with its path prefix?", **facts
        )
    if status == HTTPStatus.GONE or (status == HTTPStatus.BAD_REQUEST and "too old" in message):
        return Expired(message, **facts)
    if status == HTTPStatus.REQUEST_TIMEOUT or said.code in _SELF_HEALING:
        return Unavailable(message, **facts)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Invalid(message, **facts)
    return ServerError(message, **facts)


def _forbidden_message(message: str) -> str:
    if message == "failed to process webhook request":  # what the server says when no credentials came at all
        return f"{message}: events need credentials, and none were sent; --auth-mode=server takes any"
    return message or "the credentials lack a right"


def _redirect(answer: Answer) -> RedirectRefused:
    """Say where to, without the path and query, which may hold what is not ours to show."""
    try:
        parts = urlsplit(answer.headers.get("location", ""))
        port = f":{parts.port}" if parts.port else ""
        where = (
            f"{parts.scheme}://{parts.hostname}{port}" if parts.hostname else "another path of the same host"
        )
    except ValueError:
        where = "a malformed address"
    return RedirectRefused(
        f"the server redirects to {clean(where, 200)}; redirects are not followed, for the token would be "
        "sent there: set the server's url to its final address",
        status=answer.status,
    )


def _foreign(answer: Answer, retry_after: float | None) -> Unavailable:
    kind = clean(answer.headers.get("content-type", "") or "no content type", 80)
    return Unavailable(
        f"the answer is not the Argo Server's ({kind}, {len(answer.body)} bytes): a proxy or another server "
        "answered, or the answer was cut off",
        status=answer.status,
        retry_after=retry_after,
    )


def _redact(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if len(secret) >= _MIN_SECRET_CHARS:
            text = text.replace(secret, _REDACTED)
    return text


def _retry_after(answer: Answer, now: float) -> float | None:
    value = answer.headers.get("retry-after")
    if value is None:
        return None
    reference = _http_date(answer.headers.get("date", ""))  # the server's clock, not ours: no skew
    return parse_retry_after(value, reference if reference is not None else now)


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, from a `Retry-After` of either form (RFC 9110, section 10.2.3).

    Returns:
        Between 0 and `MAX_RETRY_AFTER`; None when the value is neither a number nor a date.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), MAX_RETRY_AFTER)
    moment = _http_date(value)
    return None if moment is None else min(max(moment - now, 0.0), MAX_RETRY_AFTER)


def _http_date(value: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
