"""What follows from the Argo Server's answer to one event (docs/argo-server-facts.md)."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from eventsource_operator.api.eventsource import DispatchErrors
from eventsource_operator.argo.errors import ArgoError, Decision, Dispatch


class Verdict(Enum):
    """What is done with the event."""

    ABSORBED = "absorbed"
    """A duplicate: the Workflow exists already. As good as delivered."""
    RETRY = "retry"
    """The event's own failure: again after a pause, counted."""
    WAIT = "wait"
    """The server's failure: the event waits without being charged."""
    HOLD = "hold"
    """The source's credentials or rights: the source waits."""
    FAIL = "fail"
    """Recorded as failed."""


class Outcome(NamedTuple):
    """The verdict, a stable CamelCase reason and whether the server asked for less."""

    verdict: Verdict
    reason: str
    slow_down: bool = False


_WAITING = {Decision.TRANSIENT: "ServerUnreachable", Decision.OVERLOADED: "ServerOverloaded"}


def decide(
    error: ArgoError,
    policy: DispatchErrors,
    *,
    retries: int,
    limit: int,
    others_succeed: bool,
    taken: frozenset[str] = frozenset(),
) -> Outcome:
    """Decides.

    Args:
        error: what the client raised.
        policy: ``delivery.dispatchErrors``.
        retries: how often this event was charged for a failure so far.
        limit: ``delivery.retry.limit``.
        others_succeed: another event was delivered to this server since this one last failed. Then a failure that
            looks like the server's is this event's own: an event that breaks a proxy must not wait for ever.
        taken: ``Dispatch.made_up`` of the answer before, when this event was refused for taken names.
    """
    decision = error.decision
    if isinstance(error, Dispatch):
        return _dispatch(error, policy, retries, limit, taken)
    if decision is Decision.UNAUTHORIZED:
        return Outcome(Verdict.HOLD, "Unauthorized")
    if decision is Decision.FORBIDDEN:
        return Outcome(Verdict.HOLD, "Forbidden")
    if decision in _WAITING:
        slow = (
            decision is Decision.OVERLOADED
            or error.status in (503, 504)
            or bool(getattr(error, "timeout", False))
        )
        if others_succeed and decision is Decision.TRANSIENT:
            verdict = Verdict.RETRY if retries < limit else Verdict.FAIL
            return Outcome(
                verdict, "TransientError" if verdict is Verdict.RETRY else "RetriesExhausted", slow
            )
        return Outcome(Verdict.WAIT, _WAITING[decision], slow)
    return Outcome(Verdict.FAIL, "Rejected")


def _dispatch(
    error: Dispatch, policy: DispatchErrors, retries: int, limit: int, taken: frozenset[str]
) -> Outcome:
    """A name that the server made up and that was taken by chance is no duplicate: this event has no Workflow yet.

    Such a name differs each time; one that comes again is the binding's own, however it looks.
    """
    if error.already_exists and error.made_up <= taken:
        return Outcome(Verdict.ABSORBED, "AlreadyExists")
    transient = error.transient or bool(error.made_up - taken)
    again = policy is DispatchErrors.RETRY or (policy is DispatchErrors.RETRY_TRANSIENT and transient)
    if not again:
        return Outcome(Verdict.FAIL, "DispatchFailed")
    return (
        Outcome(Verdict.RETRY, "DispatchFailed")
        if retries < limit
        else Outcome(Verdict.FAIL, "RetriesExhausted")
    )


def backoff(attempt: int, first: float, most: float, roll: float) -> float:
    """Seconds to wait before retry number ``attempt`` (1, 2, …): doubling, capped, with a jitter of a quarter.

    ``roll`` is a random number from 0 to 1: chance is the caller's.
    """
    pause = min(most, first * (1 << min(attempt - 1, 30)))
    return float(pause * (0.75 + roll / 2))
