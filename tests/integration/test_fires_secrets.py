"""After a run with Secrets, tokens and payloads, none of them is found in anything that the operator leaves behind."""

import base64
import binascii
import json
import re
import urllib.request
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.controlplane import wait_for
from tests.support.running_operator import SOURCES, Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

SECRETS = ("s3cret-before-41f7", "s3cret-after-9c02")
PAYLOAD = "payload-of-a-configmap-77d1"
OWN_TOKEN = "token-of-the-operator-5b1e"
SOURCE_TOKEN = "token-of-a-source-e80a"
REFUSED_TOKEN = "token-with-a\nline-break-d2c4"
EVERYWHERE = (*SECRETS, OWN_TOKEN, SOURCE_TOKEN, "line-break-d2c4", PAYLOAD)
"""What may be in no log line, status, Event, metric or checkpoint."""


class Echo(Sink):
    """Refuses what the source `refused` sends, and repeats in its answer all that it got."""

    async def _take(self, request: web.Request) -> web.StreamResponse:
        answer = await super()._take(request)
        if not request.headers.get("X-Event-Source", "").endswith("/refused"):
            return answer
        text = f"{request.headers.get('Authorization')} sent {(await request.read()).decode()}"
        return web.json_response({"code": 3, "message": text, "details": [text]}, status=400)


@pytest.fixture
def echo() -> Iterator[Echo]:
    """A server that tells what it should not."""
    with Echo() as serving:
        yield serving


def _secret(team: Team, name: str, value: str) -> None:
    team.request("POST", "secrets", {"metadata": {"name": name}, "stringData": {"token": value, "k": value}})


def _sources() -> dict[str, dict[str, Any]]:
    """One of each kind that handles something secret, by name."""
    secrets = {"kind": "Secret", "names": ["pass"]}
    configs = {"names": ["app"]}
    retry = {"retry": {"limit": 0}}
    text = "string(object.data.k)"
    every: dict[str, dict[str, Any]] = {
        "object": {"watch": [secrets]},
        "reference": {"watch": [secrets], "event": {"content": "Reference"}},
        "diff": {"watch": [secrets | {"fields": ["data"]}], "event": {"content": "Diff"}},
        "payload": {
            "watch": [secrets],
            "event": {"payload": f'{{"all": {text}, "was": oldObject, "is": object}}'},
        },
        "condition": {"watch": [secrets | {"condition": f"{text}.startsWith('hmac-sha256:')"}]},
        "error": {"watch": [secrets], "event": {"payload": "int(object.data.k)"}},
        "quiet": {"watch": [secrets], "delivery": {"quietPeriodSeconds": 0.3}},
        "refused": {"watch": [configs], "delivery": retry},
        "token": {
            "watch": [configs],
            "event": {"payload": "object.data.k"},
            "server": {"auth": {"secretRef": {"name": "good-token", "key": "token"}}},
        },
        "no-header": {
            "watch": [configs],
            "server": {"auth": {"secretRef": {"name": "bad-token", "key": "token"}}},
        },
        "config-error": {"watch": [configs], "event": {"payload": "int(object.data.k)"}},
    }
    return every


def _unpacked(shown: str) -> str:
    """The texts in the base64 of checkpoints, decompressed."""
    texts = []
    for packed in re.findall(r'"([A-Za-z0-9+/]{16,}={0,2})"', shown):
        try:
            content = base64.b64decode(packed, validate=True)
            texts.append(zlib.decompress(content).decode(errors="replace"))
        except (binascii.Error, zlib.error):  # a name or an id that looks like base64
            continue
    return "\n".join(texts)


def _metrics(own: Operator) -> str:
    ports = re.findall(r"health and metrics on port (\d+)", own.log.read_text(encoding="utf-8"))
    with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def _forms(value: str) -> set[str]:
    """As it is, as base64 and as JSON writes it."""
    return {value, base64.b64encode(value.encode()).decode(), json.dumps(value)[1:-1]}


