"""Alerts and dashboard against a scrape of an operator that delivered, failed, restarted a watch and met an outage."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.controlplane import wait_for
from tests.support.promql import FUNCTIONS, parse
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane

MONITORING = CHECKOUT / "manifests/monitoring"
OPERATIONS = (CHECKOUT / "docs/operations.md").read_text("utf-8")
SCRAPED = frozenset({"pod", "namespace", "job", "instance"})
"""Labels that Prometheus adds when it scrapes."""
SECONDS = 30.0
PREFIX = "eventsource_operator_"

Scrape = dict[str, list[dict[str, str]]]
"""The label sets of each metric."""


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text("utf-8"))
    return [rule for group in document["spec"]["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))["panels"]
    return [panel for panel in found if panel.get("targets")]


def dashboard_queries() -> list[tuple[str, str, str]]:
    """Title, expression and legend."""
    found = [(p["title"], t["expr"], t.get("legendFormat") or "") for p in panels() for t in p["targets"]]
    variables = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))["templating"]["list"]
    return found + [(v["name"], v["query"]["query"], "") for v in variables if v["type"] == "query"]


class Observed:
    """The scrapes: one while the server was away, one after all was well again."""

    def __init__(self, during: str, after: str) -> None:
        self.during, self.after = during, after

    def labels(self) -> Scrape:
        """What is there after all that happened."""
        found: Scrape = {}
        for family in text_string_to_metric_families(self.after):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(dict(sample.labels))
        return found

    @staticmethod
    def value(text: str, name: str, **labels: str) -> float:
        """One sample's value."""
        (found,) = [
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == PREFIX + name and dict(sample.labels) == labels
        ]
        return float(found)


@pytest.fixture(scope="module")
def team(plane: ControlPlane) -> Iterator[Team]:
    made = Team(plane, "metrics")
    yield made
    made.end()


@pytest.fixture(scope="module")
def observed(team: Team, sink: Sink, operator: Operator) -> Observed:
    full = f"{team.name}/app"
    sink.bindings[team.name] = [{"metadata": {"name": "listens", "namespace": team.name}, "spec": {}}]
    team.source("app", {"watch": [{"names": ["app"]}]})
    team.source("selector", {"watch": [{"fieldSelector": "spec.nope=1"}]}, ready=False)
    team.until("selector", "Watching", "False")
    team.put("app", {})
    sink.wait(full, 1)

    sink.status = 400
    team.patch("app", {"data": {"n": "1"}})
    wait_for(lambda: counted(operator, full, "failed") == 1, SECONDS, "a failure", operator.tail)
    sink.status = 503
    team.patch("app", {"data": {"n": "2"}})
    team.until("app", "Delivering", "False")
    wait_for(
        lambda: Observed.value(operator.metrics(), "pending", source=full) == 1, SECONDS, "pending is shown"
    )
    during = operator.metrics()
    sink.status = 200
    team.until("app", "Delivering", "True")
    wait_for(lambda: counted(operator, full, "delivered") == 2, SECONDS, "both", operator.tail)
    wait_for(
        lambda: Observed.value(operator.metrics(), "pending", source=full) == 0, SECONDS, "nothing pending"
    )
    return Observed(during, operator.metrics())


def counted(operator: Operator, source: str, result: str) -> float:
    return Observed.value(operator.metrics(), "deliveries_total", source=source, result=result)


