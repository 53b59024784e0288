"""What an EventSource would do in this cluster: which objects match and the event that each would send.

Compiled, matched and built by the same code as in the operator, with its inputs for a change that is seen for the
first time: the old state is not known. Nothing is sent and nothing is written.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from eventsource_operator.api.eventsource import ChangeType, EventSource
from eventsource_operator.cli.cluster import SOURCES
from eventsource_operator.cli.explain import explain
from eventsource_operator.core.cel import CelRuntimeError
from eventsource_operator.core.event import Change, EventBuilder
from eventsource_operator.core.judge import Candidate
from eventsource_operator.core.observed import Seen, seen_as
from eventsource_operator.core.selectors import compile_labels
from eventsource_operator.core.target import Target
from eventsource_operator.core.times import rfc3339
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Discovery, KindNotFound, NotWatchable, Resource
from eventsource_operator.kube.errors import Forbidden, Invalid, KubeError, NotFound
from eventsource_operator.settings import Settings
from eventsource_operator.sources.authorize import denied, send_need, watch_need
from eventsource_operator.sources.plan import Compiled, given_namespaces
from eventsource_operator.streams.feed import Feed

_ORDER = (ChangeType.MODIFIED, ChangeType.ADDED, ChangeType.DELETED)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown.

    Attributes:
        change: The change that is supposed to happen; None: Modified where the target asks for it.
        limit: Events shown for each target; 0 for all.
        show_body: Whether with their bodies.
        only: `NAMESPACE/NAME` or `NAME` of the one object that is asked about; empty for all.
    """

    change: ChangeType | None = None
    limit: int = 0
    show_body: bool = False
    only: str = ""


@dataclass(slots=True)
class _Run:
    """What the parts of one preview share."""

    source: EventSource
    wish: Wish
    client: KubeClient
    settings: Settings
    builder: EventBuilder
    has_uid: bool
    taken: set[tuple[str, ChangeType]] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


async def preview(
    source: EventSource, compiled: Compiled, wish: Wish, client: KubeClient, settings: Settings
) -> dict[str, Any]:
    """The targets with their matches, and the problems; see `check` for how it is shown.

    Raises:
        KubeError: the API server could not be asked; what it refuses is a problem in the answer.
    """
    uid = source.uid or await _live_uid(source, client)
    builder = EventBuilder(source.namespace, source.name, uid, source.spec.event, compiled.payload)
    run = _Run(source, wish, client, settings, builder, bool(uid))
    await _may(run, None, "")
    discovery = Discovery(client)
    targets = [await _target(run, target, discovery) for target in compiled.targets]
    return {"targets": targets, "idsKnown": bool(uid), "problems": list(dict.fromkeys(run.problems))}


async def _live_uid(source: EventSource, client: KubeClient) -> str:
    """The uid of the source under this name, of which the ids of its events are made; empty when there is none."""
    try:
        live = await client.request("GET", SOURCES.path(source.namespace, source.name))
    except (NotFound, Forbidden):
        return ""
    return str(live["metadata"]["uid"])


@dataclass(slots=True)
class _Part:
    """One target and what is told of it."""

    run: _Run
    target: Target
    resource: Resource
    change: ChangeType
    report: dict[str, Any]


async def _target(run: _Run, target: Target, discovery: Discovery) -> dict[str, Any]:
    change = run.wish.change or next(each for each in _ORDER if each in target.spec.events)
    report: dict[str, Any] = {"target": target.label, "change": change.value, "namespaces": []}
    report |= {"objects": 0, "matching": 0, "failed": 0, "events": []}
    where = f"spec.watch[{target.index}]"
    try:
        resource = await discovery.resolve(target.spec.api_version, target.spec.kind)
        namespaces = await _namespaces(run, target) if resource.namespaced else [""]
        report["namespaces"] = namespaces
        for namespace in namespaces:
            await _may(run, resource, namespace)
        part = _Part(run, target, resource, change, report)
        if run.wish.only:
            await _one(part)
        else:
            for namespace in namespaces:
                async for seen in _listed(run.client, Feed(resource, namespace, target.spec.field_selector)):
                    _consider(part, seen)
    except (KindNotFound, NotWatchable) as error:
        run.problems.append(f"{where}.kind: {error.message}")
    except (Forbidden, NotFound, Invalid) as error:
        run.problems.append(f"{where}: {error.message}")
    return report


