"""What follows from each answer of the Argo Server, and how long a retry waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.api.eventsource import DispatchErrors
from eventsource_operator.argo.errors import (
    ArgoError,
    Dispatch,
    Forbidden,
    Invalid,
    InvalidArgument,
    NotFound,
    Overloaded,
    RedirectRefused,
    ServerError,
    TooLarge,
    Unauthorized,
    Unavailable,
    Unimplemented,
    Unreachable,
)
from eventsource_operator.core.outcome import Outcome, Verdict, backoff, decide

RETRY = DispatchErrors.RETRY
TRANSIENT = DispatchErrors.RETRY_TRANSIENT
NEVER = DispatchErrors.NEVER
LIMIT = 3


def of(
    error: ArgoError, policy: DispatchErrors = TRANSIENT, retries: int = 0, *, others: bool = False
) -> Outcome:
    return decide(error, policy, retries=retries, limit=LIMIT, others_succeed=others)


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("retries", [0, LIMIT])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Unauthorized("x", status=401, code=16), Outcome(Verdict.HOLD, "Unauthorized")),
        (Forbidden("x", status=403, code=7), Outcome(Verdict.HOLD, "Forbidden")),
        (Invalid("x", status=400, code=3), Outcome(Verdict.FAIL, "Rejected")),
        (TooLarge("x", status=429), Outcome(Verdict.FAIL, "Rejected")),
        (Unimplemented("x", status=501, code=12), Outcome(Verdict.FAIL, "Rejected")),
        (InvalidArgument("discriminator", "x"), Outcome(Verdict.FAIL, "Rejected")),
        (Overloaded("x", status=429, code=8), Outcome(Verdict.WAIT, "ServerOverloaded", slow_down=True)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_others_and_retries_do_not_change(
    error: ArgoError, expected: Outcome, retries: int, *, others: bool
) -> None:
    assert of(error, retries=retries, others=others) == expected


@pytest.mark.parametrize(
    ("error", "slow"),
    [
        (Unavailable("x", status=502), False),
        (Unavailable("x", status=503), True),
        (Unavailable("x", status=504), True),
        (ServerError("x", status=500), False),
        (NotFound("x", status=404), False),
        (RedirectRefused("x", status=302), False),
        (Unreachable("reset"), False),
        (Unreachable("timed out", timeout=True), True),
    ],
    ids=str,
)
def test_an_outage_charges_nobody_and_a_poisonous_event_only_itself(error: ArgoError, *, slow: bool) -> None:
    for retries in (0, LIMIT, 100):
        assert of(error, retries=retries) == Outcome(Verdict.WAIT, "ServerUnreachable", slow)
    for retries in range(LIMIT):
        assert of(error, retries=retries, others=True) == Outcome(Verdict.RETRY, "TransientError", slow)
    assert of(error, retries=LIMIT, others=True) == Outcome(Verdict.FAIL, "RetriesExhausted", slow)


@pytest.mark.parametrize(
    ("policy", "transient", "again"),
    [
        (RETRY, True, True),
        (RETRY, False, True),
        (TRANSIENT, True, True),
        (TRANSIENT, False, False),
        (NEVER, True, False),
        (NEVER, False, False),
    ],
)
@pytest.mark.parametrize("others", [False, True])
def test_a_dispatch_error_follows_the_policy(
    policy: DispatchErrors, *, transient: bool, again: bool, others: bool
) -> None:
    error = Dispatch("failed to dispatch event: [x]", transient=transient)
    verdicts = [of(error, policy, retries, others=others) for retries in (0, LIMIT - 1, LIMIT)]

    if again:
        assert verdicts == [
            Outcome(Verdict.RETRY, "DispatchFailed"),
            Outcome(Verdict.RETRY, "DispatchFailed"),
            Outcome(Verdict.FAIL, "RetriesExhausted"),
        ]
    else:
        assert verdicts == [Outcome(Verdict.FAIL, "DispatchFailed")] * 3


@pytest.mark.parametrize("policy", DispatchErrors)
@pytest.mark.parametrize("retries", [0, LIMIT, 100])
def test_a_workflow_that_exists_already_is_as_good_as_delivered(policy: DispatchErrors, retries: int) -> None:
    error = Dispatch("failed to dispatch event: [x]", already_exists=True, transient=False)

    assert of(error, policy, retries) == Outcome(Verdict.ABSORBED, "AlreadyExists")


ABSORBED = Outcome(Verdict.ABSORBED, "AlreadyExists")
AGAIN = Outcome(Verdict.RETRY, "DispatchFailed")
FAILED = Outcome(Verdict.FAIL, "DispatchFailed")


@pytest.mark.parametrize(
    ("policy", "made_up", "taken", "expected"),
    [
        (TRANSIENT, {"w-aaaaa"}, set(), AGAIN),
        (RETRY, {"w-aaaaa"}, set(), AGAIN),
        (NEVER, {"w-aaaaa"}, set(), FAILED),
        (TRANSIENT, {"w-aaaaa"}, {"w-aaaaa"}, ABSORBED),
        (NEVER, {"w-aaaaa"}, {"w-aaaaa"}, ABSORBED),
        (TRANSIENT, {"w-bbbbb"}, {"w-aaaaa"}, AGAIN),
        (TRANSIENT, {"w-aaaaa"}, {"w-aaaaa", "v-bbbbb"}, ABSORBED),
        (TRANSIENT, {"w-aaaaa", "v-bbbbb"}, {"w-aaaaa"}, AGAIN),
        (TRANSIENT, set(), {"w-aaaaa"}, ABSORBED),
    ],
)
def test_a_made_up_name_that_is_taken_is_no_duplicate_until_it_comes_again(
    policy: DispatchErrors, made_up: set[str], taken: set[str], expected: Outcome
) -> None:
    """Else an event whose Workflow was never made would count as delivered."""
    error = Dispatch(
        "failed to dispatch event: [x]", already_exists=True, transient=False, made_up=frozenset(made_up)
    )
    found = decide(error, policy, retries=0, limit=LIMIT, others_succeed=False, taken=frozenset(taken))
    assert found == expected


def test_names_that_are_taken_again_and_again_exhaust_the_retries() -> None:
    error = Dispatch("x", already_exists=True, transient=False, made_up=frozenset({"w-aaaaa"}))
    assert of(error, retries=LIMIT) == Outcome(Verdict.FAIL, "RetriesExhausted")


@pytest.mark.parametrize(
    ("taken", "expected"), [(frozenset(), AGAIN), (frozenset({"w-aaaaa"}), FAILED)], ids=["first", "again"]
)
def test_a_made_up_name_beside_a_broken_binding(taken: frozenset[str], expected: Outcome) -> None:
    """The broken one is not mended by sending again, the other one is."""
    error = Dispatch("x", already_exists=False, transient=False, made_up=frozenset({"w-aaaaa"}))
    found = decide(error, TRANSIENT, retries=0, limit=LIMIT, others_succeed=False, taken=taken)
    assert found == expected


@given(st.integers(1, 10_000), st.floats(0.001, 60), st.floats(0, 3600), st.floats(0, 1))
def test_a_pause_is_within_a_quarter_of_its_nominal_length(
    attempt: int, first: float, more: float, roll: float
) -> None:
    most = first + more
    pause = backoff(attempt, first, most, roll)

    assert 0.75 * first * (1 - 1e-9) <= pause <= 1.25 * most * (1 + 1e-9)
    assert backoff(attempt, first, most, 0.5) <= backoff(attempt + 1, first, most, 0.5)
    assert backoff(attempt, first, most, 0.0) <= pause <= backoff(attempt, first, most, 1.0)


def test_pauses_double_up_to_the_longest() -> None:
    assert [backoff(n, 1.0, 60.0, 0.5) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(1, 1.0, 60.0, 0.0) == 0.75
    assert backoff(1, 1.0, 60.0, 1.0) == 1.25
