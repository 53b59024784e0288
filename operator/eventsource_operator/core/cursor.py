"""How far one source has come on one feed: what it has read, what is acknowledged, what it knows.

A cursor reads ahead of what is acknowledged. Two versions describe it: ``seen``, the newest change it has read, and
``position``, the newest version up to which every change is acknowledged (delivered, or recorded as failed). Between
them lies the *window*: one slot per change that is not settled, or that is settled but younger than one that is not.
A checkpoint must say what was true at ``position``; each slot therefore remembers the ledger entry that its change
replaced, and the ledger at ``position`` is the present one with the window undone. A change that means several events
(a deletion and a creation under one name) leaves the window as a whole: half of it is not what was true at any version.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from eventsource_operator.core.ledger import Entry, Ledger, to_row

MAX_WINDOW = 20_000
"""Slots a window may hold before the cursor stops accepting; one stuck event must not let it grow for ever."""

MAX_DONE = 1_000
"""Ids of settled changes above the position that a checkpoint keeps, so that a restart does not repeat them."""


class Slot:
    """One change in the window."""

    __slots__ = ("before", "floor", "id", "key", "parts", "seen_at", "settled", "undo")

    def __init__(self, id_: str, key: str, seen_at: float) -> None:
        self.id = id_
        self.key = key
        self.seen_at = seen_at
        self.settled = False
        self.floor = 0
        self.parts = 1
        self.undo = False
        self.before: Entry | None = None


class Progress(NamedTuple):
    """What a checkpoint's head says of a cursor.

    ``time`` is the wall clock (seconds) at which ``position`` was current: an object created later is a new one.
    """

    position: int
    time: float
    done: tuple[str, ...]
    delta: tuple[list[Any], ...]


class Cursor:
    """The progress of one source on one feed. Not thread-safe: the event loop owns it."""

    def __init__(
        self, ledger: Ledger | None = None, position: int | None = None, done: Iterable[str] = ()
    ) -> None:
        self.ledger: Ledger = {} if ledger is None else ledger
        self.selected = sum(map(_inside, self.ledger.values()))
        """How many objects of the ledger are selected: counted along, because ledgers are large."""
        self.seen: int | None = position
        self.position: int = position or 0
        self.skip: set[str] = set(done)
        self.window: deque[Slot] = deque()
        self.touched: set[str] = set()
        self.unsaved = False
        """Whether something was settled or learned that no checkpoint holds yet."""

    @property
    def full(self) -> bool:
        """Whether the window is at its bound."""
        return len(self.window) >= MAX_WINDOW

    def apply(
        self, key: str, entry: Entry | None, ids: tuple[str, ...], *, rv: int, now: float
    ) -> list[Slot]:
        """Takes one judged observation in; returns a slot for each id, to be settled later.

        A slot that is settled already is of an event that was acknowledged before a restart: it is not sent again,
        but the next checkpoint must go on telling of it while the position is below it.

        Args:
            key: the object's key.
            entry: what the ledger holds from now on.
            ids: the events that will be sent for it, in order; often none.
            rv: the version up to which all has been read once this observation is taken in; 0 inside a list,
                whose order says nothing (`advance` closes it).
            now: wall clock, seconds.
        """
        ledger = self.ledger
        before = ledger.get(key)
        changed = entry != before
        if changed:
            self.touched.add(key)
            self.unsaved = True
            self.selected += _inside(entry) - _inside(before)
            if entry is None:
                del ledger[key]
            else:
                ledger[key] = entry
        slots = [Slot(i, key, now) for i in ids]
        for slot in slots:
            if slot.id in self.skip:
                self.skip.discard(slot.id)
                slot.settled = True
        if changed and not slots and self.window:
            quiet = Slot("", key, now)
            quiet.settled = True
            slots_all = [quiet]
        else:
            slots_all = slots
        if slots_all:
            slots_all[0].parts = len(slots_all)
            if changed:
                slots_all[0].undo = True
                slots_all[0].before = before
            self.window.extend(slots_all)
        if rv:
            self.advance(rv)
        self._close()
        return slots

    def advance(self, rv: int) -> None:
        """All up to ``rv`` has been read: the position follows as soon as the window allows it."""
        self.seen = rv
        if self.window:
            self.window[-1].floor = rv
        else:
            self.position = rv

    def settle(self, slot: Slot) -> None:
        """The slot's event was acknowledged or recorded as failed."""
        slot.settled = True
        self.unsaved = True
        self._close()

    def _close(self) -> None:
        """Takes those changes out of the window that are settled as a whole and have none before them that is not."""
        window = self.window
        while window and all(window[i].settled for i in range(window[0].parts)):
            for _ in range(window[0].parts):
                floor = window.popleft().floor
                if floor:
                    self.position = floor

    def progress(self, now: float) -> Progress:
        """What to write into the head: true at ``position``, whatever has been read since."""
        overlay = self._undone()
        rows = tuple(
            to_row(k, overlay[k] if k in overlay else self.ledger.get(k)) for k in sorted(self.touched)
        )
        done = [s.id for s in self.window if s.settled and s.id]
        done += sorted(self.skip)
        seen_at = self.window[0].seen_at if self.window else now
        return Progress(self.position, seen_at, tuple(done[:MAX_DONE]), rows)

    def ledger_at_position(self) -> Ledger:
        """A copy of the ledger with the window undone: what a snapshot holds."""
        ledger = self.ledger.copy()
        for key, entry in self._undone().items():
            if entry is None:
                ledger.pop(key, None)
            else:
                ledger[key] = entry
        return ledger

    def snapshot_taken(self) -> None:
        """The next delta begins here: only keys that the window may still change are carried over."""
        self.touched = {slot.key for slot in self.window if slot.undo}

    def _undone(self) -> dict[str, Entry | None]:
        overlay: dict[str, Entry | None] = {}
        for slot in self.window:
            if slot.undo and slot.key not in overlay:
                overlay[slot.key] = slot.before
        return overlay


def _inside(entry: Entry | None) -> bool:
    return entry is not None and not entry.out
