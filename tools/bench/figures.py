"""The arithmetic of the benchmark: percentiles, medians over rounds, targets and whether they are met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Round: TypeAlias = dict[str, float | None]
"""One round of one peer: figures by name; None where there is none."""

Summary: TypeAlias = dict[str, dict[str, float]]
"""Median, least and most of each figure."""

LOST, DUPLICATED = "lost", "duplicated"


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that ``share`` of all values do not exceed (nearest rank).

    Raises:
        ValueError: there is no value, or the share is none.
    """
    if not values or not 0 < share <= 1:
        raise ValueError("a percentile needs values and a share above 0, at most 1")
    return sorted(values)[math.ceil(share * len(values)) - 1]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much y grows with each x: the line through the points with the least squares.

    Raises:
        ValueError: fewer than two different x.
    """
    if len({x for x, _ in points}) < 2:  # noqa: PLR2004 - a line needs two points
        raise ValueError("growth needs two sizes")
    middle_x, middle_y = (statistics.fmean(column) for column in zip(*points, strict=True))
    above = sum((x - middle_x) * (y - middle_y) for x, y in points)
    return above / sum((x - middle_x) ** 2 for x, _ in points)


def summary(rounds: Sequence[Mapping[str, float | None]]) -> Summary:
    """Median, least and most of each figure over the rounds that have it."""
    found: dict[str, list[float]] = {}
    for one in rounds:
        for key, value in one.items():
            if value is not None:
                found.setdefault(key, []).append(value)
    return {
        key: {"median": statistics.median(values), "min": min(values), "max": max(values)}
        for key, values in found.items()
    }


def faults(name: str, peer: str, rounds: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Rounds in which something was lost or came twice: such a run proves nothing but a fault."""
    return [
        f"{name}, {peer}, round {number}: {one[kind]:g} {kind}"
        for number, one in enumerate(rounds, 1)
        for kind in (LOST, DUPLICATED)
        if one.get(kind)
    ]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure of the operator shall reach: a row of the table of targets in docs/benchmarks.md.

    Attributes:
        figure: its name.
        limit: the bound; a multiple of the peer's median where ``peer`` is given.
        at_least: whether the bound is a lower one.
        peer: whom it is measured against; empty for an absolute bound.
        of: whose figure it is.
    """

    figure: str
    limit: float
    at_least: bool = False
    peer: str = ""
    of: str = "operator"

    @property
    def text(self) -> str:
        """For the table."""
        sign = "≥" if self.at_least else "≤"
        name = self.figure if self.of == "operator" else f"{self.figure}, {self.of},"
        if self.peer:
            share = "" if self.limit == 1 else f"{self.limit * 100:g} % of "
            return f"{name} {sign} {share}{self.peer}'s"
        return f"{name} {sign} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a target is met; ``met`` is None where a figure is missing."""

    target: str
    value: float | None
    bound: float | None
    met: bool | None

    @property
    def ratio(self) -> float | None:
        """The value as a multiple of the bound."""
        if self.value is None or not self.bound:
            return None
        return self.value / self.bound

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "target": self.target, "value": self.value, "bound": self.bound,
            "ratio": self.ratio, "met": self.met,
        }  # fmt: skip


def judge(target: Target, peers: Mapping[str, Summary]) -> Verdict:
    """Holds the medians against a target."""
    value = _median(peers, target.of, target.figure)
    bound: float | None = target.limit
    if target.peer:
        other = _median(peers, target.peer, target.figure)
        bound = None if other is None else other * target.limit
    met = None
    if value is not None and bound is not None:
        met = value >= bound if target.at_least else value <= bound
    return Verdict(target.text, value, bound, met)


def _median(peers: Mapping[str, Summary], peer: str, figure: str) -> float | None:
    found = peers.get(peer, {}).get(figure)
    return None if found is None else found["median"]
