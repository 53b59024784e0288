"""Which feeds a source reads: new ones join, changed ones compare with a list, others leave."""

from __future__ import annotations

import time

from eventsource_operator.core.cursor import Cursor
from eventsource_operator.core.target import Target
from eventsource_operator.sources.source import Source
from eventsource_operator.sources.state import State
from eventsource_operator.sources.tracker import Tracker
from eventsource_operator.streams.checkpoint import Loaded, Tracked
from eventsource_operator.streams.feed import Feed


def follow(source: Source, state: State, loaded: Loaded | None) -> None:
    """Makes the trackers be those of the plan.

    Args:
        source: whose trackers.
        state: with the plan; ``tracked`` follows.
        loaded: the checkpoint, from which trackers that are new in this process continue.
    """
    plan = state.plan
    if plan is None or source.sender is None:
        return
    hub = source.services.hub
    for key in [key for key in source.trackers if key not in plan.feeds]:
        gone = source.trackers[key]
        leave(source, gone)
        source.waiting.discard(gone)
        if gone.target.index not in plan.problems:
            del source.trackers[key]  # no longer asked for; while a right or kind is missing it only waits
            state.tracked.pop(key, None)
    for key, (target, feed) in plan.feeds.items():
        tracker = source.trackers.get(key)
        if tracker is None:
            tracker = source.trackers[key] = _begin(source, state, loaded, key, target, feed)
        elif tracker.target is not target:
            if tracker.target.shape != target.shape:
                leave(source, tracker)
                tracker.known_at = time.time()
                tracker.expired()
            tracker.target = target
            state.tracked[key].shape = target.shape
        if not tracker.attached and tracker not in source.waiting:
            tracker.attached = True
            hub.join(tracker)


def leave(source: Source, tracker: Tracker) -> None:
    """It is not read for any more; its position stays."""
    source.services.hub.leave(tracker)
    tracker.attached = tracker.is_live = False


def _begin(
    source: Source, state: State, loaded: Loaded | None, key: str, target: Target, feed: Feed
) -> Tracker:
    restored = loaded.targets.pop(key, None) if loaded is not None else None
    resource = f"{feed.resource.api_version}/{feed.resource.plural}"
    if restored is None:
        tracker = Tracker(source, target, feed, Cursor())
        state.tracked[key] = Tracked(key, resource, feed.namespace, target.shape, tracker.cursor)
        return tracker
    cursor = restored.cursor
    tracker = Tracker(source, target, feed, cursor, restored.known_at)
    tracker.needs_list = restored.shape != target.shape
    if cursor.position == 0:  # it ended within its first list
        tracker.initial = tracker.needs_list = True
    state.tracked[key] = Tracked(
        key, resource, feed.namespace, target.shape, cursor, restored.ledger, time.monotonic()
    )
    return tracker
