"""The judge of the chaos tests notices what it must notice, and excuses only what the guarantees excuse."""

from dataclasses import replace

import pytest

from tests.chaos.verdict import Gap, Kill, Verdict, compare
from tests.support.recorder import Received
from tests.support.writer import Change

WRITTEN = [
    Change("Added", "cm-1", "one", 11, 1.0),
    Change("Modified", "cm-1", "one", 12, 2.0),
    Change("Modified", "cm-1", "one", 13, 3.0),
    Change("Modified", "cm-1", "one", 14, 4.0),
    Change("Deleted", "cm-1", "one", 0, 5.0),
    Change("Added", "cm-2", "two", 21, 2.1),
    Change("Modified", "cm-2", "two", 22, 2.2),
    Change("Deleted", "cm-2", "two", 0, 2.9),
    Change("Added", "cm-3", "three", 31, 2.3),
    Change("Modified", "cm-3", "three", 32, 2.4),
]
GAP = Gap(1.9, 3.1)
"""Holds cm-1's 12 and 13, the whole life of cm-2, and cm-3 from its creation on."""


def _arrive(*without: int, changed: dict[int, str] | None = None) -> list[Received]:
    """Everything but some, in order; `changed`: events of another type than the change."""
    events: list[Received] = []
    for index, change in enumerate(WRITTEN):
        if index not in without:
            kind = (changed or {}).get(index, change.type)
            version = change.version or 99
            ident = f"{change.uid}-{change.version}-{kind}"
            events.append(
                Received(ident, kind, change.key, change.uid, version, change.at + 0.1, len(events))
            )
    return events


def _check(received: list[Received], *gaps: Gap) -> Verdict:
    verdict = compare(WRITTEN, received, gaps)
    verdict.check()
    return verdict


def test_everything_once_is_right() -> None:
    verdict = _check(_arrive())
    assert (verdict.written, verdict.skipped, verdict.duplicates) == (10, 0, 0)


@pytest.mark.parametrize("index", range(len(WRITTEN)))
def test_without_a_gap_each_state_must_arrive(index: int) -> None:
    with pytest.raises(AssertionError, match="lost"):
        _check(_arrive(index))


def test_in_a_gap_the_newest_state_stands_for_those_before_it() -> None:
    assert _check(_arrive(1), GAP).skipped == 1
    assert _check(_arrive(1, 5, 6, 7, 8, changed={9: "Added"}), GAP).skipped == 5


@pytest.mark.parametrize(
    "without",
    [(2,), (1, 2), (9,), (8, 9), (7,), (5, 7), (0,), (3,), (4,)],
    ids=["newest", "last two", "newest alive", "creation and newest", "deletion", "creation and deletion",
         "before", "after", "deletion after"],
)  # fmt: skip
def test_in_a_gap_too_the_newest_state_and_deletions_must_arrive(without: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match="lost"):
        _check(_arrive(*without), GAP)


def test_a_kill_in_a_gap_excuses_only_what_was_created_above_the_position() -> None:
    """The double fault: told of, not written down, and the history is gone."""
    unseen_deletion = _arrive(7)
    created_again = [*_arrive(), replace(_arrive()[9], id="other", type="Added", number=10)]
    created_again[9] = replace(created_again[9], type="Modified")
    above, below = replace(GAP, position=20), replace(GAP, position=40)
    assert _check(unseen_deletion, above).skipped == 1
    assert not compare(WRITTEN, created_again, [above]).split
    with pytest.raises(AssertionError, match="lost"):
        _check(unseen_deletion, below)
    with pytest.raises(AssertionError, match="split"):
        _check(created_again, below)
    with pytest.raises(AssertionError, match="lost"):
        _check(_arrive(9), above)


def test_a_type_is_excused_only_where_the_creation_was_skipped() -> None:
    with pytest.raises(AssertionError, match="strange"):
        _check(_arrive(changed={9: "Added"}), GAP)
    with pytest.raises(AssertionError, match="strange"):
        _check(_arrive(changed={0: "Modified"}), GAP)


def test_events_of_nothing_order_and_ids_are_noticed() -> None:
    events = _arrive()
    for wrong, problem in (
        ([*events, replace(events[0], id="new", version=77, number=10)], "strange"),
        ([replace(events[1], number=0), replace(events[0], number=1), *events[2:]], "disorder"),
        ([*events, replace(events[0], id="another", number=10)], "split"),
        ([*events, replace(events[0], id=events[1].id, number=10)], "clashes"),
    ):
        with pytest.raises(AssertionError, match=problem):
            _check(wrong)


def test_a_kill_explains_only_what_was_above_the_position() -> None:
    events = _arrive()
    again = [*events, replace(events[1], number=10, at=12.0)]
    with pytest.raises(AssertionError, match="1 duplicates"):
        _check(again)
    for kills, explained in (
        ([Kill(9.0, 11, frozenset())], True),
        ([Kill(9.0, 12, frozenset())], False),  # below the position
        ([Kill(9.0, 11, frozenset({events[1].id}))], False),  # the checkpoint says that it is done
        ([Kill(1.0, 11, frozenset())], False),  # it had not been sent yet
        (
            [Kill(9.0, 11, frozenset()), Kill(10.0, 12, frozenset())],
            False,
        ),  # the process between sent nothing
    ):
        verdict = compare(WRITTEN, again, kills=kills)
        assert bool(verdict.unexplained) is not explained
    assert compare(WRITTEN, again, kills=[Kill(9.0, 22, frozenset())]).bound == 4