def problems(expression: str, scrape: Scrape) -> list[str]:
    """What an expression asks for and the scrape does not have."""
    query, found = parse(expression.replace("$__rate_interval", "5m")), []
    for metric, matchers in query.selectors:
        series = scrape.get(metric)
        if not series:
            found.append(f"no metric {metric}")
            continue
        for matcher in matchers:
            values = {labels[matcher.label] for labels in series if matcher.label in labels}
            if not values and matcher.label not in SCRAPED:
                found.append(f"{metric} has no label {matcher.label}")
            elif matcher.label not in SCRAPED and "$" not in matcher.value:
                wanted = matcher.value.split("|") if matcher.operator == "=~" else [matcher.value]
                found += [
                    f"{metric}: {matcher.label} is never {each}" for each in wanted if each not in values
                ]
        for label in query.grouped - SCRAPED:
            if not any(label in labels for labels in series):
                found.append(f"{metric} has no label {label} to group by")
    return found


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_asks_for_what_is_there(rule: dict[str, Any], observed: Observed) -> None:
    assert problems(rule["expr"], observed.labels()) == []
    text = yaml.safe_dump(rule["annotations"])
    used = set(re.findall(r"\$labels\.(\w+)", text))
    assert used <= parse(rule["expr"]).grouped
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    assert page == "docs/operations.md"
    assert anchor in {each.lower() for each in re.findall(r"^### (\w+)$", OPERATIONS, re.MULTILINE)}


@pytest.mark.parametrize(("title", "expression", "legend"), dashboard_queries())
def test_each_panel_asks_for_what_is_there(
    title: str, expression: str, legend: str, observed: Observed
) -> None:
    assert problems(expression, observed.labels()) == [], title
    used = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", legend))
    assert used <= parse(expression).grouped | SCRAPED, title


def test_each_documented_metric_exists_with_its_labels(observed: Observed) -> None:
    """The table of docs/operations.md, and nothing of the operator's own that is not in it."""
    table = OPERATIONS[
        OPERATIONS.index("| metric | labels |") : OPERATIONS.index("`source` is `namespace/name`")
    ]
    scrape = observed.labels()
    documented = {}
    for row in table.splitlines()[2:]:
        cells = [cell.strip() for cell in row.split("|")]
        for name in re.findall(rf"`({PREFIX}\w+)`", row):
            documented[name] = set(cells[2].replace(" ", "").split(",")) - {""}
    own = {re.sub(r"_(bucket|count|sum)$", "", name) for name in scrape if name.startswith(PREFIX)}
    assert own - {f"{PREFIX}build_info"} == set(documented)
    for name, labels in documented.items():
        series = scrape.get(name) or scrape[f"{name}_count"]
        assert {frozenset(each) for each in series} == {frozenset(labels)}, name


def test_the_values_are_what_happened(observed: Observed, team: Team) -> None:
    full = f"{team.name}/app"
    during, after, value = observed.during, observed.after, Observed.value
    assert value(after, "leader") == 1
    assert value(after, "changes_total", source=full) == 3
    assert value(after, "deliveries_total", source=full, result="delivered") == 2
    assert value(after, "deliveries_total", source=full, result="failed") == 1
    assert value(during, "deliveries_total", source=full, result="delivered") == 1
    assert value(during, "pending", source=full) == 1
    assert value(after, "bindings", source=full) == 1
    assert value(after, "delivery_seconds_count") == 2
    assert value(after, "last_delivery_timestamp_seconds", source=full) > value(
        during, "last_delivery_timestamp_seconds", source=full
    )
    assert value(after, "watch_restarts_total", resource="configmaps", reason="BadRequest") >= 1


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("sum(eventsource_operator_leaders)", "no metric"),
        ('eventsource_operator_pending{sorce="x"}', "no label sorce"),
        ('eventsource_operator_deliveries_total{result="lost"}', "never lost"),
        ("sum by (object) (eventsource_operator_pending)", "no label object"),
    ],
)
def test_a_query_that_asks_for_something_else_is_found(
    expression: str, problem: str, observed: Observed
) -> None:
    assert problem in "; ".join(problems(expression, observed.labels()))


def test_the_reader_of_queries_refuses_what_it_does_not_know() -> None:
    for text in ("histogram_quantil(0.5, x)", "sum(x", "x{a}", "x ? y", "1 + 1"):
        with pytest.raises(ValueError, match=r"in |unbalanced"):
            parse(text)
    assert "rate" in FUNCTIONS
