"""The cursor's window: what the position waits for, what is unsaved, and the bounds of both."""

from __future__ import annotations

from typing import Any

import pytest

from eventsource_operator.core import cursor as module
from eventsource_operator.core.cursor import Cursor
from eventsource_operator.core.judge import judge_missing
from eventsource_operator.core.ledger import Entry


def test_the_order_of_a_list_says_nothing_its_end_does() -> None:
    cursor = Cursor({"ns/a": Entry("u1"), "ns/b": Entry("u2")}, position=5)
    (deleted,) = cursor.apply("ns/a", judge_missing(Entry("u1")).entry, ("gone",), rv=0, now=1.0)
    assert cursor.apply("ns/b", Entry("u2", out=True), (), rv=0, now=1.0) == []
    assert cursor.seen == 5
    assert cursor.ledger_at_position() == {"ns/a": Entry("u1"), "ns/b": Entry("u2")}
    cursor.settle(deleted)
    assert cursor.position == 5, "the list is not complete"
    assert cursor.window == type(cursor.window)()

    cursor.advance(9)
    assert cursor.position == cursor.seen == 9
    assert cursor.ledger_at_position() == {"ns/b": Entry("u2", out=True)}


def test_a_bookmark_waits_behind_what_is_not_settled() -> None:
    cursor = Cursor(position=1)
    (slot,) = cursor.apply("ns/a", Entry("u"), ("x",), rv=2, now=1.0)
    cursor.advance(7)
    assert (cursor.seen, cursor.position) == (7, 1)
    cursor.settle(slot)
    assert cursor.position == 7


def test_a_new_cursor_has_seen_nothing() -> None:
    cursor = Cursor()

    assert cursor.seen is None
    assert cursor.position == 0
    assert cursor.progress(3.0) == (0, 3.0, (), ())
    assert not cursor.unsaved
    assert not cursor.full


def test_the_time_of_the_position_is_that_of_the_oldest_change_above_it() -> None:
    cursor = Cursor(position=1)
    (first,) = cursor.apply("ns/a", Entry("u"), ("x",), rv=2, now=10.0)
    cursor.apply("ns/b", Entry("v"), ("y",), rv=3, now=20.0)

    assert cursor.progress(30.0).time == 10.0
    cursor.settle(first)
    assert cursor.progress(30.0).time == 20.0


def test_nothing_is_to_be_saved_while_nothing_changes() -> None:
    cursor = Cursor({"ns/a": Entry("u")}, position=1)
    cursor.apply("ns/a", Entry("u"), (), rv=2, now=1.0)
    cursor.apply("ns/b", None, (), rv=3, now=1.0)
    cursor.advance(4)
    assert not cursor.touched
    (slot,) = cursor.apply("ns/a", Entry("u"), ("x",), rv=5, now=1.0)
    before = bool(cursor.unsaved)
    cursor.settle(slot)
    assert (before, cursor.unsaved) == (False, True)


def test_the_window_is_full_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WINDOW", 3)
    cursor = Cursor(position=0)
    (first,) = cursor.apply("ns/a", Entry("u"), ("stuck",), rv=1, now=1.0)
    cursor.apply("ns/b", Entry("v"), (), rv=2, now=1.0)
    full = [cursor.full]
    cursor.apply("ns/c", Entry("w"), ("x",), rv=3, now=1.0)
    full.append(cursor.full)
    cursor.settle(first)
    full.append(cursor.full)
    assert full == [False, True, False]
    assert len(cursor.window) == 1


def test_only_so_many_settled_ids_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DONE", 2)
    cursor = Cursor(position=0, done=("old",))
    cursor.apply("ns/a", Entry("u"), ("stuck",), rv=1, now=1.0)
    slots: list[Any] = []
    for rv in (2, 3):
        slots += cursor.apply("ns/b", Entry(f"v{rv}"), (f"id{rv}",), rv=rv, now=1.0)
    cursor.settle(slots[0])
    assert cursor.progress(1.0).done == ("id2", "old"), "what was not told again yet stays done"
    cursor.settle(slots[1])
    assert cursor.progress(1.0).done == ("id2", "id3")


def test_a_snapshot_leaves_to_the_delta_what_the_window_may_still_change() -> None:
    cursor = Cursor(position=0)
    cursor.apply("ns/quiet", Entry("q"), (), rv=1, now=1.0)
    (slot,) = cursor.apply("ns/a", Entry("u"), ("x",), rv=2, now=1.0)
    assert cursor.progress(1.0).delta == (["ns/a"], ["ns/quiet", "q"])
    cursor.snapshot_taken()
    assert cursor.progress(1.0).delta == (["ns/a"],)
    cursor.settle(slot)
    assert cursor.progress(1.0).delta == (["ns/a", "u"],)


def test_what_was_learned_is_unsaved_until_a_checkpoint_has_it() -> None:
    cursor = Cursor(position=1)
    cursor.apply("a", Entry("u", None), (), rv=2, now=0.0)
    assert cursor.unsaved


def test_what_was_known_already_leaves_nothing_unsaved() -> None:
    cursor = Cursor({"a": Entry("u", None)}, position=1)

    cursor.apply("a", Entry("u", None), (), rv=3, now=0.0)

    assert not cursor.unsaved
