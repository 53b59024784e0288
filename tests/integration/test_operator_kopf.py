"""The handlers under Kopf's own command, in this process."""

from pathlib import Path

import pytest
from kopf.testing import KopfRunner

from tests.support.running_operator import Team
from tests.support.sink import Sink


def test_the_handlers_run_under_kopf(
    team: Team, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that is created becomes Ready and delivers; the end leaves no error."""
    token = tmp_path / "token"
    token.write_text(team.plane.argo_token, encoding="utf-8")
    for name, value in {
        "KUBECONFIG": str(team.plane.kubeconfig),
        "EVENTSOURCE_OPERATOR_ALL_NAMESPACES": "true",
        "EVENTSOURCE_OPERATOR_ARGO_SERVER": sink.url,
        "EVENTSOURCE_OPERATOR_ARGO_TOKEN_FILE": str(token),
        "EVENTSOURCE_OPERATOR_LEADER_ELECT": "false",
        "EVENTSOURCE_OPERATOR_METRICS_PORT": "0",
    }.items():
        monkeypatch.setenv(name, value)

    with KopfRunner(
        ["run", "-A", "--standalone", "-m", "eventsource_operator.handlers"], timeout=60
    ) as runner:
        team.source("kopf", {"watch": [{"names": ["app"]}]})
        team.put("app", {})
        sink.wait(f"{team.name}/kopf", 1)
        team.delete_source("kopf")

    assert str(runner.exception) == "None"
    assert runner.exit_code == 0
    assert sink.whats(f"{team.name}/kopf") == [("Added", "app")]