def _status(team: Team, source: str) -> dict[str, Any]:
    path = f"{SOURCES}/namespaces/{team.name}/eventsources/{source}"
    return dict(team.plane.api.request("GET", path)["status"])


def _fails(team: Team, source: str) -> bool:
    return "evaluationErrors" in _status(team, source)


def _failed(team: Team, source: str) -> bool:
    return int(_status(team, source).get("deliveries", {}).get("failed", 0)) >= 2


def _both(echo: Echo, source: str) -> bool:
    return len({each.headers["x-event-id"] for each in echo.of(source)}) >= 2


def test_nothing_secret_is_left_behind(
    team: Team, echo: Echo, plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the most talkative log level, with servers that echo, expressions that fail, a kill and a stop."""
    monkeypatch.setenv("EVENTSOURCE_OPERATOR_LOG_LEVEL", "DEBUG")
    plane.kubectl("-n", team.name, "create", "role", "secrets", "--verb=list,watch", "--resource=secrets")
    plane.kubectl(
        "-n",
        team.name,
        "create",
        "rolebinding",
        "secrets",
        "--role=secrets",
        f"--serviceaccount={team.name}:default",
    )
    _secret(team, "good-token", SOURCE_TOKEN)
    _secret(team, "bad-token", REFUSED_TOKEN)
    own = Operator(plane, echo.url, tmp_path, namespaces=(team.name,))
    (tmp_path / "argo.token").write_text(OWN_TOKEN, encoding="utf-8")
    sources = _sources()
    with own:
        for name, spec in sources.items():
            team.source(name, spec, ready=False)
        for name in sources.keys() - {"no-header"}:
            team.until(name, "Ready", "True", timeout=30)
        team.until("no-header", "Watching", "True")
        _secret(team, "pass", SECRETS[0])
        team.put("app", {"k": PAYLOAD})
        echo.wait(f"{team.name}/diff", 1, 20, own.tail)
        own.kill()
        team.request("PATCH", "secrets/pass", {"stringData": {"k": SECRETS[1], "token": SECRETS[1]}})
        team.patch("app", {"data": {"more": PAYLOAD}})
        own.start()
        for name in ("object", "reference", "diff", "payload", "condition", "token"):
            wait_for(partial(_both, echo, f"{team.name}/{name}"), 30, f"both changes from {name}", own.tail)
        wait_for(partial(_failed, team, "refused"), 30, "failures in status", own.tail)
        # A damaged token is not the event's fault: it waits.
        held = team.until("no-header", "Delivering", "False", timeout=30)
        assert held["reason"] == "CredentialsUnavailable"
        assert "one line of printable ASCII" in held["message"]
        assert _status(team, "no-header")["deliveries"].get("failed", 0) == 0
        for name in ("error", "config-error"):
            wait_for(partial(_fails, team, name), 30, f"errors of {name} in status", own.tail)
        metrics = _metrics(own)
        own.stop()

    kinds = "evs,evsc,events,events.events.k8s.io"
    shown = plane.kubectl("-n", team.name, "get", kinds, "-o", "json")
    log = own.log.read_text(encoding="utf-8")
    left = {"log": log, "objects": shown, "ledgers": _unpacked(shown), "metrics": metrics}
    # The places are what they are said to be: each holds something of this run.
    assert f"{team.name}/refused" in metrics
    assert '"DeliveryFailed"' in shown
    assert "debug" in log.lower()
    assert "pass" in left["ledgers"]
    found = [
        (place, value)
        for place, text in left.items()
        for value in EVERYWHERE
        for form in _forms(value)
        if form in text
    ]
    assert found == []
    sent = "".join(each.raw.decode() + str(each.headers) for each in list(echo.requests))
    assert PAYLOAD in sent
    assert f"Bearer {SOURCE_TOKEN}" in sent
    assert [value for value in SECRETS for form in _forms(value) if form in sent] == []
