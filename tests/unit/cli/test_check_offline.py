"""`check --offline`: what a file alone tells."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from eventsource_operator.cli.main import cli
from tests.unit.cli.checked import SOURCE, items, source


def offline(tmp_path: Path, content: str, *args: str) -> Result:
    path = tmp_path / "source.yaml"
    path.write_text(content, encoding="utf-8")
    environment = {"KUBECONFIG": "/nowhere/kubeconfig"}
    return CliRunner().invoke(cli, ["check", "--offline", str(path), *args], env=environment)


def test_a_valid_file_offline(tmp_path: Path) -> None:
    result = offline(tmp_path, yaml.safe_dump(source(event={"namespace": "argo", "discriminator": "d"})))
    assert (result.exit_code, result.stderr) == (0, "")
    assert (
        result.output
        == "EventSource team-a/app-config is valid; it sends to namespace argo, discriminator d.\n"
    )


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"watch": []}, "spec.watch"),
        ({"watch": [{"kindd": "Pod"}]}, "spec.watch[0].kindd"),
        ({"watch": [{}, {"condition": "object.data =="}]}, "spec.watch[1].condition"),
        ({"watch": [{"condition": "objekt.x"}]}, "spec.watch[0].condition"),
        ({"event": {"payload": "{'a': }"}}, "spec.event.payload"),
        ({"event": {"discriminator": "a/b"}}, "spec.event.discriminator"),
        ({"bindings": {"labelSelector": "a b c"}}, "spec.bindings.labelSelector"),
    ],
)
def test_a_bad_file_offline_names_the_field(tmp_path: Path, spec: dict[str, Any], field: str) -> None:
    result = offline(tmp_path, yaml.safe_dump(source(**spec)))
    assert result.exit_code == 1
    assert f"document 1 (app-config): {field}: " in result.stderr
    told = items(offline(tmp_path, yaml.safe_dump(source(**spec)), "-o", "json"))
    assert (told[0]["valid"], told[0]["field"]) == (False, field)


def test_one_bad_document_does_not_hide_the_others(tmp_path: Path) -> None:
    content = yaml.safe_dump_all([source(), source(watch=[]), {"apiVersion": "v1", "kind": "ConfigMap"}])
    result = offline(tmp_path, content)
    assert result.exit_code == 1
    assert "app-config is valid" in result.stdout
    assert "document 2 (app-config): spec.watch: " in result.stderr
    assert "1 other object was passed over" in result.stderr


def test_standard_input() -> None:
    result = CliRunner().invoke(cli, ["check", "--offline", "-"], input=yaml.safe_dump(source()))
    assert (result.exit_code, result.stderr) == (0, "")


def test_control_characters_never_reach_the_terminal(tmp_path: Path) -> None:
    content = yaml.safe_dump(source(watch=[{"condition": 'object["\x1b]0;owned\x07"] == '}]))
    bad_name = yaml.safe_dump(SOURCE | {"metadata": {"name": "a\x1b[31m\u202eb"}})
    for text in (content, bad_name):
        result = offline(tmp_path, text)
        assert result.exit_code == 1
        assert all(line.isprintable() for line in (result.stdout + result.stderr).splitlines())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: &a [*a]", "an alias holds itself"),
        ("apiVersion: v1\nkind: ConfigMap", "holds no EventSource (1 other objects)"),
        ("", "holds no EventSource"),
    ],
)
def test_a_file_without_an_eventsource(tmp_path: Path, content: str, says: str) -> None:
    result = offline(tmp_path, content)
    assert result.exit_code == 1
    assert says in result.stderr


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    result = offline(tmp_path, "#" * (1024 * 1024 + 1))
    assert result.exit_code == 2
    assert "more than 1048576 bytes" in result.stderr
