"""`send` and `bindings` against the stand-in: bodies, outputs, exit codes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from eventsource_operator.cli.bindings import bindings
from eventsource_operator.cli.send import send
from tests.support.fake_argo import FakeArgo, Reply


@pytest.fixture
def fake() -> Iterator[FakeArgo]:
    with FakeArgo({"good": ("*",)}) as server:
        yield server


def run(command: click.Command, fake: FakeArgo, *args: str, stdin: Any = None, **environment: str) -> Result:
    env = {"ARGO_SERVER": fake.url, "ARGO_TOKEN": "good"} | environment
    return CliRunner().invoke(command, args, env=env, input=stdin)


def test_a_body_as_argument(fake: FakeArgo) -> None:
    result = run(send, fake, "argo", '{"a": 1}', "-d", "disc", "-H", "X-Kind: ConfigMap", "-H", "x-b:c")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Sent to namespace argo" in result.output
    (seen,) = fake.seen
    assert (seen.path, seen.body) == ("/api/v1/events/argo/disc", b'{"a":1}')
    assert (seen.headers["X-Kind"], seen.headers["x-b"]) == ("ConfigMap", "c")


def test_a_body_of_a_file(fake: FakeArgo, tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text('["ü"]', encoding="utf-8")
    assert run(send, fake, "argo", "--file", str(path)).exit_code == 0
    assert fake.seen[0].body == '["ü"]'.encode()


@pytest.mark.parametrize("args", [("-",), (), ("--file", "-")])
def test_a_body_of_standard_input(fake: FakeArgo, args: tuple[str, ...]) -> None:
    assert run(send, fake, "argo", *args, stdin="null").exit_code == 0
    assert fake.seen[0].body == b"null"


def test_text_is_sent_as_a_string(fake: FakeArgo) -> None:
    assert run(send, fake, "argo", "--text", "not json").exit_code == 0
    assert fake.seen[0].body == b'"not json"'


@pytest.mark.parametrize(
    ("args", "stdin", "says"),
    [
        (("argo", "{not json"), None, "BODY: is not JSON at line 1, column 2"),
        (("argo", "NaN"), None, "BODY: is not JSON"),
        (("argo", ""), None, "BODY: is not JSON"),
        (("argo", "-"), b"\xff", "BODY: is not UTF-8"),
        (("argo", "1", "--file", "-"), "2", "not both"),
        (("argo", "1", "-d", "a/b"), None, "discriminator: must not hold '/'"),
        (("Argo", "1"), None, "namespace: "),
        (("argo", "1", "-H", "X-A"), None, "--header: "),
        (("argo", "1", "-H", "Plain: b"), None, "headers: 'Plain'"),
        (("argo", "1", "--server", "localhost:2746"), None, "url: must begin with http://"),
        (("argo", "1", "--timeout", "0"), None, "timeout: "),
        (("argo", "1", "--token-file", "/nowhere"), None, "--token-file"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(
    fake: FakeArgo, args: tuple[str, ...], stdin: Any, says: str
) -> None:
    result = run(send, fake, *args, stdin=stdin)
    assert result.exit_code == 2
    assert says in result.stderr
    assert fake.seen == []


def test_failures_have_a_hint_and_exit_with_1(fake: FakeArgo) -> None:
    result = run(send, fake, "argo", "1", ARGO_TOKEN="bad")
    assert result.exit_code == 1
    assert "Unauthorized (HTTP 401, code 16)" in result.stderr
    assert "--token-file or ARGO_TOKEN" in result.stderr
    assert result.stdout == ""


def test_failures_as_json(fake: FakeArgo) -> None:
    reason = 'failed to get workflow template: workflowtemplates.argoproj.io "x" not found'
    message = f"failed to dispatch event: [{reason}]"
    fake.always = Reply(500, json.dumps({"code": 13, "message": message}).encode())
    result = run(send, fake, "argo", "1", "-o", "json")
    assert result.exit_code == 1
    error = json.loads(result.stdout)["error"]
    assert (error["kind"], error["decision"], error["status"], error["code"]) == (
        "Dispatch",
        "dispatch",
        500,
        13,
    )
    assert (len(error["reasons"]), error["transient"]) == (1, False)


def test_a_duplicate_is_success(fake: FakeArgo) -> None:
    message = (
        'failed to dispatch event: [failed to create workflow: workflows.argoproj.io "w" already exists]'
    )
    fake.always = Reply(500, json.dumps({"code": 13, "message": message}).encode())
    result = run(send, fake, "argo", "1")
    assert result.exit_code == 0
    assert "duplicate" in result.output
    assert json.loads(run(send, fake, "argo", "1", "-o", "json").stdout)["result"] == "duplicate"


def test_a_made_up_name_that_is_taken_is_no_success(fake: FakeArgo) -> None:
    """The server made no Workflow of it."""
    message = 'failed to dispatch event: [failed to create workflow: workflows.argoproj.io "w-x7k2q" already exists]'
    fake.always = Reply(500, json.dumps({"code": 13, "message": message}).encode())
    result = run(send, fake, "argo", "1")
    assert result.exit_code == 1
    assert "already exists" in result.output


def test_send_as_json(fake: FakeArgo) -> None:
    result = run(send, fake, "argo", "1", "-o", "json")
    assert json.loads(result.stdout) == {
        "result": "sent",
        "namespace": "argo",
        "discriminator": "",
        "answer": {},
    }


def test_a_token_of_a_file_goes_before_the_environment(fake: FakeArgo, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("good\n")
    assert run(send, fake, "argo", "1", "--token-file", str(path), ARGO_TOKEN="bad").exit_code == 0


def put(fake: FakeArgo, name: str, **spec: Any) -> None:
    manifest = {
        "metadata": {"name": name, "namespace": "argo"},
        "spec": {"event": {"selector": "true"}, **spec},
    }
    fake.bindings.setdefault("argo", []).append(manifest)


def test_bindings_as_a_table(fake: FakeArgo) -> None:
    put(fake, "b", submit={"workflowTemplateRef": {"name": "t", "clusterScope": True}})
    put(fake, "a\x1b[31m", submit={"workflowTemplateRef": {"name": "t"}})
    put(fake, "mute", event={"selector": "[bold]"})
    result = run(bindings, fake, "argo", "--limit", "1")
    assert result.exit_code == 0
    assert [line.split() for line in result.output.splitlines()] == [
        ["NAMESPACE", "NAME", "SUBMITS", "SELECTOR"],
        ["argo", "a\N{REPLACEMENT CHARACTER}", "workflowtemplate/t", "true"],
        ["argo", "b", "clusterworkflowtemplate/t", "true"],
        ["argo", "mute", "-", "[bold]"],
    ]
    assert len(fake.seen) == 3


def test_bindings_as_json(fake: FakeArgo) -> None:
    put(fake, "a")
    result = run(bindings, fake, "-A", "-l", "x=y", "--field-selector", "metadata.name=a", "-o", "json")
    assert [item["metadata"]["name"] for item in json.loads(result.stdout)["items"]] == ["a"]
    assert fake.seen[0].path == "/api/v1/workflow-event-bindings/"
    assert fake.seen[0].query["listOptions.labelSelector"] == "x=y"
    assert fake.seen[0].query["listOptions.fieldSelector"] == "metadata.name=a"


def test_no_bindings(fake: FakeArgo) -> None:
    result = run(bindings, fake, "argo")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No bindings in namespace argo." in result.stderr


@pytest.mark.parametrize("args", [(), ("argo", "-A"), ("argo", "--limit", "-1")])
def test_mistakes_with_bindings(fake: FakeArgo, args: tuple[str, ...]) -> None:
    assert run(bindings, fake, *args).exit_code == 2
    assert fake.seen == []
