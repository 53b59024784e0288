"""Everything that the Argo Server, or the way to it, can answer instead of success.

One hierarchy for both transports, so that callers never see a type of `requests` or `aiohttp`. Each class
carries a `Decision`: what the sender has to do about it is decided once, here, and not at each call. The
rules are those of the design's client section and of `docs/argo-server-facts.md`.

Text in these errors comes from a server that is not trusted: it is bounded, and control characters are taken
out. No error holds a token or a request body.
"""

# ruff: noqa: N818 - the class names are the words of the decision table: `except Forbidden` reads as it
import enum
from typing import Any, ClassVar

from eventsource_operator.core.text import clean

MAX_MESSAGE_CHARS = 1000
"""Characters of server text kept in an error: several dispatch reasons, and still small in a status."""

MAX_DETAILS = 10
"""Entries of the gateway's `details` that are kept."""

MAX_DETAIL_CHARS = 200
"""Characters kept of each."""


class Decision(enum.Enum):
    """What an error means for the event that was being sent, and for its source."""

    TRANSIENT = "transient"
    """Send again later; an outage if it persists. Not the event's fault."""

    PERMANENT = "permanent"
    """This request can never succeed: record the event as failed."""

    UNAUTHORIZED = "unauthorized"
    """The credentials are missing, wrong or expired: reload them, then hold the source."""

    FORBIDDEN = "forbidden"
    """The credentials lack a right: hold the source until it is granted."""

    DISPATCH = "dispatch"
    """Bindings failed, others may have fired: `Dispatch` tells more."""

    OVERLOADED = "overloaded"
    """The server sheds load: slow down, then send again."""


class ArgoError(Exception):
    """Base of all errors of the client.

    Attributes:
        status: the HTTP status, None when there was no answer.
        code: the gRPC code of the gateway's answer, None when there was none.
        message: the server's text, or the client's own, cleaned.
        details: the gateway's `details`, cleaned to text.
        retry_after: seconds that the server asked to wait, None when it did not.
    """

    decision: ClassVar[Decision] = Decision.TRANSIENT

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int | None = None,
        details: tuple[Any, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        self.message = clean(message, MAX_MESSAGE_CHARS)
        self.status = status
        self.code = code
        self.details = tuple(clean(str(detail), MAX_DETAIL_CHARS) for detail in details[:MAX_DETAILS])
        self.retry_after = retry_after
        super().__init__(self.message)

    def __str__(self) -> str:
        facts = [f"HTTP {self.status}"] if self.status is not None else []
        if self.code is not None:
            facts.append(f"code {self.code}")
        return f"{self.message} ({', '.join(facts)})" if facts else self.message


class Unauthorized(ArgoError):
    """401, code 16: the token is missing, malformed, wrong or expired."""

    decision = Decision.UNAUTHORIZED


class Forbidden(ArgoError):
    """403, code 7: a right is missing; or 403 without a code: no credentials were sent with an event."""

    decision = Decision.FORBIDDEN


class Invalid(ArgoError):
    """400, code 3, and the other answers that blame the request: repeating it cannot help."""

    decision = Decision.PERMANENT


class Expired(Invalid):
    """The resourceVersion or continue token of a listing is too old: the API server's 410.

    The Argo Server passes it on as 400, code 3. The listing has to start again, hence transient.
    """

    decision = Decision.TRANSIENT


class TooLarge(Invalid):
    """The body is larger than the server accepts (100 MiB by default): permanent although it comes as 429."""


class NotFound(ArgoError):
    """404, code 5: no such endpoint. Events never get it, so the address or its path prefix is wrong.

    Transient: the event is not at fault and waits until the address is mended.
    """


class Unimplemented(ArgoError):
    """501, code 12: the path reaches no method, as with a slash or colon in the discriminator."""

    decision = Decision.PERMANENT


class Overloaded(ArgoError):
    """429, code 8: the server limits the rate."""

    decision = Decision.OVERLOADED


class Unavailable(ArgoError):
    """502, 503, 504, and answers that are not the Argo Server's (HTML, half a JSON)."""


class ServerError(ArgoError):
    """500 that is no dispatch error: the API server behind the Argo Server failed, mostly."""


class Dispatch(ArgoError):
    """500 "failed to dispatch event: […]": at least one binding failed; others may have fired.

    Attributes:
        reasons: best effort split of the server's text, whose reasons are joined by single spaces.
        already_exists: every reason says that the Workflow's name is taken: a duplicate was absorbed, unless the
            name was made up.
        made_up: those of the taken names that look as if the server had made them up. Then there is no Workflow of this
            event, unless the next answer has the same name: the server makes up another one each time.
        transient: a reason may go away by itself; unknown reasons count as such.
    """

    decision = Decision.DISPATCH

    def __init__(
        self,
        message: str,
        *,
        reasons: tuple[str, ...] = (),
        already_exists: bool = False,
        made_up: frozenset[str] = frozenset(),
        transient: bool = True,
        status: int | None = 500,
        code: int | None = 13,
        details: tuple[Any, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code, details=details, retry_after=retry_after)
        self.reasons = tuple(clean(reason, MAX_MESSAGE_CHARS) for reason in reasons)
        self.already_exists = already_exists
        self.made_up = made_up
        self.transient = transient


class Unreachable(ArgoError):
    """No answer: refused, reset, cut off, a TLS failure or a timeout.

    The server may or may not have acted on the request: only the caller knows whether a repeat is harmless. With
    ``tls`` its certificate was refused, or the client's: either may have been replaced.
    """

    def __init__(self, message: str, *, timeout: bool = False, tls: bool = False) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.tls = tls


class RedirectRefused(ArgoError):
    """A redirect was answered. It is never followed, for the token would go to another address.

    Transient: the address is at fault, not the event, which waits until the address is mended.
    """


class InvalidArgument(Invalid, ValueError):
    """The caller's mistake, found before anything was sent.

    Attributes:
        argument: the name of the argument at fault.
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(f"{argument}: {problem}")
        self.argument = argument
