"""Lines of `tail`: which deliveries a status tells of that an earlier one did not."""

from __future__ import annotations

from typing import NamedTuple

from eventsource_operator.api.status import DeliveriesStatus, Failure


class Line(NamedTuple):
    """One delivery or failure. ``more``: how many were counted before it that the status does not name."""

    time: str
    result: str
    type: str
    resource: str
    id: str
    detail: str
    more: int = 0


def new_lines(before: DeliveriesStatus, now: DeliveriesStatus) -> list[Line]:
    """What happened between two statuses of one source, oldest first.

    A status names the last delivery and the latest failures only, and is written every other second: what it
    does not name is counted.
    """
    lines: list[Line] = []
    known = {_key(each) for each in _failures(before)}
    fresh = [each for each in _failures(now) if _key(each) not in known]
    missed = max(0, now.failed - before.failed - len(fresh))
    for position, each in enumerate(sorted(fresh, key=lambda failure: failure.time)):
        detail = f"{each.reason}: {each.message}" if each.message else each.reason
        more = missed if position == 0 else 0
        lines.append(Line(each.time, "failed", each.type.value, each.resource, each.id, detail, more))
    last, old = now.last, before.last
    if last is not None and (
        old is None or (last.id, last.time) != (old.id, old.time) or now.delivered > before.delivered
    ):
        more = max(0, now.delivered - before.delivered - 1)
        detail = f"after {last.seconds:.3f} s"
        lines.append(Line(last.time, "delivered", last.type.value, last.resource, last.id, detail, more))
    return sorted(lines, key=lambda line: line.time)


def _failures(status: DeliveriesStatus) -> tuple[Failure, ...]:
    last = status.last_failure
    return status.failures if last is None or last in status.failures else (last, *status.failures)


def _key(failure: Failure) -> tuple[str, str]:
    return failure.id, failure.time
