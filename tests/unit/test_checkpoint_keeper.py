"""The checkpoint survives a crash at any write, and what a crash leaves behind does no harm."""

from __future__ import annotations

from typing import Any

import pytest

from eventsource_operator.core.cursor import Cursor
from eventsource_operator.core.ledger import Entry, LedgerError
from eventsource_operator.kube.errors import Unreachable
from eventsource_operator.streams.checkpoint import Keeper, Tracked


class Store:
    """Checkpoint objects in memory; the write number ``fails_at`` fails."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.fails_at: int | None = None
        self.writes = 0

    async def read_all(self, namespace: str, source_uid: str | None = None) -> list[dict[str, Any]]:
        _ = namespace, source_uid
        kind = {"apiVersion": "eventsource-operator.dev/v1alpha1", "kind": "EventSourceCheckpoint"}
        return [{**kind, **obj} for obj in self.objects.values()]

    async def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        if self.writes == self.fails_at:
            raise Unreachable(0, "ConnectionFailed", "cut")
        self.objects[obj["metadata"]["name"]] = obj
        return obj

    async def delete(self, namespace: str, name: str) -> bool:
        _ = namespace
        return self.objects.pop(name, None) is not None


def keeper(store: Store) -> Keeper:
    return Keeper(store, "ns", "source", "uid-1")  # type: ignore[arg-type]


def known(cursor: Cursor, key: str, uid: str, rv: int) -> None:
    cursor.apply(key, Entry(uid), (), rv=rv, now=1.0)


async def save(keep: Keeper, tracked: list[Tracked], *, now: float) -> None:
    await keep.save(tracked, (), now=now, wall=1.0, interval=30.0)


async def test_what_was_saved_is_loaded() -> None:
    store = Store()
    cursor = Cursor(position=5)
    known(cursor, "ns/a", "u1", 6)
    tracked = Tracked("k1", "v1/configmaps", "ns", "shape", cursor)
    keep = keeper(store)
    await save(keep, [tracked], now=0.0)
    known(cursor, "ns/b", "u2", 9)  # goes into the delta
    await save(keep, [tracked], now=1.0)

    restored = (await keeper(store).load()).targets["k1"]

    assert restored.cursor.ledger == {"ns/a": Entry("u1"), "ns/b": Entry("u2")}
    assert restored.cursor.position == 9
    assert restored.shape == "shape"


@pytest.mark.parametrize("fails_at", [3, 4])
async def test_a_write_that_is_cut_off_leaves_the_old_or_the_new_state(fails_at: int) -> None:
    store = Store()
    cursor = Cursor(position=5)
    known(cursor, "ns/a", "u1", 6)
    tracked = Tracked("k1", "v1/configmaps", "ns", "shape", cursor)
    await save(keeper(store), [tracked], now=0.0)
    known(cursor, "ns/b", "u2", 9)
    store.fails_at = fails_at  # the chunk of the second snapshot, then the head
    keep = keeper(store)
    await keep.load()
    with pytest.raises(Unreachable):
        await save(keep, [tracked], now=100.0)

    after = keeper(store)
    restored = (await after.load()).targets["k1"]
    assert restored.cursor.ledger == {"ns/a": Entry("u1")}
    again = Tracked("k1", "v1/configmaps", "ns", "shape", restored.cursor, restored.ledger, 0.0)
    known(restored.cursor, "ns/c", "u3", 12)
    await save(after, [again], now=100.0)  # a snapshot again, under the name of the one that was cut off

    last = (await keeper(store).load()).targets["k1"]
    assert last.cursor.ledger == {"ns/a": Entry("u1"), "ns/c": Entry("u3")}
    assert len(store.objects) == 2, "one head and one chunk, nothing left over"


async def test_a_restart_does_not_forget_what_only_the_delta_told() -> None:
    store = Store()
    cursor = Cursor(position=5)
    tracked = Tracked("k1", "v1/configmaps", "ns", "shape", cursor)
    keep = keeper(store)
    await save(keep, [tracked], now=0.0)
    known(cursor, "ns/a", "u1", 6)  # goes into the delta
    await save(keep, [tracked], now=1.0)

    after = keeper(store)
    restored = (await after.load()).targets["k1"]
    again = Tracked("k1", "v1/configmaps", "ns", "shape", restored.cursor, restored.ledger, 2.0)
    restored.cursor.advance(9)
    await save(after, [again], now=3.0)  # too soon for a snapshot

    last = (await keeper(store).load()).targets["k1"]
    assert last.cursor.ledger == {"ns/a": Entry("u1")}
    assert last.cursor.position == 9


async def test_a_snapshot_that_could_not_be_written_is_written_later() -> None:
    store = Store()
    cursor = Cursor(position=5)
    tracked = Tracked("k1", "v1/configmaps", "ns", "shape", cursor)
    keep = keeper(store)
    await save(keep, [tracked], now=0.0)
    known(cursor, "ns/a", "u1", 6)
    store.fails_at = 3  # the chunk
    with pytest.raises(Unreachable):
        await save(keep, [tracked], now=100.0)
    store.fails_at = None
    await save(keep, [tracked], now=101.0)

    restored = (await keeper(store).load()).targets["k1"]
    assert restored.cursor.position == 6
    assert restored.cursor.ledger == {"ns/a": Entry("u1")}


async def test_a_chunk_that_is_missing_is_an_error_and_not_an_empty_ledger() -> None:
    store = Store()
    cursor = Cursor(position=5)
    known(cursor, "ns/a", "u1", 6)
    await save(keeper(store), [Tracked("k1", "v1/configmaps", "ns", "shape", cursor)], now=0.0)
    store.objects = {n: o for n, o in store.objects.items() if o["role"] == "Head"}

    with pytest.raises(LedgerError, match="0 of 1 chunks"):
        await keeper(store).load()
