"""Reads and writes a source's checkpoint: a head with positions and deltas, chunks with ledgers.

Crash-safe by order: new chunks first, then the head that names them, then the old chunks go. What is read is checked
against the head's digest; anything that does not fit is an error, never an empty ledger (it would look as if every
object were new).
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime

from eventsource_operator.api.checkpoint import (
    Chunk,
    FailedEvent,
    Head,
    LedgerRef,
    SourceRef,
    TargetProgress,
    checkpoint_to_dict,
    parse_checkpoint,
)
from eventsource_operator.api.eventsource import API_VERSION, KIND
from eventsource_operator.core.cursor import Cursor
from eventsource_operator.core.ledger import LedgerError, digest_of, from_row, pack, restore, snapshot, unpack
from eventsource_operator.core.times import rfc3339
from eventsource_operator.kube.checkpoints import SOURCE_UID_LABEL, CheckpointStore

CODEC = 1
MAX_DELTA_ROWS = 2_000
"""Changed rows after which a new snapshot is cheaper than a longer delta."""


@dataclass(slots=True)
class Tracked:
    """A cursor and how it is written: ``key`` names it in the head."""

    key: str
    resource: str
    namespace: str
    shape: str
    cursor: Cursor
    ledger: LedgerRef | None = None
    snapshot_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Restored:
    """What a stored target tells."""

    resource: str
    namespace: str
    cursor: Cursor
    shape: str
    known_at: float
    ledger: LedgerRef | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint as read; ``found`` is false when there is none."""

    found: bool
    targets: dict[str, Restored]
    failures: tuple[FailedEvent, ...]


class Keeper:
    """The checkpoint of one source."""

    def __init__(self, store: CheckpointStore, namespace: str, name: str, uid: str) -> None:
        self._store = store
        self._namespace = namespace
        self._ref = SourceRef(name, uid)
        self._prefix = f"{name[:200]}-{hashlib.blake2b(uid.encode(), digest_size=4).hexdigest()}"
        self._stale: list[str] = []
        self._written: dict[str, int] = {}
        self.writes = 0

    async def load(self) -> Loaded:
        """Reads everything.

        Raises:
            CheckpointError, LedgerError: what is stored cannot be used.
            KubeError: the API server did not answer.
        """
        head: Head | None = None
        chunks: dict[tuple[str, int], dict[int, str]] = {}
        names: dict[tuple[str, int], list[str]] = {}
        for obj in await self._store.read_all(self._namespace, self._ref.uid):
            part = parse_checkpoint(obj)
            if isinstance(part, Head):
                head = part
            else:
                where = (part.target, part.generation)
                chunks.setdefault(where, {})[part.index] = part.data
                names.setdefault(where, []).append(obj["metadata"]["name"])
        if head is None:
            self._stale = [name for group in names.values() for name in group]
            return Loaded(found=False, targets={}, failures=())
        targets: dict[str, Restored] = {}
        for progress in head.targets:
            stored = progress.ledger
            parts: list[str] = []
            if stored is not None:
                group = chunks.pop((progress.key, stored.generation), {})
                names.pop((progress.key, stored.generation), None)
                if len(group) != stored.chunks:
                    raise LedgerError(f"{len(group)} of {stored.chunks} chunks of the ledger exist")
                parts = [group[i] for i in sorted(group)]
                self._written[progress.key] = stored.generation
            digest = stored.digest if stored is not None else digest_of(())
            ledger = await asyncio.to_thread(restore, parts, digest, progress.delta)
            cursor = Cursor(ledger, int(progress.position), progress.done)
            if progress.delta:  # the next head names the same snapshot: its delta must tell of these, too
                cursor.touched = {from_row(row)[0] for row in unpack(progress.delta)}
            known = datetime.fromisoformat(progress.time).timestamp()
            targets[progress.key] = Restored(
                progress.resource, progress.namespace, cursor, progress.shape, known, stored
            )
        self._stale = [name for group in names.values() for name in group]
        return Loaded(found=True, targets=targets, failures=head.failures)

    async def save(
        self,
        tracked: list[Tracked],
        failures: tuple[FailedEvent, ...],
        *,
        now: float,
        wall: float,
        interval: float,
    ) -> None:
        """Writes the head, and snapshots of those ledgers whose delta is old or long.

        Raises:
            KubeError: nothing is lost: it is written again.
        """
        rows: list[TargetProgress] = []
        for one in tracked:
            cursor = one.cursor
            due = now - one.snapshot_at >= interval or len(cursor.touched) > MAX_DELTA_ROWS
            if one.ledger is None or (cursor.touched and due):
                await self._snapshot(one, now)
            progress = cursor.progress(wall)
            cursor.unsaved = False
            rows.append(
                TargetProgress(
                    key=one.key,
                    resource=one.resource,
                    namespace=one.namespace,
                    position=str(progress.position),
                    time=rfc3339(progress.time),
                    shape=one.shape,
                    done=progress.done,
                    delta=pack(progress.delta) if progress.delta else "",
                    ledger=one.ledger,
                )
            )
        try:
            await self._put(self._prefix, Head(self._ref, tuple(rows), failures))
        except BaseException:
            for one in tracked:
                one.cursor.unsaved = True
            raise
        while self._stale:
            await self._store.delete(self._namespace, self._stale[-1])
            self._stale.pop()

    async def _snapshot(self, one: Tracked, now: float) -> None:
        """Writes a ledger's chunks; those that it replaces are deleted once the head names the new ones."""
        cursor = one.cursor
        position = cursor.position
        ledger = cursor.ledger_at_position()
        generation = self._written.get(one.key, 0) + 1
        old = one.ledger
        touched = cursor.touched
        cursor.snapshot_taken()
        try:
            taken = await asyncio.to_thread(snapshot, ledger)
            for index, data in enumerate(taken.chunks):
                name = self._chunk(one.key, generation, index)
                if (
                    name in self._stale
                ):  # left by a write that a crash cut off: it is written anew, not deleted
                    self._stale.remove(name)
                await self._put(name, Chunk(self._ref, one.key, generation, index, data))
        except BaseException:
            cursor.touched |= touched  # the head goes on naming the old snapshot
            raise
        self._written[one.key] = generation
        one.ledger = LedgerRef(
            CODEC, str(position), generation, len(taken.chunks), taken.objects, taken.digest
        )
        one.snapshot_at = now
        if old is not None:
            self._stale += [self._chunk(one.key, old.generation, i) for i in range(old.chunks)]

    def _chunk(self, key: str, generation: int, index: int) -> str:
        return f"{self._prefix}-{key}-{generation}-{index}"

    async def _put(self, name: str, part: Head | Chunk) -> None:
        owner = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self._ref.name,
            "uid": self._ref.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
        meta = {
            "name": name,
            "namespace": self._namespace,
            "labels": {SOURCE_UID_LABEL: self._ref.uid},
            "ownerReferences": [owner],
        }
        self.writes += 1
        await self._store.put({**checkpoint_to_dict(part), "metadata": meta})
