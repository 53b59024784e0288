"""The house itself: the page of the modules is current, and no code stands twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import architecture, twins


def test_the_page_of_the_modules_is_current() -> None:
    page = architecture.PAGE.read_text(encoding="utf-8")
    assert architecture.current(page, architecture.render()), "run python -m tools.architecture"


def test_every_module_tells_what_it_knows_in_a_sentence() -> None:
    for module in architecture.modules():
        assert module.knows, f"{module.name} has no docstring"
        assert len(module.knows) <= 120, f"{module.name}: {module.knows}"


def test_every_contract_is_on_the_page() -> None:
    page = architecture.render()
    for contract in architecture.contracts():
        assert contract["name"] in page
        for name in [*contract.get("source_modules", ()), *contract.get("forbidden_modules", ())]:
            assert f"`{name.removeprefix('eventsource_operator.')}`" in page


PAGE = "| `core.gate` | 70 | A closed door | `api` |\n| `app` | 300 | The root | `core`; `kopf` |\n"


@pytest.mark.parametrize(
    ("page", "current"),
    [
        (PAGE, True),
        (PAGE.replace("70", "90"), True),
        (PAGE.replace("70", "91"), False),
        (PAGE.replace("A closed", "An open"), False),
        (PAGE.replace("`api`", "`kube`"), False),
        (PAGE.partition("\n")[2], False),
    ],
)
def test_a_page_is_old_when_more_than_some_lines_changed(page: str, current: bool) -> None:
    assert architecture.current(page, PAGE) is current


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("What it is.", "What it is"),
        ("One, two.\n\nMore.", "One, two"),
        ("Reads v1.2 of it. And more.", "Reads v1.2 of it"),
        ("No end", "No end"),
        ("Two\nlines: `a.b`. Rest.", "Two lines: `a.b`"),
    ],
)
def test_the_first_sentence(docstring: str, sentence: str) -> None:
    assert architecture.first_sentence(docstring) == sentence


def test_check_tells_and_writing_mends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(architecture, "PAGE", tmp_path / "modules.md")
    assert architecture.main(["--check"]) == 1
    assert "run python -m tools.architecture" in capsys.readouterr().err
    assert architecture.main([]) == 0
    assert architecture.main(["--check"]) == 0
    assert architecture.main(["--what"]) == 2


def test_no_ten_lines_of_the_product_stand_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert twins.main([]) == 0, capsys.readouterr().out


CODE = "\n".join(f"name_{number} = call({number}, 'text {number}')" for number in range(10))


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (CODE, CODE, ["a:1-10 ~ b:1-10"]),
        (CODE, f"import os\n\n# words\n{CODE}\nend = 1", ["a:1-10 ~ b:4-13"]),
        (CODE, CODE.replace("call(5", "call(7").replace("'text 5'", "'other'"), ["a:1-10 ~ b:1-10"]),
        (CODE, CODE.replace("name_5", "name_x"), []),
        (CODE, CODE.rpartition("\n")[0], []),
        (f"{CODE}\nx = 1\n{CODE}", "", ["a:1-10 ~ a:12-21"]),
        (
            re.sub("^.*$", "'a',", CODE, flags=re.MULTILINE),
            re.sub("^.*$", "'b',", CODE, flags=re.MULTILINE),
            [],
        ),
        (f'"""\n{CODE}\n"""', f'"""\n{CODE}\n"""', ["a:1-12 ~ b:1-12"]),
        (f'"""\n{CODE}\n"""', f'"""\n{CODE.replace("text", "word")}\n"""', []),
        ("\n".join(["import a"] * 12), "\n".join(["import a"] * 12), []),
    ],
)
def test_twins(one: str, other: str, found: list[str]) -> None:
    assert twins.twins({"a": one, "b": other}) == found


def test_twins_are_told_with_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text(CODE, encoding="utf-8")
    assert twins.main([str(tmp_path)]) == 0
    (tmp_path / "b.py").write_text(CODE, encoding="utf-8")
    assert twins.main([str(tmp_path)]) == 1
    assert "a.py:1-10 ~ b.py:1-10" in capsys.readouterr().out
