"""The benchmark's report: what makes a run fail, what the documentation gets, the charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench import report
from tools.bench.figures import Round
from tools.bench.plot import line_chart
from tools.bench.suite import SUITE, Benchmark, Result

SVG = "{http://www.w3.org/2000/svg}"


def benchmark(name: str) -> Benchmark:
    return next(each for each in SUITE if each.name == name)


def whole(**results: Result) -> dict[str, Any]:
    found = {
        name: {**benchmark(name).report(result), "busy": 1.0, "seconds": 1.0, "quick": True}
        for name, result in results.items()
    }
    machine = {
        "cores": 2, "processor": "p", "memory": "m", "kernel": "k", "python": "3", "versions": {"kopf": "1"},
    }  # fmt: skip
    return {"machine": machine, "date": "2026-01-01", "rounds": 1, "results": found}


def good() -> dict[str, Any]:
    round_: Round = {"p50 ms": 0.5, "p99 ms": 2.0, "lost": 0, "duplicated": 0}
    return whole(
        B1=Result({"operator": [round_], "knative": [{**round_, "p50 ms": 0.6}]}),
        growth=Result(
            {
                "100 objects": [{"resident MiB": 80.0, "CPU ms per change": 0.5}],
                "1000 objects": [{"resident MiB": 81.0, "CPU ms per change": 0.5}],
            }
        ),
    )


def test_a_good_run_has_not_failed() -> None:
    found = good()
    assert report.failed(found) == []
    assert [v["met"] for v in found["results"]["B1"]["targets"]] == [True, True]


@pytest.mark.parametrize("kind", ["lost", "duplicated"])
@pytest.mark.parametrize("peer", ["operator", "knative"])
def test_a_run_that_loses_or_doubles_has_failed(kind: str, peer: str) -> None:
    found = whole(B1=Result({peer: [{"lost": 0, "duplicated": 0, kind: 1}]}))
    assert report.failed(found) == [f"B1, {peer}, round 1: 1 {kind}"]


def test_a_peer_that_cannot_be_measured_costs_the_others_nothing() -> None:
    def measure(peer: str) -> dict[str, float | None]:
        if peer == "knative":
            raise RuntimeError("no such binary")
        return {"lost": 0, "duplicated": 0, "p50 ms": 1.0}

    result = Result()
    for peer in ("knative", "operator"):
        result.add(1, peer, measure, peer)
    found = whole(B1=result)
    assert report.failed(found) == ["B1: knative, round 1: RuntimeError: no such binary (measure)"]
    assert found["results"]["B1"]["peers"]["operator"]["p50 ms"]["median"] == 1.0
    assert found["results"]["B1"]["targets"][0]["met"] is None


def test_the_documentation_gets_the_figures_between_its_marks(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("docs/benchmarks.md", "docs/limits.md", "README.md"):
        (tmp_path / name).write_text(
            f"before\n{report.BEGIN}\nSTALE\n{report.END}\nafter\n", encoding="utf-8"
        )
    for _ in range(2):  # the second time changes nothing more
        written = report.document(good(), docs)
    text = (docs / "benchmarks.md").read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "STALE" not in text
    assert "| B1 | p50 ms ≤ knative's | 0.5 = 0.83 of 0.6 | met |" in text
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "STALE" not in readme
    assert "the median at 50 changes a second | 0.5 | 0.6 |  |  |" in readme
    assert "argo-server" not in readme, "what was not measured has no row"
    assert {path.name for path in written if path.suffix == ".svg"} == {
        "benchmarks-resident-objects.svg",
        "benchmarks-cpu-objects.svg",
    }
    assert all(path.exists() for path in written)


@pytest.mark.parametrize(
    "text", ["", report.BEGIN, f"{report.END}{report.BEGIN}", f"{report.BEGIN}{report.END}{report.BEGIN}"]
)
def test_a_page_without_its_marks_is_refused(tmp_path: Path, text: str) -> None:
    text = text.format(begin=report.BEGIN, end=report.END)
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="once each"):
        report.replace_block(page, "new")
    assert page.read_text(encoding="utf-8") == text


@given(
    st.lists(
        st.tuples(st.floats(1, 1e6), st.floats(0, 1e6)),
        min_size=1,
        max_size=8,
        unique_by=(lambda point: point[0], lambda point: point[1]),
    )
)
def test_each_point_of_a_chart_is_inside_of_it(points: list[tuple[float, float]]) -> None:
    chart = ET.fromstring(line_chart("a < b & c", "x", "y", points))  # noqa: S314 - our own
    dots = chart.findall(f"{SVG}circle")
    assert len(dots) == len(points)
    ys = {}
    for dot, (_, y) in zip(dots, sorted(points), strict=True):
        assert 70 <= float(dot.attrib["cx"]) <= 620
        assert 40 <= float(dot.attrib["cy"]) <= 310
        ys[y] = float(dot.attrib["cy"])
    assert [ys[y] for y in sorted(ys)] == sorted(ys.values(), reverse=True), "more is higher"


@pytest.mark.parametrize("points", [[], [(0.0, 1.0)], [(1.0, -1.0)]])
def test_a_chart_of_nothing_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="chart"):
        line_chart("t", "x", "y", points)
