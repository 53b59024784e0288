"""The budget: its sums are right, its bound holds for any number of owners, and nobody finds the door shut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.budget import Budget

LARGE = 1 << 40


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 50)), max_size=80))
def test_the_sums_are_those_of_what_waits(steps: list[tuple[bool, str, int]]) -> None:
    budget = Budget(limit=5, limit_bytes=100)
    held: dict[str, list[int]] = {}
    for add, owner, size in steps:
        if add:  # a caller may add beyond its share: what was read is kept
            budget.add(owner, size)
            held.setdefault(owner, []).append(size)
        elif held.get(owner):
            budget.remove(owner, held[owner].pop())

        assert budget.total == sum(map(len, held.values()))
        assert budget.total_bytes == sum(map(sum, held.values()))
        if not budget.total:
            assert all(budget.accepts(one) and budget.has_room(one) for one in "abcd")


@given(
    st.integers(1, 40),
    st.sampled_from([7, 100, LARGE]),
    st.lists(
        st.tuples(st.sampled_from([-1, 1, 1, 1000]), st.integers(0, 9), st.integers(0, 20)), max_size=60
    ),
)
def test_the_bound_holds_and_only_a_newcomer_takes_the_last_place(
    limit: int, limit_bytes: int, steps: list[tuple[int, int, int]]
) -> None:
    budget = Budget(limit, limit_bytes)
    held: dict[str, list[int]] = {}
    for count, number, size in steps:
        owner = str(number)
        mine = held.setdefault(owner, [])
        while count < 0 and mine:
            budget.remove(owner, mine.pop(0))
        for _ in range(count):
            if not budget.accepts(owner):
                break
            budget.add(owner, size)
            mine.append(size)
            if len(mine) > 1:
                assert budget.total < limit, "who holds something leaves a place for the next"

        assert budget.total <= limit
        assert budget.total_bytes < limit_bytes + 20, "at most one change beyond it"
        room = budget.total < limit and budget.total_bytes < limit_bytes
        assert budget.accepts("newcomer") is budget.has_room("newcomer") is room


def _fill(budget: Budget, owner: str, size: int = 0) -> int:
    count = 0
    while budget.accepts(owner):
        budget.add(owner, size)
        count += 1
    return count


def test_each_of_several_owners_that_never_pay_leaves_room_for_the_next() -> None:
    budget = Budget(10_000, LARGE)
    shares = [_fill(budget, str(number)) for number in range(8)]

    assert shares[0] == 5_000, "alone, one half"
    assert all(share > 0 for share in shares)
    assert budget.total < 10_000
    assert budget.accepts("newcomer")


def test_who_holds_more_than_its_share_waits_until_the_others_have_theirs() -> None:
    budget = Budget(12, LARGE)
    assert _fill(budget, "first") == 6
    assert _fill(budget, "second") == 3
    for _ in range(2):
        budget.remove("first", 0)

    assert not budget.accepts("first"), "one of three shares is four"
    assert _fill(budget, "second") == 1
    assert budget.total == 8


def test_a_full_owner_reads_again_at_half_its_share() -> None:
    budget = Budget(20, LARGE)
    assert _fill(budget, "a") == 10
    while not budget.has_room("a"):
        budget.remove("a", 0)

    assert budget.total == 4
    assert budget.accepts("a")


def test_bytes_count_as_well() -> None:
    budget = Budget(LARGE, 1_000)

    assert _fill(budget, "a", 100) == 5
    assert not budget.has_room("a")
    assert _fill(budget, "b", 1_000) == 1
    assert not budget.accepts("c")
    budget.remove("b", 1_000)
    assert budget.accepts("c")


def test_a_limit_of_one_lets_one_through_at_a_time() -> None:
    budget = Budget(1, 1)

    assert _fill(budget, "a", 5) == 1
    assert not budget.accepts("b")
    budget.remove("a", 5)
    assert budget.accepts("b")


@given(st.lists(st.tuples(st.sampled_from(["a/x", "a/y", "b/x"]), st.integers(0, 99)), max_size=30))
def test_what_is_taken_back_leaves_nothing_behind(held: list[tuple[str, int]]) -> None:
    budget = Budget(limit=100, limit_bytes=1000)
    for owner, size in held:
        budget.add(owner, size)
    for owner, size in held:
        budget.remove(owner, size)

    assert (budget.total, budget.total_bytes) == (0, 0)
    assert not budget._held, "an owner that holds nothing takes no share"
    assert not budget._by_tenant


def test_the_bytes_of_what_went_are_not_held_against_its_owner() -> None:
    budget = Budget(limit=100, limit_bytes=100)
    budget.add("a", 40)
    budget.add("a", 2)
    budget.remove("a", 40)

    assert budget.has_room("a"), "2 of 50 bytes"


def test_alone_a_source_holds_half_and_reads_again_below_a_quarter() -> None:
    """Eleven: a half of it is five, rounded down."""
    budget = Budget(11, LARGE)
    assert _fill(budget, "a") == 5
    assert _reads_again(budget, "a", 0) == 2

    budget = Budget(LARGE, 11)
    assert _fill(budget, "a", 1) == 5
    assert _reads_again(budget, "a", 1) == 2


def _reads_again(budget: Budget, owner: str, size: int) -> int:
    """Takes back until the owner may read again; tells how many it then holds."""
    while not budget.has_room(owner):
        budget.remove(owner, size)
    return budget.total


@pytest.mark.parametrize("size", [0, 1])
def test_of_a_source_that_joined_a_quarter_is_kept_before_the_shares_are_made(size: int) -> None:
    """Of 650, 162 are kept: of the other 488, a source that is alone has one half."""
    budget = Budget(LARGE if size else 650, 650 if size else LARGE)
    budget.join("good/a")

    assert _fill(budget, "good/a", size) == 244
    assert _reads_again(budget, "good/a", size) == 121


@pytest.mark.parametrize("size", [0, 1])
def test_the_part_of_a_tenant_is_exact(size: int) -> None:
    """A quarter for sixteen tenants: of 650 ten each, and reading again below five; changes and bytes alike."""
    budget = Budget(LARGE if size else 650, 650 if size else LARGE)
    for owner in ("bad/a", "good/a"):
        budget.join(owner)
    for _ in range(500):
        budget.add("bad/a", size)

    assert not budget.accepts("bad/b"), "its tenant holds more than its part"
    assert _fill(budget, "good/a", size) == 10
    while not budget.has_room("good/b"):
        budget.remove("good/a", size)
    assert budget.total == 500 + 4


def test_the_smallest_part_is_one_change_and_one_byte() -> None:
    budget = Budget(64, 64)
    for owner in ("bad/a", "good/a"):
        budget.join(owner)
    for _ in range(60):
        budget.add("bad/a", 1)

    assert _fill(budget, "good/a", 0) == 1


def test_with_more_tenants_the_parts_are_smaller() -> None:
    """Twenty tenants: a quarter of 1600, for twice as many as there are."""
    budget = Budget(1600, LARGE)
    for number in range(20):
        budget.join(f"{number}/a")
    for _ in range(1300):
        budget.add("0/a", 0)

    assert _fill(budget, "1/a") == 10


def test_nothing_is_kept_beyond_the_bound() -> None:
    budget = Budget(100, LARGE)
    for owner in ("bad/a", "good/a"):
        budget.join(owner)
    for _ in range(100):
        budget.add("bad/a", 0)

    assert not budget.accepts("good/a")
    budget.remove("bad/a", 0)
    assert budget.accepts("good/a")


def test_a_tenant_has_its_part_until_its_last_source_leaves() -> None:
    budget = Budget(100, LARGE)
    for owner in ("bad/a", "good/a", "good/b"):
        budget.join(owner)
    for _ in range(80):
        budget.add("bad/a", 0)

    assert budget.accepts("good/a")
    budget.leave("good/a")
    assert budget.accepts("good/b")
    budget.leave("good/b")
    assert not budget.accepts("good/b")
    budget.leave("bad/a")
    assert budget.accepts("good/b"), "nobody is there to keep anything for"
