"""The annotation `eventsource-operator.dev/replay`: send again what failed, or the present state of an object."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from eventsource_operator.api.checkpoint import FailedEvent
from eventsource_operator.api.eventsource import REPLAY_ANNOTATION, ChangeType, EventSource
from eventsource_operator.core.event import Change
from eventsource_operator.core.observed import Seen
from eventsource_operator.kube.errors import Invalid, NotFound
from eventsource_operator.sources.ledgerbook import stamp
from eventsource_operator.sources.teller import RESOURCE

if TYPE_CHECKING:
    from eventsource_operator.sources.loop import SourceLoop

_log = logging.getLogger(__name__)


async def replay(loop: SourceLoop, obj: EventSource) -> None:
    """Does what the annotation asks for, then removes it: the removal says that it was taken.

    Raises:
        KubeError: the API server did not answer; it is tried again.
    """
    raw = obj.annotation(REPLAY_ANNOTATION) or ""
    wanted = raw.strip()
    if not wanted or loop.source.sender is None:
        return
    if not await _remove(loop, obj, raw):
        return
    source = loop.source
    if wanted == "failed" or not wanted.count("/"):
        chosen = [f for f in source.book.failures if wanted in ("failed", f.id)]
        if not chosen:
            source.warn("ReplayIgnored", f"{REPLAY_ANNOTATION}: no failed event {wanted[:64]!r} is recorded")
        for failure in chosen:
            await _failed(loop, failure)
        return
    parts = wanted.split("/")
    kind, namespace, name = parts[0], "/".join(parts[1:-1]), parts[-1]
    tracker = next(
        (
            t
            for t in source.trackers.values()
            if t.feed.resource.kind == kind and t.feed.namespace in ("", namespace)
        ),
        None,
    )
    if tracker is None or not name:
        note = f"{REPLAY_ANNOTATION}: this source watches no {kind} in {namespace or 'the cluster'}"
        source.warn("ReplayIgnored", f"{note}; use <event id>, failed or <kind>/<namespace>/<name>")
        return
    change = await _present(
        loop, tracker.feed.resource.api_version, kind, namespace, name, ChangeType.MODIFIED, ""
    )
    if change is None:
        source.warn("ReplayIgnored", f"{REPLAY_ANNOTATION}: {kind} {namespace}/{name} does not exist")
    else:
        source.submit(change, f"{namespace}/{name}", _nothing)


async def _failed(loop: SourceLoop, failure: FailedEvent) -> None:
    source = loop.source
    item = source.book.item(failure.id)
    if item is not None and source.sender is not None:
        item.settle, item.retries, item.mark, item.due, item.born = _nothing, 0, -1, 0.0, time.monotonic()
        source.sender.push(item)
        return
    ref = failure.resource
    change = await _present(loop, ref.api_version, ref.kind, ref.namespace, ref.name, failure.type, ref.uid)
    if change is None:
        plural = (await loop.services.discovery.resolve(ref.api_version, ref.kind)).plural
        change = Change(
            ChangeType.DELETED if failure.type is ChangeType.DELETED else failure.type,
            ref.api_version, ref.kind, plural, ref.namespace, ref.name, ref.uid, failure.resource_version,
            stamp(time.time()),
        )  # fmt: skip
    source.submit(change, f"{ref.namespace}/{ref.name}", _nothing)


async def _present(
    loop: SourceLoop, api_version: str, kind: str, namespace: str, name: str, type_: ChangeType, uid: str
) -> Change | None:
    """The object as it is now; None when it is gone, or another one has its name."""
    resource = await loop.services.discovery.resolve(api_version, kind)
    path = resource.path(quote(namespace, safe="") or None, quote(name, safe=""))
    try:
        raw = await loop.services.client.request("GET", path)
    except NotFound:
        return None
    seen = Seen(raw)
    if uid and seen.uid != uid:
        return None
    return Change(
        type_,
        api_version,
        kind,
        resource.plural,
        namespace,
        name,
        seen.uid,
        str(seen.rv),
        stamp(time.time()),
        seen.object,
    )


async def _remove(loop: SourceLoop, obj: EventSource, wanted: str) -> bool:
    where = f"/metadata/annotations/{REPLAY_ANNOTATION.replace('/', '~1')}"
    patch = [{"op": "test", "path": where, "value": wanted}, {"op": "remove", "path": where}]
    try:
        await loop.services.client.request(
            "PATCH",
            RESOURCE.path(obj.namespace, obj.name),
            body=patch,
            content_type="application/json-patch+json",
        )
    except (Invalid, NotFound):
        return False  # taken already, or changed meanwhile: a newer version of the object is on its way to us
    return True


def _nothing() -> None:
    """A replayed event has no place in the window of a cursor."""
