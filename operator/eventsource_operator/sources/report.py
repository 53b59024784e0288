"""From a source's present state to its status."""

from __future__ import annotations

import time

from eventsource_operator.api.eventsource import EventSource
from eventsource_operator.api.status import BindingsStatus, Status, WatchStatus
from eventsource_operator.core.conditions import Fact, conditions
from eventsource_operator.core.text import clean
from eventsource_operator.sources.bindings import Listing
from eventsource_operator.sources.ledgerbook import stamp
from eventsource_operator.sources.plan import Compiled, Plan
from eventsource_operator.sources.source import Source

_NAMES = 20


def watching(
    source: Source, compiled: Compiled | None, plan: Plan | None, trouble: tuple[str, str] | None
) -> Fact:
    """The Watching condition."""
    if trouble is not None:
        return Fact("Watching", False, *trouble)
    if compiled is None or plan is None:
        return Fact("Watching", None, "Starting", "the targets are being resolved")
    for index in sorted(plan.problems):
        return Fact("Watching", False, *plan.problems[index])
    for tracker in source.trackers.values():
        if tracker.error is not None:
            what = tracker.feed.resource.qualified
            where = f" in namespace {tracker.feed.namespace}" if tracker.feed.namespace else ""
            reason = tracker.error.reason or "WatchFailed"
            reason = reason if reason.isalnum() else "WatchFailed"
            return Fact(
                "Watching", False, reason, f"{what}{where} cannot be watched: {tracker.error.message}"
            )
    behind = [t for t in source.trackers.values() if not t.is_live and t not in source.waiting]
    if behind:
        return Fact(
            "Watching", None, "Starting", f"{len(behind)} of {len(source.trackers)} watches are not open yet"
        )
    return Fact("Watching", True, "Watching", "")


def delivering(source: Source) -> Fact:
    """The Delivering condition."""
    if source.obj.spec.suspend:
        return Fact(
            "Delivering", False, "Suspended", "spec.suspend is true: changes are remembered, nothing is sent"
        )
    sender = source.sender
    if sender is None:
        return Fact("Delivering", None, "Starting", "")
    if sender.hold.closed:
        url, message = sender.endpoint.key.url, sender.hold.message
        return Fact(
            "Delivering",
            False,
            sender.hold.reason,
            f"{url}: {message}; events wait and go out once it is mended",
        )
    outage = sender.endpoint.outage
    if outage.closed and sender.pending:
        message = f"{sender.endpoint.key.url}: {outage.message}; events wait, none is lost"
        return Fact("Delivering", False, outage.reason, message)
    return Fact("Delivering", True, "Delivering", "")


def bound(listing: Listing | None, namespace: str) -> Fact:
    """The Bound condition."""
    if listing is None:
        return Fact("Bound", None, "Pending", "the bindings have not been listed yet")
    if listing.error:
        return Fact(
            "Bound", None, "ListFailed", f"the WorkflowEventBindings cannot be listed: {listing.error}"
        )
    if not listing.names:
        where = f"namespace {namespace}" if namespace else "any namespace"
        message = (
            f"no WorkflowEventBinding in {where} matches spec.bindings: events are sent, but nothing listens"
        )
        return Fact("Bound", False, "NoBindings", message)
    return Fact("Bound", True, "BindingsFound", f"{len(listing.names)} WorkflowEventBinding(s)")


def build_status(
    obj: EventSource,
    source: Source,
    facts: list[Fact],
    *,
    compiled: Compiled | None,
    plan: Plan | None,
    listing: Listing | None,
    before: Status,
    server: str,
) -> Status:
    """The whole status; equal to ``before`` when nothing changed, so that nothing is written."""
    facts = [Fact(f.type, f.ok, f.reason, clean(f.message, 1000)) for f in facts]
    moments = conditions(facts, before.conditions, generation=obj.generation, now=stamp(time.time()))
    watches = []
    for target in compiled.targets if compiled is not None else ():
        mine = [t for t in source.trackers.values() if t.target.index == target.index]
        problem = plan.problems.get(target.index) if plan is not None else None
        objects = sum(1 for t in mine for entry in t.cursor.ledger.values() if not entry.out)
        live = plan is not None and problem is None and all(t.is_live for t in mine)
        namespaces = plan.namespaces.get(target.index, 0) if plan is not None else 0
        reason, message = problem if problem is not None else ("", "")
        watches.append(WatchStatus(target.label, namespaces, objects, live, reason, clean(message, 500)))
    bindings = before.bindings
    if listing is not None and not listing.error:
        names = listing.names[:_NAMES]
        same = bindings is not None and (bindings.count, bindings.names) == (len(listing.names), names)
        if not same:
            bindings = BindingsStatus(len(listing.names), names, stamp(listing.at))
    return Status(
        observed_generation=obj.generation,
        conditions=moments,
        server=server,
        namespace=obj.event_namespace or "*",
        watches=tuple(watches),
        bindings=bindings,
        deliveries=source.book.status(source.pending),
        evaluation_errors=source.errors,
    )
