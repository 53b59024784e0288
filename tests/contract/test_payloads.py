"""Each type of the seed page's `body` as a real binding sees it: in a parameter of the Workflow it made."""

import datetime as dt
import json
from typing import Any

import pytest

from tests.contract.clients import Client
from tests.contract.objects import Cluster, binding

PLUS_TWO = dt.timezone(dt.timedelta(hours=2))

CASES: dict[str, tuple[Any, str, str]] = {
    # name: (body, expr-lang's type of `payload`, the parameter's value)
    "true": (True, "bool", "true"),
    "false": (False, "bool", "false"),
    "none": (None, "nil", "null"),
    "int": (42, "float", "42"),
    "negative": (-1, "float", "-1"),
    "float": (1.5, "float", "1.5"),
    "huge-float": (1e300, "float", "1e+300"),
    "text": ("hello", "string", "hello"),
    "empty-text": ("", "string", ""),
    "digits": ("1", "string", "1"),
    "unicode": ("ünï \N{SNOWMAN} \N{ROCKET}", "string", "ünï \N{SNOWMAN} \N{ROCKET}"),
    "list": ([1, "a", None, [True]], "array", '[1,"a",null,[true]]'),
    "empty-list": ([], "array", "[]"),
    "dict": ({"b": {"c": [1.5]}, "a": None}, "map", '{"a":null,"b":{"c":[1.5]}}'),
    "empty-dict": ({}, "map", "{}"),
    "date": (dt.date(2026, 11, 24), "string", "2026-11-24"),
    "datetime": (dt.datetime(2026, 11, 24, 8, 25, 33, tzinfo=dt.UTC), "string", "2026-11-24T08:25:33Z"),
    "datetime-offset": (
        dt.datetime(2026, 11, 24, 8, 25, 33, 120000, tzinfo=PLUS_TWO),
        "string",
        "2026-11-24T08:25:33.120000+02:00",
    ),
    "dates-inside": ({"on": [dt.date(2026, 1, 2)]}, "map", '{"on":["2026-01-02"]}'),
}


@pytest.fixture
def echo(cluster: Cluster) -> Cluster:
    """A namespace whose binding makes a Workflow named by a header, with what it saw as parameters."""
    cluster.template()
    cluster.bind(
        binding(
            "echo",
            workflow_name='metadata["x-case"][0]',
            parameters={
                "payload": "payload",
                "type": "type(payload)",
                "discriminator": "discriminator",
                "namespace": "namespace",
                "metadata": "metadata",
            },
        )
    )
    return cluster


def test_each_type_reaches_the_workflow(client: Client, echo: Cluster) -> None:
    # One test for all: each Workflow makes the next event wait 100 ms for the API server's cache.
    for name, (body, _, _) in CASES.items():
        assert client.receive_event(echo.namespace, body=body, headers={"X-Case": name}) == {}

    made = echo.workflows()

    seen = {
        name: tuple(entry["value"] for entry in workflow["spec"]["arguments"]["parameters"][:2])
        for name, workflow in made.items()
    }
    assert seen == {name: (payload, kind) for name, (_, kind, payload) in CASES.items()}


def test_integers_beyond_53_bits_lose_precision_in_the_server(client: Client, echo: Cluster) -> None:
    client.receive_event(echo.namespace, body=2**53 + 1, headers={"X-Case": "big"})
    assert echo.parameters("big")["payload"] == str(2**53)


def test_a_string_parameter_keeps_the_escapes_of_json(client: Client, echo: Cluster) -> None:
    client.receive_event(echo.namespace, body='a\nb"', headers={"X-Case": "escapes"})
    assert echo.parameters("escapes")["payload"] == r"a\nb\""


def test_discriminator_and_headers_are_seen(client: Client, echo: Cluster) -> None:
    client.receive_event(
        echo.namespace,
        "ünï 50%?x=1#y+&",
        {},
        headers={"X-Case": "headers", "x-event-TYPE": "Modified", "X-Path": "a/b:c;d, e"},
    )

    seen = echo.parameters("headers")

    assert seen["discriminator"] == "ünï 50%?x=1#y+&"
    assert seen["namespace"] == echo.namespace
    metadata = json.loads(seen["metadata"])
    assert metadata["x-event-type"] == ["Modified"]
    assert metadata["x-path"] == ["a/b:c;d, e"]
    assert all(name.startswith("x-") for name in metadata)


def test_headers_without_x_are_not_seen(client: Client, echo: Cluster) -> None:
    client.receive_event(
        echo.namespace, body={}, headers={"X-Case": "plain", "Event-Type": "Modified"}, unchecked=True
    )
    assert "event-type" not in json.loads(echo.parameters("plain")["metadata"])


def test_a_body_of_megabytes_arrives(client: Client, cluster: Cluster) -> None:
    cluster.template()
    cluster.bind(
        binding("size", workflow_name='"size-" + string(len(payload))', selector="len(payload) > 3000000")
    )
    client.receive_event(cluster.namespace, body="x" * 3_000_001)
    assert set(cluster.workflows()) == {"size-3000001"}
