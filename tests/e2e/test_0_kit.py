"""What the failover tests rely on: the comparison finds what is lost, repeated, swapped or made up; handovers."""

from typing import Any

from tests.e2e.kit.lease import Handover, State, handovers
from tests.e2e.kit.sink import Change, compare

CHANGES = [
    Change("a", "Added", "1"),
    Change("a", "Modified", "2"),
    Change("a", "Deleted", "2"),
    Change("a", "Added", "3"),
    Change("b", "Added", "4"),
]


def record(change: Change, number: int) -> dict[str, Any]:
    return {"name": change.name, "type": change.type, "mark": change.mark, "id": f"id-{number}", "at": number}


ARRIVED = [record(change, number) for number, change in enumerate(CHANGES)]


def test_a_complete_delivery_has_no_finding() -> None:
    found = compare(CHANGES, ARRIVED)
    assert (found.lost, found.unexpected, found.duplicates, found.ambiguous, found.out_of_order) == (
        [],
        [],
        0,
        0,
        [],
    )


def test_the_order_between_objects_does_not_matter() -> None:
    assert compare(CHANGES, [ARRIVED[-1], *ARRIVED[:-1]]).out_of_order == []


def test_a_missing_change_is_lost() -> None:
    assert compare(CHANGES, ARRIVED[:2] + ARRIVED[3:]).lost == [Change("a", "Deleted", "2")]


def test_a_repetition_with_the_same_id_is_a_duplicate_and_keeps_the_order() -> None:
    found = compare(CHANGES, [*ARRIVED, ARRIVED[1]])
    assert (found.duplicates, found.lost, found.out_of_order) == (1, [], [])


def test_the_same_change_under_another_id_or_an_id_for_two_changes_is_told() -> None:
    one_id_for_two = [*ARRIVED[:-1], {**ARRIVED[-1], "id": "id-0"}]
    assert compare(CHANGES, one_id_for_two).ambiguous == 1
    two_ids_for_one = [*ARRIVED, {**ARRIVED[-1], "id": "id-9"}]
    assert compare(CHANGES, two_ids_for_one).ambiguous == 1


def test_two_changes_of_one_object_that_come_in_the_wrong_order_are_told() -> None:
    assert compare(CHANGES, [ARRIVED[1], ARRIVED[0], *ARRIVED[2:]]).out_of_order == ["a"]


def test_what_nobody_did_is_unexpected() -> None:
    made_up = record(Change("a", "Modified", "9"), 9)
    assert compare(CHANGES, [*ARRIVED, made_up]).unexpected == [("a", "Modified", "9")]


def test_a_lease_that_was_released_is_told_from_one_that_ran_out() -> None:
    renewals = [State("a", 1, 1), State("a", 1, 3)]
    assert handovers(renewals) == []
    assert handovers([*renewals, State("", 1, 4), State("b", 5, 5)]) == [Handover(True, 5, 1)]
    assert handovers([*renewals, State("b", 17, 17), State("b", 17, 19)]) == [Handover(False, 17, 14)]


def test_a_lease_that_its_holder_takes_again_is_no_handover() -> None:
    assert handovers([State("a", 1, 1), State("", 1, 2), State("a", 3, 3)]) == []
    assert handovers([State("", 1, 2), State("a", 3, 3)]) == []
