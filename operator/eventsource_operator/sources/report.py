"""From a source's present state to its status."""

from __future__ import annotations

import time
from typing import Final

from eventsource_operator.api.eventsource import EventSource
from eventsource_operator.api.status import MAX_CONDITION_MESSAGE, BindingsStatus, Status, WatchStatus
from eventsource_operator.core.conditions import Fact, Reason, conditions
from eventsource_operator.core.text import clean, in_namespace
from eventsource_operator.delivery.endpoint import EndpointKey
from eventsource_operator.kube.errors import (
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    Unauthorized,
    Unreachable,
)
from eventsource_operator.sources.authorize import summary
from eventsource_operator.sources.bindings import Listing
from eventsource_operator.sources.ledgerbook import stamp
from eventsource_operator.sources.plan import Plan
from eventsource_operator.sources.source import Source
from eventsource_operator.sources.state import State
from eventsource_operator.sources.tracker import Tracker

_NAMES = 20

_AGAIN: Final = "it is tried again by itself, from where it stopped"

_REMEDIES: Final = {
    Reason.SERVER_UNREACHABLE: "see why the server is away; none of the waiting events is lost",
    Reason.SERVER_OVERLOADED: "raise its limits, or lower spec.delivery.maxConcurrency; the events wait",
    Reason.UNAUTHORIZED: "renew the token ({token}); the events wait, and go out once it is mended",
    Reason.FORBIDDEN: "grant that right to whom the token ({token}) belongs; the events wait, and go out then",
    Reason.CREDENTIALS_UNAVAILABLE: "create it, or give the operator the right to get it; the events wait",
}
"""What to do, by reason of Delivering=False; `{token}` is where the token comes from."""


def authorized(state: State) -> Fact:
    """The Authorized condition."""
    if state.refused:
        return Fact("Authorized", False, Reason.SERVER_NOT_ALLOWED, state.refused)
    if not state.accepted.ok or state.plan is None:
        return Fact("Authorized", None, Reason.PENDING, "the rights have not been asked for yet")
    if state.plan.denials:
        return Fact("Authorized", False, Reason.DENIED, summary(state.plan.denials))
    return Fact("Authorized", True, Reason.AUTHORIZED)


def watching(source: Source, state: State) -> Fact:
    """The Watching condition."""
    if state.accepted.ok is False:
        return Fact("Watching", None, Reason.PENDING, "nothing is watched while the spec is not accepted")
    if state.trouble is not None:
        return Fact("Watching", False, *state.trouble)
    if state.compiled is None or state.plan is None:
        return Fact("Watching", None, Reason.STARTING, "the targets are being resolved")
    if state.plan.problems:
        return Fact("Watching", False, *state.plan.problems[min(state.plan.problems)])
    for tracker in source.trackers.values():
        if tracker.error is not None:
            reason, message = broken(tracker, tracker.error)
            return Fact("Watching", False, reason, message)
    if source.sender is None:  # its server was refused from the start: where would the changes go?
        return Fact("Watching", None, Reason.PENDING, "nothing is watched before the server may be used")
    behind = [t for t in source.trackers.values() if not t.is_live and t not in source.waiting]
    if behind:
        message = f"{len(behind)} of {len(source.trackers)} watches are not open yet"
        return Fact("Watching", None, Reason.STARTING, message)
    if not state.stored:
        return Fact("Watching", None, Reason.STARTING, "the first position is not stored yet")
    return Fact("Watching", True, Reason.WATCHING)


def broken(tracker: Tracker, error: KubeError) -> tuple[Reason, str]:
    """Reason and message for a watch that the API server does not give."""
    resource, namespace = tracker.feed.resource, tracker.feed.namespace
    where = f" {in_namespace(namespace)}" if namespace else ""  # a kind without namespaces has none either
    at = f"spec.watch[{tracker.target.index}]"
    reason, remedy = Reason.API_SERVER_ERROR, _AGAIN
    if isinstance(error, Forbidden):
        role = f"watch-{resource.plural}"
        reason = Reason.FORBIDDEN
        remedy = (
            f"let the operator watch it: kubectl create clusterrole {role} --verb=get,list,watch "
            f"--resource={resource.qualified} && kubectl label clusterrole {role} "
            "eventsource-operator.dev/aggregate-to-watcher=true"
        )
    elif isinstance(error, Unauthorized):
        reason, remedy = Reason.UNAUTHORIZED, "renew the operator's own credentials"
    elif isinstance(error, NotFound):
        reason, remedy = Reason.KIND_NOT_FOUND, "is its CustomResourceDefinition still installed?"
    elif isinstance(error, Invalid) and tracker.feed.field_selector:
        reason, remedy = Reason.INVALID_SELECTOR, f"correct {at}.fieldSelector"
    elif isinstance(error, Unreachable):
        reason = Reason.CONNECTION_FAILED
    return reason, f"{at}: {resource.qualified}{where} cannot be watched: {error.message}; {remedy}"


