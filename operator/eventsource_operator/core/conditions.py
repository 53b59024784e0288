"""Conditions: from what is known of a source to what `kubectl` shows (Kubernetes API conventions).

``lastTransitionTime`` moves only when ``status`` does. `Ready` is the conjunction of Accepted, Authorized, Watching
and Delivering, and carries the reason of the first that is not true; `Bound` stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eventsource_operator.api.status import Condition

GATES = ("Accepted", "Authorized", "Watching", "Delivering")
"""What Ready is made of, in the order in which a failure explains the next."""


class Fact(NamedTuple):
    """What is known of one condition; ``ok`` None is Unknown."""

    type: str
    ok: bool | None
    reason: str
    message: str = ""


def ready(facts: Iterable[Fact]) -> Fact:
    """The Ready condition of these facts."""
    known = {fact.type: fact for fact in facts}
    for gate in GATES:
        fact = known.get(gate)
        if fact is None:
            return Fact("Ready", None, "Pending", f"{gate} is not known yet")
        if fact.ok is not True:
            return Fact("Ready", False if fact.ok is False else None, fact.reason, fact.message)
    return Fact("Ready", True, "Ready", "")


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
        result.append(Condition(fact.type, status, fact.reason, fact.message, generation, moved))
    return tuple(result)
