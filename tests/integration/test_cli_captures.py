"""The captures in the docs against a run of today: the same headings, columns, rows and words."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import delete_namespace
from tools.captures import FOLDER, NAMESPACE, Stage, form
from tools.controlplane.plane import ControlPlane

NAMES = ("check", "describe", "get", "status", "tail")


@pytest.fixture(scope="module")
def fresh(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder: Path = tmp_path_factory.mktemp("captures")
    yield Stage(plane, folder).play(folder)
    delete_namespace(plane, NAMESPACE)


def shape(name: str, text: str) -> list[str]:
    """What has to be the same. Two sources deliver at the same time; Events come in any order, and more than once."""
    lines = [line.rstrip() for line in form(text).splitlines()]
    if name == "tail":
        return sorted(lines)
    if name == "describe":
        at = lines.index("Events:")
        return lines[: at + 3] + sorted({" ".join(line.split()[:2]) for line in lines[at + 3 :]})
    return lines


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_is_current(name: str, fresh: dict[str, str]) -> None:
    """If this fails and the new output is meant, `python -m tools.captures` writes the files again."""
    kept = (FOLDER / f"{name}.txt").read_text("utf-8")
    assert shape(name, kept) == shape(name, fresh[name])


def test_all_captures_are_compared(fresh: dict[str, str]) -> None:
    assert set(fresh) == set(NAMES) == {path.stem for path in FOLDER.glob("*")}


def test_what_differs_from_run_to_run_is_all_that_is_left_out() -> None:
    one = "team-a  app  True   2/3  17s  2026-11-24T13:32:42Z  ad3cf5946bc53c64a91d54493d85b1b1 after 0.255 s"
    two = "team-a  app  True  20/31  2m10s  2026-11-25T13:32:42Z  00000000000000000000000000000000 after 1 s"
    assert form(one) == form(two)
    assert form(one) != form(two.replace("True", "False"))