async def _namespaces(run: _Run, target: Target) -> list[str]:
    """The namespaces that the target reads; an empty name stands for all."""
    given = given_namespaces(run.source, target)
    if isinstance(given, list):
        return given
    matches = compile_labels(given)
    found: list[str] = []
    async for page in run.client.list_pages("/api/v1/namespaces"):
        metas = [raw["metadata"] for raw in page.items]
        found += [meta["name"] for meta in metas if matches(meta.get("labels") or {})]
    return sorted(found)


async def _may(run: _Run, resource: Resource | None, namespace: str) -> None:
    """Whether the source's service account may watch there, or, without a resource, send where it sends."""
    strict = run.settings.policy == "strict"
    if resource is None:
        need = send_need(run.source, strict=strict)
    else:
        need = watch_need(run.source, resource, namespace, strict=strict)
    if need is None:
        return
    try:
        answer = await denied(run.client, run.source, need)
    except KubeError as error:
        if error.transient:
            raise
        answer = f"whether it may {need.purpose} cannot be asked with your own rights: {error.message}"
    if answer is not None:
        run.problems.append(answer)


async def _listed(client: KubeClient, feed: Feed) -> AsyncIterator[Seen]:
    async for page in client.list_pages(feed.path, feed.query):
        for raw in page.items:
            yield seen_as(raw, feed.resource.api_version, feed.resource.kind)


async def _one(part: _Part) -> None:
    """The object that is asked about: whether this target matches it, and why."""
    run, target, resource = part.run, part.target, part.resource
    namespace, _, name = run.wish.only.rpartition("/")
    try:
        raw = await run.client.request("GET", resource.path(namespace or run.source.namespace, name))
    except NotFound:
        part.report["tests"] = None
        return
    seen = seen_as(raw, resource.api_version, resource.kind)
    listed = await _is_listed(part, seen)
    tests = explain(target, seen, part.report["namespaces"], part.change, listed=listed)
    part.report["tests"] = [test._asdict() for test in tests]
    if all(test.passed is not False for test in tests):
        _consider(part, seen)
    else:
        part.report["objects"] += 1


async def _is_listed(part: _Part, seen: Seen) -> bool:
    """Whether the field selector selects the object, which only the API server can tell."""
    selector = part.target.spec.field_selector
    if not selector:
        return True
    feed = Feed(part.resource, seen.namespace, f"metadata.name={seen.name},{selector}")
    return any([found.uid == seen.uid async for found in _listed(part.run.client, feed)])


def _consider(part: _Part, seen: Seen) -> None:
    """Counts an object, and adds the event that it would send."""
    run, target, report = part.run, part.target, part.report
    report["objects"] += 1
    candidate = Candidate(part.change, seen.uid, None, None, seen=True)
    try:
        if not (target.selects(seen) and target.wants(candidate)):
            return
        if not target.passes(candidate, seen.object, None, None):
            return
    except CelRuntimeError as error:
        _failed(part, seen, f"spec.watch[{target.index}].condition", error)
        return
    report["matching"] += 1
    again = (seen.uid, part.change) in run.taken
    run.taken.add((seen.uid, part.change))
    if run.wish.limit and len(report["events"]) >= run.wish.limit:
        return
    try:
        report["events"].append(_event(part, seen) | {"again": again})
    except CelRuntimeError as error:
        _failed(part, seen, "spec.event.payload", error)


def _failed(part: _Part, seen: Seen, where: str, error: CelRuntimeError) -> None:
    """An expression failed: the operator counts it and does not send."""
    part.report["failed"] += 1
    if part.report["failed"] == 1:
        part.run.problems.append(f"{where}: fails on {seen.key.lstrip('/')}: {error}")


def _event(part: _Part, seen: Seen) -> dict[str, Any]:
    """The event as the operator builds it for a change whose old state it does not know."""
    resource, run = part.resource, part.run
    now = rfc3339(time.time(), "milliseconds")
    change = Change(
        part.change, resource.api_version, resource.kind, resource.plural, seen.namespace, seen.name,
        seen.uid, str(seen.rv), now, seen.object,
    )  # fmt: skip
    built = run.builder.build(change)
    place = f"{seen.namespace}/{seen.name}" if seen.namespace else seen.name
    event: dict[str, Any] = {
        "object": f"{resource.kind} {place}",
        "type": part.change.value,
        "id": built.id if run.has_uid else None,
        "subject": f"{resource.plural}/{place}",
        "bytes": len(built.body),
        "truncated": built.truncated,
    }
    if run.wish.show_body:
        event["body"] = json.loads(built.body)
    return event
