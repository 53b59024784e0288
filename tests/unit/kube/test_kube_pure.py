"""What needs no API server: lines, errors, hints, paths, discovery's cache, keys, leadership by the clock."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.kube import config, errors
from eventsource_operator.kube.discovery import Discovery, KindNotFound, Resource, nearest
from eventsource_operator.kube.leader import Leadership, SoleLeader
from eventsource_operator.kube.reviews import Attributes, ServiceAccount, grant_hint
from eventsource_operator.kube.secrets import KeyMissing, read_key
from eventsource_operator.kube.stream import LineSplitter
from tests.support.controlplane import wait_for_async
from tests.unit.kube.fake_api import Clock, FakeApi


@given(
    lines=st.lists(st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\n", b"x")), max_size=20),
    cuts=st.lists(st.integers(0, 800), max_size=30),
    tail=st.binary(max_size=10).map(lambda b: b.replace(b"\n", b"x")),
)
def test_lines_come_out_as_they_were_however_they_are_cut(
    lines: list[bytes], cuts: list[int], tail: bytes
) -> None:
    stream = b"".join(line + b"\n" for line in lines) + tail
    splitter = LineSplitter()
    out: list[bytes] = []
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    for begin, end in itertools.pairwise(edges):
        out += splitter.feed(stream[begin:end])
    assert out == lines
    assert splitter.feed(b"\n") == ([tail] if tail else [])


@pytest.mark.parametrize(
    ("status", "expected", "transient"),
    [
        (400, errors.Invalid, False),
        (401, errors.Unauthorized, False),
        (403, errors.Forbidden, False),
        (404, errors.NotFound, False),
        (405, errors.KubeError, False),
        (409, errors.Conflict, False),
        (410, errors.Gone, False),
        (422, errors.Invalid, False),
        (302, errors.Unavailable, True),
        (429, errors.TooManyRequests, True),
        (500, errors.Unavailable, True),
        (503, errors.Unavailable, True),
        (504, errors.Unavailable, True),
    ],
)
def test_each_status_has_its_class(status: int, expected: type[errors.KubeError], transient: bool) -> None:
    error = errors.from_response(status, b'{"kind":"Status","message":"m","reason":"R"}', {})
    assert type(error) is expected
    assert error.transient is transient


def test_an_answer_that_is_not_a_status_is_bounded_and_clean() -> None:
    error = errors.from_response(502, b"<html>\r\n\x1b[31mBad\x00" + b"x" * 100_000, {})
    assert len(str(error)) < 600
    assert str(error).isprintable()
    assert "HTTP status 500 without a body" in str(errors.from_response(500, b"", {}))
    assert isinstance(errors.from_response(500, b'"text"', {}), errors.Unavailable)


def test_retry_after_comes_from_the_header_or_the_body() -> None:
    body = b'{"message":"slow down","details":{"retryAfterSeconds":7}}'
    for headers, expected in (({"Retry-After": "3"}, 3.0), ({}, 7.0), ({"Retry-After": "Fri, 1 Jan"}, 7.0)):
        error = errors.from_response(429, body, headers)
        assert isinstance(error, errors.TooManyRequests)
        assert error.retry_after == expected


def test_a_watchs_error_event_becomes_gone() -> None:
    status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    assert isinstance(errors.from_status(status), errors.Gone)
    assert isinstance(errors.from_status({"reason": "Expired"}), errors.Gone)
    assert isinstance(errors.from_status({"code": 500}), errors.Unavailable)


def test_paths_are_encoded() -> None:
    assert Resource("", "v1", "Pod", "pods").path() == "/api/v1/pods"
    role = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
    assert role.path(None, "system:a/b") == f"/apis/{role.api_version}/clusterroles/system%3Aa%2Fb"
    assert Resource("g", "v1", "W", "ws").path("n", "w", "status") == "/apis/g/v1/namespaces/n/ws/w/status"


def test_hints_are_commands_that_a_shell_takes_as_meant() -> None:
    account = ServiceAccount("team-a", "default")
    both = [Attributes(verb, "", "secrets", "team-b") for verb in ("list", "watch")]
    assert grant_hint(both, account) == (
        "kubectl create role eventsource:team-a:default:list-watch:secrets -n team-b"
        " --verb=list,watch --resource=secrets; "
        "kubectl create rolebinding eventsource:team-a:default:list-watch:secrets -n team-b"
        " --role=eventsource:team-a:default:list-watch:secrets --serviceaccount=team-a:default"
    )
    everywhere = grant_hint(Attributes("create", "argoproj.io", "workflows", ""), account)
    assert "kubectl create clusterrole " in everywhere
    assert "--resource=workflows.argoproj.io" in everywhere
    assert " -n " not in everywhere
    hostile = grant_hint(Attributes("list", "", "secrets", "x; rm -rf /"), account)
    assert "-n 'x; rm -rf /'" in hostile


def test_no_two_accounts_share_the_name_of_a_role() -> None:
    """Joined by dashes, `a-b`/`c` and `a`/`b-c` would: the second hint would then fail and grant nothing."""
    right = Attributes("list", "", "secrets", "team-b")
    hints = [
        grant_hint(right, account) for account in (ServiceAccount("a-b", "c"), ServiceAccount("a", "b-c"))
    ]
    assert hints[0].split()[3] != hints[1].split()[3]


def test_attributes_read_as_a_sentence() -> None:
    assert str(Attributes("list", "apps", "deployments", "a")) == "list deployments.apps in namespace a"
    assert str(Attributes("get", "", "secrets", "", "one")) == "get secrets one in all namespaces"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("configmap", "ConfigMap"), ("cm", "ConfigMap"), ("ConfigMapp", "ConfigMap"), ("Gadget", None)],
)
def test_the_nearest_kind(kind: str, expected: str | None) -> None:
    names = [("configmaps", "ConfigMap"), ("cm", "ConfigMap"), ("pods", "Pod")]
    assert nearest(kind, ["ConfigMap", "Pod"], names) == expected


def listing(*kinds: str) -> dict[str, Any]:
    return {
        "resources": [
            {"name": k.lower() + "s", "kind": k, "namespaced": True, "verbs": ["list", "watch"]}
            for k in kinds
        ]
        + [{"name": "widgets/status", "kind": "Widget", "namespaced": True, "verbs": ["get"]}]
    }


async def test_a_thousand_waiting_sources_cost_one_request_each_two_seconds() -> None:
    now = [100.0]
    answers: dict[str, Any] = {}
    api = FakeApi(answers)
    discovery = Discovery(api.client(), now=lambda: now[0])

    async def ask() -> Resource | None:
        with contextlib.suppress(KindNotFound):
            return await discovery.resolve("example.com/v1", "Widget")
        return None

    def requests() -> int:
        return [path for _, path, _ in api.asked].count("/apis/example.com/v1")

    assert await asyncio.gather(*(ask() for _ in range(1000))) == [None] * 1000
    assert requests() == 1
    assert len(api.asked) <= 3  # and one look at the other groups, for the hint
    answers["GET /apis/example.com/v1"] = listing("Widget")
    now[0] += 1.9
    assert await ask() is None
    now[0] += 0.2
    found = await ask()
    assert found == Resource("example.com", "v1", "Widget", "widgets")
    assert await ask() is found
    assert requests() == 2
    discovery.invalidate("example.com/v1")
    assert await ask() == found
    assert requests() == 3


async def test_a_failing_discovery_is_not_taken_for_a_missing_kind() -> None:
    api = FakeApi({"GET /api/v1": errors.Unavailable(503, "ServiceUnavailable", "later")})
    with pytest.raises(errors.Unavailable):
        await Discovery(api.client()).resolve("v1", "ConfigMap")


async def test_a_secrets_value_that_is_not_base64_is_not_repeated() -> None:
    api = FakeApi({"GET /api/v1/namespaces/a/secrets/s": {"data": {"k": "s3cret!!"}}})
    with pytest.raises(KeyMissing) as caught:
        await read_key(api.client(), "a", "Secret", "s", "k")
    assert "s3cret" not in repr(caught.value)
    assert caught.value.__cause__ is None


async def test_binary_data_of_a_config_map_is_read() -> None:
    api = FakeApi({"GET /api/v1/namespaces/a/configmaps/c": {"binaryData": {"k": "AAEC"}}})
    assert await read_key(api.client(), "a", "ConfigMap", "c", "k") == b"\x00\x01\x02"


async def test_without_an_election_one_leads_from_start_to_release() -> None:
    told = []

    async def started() -> None:
        told.append("started")

    sole = SoleLeader(on_started=started)

    def leads() -> bool:
        return sole.is_leader

    assert not leads()
    running = asyncio.create_task(sole.run())
    await wait_for_async(leads, 5, "the start")
    assert told == ["started"]
    await sole.release()
    assert not leads()
    await running


@contextlib.asynccontextmanager
async def leading(**options: Any) -> AsyncIterator[Callable[[], bool]]:
    """A leader, as a question whether it still is."""
    lease = "/apis/coordination.k8s.io/v1/namespaces/a/leases"
    api = FakeApi({f"POST {lease}": {}})

    async def nothing() -> None:
        pass

    one = Leadership(api.client(), namespace="a", name="l", on_started=nothing, on_stopped=nothing, **options)

    def leads() -> bool:
        return one.is_leader

    assert not leads()
    running = asyncio.create_task(one.run())
    await wait_for_async(leads, 5, "the lease")
    try:
        yield leads
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_leadership_ends_by_itself_when_the_clock_passes_the_deadline() -> None:
    clock = Clock()
    async with leading(now=clock) as leads:
        clock.now += 9.99
        assert leads()
        clock.now += 0.02
        assert not leads()


async def test_the_time_of_a_suspended_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an hour of suspension the clock that Linux calls monotonic has not moved; the lease has run out."""
    async with leading() as leads:
        real = time.clock_gettime
        monkeypatch.setattr(
            time, "clock_gettime", lambda clock: real(clock) + 3600 * (clock == time.CLOCK_BOOTTIME)
        )
        assert not leads()
        monkeypatch.undo()


async def test_no_configuration_is_told_with_the_remedy() -> None:
    with pytest.raises(errors.ConfigurationError, match="pass --kubeconfig or set KUBECONFIG"):
        await config.load("/nonexistent/config", None)