def trouble_of(error: KubeError) -> tuple[Reason, str]:
    """Reason and message when a whole pass failed because of the Kubernetes API."""
    if error.transient:
        return Reason.API_SERVER_ERROR, f"the Kubernetes API did not answer: {error.message}; {_AGAIN}"
    if isinstance(error, Forbidden):
        message = f"the operator itself lacks a right: {error.message}; install its roles again"
        return Reason.FORBIDDEN, message
    return Reason.API_SERVER_ERROR, f"the Kubernetes API refused: {error.message}; {_AGAIN}"


def delivering(source: Source, state: State) -> Fact:
    """The Delivering condition."""
    if not state.accepted.ok:
        message = "nothing is sent while the spec is not accepted; changes are remembered"
        return Fact("Delivering", None, Reason.PENDING, message)
    if source.obj.spec.suspend:
        message = "spec.suspend is true: changes are remembered, nothing is sent; set it to false to go on"
        return Fact("Delivering", False, Reason.SUSPENDED, message)
    sender, plan = source.sender, state.plan
    if sender is None or state.refused or plan is None or plan.send_denied:
        message = "nothing is sent before the source is authorized; changes are remembered"
        return Fact("Delivering", None, Reason.PENDING, message)
    hold, outage, key = sender.hold, sender.endpoint.outage, sender.endpoint.key
    if hold.closed:
        return _stopped(key, hold.reason, hold.message)
    if outage.closed and sender.pending:
        return _stopped(key, outage.reason, outage.message)
    return Fact("Delivering", True, Reason.DELIVERING)


def _stopped(key: EndpointKey, word: str, message: str) -> Fact:
    reason = Reason(word)
    token = "the operator's own" if key.credentials == "operator" else f"Secret {key.credentials}"
    remedy = _REMEDIES[reason].format(token=token)
    return Fact("Delivering", False, reason, f"{key.url}: {message}; {remedy}")


def bound(listing: Listing | None, namespace: str) -> Fact:
    """The Bound condition; an empty namespace stands for all."""
    where = f"namespace {namespace}" if namespace else "any namespace"
    if listing is None:
        return Fact("Bound", None, Reason.PENDING, "the bindings have not been listed yet")
    if listing.error:
        message = f"the WorkflowEventBindings of {where} cannot be listed: {listing.error}"
        return Fact("Bound", None, Reason.LIST_FAILED, message)
    if not listing.names:
        message = (
            f"no WorkflowEventBinding in {where} matches spec.bindings: events are sent, but nothing listens; "
            "create one there, or correct spec.event.namespace or spec.bindings"
        )
        return Fact("Bound", False, Reason.NO_BINDINGS, message)
    return Fact("Bound", True, Reason.BINDINGS_FOUND, f"{len(listing.names)} WorkflowEventBinding(s)")


def build_status(
    obj: EventSource,
    source: Source,
    state: State,
    *,
    before: Status,
    server: str,
) -> Status:
    """The whole status; equal to ``before`` when nothing changed, so that nothing is written."""
    listing = state.listing
    facts = [f._replace(message=clean(f.message, MAX_CONDITION_MESSAGE)) for f in _facts(obj, source, state)]
    moments = conditions(facts, before.conditions, generation=obj.generation, now=stamp(time.time()))
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
        watches=_watches(source, state),
        bindings=bindings,
        deliveries=source.book.status(source.pending),
        evaluation_errors=source.errors,
    )


def _facts(obj: EventSource, source: Source, state: State) -> list[Fact]:
    return [
        state.accepted,
        authorized(state),
        watching(source, state),
        bound(state.listing, obj.event_namespace),
        delivering(source, state),
    ]


def _watches(source: Source, state: State) -> tuple[WatchStatus, ...]:
    targets = state.compiled.targets if state.compiled is not None else ()
    plan = state.plan or Plan()
    found = []
    for target in targets:
        mine = [t for t in source.trackers.values() if t.target.index == target.index]
        objects = sum(t.cursor.selected for t in mine)
        reason, message = plan.problems.get(target.index, ("", ""))
        error = next((t for t in mine if t.error is not None), None)
        if not reason and error is not None and error.error is not None:
            reason, message = broken(error, error.error)
        live = state.plan is not None and not reason and all(t.is_live for t in mine)
        namespaces = plan.namespaces.get(target.index, 0)
        found.append(WatchStatus(target.label, namespaces, objects, live, str(reason), clean(message, 500)))
    return tuple(found)
