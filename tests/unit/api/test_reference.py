"""docs/reference.md is what the CRDs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.eventsource_objects import nodes, schema
from tools import crd_reference


def test_the_page_is_current() -> None:
    current = crd_reference.PAGE.read_text(encoding="utf-8")
    assert current == crd_reference.render(), "run python -m tools.crd_reference"


@pytest.mark.parametrize("plural", crd_reference.CRDS)
def test_every_field_is_on_the_page(plural: str) -> None:
    page = crd_reference.render()
    for path, rules in nodes(schema(plural)):
        name = path.rsplit(".", 1)[-1]
        if path in ("", "apiVersion", "kind", "metadata") or name.endswith(("[]", "{}")):
            continue
        parent = path.rpartition(".")[0]
        if path in ("spec", "status"):
            assert f"### {path}\n" in page
            continue
        section = page.partition(f"### {parent}\n" if parent else "## EventSourceCheckpoint\n")[2].partition(
            "\n###"
        )[0]
        assert f"| `{name}` |" in section, path
        assert rules["description"].replace("|", "\\|") in section, path


def test_check_tells_when_the_page_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "reference.md"
    monkeypatch.setattr(crd_reference, "PAGE", page)
    monkeypatch.setattr(crd_reference, "render", lambda: "new")
    monkeypatch.setattr(crd_reference, "ROOT", tmp_path)
    page.write_text("old", encoding="utf-8")
    assert crd_reference.main(["--check"]) == 1
    assert "run python -m tools.crd_reference" in capsys.readouterr().err
    assert crd_reference.main([]) == 0
    assert crd_reference.main(["--check"]) == 0
    assert crd_reference.main(["--unknown"]) == 2
