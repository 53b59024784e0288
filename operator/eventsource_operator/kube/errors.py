"""What the Kubernetes API can answer instead of an object.

One class per decision that a caller takes. `transient` says whether the same request
can succeed later without anybody changing anything. The reasons are those of
`metav1.Status` (https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#StatusReason).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import orjson

from eventsource_operator.core.text import clean

_MESSAGE_LIMIT = 500  # characters; these texts end up in conditions, events and logs


class KubeError(Exception):
    """The API server refused, failed or could not be reached.

    Attributes:
        status: HTTP status, 0 when no answer was received.
        reason: `metav1.Status` reason, or a CamelCase word in its manner.
        message: The server's words, without control characters and of bounded length.
    """

    transient = False

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = clean(reason, 80)
        self.message = clean(message.strip(), _MESSAGE_LIMIT)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})" if self.reason else self.message


class ConfigurationError(KubeError):
    """Neither a usable kubeconfig nor a service account was found."""


class Unauthorized(KubeError):  # noqa: N818 - named after the API's own reason
    """401: the credentials are missing, expired or revoked."""


class Forbidden(KubeError):  # noqa: N818
    """403: the operator lacks a right (or an admission plugin refuses)."""


class NamespaceEnding(Forbidden):
    """403: the namespace is being deleted, and takes nothing new."""


class NotFound(KubeError):  # noqa: N818
    """404: no such object, or the API server does not serve the kind."""


class Conflict(KubeError):  # noqa: N818
    """409: somebody else was faster (stale resourceVersion), or it exists already."""


class Gone(KubeError):  # noqa: N818
    """410: the history from that resourceVersion or continue token on is no longer kept."""


class Invalid(KubeError):  # noqa: N818
    """400, 413, 415, 422: the request itself is wrong; it will never be accepted as it is."""


class TooManyRequests(KubeError):  # noqa: N818
    """429: the server sheds load.

    Attributes:
        retry_after: Seconds to wait, as the server asked; None when it did not say.
    """

    transient = True

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(status, reason, message)
        self.retry_after = retry_after


class Unavailable(KubeError):  # noqa: N818
    """5xx, or an answer that is not the API server's (a proxy's page, half a JSON)."""

    transient = True


class Unreachable(KubeError):  # noqa: N818
    """No answer: connection refused, reset or cut, TLS failure, time-out, silent watch."""

    transient = True


_BY_STATUS: dict[int, type[KubeError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}
_SERVER_ERRORS = 500
_REDIRECTS = range(300, 400)
_TOO_MANY = 429


def from_status(
    status: Mapping[str, Any], *, http_status: int = 0, retry_after: str | None = None
) -> KubeError:
    """The error that a `metav1.Status` object stands for.

    Also for the `object` of a watch's `ERROR` event, which carries no HTTP status.

    Args:
        status: The decoded object; anything that is missing in it is made up for.
        http_status: Status of the answer; taken from `code` when 0.
        retry_after: The `Retry-After` header, preferred to `details.retryAfterSeconds`.
    """
    code = http_status or _integer(status.get("code"))
    reason, message = _text(status.get("reason")), _text(status.get("message"))
    message = message or reason or f"HTTP status {code}"
    if reason == "Expired":
        return Gone(code, reason, message)
    if code == _TOO_MANY:
        details = status.get("details")
        in_body = details.get("retryAfterSeconds") if isinstance(details, Mapping) else None
        return TooManyRequests(code, reason or "TooManyRequests", message, _seconds(retry_after, in_body))
    if code in _REDIRECTS:
        return Unavailable(code, "Redirected", f"the server answered with a redirect (HTTP {code}), refused")
    if code >= _SERVER_ERRORS:
        return Unavailable(code, reason or "ServerError", message)
    kind = _BY_STATUS.get(code, KubeError)
    if kind is Forbidden and _ending(status):
        kind = NamespaceEnding
    return kind(code, reason or kind.__name__, message)


def _ending(status: Mapping[str, Any]) -> bool:
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, Mapping) else None
    return isinstance(causes, list) and any(
        isinstance(cause, Mapping) and cause.get("reason") == "NamespaceTerminating" for cause in causes
    )


def from_response(status: int, body: bytes, headers: Mapping[str, str]) -> KubeError:
    """The error for an HTTP answer that is not a success."""
    decoded: Any = None
    with contextlib.suppress(orjson.JSONDecodeError):
        decoded = orjson.loads(body)
    if not isinstance(decoded, Mapping):
        text = body[: 4 * _MESSAGE_LIMIT].decode("utf-8", "replace").strip()
        decoded = {"message": text or f"HTTP status {status} without a body"}
    return from_status(decoded, http_status=status, retry_after=headers.get("Retry-After"))


def _text(value: object) -> str:
    """A text; anything else is no `metav1.Status`, and may be nested too deeply to be shown."""
    return value if isinstance(value, str) else ""


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _seconds(*candidates: object) -> float | None:
    """The first candidate that is a number of seconds (an HTTP date is not)."""
    for candidate in candidates:
        if isinstance(candidate, (int, float, str)):
            with contextlib.suppress(ValueError):
                return max(0.0, float(candidate))
    return None
