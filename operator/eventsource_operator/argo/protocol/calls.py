"""A request as both transports take it, and what of it must never be repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from eventsource_operator.argo.errors import InvalidArgument

MAX_EVENT_ANSWER = 1 << 20
"""Bytes read of an answer to an event; the real one is two bytes, or an error text."""

MAX_LIST_ANSWER = 256 << 20
"""Bytes read of one page of bindings: 500 of them at etcd's 1.5 MiB would be more, real ones are far less."""

MAX_SECRET_BODY = 1 << 20
"""Bytes; a longer body is longer than any text that is kept of an answer, so it cannot be repeated whole."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request below the server's address.

    Attributes:
        method: GET or POST.
        target: quoted path and query.
        most: bytes read of its answer.
        body: JSON, None without a body.
        headers: the extra ones.
    """

    method: str
    target: str
    most: int
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def secrets(self, authorization: str | None) -> tuple[str, ...]:
        """The texts that no error may hold, should the server quote them: token and body."""
        found = []
        if authorization is not None:
            found += [authorization, authorization.rpartition(" ")[2]]
        if self.body is not None and len(self.body) <= MAX_SECRET_BODY:
            found.append(self.body.decode(errors="replace"))
        return tuple(found)


def authorization(token: object, prefix: str) -> str | None:
    """The value of the Authorization header, None without a token.

    A token that already carries the prefix, as `ARGO_TOKEN` of the argo CLI does, is left as it is.

    Args:
        token: what was configured, or what the configured callable gave: not trusted to be text.
        prefix: `Bearer` for the Argo Server; empty for none.

    Raises:
        InvalidArgument: the token is no single line of printable ASCII; its text is not repeated.
    """
    if token is None:
        return None
    if not isinstance(token, str):
        raise InvalidArgument("token", f"must be a string or None, not {type(token).__name__}")
    token = token.strip()
    if not token:
        return None
    if not token.isascii() or not token.isprintable():
        raise InvalidArgument("token", "must be one line of printable ASCII; is it the token, and undamaged?")
    if not prefix or token[: len(prefix) + 1].lower() == f"{prefix.lower()} ":
        return token
    return f"{prefix} {token}"
