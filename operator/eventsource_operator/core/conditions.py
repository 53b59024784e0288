"""Conditions: from what is known of a source to what `kubectl` shows (Kubernetes API conventions).

``lastTransitionTime`` moves only when ``status`` does. `Ready` is the conjunction of Accepted, Authorized, Watching
and Delivering, and carries the reason of the first that is not true; `Bound` stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from eventsource_operator.api.status import Condition


class Reason(StrEnum):
    """Every reason that a condition can carry; stable, because people and alerts match on them.

    `REASONS` says which condition can have which; docs/conditions.md says what to do about each.
    """

    READY = "Ready"
    PENDING = "Pending"
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    AUTHORIZED = "Authorized"
    DENIED = "Denied"
    SERVER_NOT_ALLOWED = "ServerNotAllowed"
    WATCHING = "Watching"
    STARTING = "Starting"
    KIND_NOT_FOUND = "KindNotFound"
    NOT_WATCHABLE = "NotWatchable"
    NAMESPACES_FORBIDDEN = "NamespacesForbidden"
    INVALID_SELECTOR = "InvalidSelector"
    FORBIDDEN = "Forbidden"
    UNAUTHORIZED = "Unauthorized"
    CHECKPOINT_CORRUPT = "CheckpointCorrupt"
    API_SERVER_ERROR = "APIServerError"
    CONNECTION_FAILED = "ConnectionFailed"
    INTERNAL_ERROR = "InternalError"
    DELIVERING = "Delivering"
    SUSPENDED = "Suspended"
    SERVER_UNREACHABLE = "ServerUnreachable"
    SERVER_OVERLOADED = "ServerOverloaded"
    CREDENTIALS_UNAVAILABLE = "CredentialsUnavailable"
    BINDINGS_FOUND = "BindingsFound"
    NO_BINDINGS = "NoBindings"
    LIST_FAILED = "ListFailed"


REASONS: Final[dict[str, dict[str, tuple[Reason, ...]]]] = {
    "Accepted": {
        "True": (Reason.ACCEPTED,),
        "False": (Reason.INVALID_SPEC,),
        "Unknown": (Reason.PENDING,),
    },
    "Authorized": {
        "True": (Reason.AUTHORIZED,),
        "False": (Reason.DENIED, Reason.SERVER_NOT_ALLOWED),
        "Unknown": (Reason.PENDING,),
    },
    "Watching": {
        "True": (Reason.WATCHING,),
        "False": (
            Reason.KIND_NOT_FOUND, Reason.NOT_WATCHABLE, Reason.NAMESPACES_FORBIDDEN, Reason.DENIED,
            Reason.INVALID_SELECTOR, Reason.FORBIDDEN, Reason.UNAUTHORIZED, Reason.CHECKPOINT_CORRUPT,
            Reason.API_SERVER_ERROR, Reason.CONNECTION_FAILED, Reason.INTERNAL_ERROR,
        ),
        "Unknown": (Reason.STARTING, Reason.PENDING),
    },
    "Bound": {
        "True": (Reason.BINDINGS_FOUND,),
        "False": (Reason.NO_BINDINGS,),
        "Unknown": (Reason.PENDING, Reason.LIST_FAILED),
    },
    "Delivering": {
        "True": (Reason.DELIVERING,),
        "False": (
            Reason.SUSPENDED, Reason.SERVER_UNREACHABLE, Reason.SERVER_OVERLOADED, Reason.UNAUTHORIZED,
            Reason.FORBIDDEN, Reason.CREDENTIALS_UNAVAILABLE,
        ),
        "Unknown": (Reason.PENDING,),
    },
}  # fmt: skip
"""The reasons of each condition but Ready, by status. Ready has those of its gates, and its own."""

GATES = ("Accepted", "Authorized", "Watching", "Delivering")
"""What Ready is made of, in the order in which a failure explains the next."""


class Fact(NamedTuple):
    """What is known of one condition; ``ok`` None is Unknown."""

    type: str
    ok: bool | None
    reason: Reason
    message: str = ""


def ready(facts: Iterable[Fact]) -> Fact:
    """The Ready condition of these facts."""
    known = {fact.type: fact for fact in facts}
    for gate in GATES:
        fact = known.get(gate)
        if fact is None:
            return Fact("Ready", None, Reason.PENDING, f"{gate} is not known yet")
        if fact.ok is not True:
            return Fact("Ready", False if fact.ok is False else None, fact.reason, fact.message)
    return Fact("Ready", True, Reason.READY)


def conditions(
    facts: Iterable[Fact], before: Iterable[Condition], *, generation: int, now: str
) -> tuple[Condition, ...]:
    """The conditions to write, Ready first.

    Args:
        facts: one for each type but Ready.
        before: the conditions written last; their transition times are kept where the status is the same.
        generation: the generation that was observed.
        now: RFC 3339.
    """
    given = list(facts)
    old = {condition.type: condition for condition in before}
    result = []
    for fact in (ready(given), *given):
        status = {True: "True", False: "False", None: "Unknown"}[fact.ok]
        previous = old.get(fact.type)
        kept = previous is not None and previous.status == status
        moved = previous.last_transition_time if kept and previous is not None else now
        result.append(Condition(fact.type, status, str(fact.reason), fact.message, generation, moved))
    return tuple(result)


def event_of(condition: Condition) -> Literal["Normal", "Warning"] | None:
    """Of which type the Kubernetes Event is that tells people of this condition; None when none does.

    What is not good is told, and that all is watched; what is only not known yet is not. Ready repeats another one.
    """
    if condition.type == "Ready":
        return None
    if condition.status == "False":
        return "Normal" if condition.reason == Reason.SUSPENDED else "Warning"
    if condition.reason == Reason.LIST_FAILED:
        return "Warning"
    return "Normal" if condition.reason == Reason.WATCHING else None
