"""`check` against `run`: what is said before a change is sent, and what then arrives, on the real control plane."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.pins import CHECKOUT

pytestmark = pytest.mark.usefixtures("operator")
SAMPLE = CHECKOUT / "manifests/samples/quickstart"


OPERATOR = ("-m", "eventsource_operator")
PLUGIN = ("-c", "from eventsource_operator.cli.evs import main; main()")


def command(team: Team, *arguments: str, program: tuple[str, str] = OPERATOR, code: int = 0) -> str:
    """Runs `eventsource-operator`, or the plugin, as a user does; its standard output."""
    done = subprocess.run(
        [sys.executable, *program, *arguments],
        env={**os.environ, "KUBECONFIG": str(team.plane.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def checked(team: Team, sink: Sink, source: str, *options: str) -> dict[str, Any]:
    """The report of `check` on a live source."""
    output = command(
        team,
        "check",
        f"{team.name}/{source}",
        "--show-body",
        "-o",
        "json",
        "--argo-server",
        sink.url,
        *options,
    )
    report: dict[str, Any] = json.loads(output)["items"][0]
    assert report["problems"] == []
    return report


def sample(name: str) -> dict[str, Any]:
    """A manifest of the quickstart."""
    found: dict[str, Any] = yaml.safe_load((SAMPLE / name).read_text("utf-8"))
    return found


def test_check_prints_what_run_then_sends(team: Team, sink: Sink, operator: Operator) -> None:
    """The sample's source, suspended while `check` looks: the same id and body, but for what only time tells."""
    spec = sample("30-eventsource.yaml")["spec"]
    spec["watch"][0] |= {"events": ["Added", "Modified"], "initial": "Send"}
    team.put("app", sample("40-configmap.yaml")["data"])
    team.put("other", {})
    team.source("app-config", {**spec, "suspend": True}, ready=False)
    team.until("app-config", "Watching", "True")

    (added,) = checked(team, sink, "app-config", "--change", "added")["targets"][0]["events"]
    team.patch("app", {"data": {"LOG_LEVEL": "debug"}})
    (modified,) = checked(team, sink, "app-config")["targets"][0]["events"]
    assert sink.of(f"{team.name}/app-config") == []
    team.edit_source("app-config", {"suspend": False})
    sent = sink.wait(f"{team.name}/app-config", 2, evidence=operator.tail)

    assert [each.what for each in sent] == [("Added", "app"), ("Modified", "app")]
    for said, request in zip((added, modified), sent, strict=True):
        body, foretold = request.body, said["body"]
        assert said["id"] == body["id"] == request.headers["x-event-id"] == foretold["id"]
        for each in (body, foretold):
            assert each.pop("time").endswith("Z")
            each["data"].pop("changed", None)  # check does not know the old state, and says so
        assert foretold == body
        assert said["subject"] == body["subject"]
        assert said["bytes"] > 0


def test_check_explains_a_file_and_tells_its_ids_are_not_known(team: Team, sink: Sink) -> None:
    team.put("app", sample("40-configmap.yaml")["data"])
    output = command(
        team, "check", str(SAMPLE / "30-eventsource.yaml"), "-n", team.name, "--argo-server", sink.url
    )
    assert "1 of 2 objects match" in output  # kube-root-ca.crt is the other one
    assert "no WorkflowEventBinding" in output
    assert "The ids of events depend on the EventSource's uid" in output
    why = command(
        team, "check", str(SAMPLE / "30-eventsource.yaml"), "-n", team.name, "--argo-server", sink.url,
        "--object", f"{team.name}/kube-root-ca.crt",
    )  # fmt: skip
    assert "does not match" in why
    assert "names" in why


def test_status_and_replay_as_the_plugin(team: Team, sink: Sink, operator: Operator) -> None:
    """The plugin as kubectl runs it, with the flag before the verb and after it."""
    team.source("plugin", {"watch": [{"names": ["app"]}]})
    team.put("app", {})
    sink.wait(f"{team.name}/plugin", 1, evidence=operator.tail)

    def plugin(*arguments: str) -> str:
        return command(team, *arguments, program=PLUGIN)

    rows = plugin("-n", team.name, "status", "plugin").splitlines()
    assert rows[1].split()[:4] == [team.name, "plugin", "True", "Ready"]
    assert plugin("status", "-n", team.name).splitlines()[0] == rows[0]
    assert "taken" in plugin(
        "-n", team.name, "replay", "plugin", f"ConfigMap/{team.name}/app", "--wait", "20"
    )
    again = sink.wait(f"{team.name}/plugin", 2, evidence=operator.tail)
    assert again[1].what == ("Modified", "app")
