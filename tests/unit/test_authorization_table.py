"""Every combination of the authorization matrix, decided by the plan; the API server's answers are made up."""

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventsource_operator.api.eventsource import API_VERSION, KIND, parse_event_source
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import Forbidden, Unavailable
from eventsource_operator.kube.reviews import Attributes, ServiceAccount
from eventsource_operator.sources import authorize
from eventsource_operator.sources.plan import Plan, compile_spec, make_plan
from eventsource_operator.sources.services import Services
from tests.support.rights import (
    KINDS,
    POLICIES,
    RIGHTS,
    SEND_RIGHTS,
    SENDS,
    TARGETS,
    Case,
    expected,
    grants,
    namespaces_of,
    spec_of,
)

OWN, OTHER, LABEL = "team-a", "team-b", "select"
ACCOUNT = ServiceAccount(OWN, "reader")
ALL = [Case(*each) for each in itertools.product(POLICIES, TARGETS, KINDS, RIGHTS, SENDS, SEND_RIGHTS)]


class Given(authorize.Reviews):
    """Verdicts by a rule of the test, counted."""

    def __init__(self, held: set[tuple[str, str, str]]) -> None:
        super().__init__()
        self.held = held

    async def allowed(self, _client: Any, account: ServiceAccount, action: Attributes) -> bool:
        """By what the case grants: cluster-wide, or in the namespace of the action."""
        assert account == ACCOUNT
        return bool({(action.qualified, action.verb, where) for where in ("", action.namespace)} & self.held)


def _services(policy: str) -> Services:
    async def resolve(api_version: str, kind: str) -> Resource:
        found = next(each for each in KINDS.values() if each.kind == kind)
        group, _, version = api_version.rpartition("/")
        return Resource(group, version, kind, found.qualified.split(".")[0], namespaced=found.namespaced)

    async def labels(_owner: str, _on_change: Any) -> dict[str, dict[str, str]]:
        return {OWN: {LABEL: "yes"}, OTHER: {LABEL: "yes"}, "third": {}}

    return cast(
        "Services",
        SimpleNamespace(
            client=None,
            discovery=SimpleNamespace(resolve=resolve),
            namespaces=SimpleNamespace(labels=labels),
            settings=SimpleNamespace(policy=policy),
        ),
    )


def _plan(case: Case, reviews: authorize.Reviews) -> Plan:
    meta = {"namespace": OWN, "name": "source", "uid": "u", "generation": 1, "resourceVersion": "1"}
    spec = spec_of(case, OTHER, LABEL) | {"serviceAccountName": ACCOUNT.name}
    manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": spec}
    source = parse_event_source(manifest)
    return asyncio.run(make_plan(source, compile_spec(source), _services(case.policy), reviews, lambda: None))


def test_every_combination() -> None:
    """1,440 of them: read is what may be read, sent is what may be sent, and the rest is told word by word."""
    verdicts = set()
    for case in ALL:
        held = {(what, verb, where) for what, verbs, where in grants(case, OWN, OTHER) for verb in verbs}
        plan = _plan(case, Given(held))

        missing = expected(case, OWN, OTHER)
        assert plan.denials == [each.told(f"{OWN}:{ACCOUNT.name}") for each in missing], case
        denied = {each.namespace for each in missing if each.purpose.startswith("watch")}
        read = sorted(feed.namespace for _, feed in plan.feeds.values())
        assert read == sorted(set(namespaces_of(case, OWN, OTHER)) - denied), case
        assert plan.send_denied is any(each.purpose == "send events" for each in missing), case
        assert bool(plan.problems) is bool(denied), case
        verdicts.add((bool(denied), plan.send_denied))
    assert len(ALL) == 1440
    assert len(verdicts) == 4, "nothing was denied, or everything"


class Asked:
    """Stands for `review`: counts, and answers as told."""

    def __init__(self, answer: bool | Exception) -> None:
        self.answer = answer
        self.count = 0

    async def __call__(self, *_: Any) -> Any:
        self.count += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(allowed=self.answer)


@pytest.mark.parametrize("answer", [True, False, Forbidden(403, "Forbidden", "no rights there")])
def test_a_verdict_is_asked_for_once_until_it_is_renewed(
    monkeypatch: pytest.MonkeyPatch, answer: bool | Exception
) -> None:
    asked = Asked(answer)
    monkeypatch.setattr(authorize, "review", asked)
    reviews, case = authorize.Reviews(), Case(target="other", send="other")
    per_plan = 2 if isinstance(answer, Exception) else 3  # create; list (and watch, unless nobody may ask)
    first = _plan(case, reviews)
    assert asked.count == per_plan
    assert _plan(case, reviews).denials == first.denials
    assert asked.count == per_plan
    reviews.renew()
    assert _plan(case, reviews).denials == first.denials
    assert asked.count == 2 * per_plan
    assert len(first.denials) == (0 if answer is True else 2)


def test_an_api_server_that_does_not_answer_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(Unavailable(503, "ServiceUnavailable", "starting"))
    monkeypatch.setattr(authorize, "review", asked)
    reviews, case = authorize.Reviews(), Case(target="other")
    with pytest.raises(Unavailable):
        _plan(case, reviews)
    asked.answer = True
    assert not _plan(case, reviews).denials
    assert asked.count == 3


def test_a_right_in_one_namespace_is_none_in_another_that_the_selector_matches() -> None:
    held = {("secrets", verb, OTHER) for verb in ("list", "watch")}
    plan = _plan(Case(target="selector", kind="Secret"), Given(held))
    assert [feed.namespace for _, feed in plan.feeds.values()] == [OTHER]
    assert len(plan.denials) == 1
    assert f"in namespace {OWN}: " in plan.denials[0]


def test_an_operator_that_may_not_ask_reads_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorize, "review", Asked(Forbidden(403, "Forbidden", "cannot create reviews")))
    plan = _plan(Case(target="other", send="other"), authorize.Reviews())
    assert plan.send_denied
    assert not plan.feeds
    assert plan.denials[1] == (
        f"to watch configmaps, the operator must list and watch configmaps in namespace {OTHER}, and has no rights "
        "there: install it for all namespaces, or in that one (cannot create reviews)"
    )


def test_a_command_is_never_cut_in_its_midst() -> None:
    """A source that watches many namespaces: whole sentences, and how many are left out."""
    case = Case(target="other", kind="WorkflowTemplate")
    told = [expected(case, OWN, f"team-{number}")[0].told(f"{OWN}:reader") for number in range(16)]
    text = authorize.summary(told)
    shown, rest = text.rsplit("; and ", 1)
    count = shown.count("service account")
    assert shown == "; ".join(told[:count])
    assert 3 < count < 16
    assert rest == f"{16 - count} more, told once these are granted"
    assert len(text) <= 3000
    assert authorize.summary(told[:2]) == "; ".join(told[:2])
    longest = expected(case, "a" * 63, "b" * 63)[0].told(f"{'a' * 63}:{'c' * 253}")
    assert authorize.summary([longest, longest]).startswith(longest)
    assert len(authorize.summary([longest, longest])) < 4000
