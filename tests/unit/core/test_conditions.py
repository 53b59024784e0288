"""Conditions: what Ready is made of, when a transition time moves, and that every reason is accounted for."""

import re
from pathlib import Path

import pytest

from eventsource_operator.core.conditions import GATES, REASONS, Fact, Reason, conditions, event_of, ready
from eventsource_operator.core.outcome import _WAITING
from tests.integration.test_reasons_conditions import CASES, EXEMPT

DOCS = Path(__file__).parents[3] / "docs" / "conditions.md"
ALL = {
    (kind, status, reason)
    for kind, found in REASONS.items()
    for status, reasons in found.items()
    for reason in reasons
}


def facts(**bad: tuple[bool | None, Reason]) -> list[Fact]:
    good = {kind: (True, found["True"][0]) for kind, found in REASONS.items()}
    return [Fact(kind, ok, reason, f"{kind} message") for kind, (ok, reason) in (good | bad).items()]


def test_each_reason_is_brought_about_or_exempt() -> None:
    """A reason that nobody has seen on a real control plane, nor said why not, must not ship."""
    shown = {(told.type, told.status, told.reason) for case in CASES.values() for told in case.told}
    shown |= {(kind, "True", reason) for kind, found in REASONS.items() for reason in found["True"]}
    assert shown | set(EXEMPT) == ALL
    assert not shown & set(EXEMPT)
    assert all(EXEMPT.values())


def test_each_reason_belongs_to_a_condition() -> None:
    assert {reason for _, _, reason in ALL} | {Reason.READY} == set(Reason)
    assert {kind for kind, _, _ in ALL} == {*GATES, "Bound"}


def test_each_reason_is_documented() -> None:
    rows = re.findall(r"^\| (\w+)=(\w+) \| `(\w+)` \| (.+) \| (.*)\|$", DOCS.read_text("utf-8"), re.MULTILINE)
    documented = {(kind, status, reason) for kind, status, reason, _, _ in rows}
    assert documented == {(*key[:2], str(key[2])) for key in ALL} | {("Ready", "True", "Ready")}
    assert len(documented) == len(rows)
    lacking = [row for row in rows if row[1] != "True" and not row[4].strip() and row[2] != "Denied"]
    assert not lacking, "what to do?"


def test_what_a_server_does_to_a_source_is_a_reason() -> None:
    """`core.outcome` and the sender name them as words; the status turns the words into reasons."""
    words = {*_WAITING.values(), "Unauthorized", "Forbidden", "CredentialsUnavailable"}
    assert {Reason(word) for word in words} <= set(REASONS["Delivering"]["False"])


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("ok", [False, None])
def test_ready_carries_the_first_gate_that_is_not_true(gate: str, ok: bool | None) -> None:
    status = "False" if ok is False else "Unknown"
    reason = REASONS[gate][status][0]
    later = {each: (False, REASONS[each]["False"][0]) for each in GATES[GATES.index(gate) + 1 :]}
    found = ready(facts(**later, **{gate: (ok, reason)}))
    assert found == Fact("Ready", ok, reason, f"{gate} message")


def test_ready_is_true_without_a_binding_and_unknown_without_a_fact() -> None:
    assert ready(facts(Bound=(False, Reason.NO_BINDINGS))) == Fact("Ready", True, Reason.READY)
    assert ready([fact for fact in facts() if fact.type != "Watching"]).reason is Reason.PENDING


def test_a_transition_time_moves_with_the_status_only() -> None:
    first = conditions(facts(), (), generation=1, now="t1")
    assert {each.last_transition_time for each in first} == {"t1"}
    assert first[0].type == "Ready"
    bad = facts(Watching=(False, Reason.FORBIDDEN))
    second = {each.type: each for each in conditions(bad, first, generation=2, now="t2")}
    moved = {kind for kind, each in second.items() if each.last_transition_time == "t2"}
    assert moved == {"Ready", "Watching"}
    assert {each.observed_generation for each in second.values()} == {2}
    other = facts(Watching=(False, Reason.KIND_NOT_FOUND))
    third = conditions(other, second.values(), generation=2, now="t3")
    assert "t3" not in {each.last_transition_time for each in third}


def test_what_is_bad_is_told_once_by_the_condition_that_it_is_about() -> None:
    for kind, status, reason in ALL:
        ok = {"True": True, "False": False, "Unknown": None}[status]
        found = conditions(facts(**{kind: (ok, reason)}), (), generation=1, now="t")
        by_type = {each.type: event_of(each) for each in found}
        assert by_type["Ready"] is None
        expected = "Warning" if status == "False" or reason is Reason.LIST_FAILED else None
        if reason in (Reason.SUSPENDED, Reason.WATCHING):
            expected = "Normal"
        assert by_type[kind] == expected


def test_what_is_written_is_what_kubectl_waits_for() -> None:
    given = [Fact("Accepted", True, Reason.ACCEPTED), Fact("Bound", None, Reason.LIST_FAILED, "403")]
    made = conditions(iter(given), (), generation=7, now="t")

    assert [(each.type, each.status, each.reason, each.message) for each in made] == [
        ("Ready", "Unknown", "Pending", "Authorized is not known yet"),
        ("Accepted", "True", "Accepted", ""),
        ("Bound", "Unknown", "ListFailed", "403"),
    ]
