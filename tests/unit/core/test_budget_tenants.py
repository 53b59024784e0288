"""What a tenant whose server is dead leaves to the others, by the budget alone."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.argo.errors import Unreachable
from eventsource_operator.core.budget import Budget
from eventsource_operator.delivery.sender import Sender
from tests.unit.delivery.test_sender import POLICY, ScriptedEndpoint, Told, item

MIB = 1 << 20


def _fill(budget: Budget, owner: str, size: int) -> int:
    count = 0
    while budget.accepts(owner):
        budget.add(owner, size)
        count += 1
    return count


@pytest.mark.parametrize("size", [0, 2_000, MIB])
def test_however_many_sources_a_bad_tenant_has_the_good_one_reads_on(size: int) -> None:
    """Each of 500 sources fills what it may and never pays; the other tenant's part is there, again and again."""
    budget = Budget(10_000, 64 * MIB)
    for number in range(500):
        budget.join(f"bad/{number}")
    budget.join("good/source")
    for number in range(500):
        _fill(budget, f"bad/{number}", size)
    assert not budget.accepts("bad/0")

    for _ in range(3):
        mine = _fill(budget, "good/source", 1_000)
        assert mine >= 100, "enough for all requests that may be under way"
        assert budget.total <= 10_000
        for _ in range(mine):
            budget.remove("good/source", 1_000)
        assert budget.has_room("good/source")


def test_tenants_that_come_later_find_their_part() -> None:
    """Twenty namespaces with dead servers, one after the other: the next one still has a place."""
    budget = Budget(10_000, 64 * MIB)
    for number in range(20):
        owner = f"bad-{number}/source"
        budget.join(owner)
        assert _fill(budget, owner, 100) > 0
    budget.join("good/source")
    assert _fill(budget, "good/source", 100) >= 50
    assert budget.total <= 10_000


@given(
    limit=st.integers(1, 400),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["join", "leave", "fill", "fill", "pay"]),
            st.sampled_from("abc"),
            st.integers(0, 3),
        ),
        max_size=60,
    ),
)
def test_the_bound_and_the_parts_hold_whatever_happens(limit: int, steps: list[tuple[str, str, int]]) -> None:
    """Joining and leaving included: never above the bound, and a tenant below its part is never refused below it."""
    budget, held, joined = Budget(limit, 1 << 40), dict[str, int](), dict[str, int]()
    for what, tenant, number in steps:
        owner = f"{tenant}/{number}"
        if what == "join":
            budget.join(owner)
            joined[owner] = joined.get(owner, 0) + 1
        elif what == "leave" and joined.get(owner):
            budget.leave(owner)
            joined[owner] -= 1
        elif what == "pay":
            for _ in range(held.pop(owner, 0)):
                budget.remove(owner, 1)
        elif what == "fill":
            count = _fill(budget, owner, 1)
            held[owner] = held.get(owner, 0) + count
            tenants = {each.split("/")[0] for each, count in joined.items() if count}
            mine = sum(count for each, count in held.items() if each.startswith(f"{tenant}/"))
            if tenant in tenants and budget.total < limit:
                assert mine >= limit // (4 * max(16, 2 * len(tenants)))
        assert budget.total == sum(held.values()) <= limit
        assert budget.total_bytes == budget.total


async def test_a_source_that_goes_gives_its_places_back() -> None:
    """Deleted with changes pending: they held their places for good before, until none was left for anybody."""
    budget, endpoint = Budget(10, 10**6), ScriptedEndpoint(*[Unreachable("away")] * 99)
    sender = Sender("bad/source", POLICY, endpoint, budget, Told(), lambda: True)
    for number in range(10):
        sender.push(item(str(number)))
    await asyncio.sleep(0)
    assert budget.total == 10
    await sender.stop(0)
    assert (budget.total, budget.total_bytes) == (0, 0)
    assert sender.pending == 10, "they are told as pending, and sent after the next start"
    await endpoint.close()
