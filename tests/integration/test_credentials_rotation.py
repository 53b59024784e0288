"""Credentials that change while events flow: no event is lost, none fails, nothing is restarted."""

import base64
import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.authority import Authority, serving
from tests.support.controlplane import wait_for
from tests.support.recorder import Recorder
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tests.support.writer import Change, Writer
from tools.controlplane.plane import ControlPlane

BEFORE, AFTER = "token-3b1f-before", "token-94c2-after"
RATE = 30
RESYNC = 300
"""Seconds: nothing here may wait for a resync."""
RETURN = 20.0
"""Seconds until events flow again: a refused token is tried again after 1, 2, 4, 8, 15 s."""


class Servers(NamedTuple):
    """Two recording servers that the operator allows, one of them with TLS, and the authority of its certificate."""

    plain: Recorder
    secure: Recorder
    authority: Authority


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """They outlive the module's operator."""
    authority = Authority(tmp_path_factory.mktemp("ca"), "first")
    with Recorder() as plain, Recorder(serving(authority)) as secure:
        yield Servers(plain, secure, authority)


@pytest.fixture(scope="module")
def operator(
    plane: ControlPlane, sink: Sink, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """One operator for the module; `sink` is its default server, to which nothing here sends."""
    allowed = (servers.plain.url, servers.secure.url, plane.argo_url)
    with Operator(plane, sink.url, tmp_path_factory.mktemp("operator"), allowed=allowed) as running:
        yield running


def _secret(team: Team, token: str, *, new: bool = False) -> None:
    data = {"data": {"token": base64.b64encode(token.encode()).decode()}}
    if new:
        team.request("POST", "secrets", {"metadata": {"name": "argo"}} | data)
    else:
        team.request("PATCH", "secrets/argo", data)


def _spec(url: str, **server: Any) -> dict[str, Any]:
    return {
        "watch": [{"names": ["cm-*"]}],
        "server": {"url": url, "auth": {"secretRef": {"name": "argo", "key": "token"}}} | server,
        "bindings": {"resyncSeconds": RESYNC},
    }


def _deliveries(team: Team, name: str) -> dict[str, Any]:
    found: dict[str, Any] = team.plane.api.request("GET", team._path(name))["status"].get("deliveries", {})
    return found


def _flows(recorder: Recorder, more: int, operator: Operator) -> None:
    count = len(recorder.received)
    wait_for(lambda: len(recorder.received) > count + more, RETURN, f"{more} events more", operator.tail)


def _all_arrived(recorder: Recorder, changes: list[Change], team: Team, operator: Operator) -> Counter[Any]:
    """Every acknowledged change, none failed, nothing pending; how often each came."""
    written = Counter(change.identity for change in changes)
    uids = {change.uid for change in changes}

    def arrived() -> Counter[Any]:
        return Counter(
            (each.type, each.uid, 0 if each.type == "Deleted" else each.version)
            for each in list(recorder.received)
            if each.uid in uids
        )

    wait_for(lambda: arrived() >= written, RETURN, "every change", operator.tail)
    wait_for(lambda: _deliveries(team, "rotating").get("pending") == 0, 10, "nothing pending")
    found = _deliveries(team, "rotating")
    assert found["failed"] == 0
    assert "lastFailure" not in found
    assert set(arrived()) == set(written)
    return arrived()


@pytest.mark.parametrize("first", ["secret", "server"])
def test_a_rotated_token_costs_no_event(team: Team, servers: Servers, operator: Operator, first: str) -> None:
    """The server takes the new token only; the Secret changes before that or after it. Each event comes once."""
    recorder = servers.plain
    recorder.tokens = frozenset({BEFORE})
    _secret(team, BEFORE, new=True)
    team.source("rotating", _spec(recorder.url))
    with Writer(team.plane, team.name, 100_000, rate=RATE) as writer:
        _flows(recorder, 30, operator)
        if first == "secret":
            recorder.tokens = frozenset({BEFORE, AFTER})
            _secret(team, AFTER)
            _flows(recorder, 10, operator)
        recorder.tokens, refused = frozenset({AFTER}), recorder.refused
        wait_for(lambda: recorder.refused > refused, RETURN, "the old token to be refused", operator.tail)
        if first == "server":
            held = team.until("rotating", "Delivering", "False")
            assert held["reason"] == "Unauthorized"
            _secret(team, AFTER)
        _flows(recorder, 30, operator)
        team.until("rotating", "Ready", "True")
        writer.stop()
        writer.join()
        changes = writer.changes
    assert set(_all_arrived(recorder, changes, team, operator).values()) == {1}
    log = operator.log.read_text(encoding="utf-8")
    assert BEFORE not in log
    assert AFTER not in log


@pytest.mark.parametrize("first", ["trust", "server"])
def test_a_replaced_authority_costs_no_event(
    team: Team, servers: Servers, operator: Operator, tmp_path: Path, first: str
) -> None:
    """The server gets a certificate of another authority; the ConfigMap changes before that or after it."""
    recorder = servers.secure
    recorder.refuse()
    recorder.tls = serving(servers.authority)
    recorder.accept()
    _secret(team, "any", new=True)
    pem = servers.authority.files.cert.read_text()
    team.request("POST", "configmaps", {"metadata": {"name": "argo-ca"}, "data": {"ca.crt": pem}})
    tls = {"caRef": {"kind": "ConfigMap", "name": "argo-ca", "key": "ca.crt"}}
    team.source("rotating", _spec(recorder.url, tls=tls))
    second = Authority(tmp_path, "second")
    with Writer(team.plane, team.name, 100_000, rate=RATE) as writer:
        _flows(recorder, 30, operator)
        if first == "trust":
            team.patch("argo-ca", {"data": {"ca.crt": second.files.cert.read_text()}})
        recorder.refuse()
        recorder.tls = serving(second)
        recorder.accept()
        if first == "server":
            told = team.until("rotating", "Delivering", "False")
            wait_for(
                lambda: "certificate" in team.condition("rotating", "Delivering").get("message", ""),
                10, "the reason to be told", lambda: told,
            )  # fmt: skip
            team.patch("argo-ca", {"data": {"ca.crt": second.files.cert.read_text()}})
        _flows(recorder, 30, operator)
        team.until("rotating", "Ready", "True")
        writer.stop()
        writer.join()
        changes = writer.changes
    times = _all_arrived(recorder, changes, team, operator)
    assert sum(times.values()) - len(times) <= 64, (
        "more than what was under way when the connections were cut"
    )
    ids: dict[Any, set[str]] = {}
    for each in recorder.received:
        ids.setdefault((each.type, each.uid, each.version), set()).add(each.id)
    assert all(len(found) == 1 for found in ids.values()), "a repeated event carries the id of the first"


def test_a_token_that_the_cluster_revoked_costs_no_event(
    plane: ControlPlane, team: Team, operator: Operator
) -> None:
    """On the real Argo Server: the ServiceAccount is made anew, so that its first token is none any more."""
    account = f"{team.name}:rotating"
    plane.allow_sending(team.name, account)
    _secret(team, plane.token(team.name, "rotating"), new=True)
    team.source("rotating", _spec(plane.argo_url))

    def delivered() -> int:
        return int(_deliveries(team, "rotating").get("delivered", 0))

    with Writer(plane, team.name, 100_000, rate=RATE) as writer:
        wait_for(lambda: delivered() > 30, RETURN, "deliveries", operator.tail)
        plane.kubectl("-n", team.name, "delete", "serviceaccount", "rotating")
        held = team.until(
            "rotating", "Delivering", "False", timeout=40
        )  # the API server remembers tokens for 10 s
        assert held["reason"] in {"Unauthorized", "Forbidden"}
        _secret(team, plane.token(team.name, "rotating"))
        count = delivered()
        wait_for(lambda: delivered() > count + 30, 40, "deliveries with the new token", operator.tail)
        team.until("rotating", "Ready", "True")
        writer.stop()
        writer.join()
        changes = writer.changes
    wait_for(lambda: delivered() == len(changes), 40, "every change", lambda: _deliveries(team, "rotating"))
    with contextlib.suppress(AssertionError):
        wait_for(lambda: delivered() > len(changes), 3, "one too many")
    found = _deliveries(team, "rotating")
    assert (found["delivered"], found["failed"], found["pending"]) == (len(changes), 0, 0)
