"""How `check` tells people what it found."""

from __future__ import annotations

import json
from typing import Any

import click

from eventsource_operator.cli.output import one_line, print_table, say

_SPACES = 5
"""Namespaces of a target that are named."""


def show(reports: list[dict[str, Any]], others: int) -> None:
    """All reports, problems to standard error."""
    for report in reports:
        _report(report)
    if others:
        say(f"{others} other object{'s were' if others > 1 else ' was'} passed over.")


def _line(text: str) -> None:
    click.echo(one_line(text))


def _report(report: dict[str, Any]) -> None:
    if not report["valid"]:
        say(f"Error: {report['where']}: {report['problems'][0]}")
        return
    discriminator = f", discriminator {report['discriminator']}" if report["discriminator"] else ""
    to = (
        "every namespace that has a binding" if report["sendsTo"] == "*" else f"namespace {report['sendsTo']}"
    )
    _line(f"EventSource {report['source']} is valid; it sends to {to}{discriminator}.")
    for target in report.get("targets", ()):
        _target(target)
    if "bindings" in report:
        _bindings(report["bindings"])
    if "targets" in report:
        click.echo()
        if not report["idsKnown"]:
            _line("The ids of events depend on the EventSource's uid: they are known once it exists.")
        _line("Nothing was sent.")
    for problem in report["problems"]:
        say(f"Problem: {report['source']}: {problem}")


def _target(target: dict[str, Any]) -> None:
    spaces = target["namespaces"]
    shown = ", ".join(spaces[:_SPACES]) + (" …" if len(spaces) > _SPACES else "")
    place = "everywhere" if spaces in ([], [""]) else f"in {shown}"
    click.echo()
    if "tests" in target:
        _tests(target, place)
    else:
        _line(f"{target['target']} {place}: {target['matching']} of {target['objects']} objects match")
    events = target["events"]
    if not events:
        return
    if "tests" in target:
        click.echo()
    titles = ("OBJECT", "TYPE", "EVENT ID", "SUBJECT", "BYTES")
    print_table(
        titles,
        [
            (
                each["object"],
                each["type"],
                each["id"] or "-",
                each["subject"],
                f"{each['bytes']}{_marks(each)}",
            )
            for each in events
        ],
    )
    if "tests" not in target and target["matching"] > len(events):
        _line(f"… and {target['matching'] - len(events)} more; --limit 0 shows all.")
    for each in events:
        if "body" in each:
            click.echo()
            _line(f"{each['object']}:")
            click.echo(json.dumps(each["body"], indent=2))  # ASCII: nothing in it reaches the terminal


def _marks(event: dict[str, Any]) -> str:
    marks = [
        word
        for word, on in (("reference", event["truncated"]), ("sent for an earlier target", event["again"]))
        if on
    ]
    return f" ({', '.join(marks)})" if marks else ""


def _tests(target: dict[str, Any], place: str) -> None:
    tests = target["tests"]
    if tests is None:
        _line(f"{target['target']} {place}: there is no such object of this kind")
        return
    matches = all(test["passed"] is not False for test in tests)
    _line(
        f"{target['target']} {place}: the object {'matches' if matches else 'does not match'} ({target['change']})"
    )
    words = {True: "yes", False: "no", None: "depends"}
    print_table(("TEST", "PASSED", "DETAIL"), [(t["test"], words[t["passed"]], t["detail"]) for t in tests])


def _bindings(found: dict[str, Any]) -> None:
    if found["error"]:
        return  # told with the problems
    where = "any namespace" if found["namespace"] == "*" else f"namespace {found['namespace']}"
    click.echo()
    if not found["items"]:
        _line(
            f"Warning: no WorkflowEventBinding in {where}: the events would be taken and nothing would happen."
        )
        return
    _line(
        f"{len(found['items'])} WorkflowEventBinding{'s'[: len(found['items']) > 1]} in {where} of {found['server']}:"
    )
    print_table(
        ("NAMESPACE", "NAME", "SELECTOR"),
        [(each["namespace"], each["name"], each["selector"] or "-") for each in found["items"]],
    )
