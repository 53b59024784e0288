"""Parsing an EventSource: defaults, every rule with its field and remedy, the way back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from eventsource_operator.api.eventsource import (
    BUILTIN_DELIVERY,
    TLS,
    Auth,
    CAKind,
    CARef,
    ChangeType,
    DeliverySpec,
    EventSource,
    EventSourceSpec,
    LabelSelector,
    Namespaces,
    Operator,
    Requirement,
    Retry,
    SecretKeyRef,
    SpecError,
    WatchTarget,
    parse_event_source,
    parse_spec,
    spec_to_dict,
)
from tests.support.eventsource_objects import CRDS, event_source, specs

SAMPLES = sorted((CRDS.parent / "manifests" / "samples").glob("**/*eventsource*.yaml"))


def test_the_least_source_is_all_defaults() -> None:
    assert parse_spec({"watch": [{}]}) == EventSourceSpec(watch=(WatchTarget(),))


def test_a_whole_source() -> None:
    found = parse_spec(
        {
            "watch": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "namespaces": {"selector": {"matchLabels": {"b": "2", "a": "1"}}},
                    "names": ["app-*"],
                    "labelSelector": {
                        "matchExpressions": [{"key": "x/y", "operator": "In", "values": ["z"]}]
                    },
                    "events": ["Deleted", "Added"],
                    "fields": ["spec"],
                }
            ],
            "server": {
                "url": "https://argo:2746/base",
                "auth": {"secretRef": {"name": "token"}, "prefix": ""},
                "tls": {"caRef": {"name": "ca"}, "clientCertRef": {"name": "cert"}},
            },
            "delivery": {"retry": {"limit": 0}, "maxPerSecond": 0.5},
        }
    )
    (target,) = found.watch
    assert target.namespaces == Namespaces(selector=LabelSelector((("a", "1"), ("b", "2"))))
    assert target.label_selector == LabelSelector((), (Requirement("x/y", Operator.IN, ("z",)),))
    assert target.events == {ChangeType.ADDED, ChangeType.DELETED}
    assert found.server.auth == Auth(SecretKeyRef("token", "token"), "")
    assert found.server.tls == TLS(CARef(CAKind.CONFIG_MAP, "ca", "ca.crt"), client_cert_ref="cert")
    assert found.delivery == DeliverySpec(max_per_second=0.5, retry=Retry(limit=0))


def test_what_the_api_server_adds_is_taken_over() -> None:
    obj = event_source({"watch": [{}]}) | {"status": {"anything": 1}}
    obj["metadata"] |= {
        "namespace": "team-a",
        "uid": "u",
        "generation": 3,
        "resourceVersion": "12",
        "annotations": {"b": "2", "a": "1"},
        "deletionTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [],
    }
    found = parse_event_source(obj)
    assert found == EventSource(
        "team-a", "drawn", "u", 3, "12", (("a", "1"), ("b", "2")), deleting=True, spec=found.spec
    )
    assert found.annotation("a") == "1"
    assert found.annotation("c") is None


def test_a_file_needs_no_namespace() -> None:
    found = parse_event_source(event_source({"watch": [{}]}), namespace="mine")
    assert (found.namespace, found.uid, found.generation, found.deleting) == ("mine", "", 0, False)


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        (None, "spec", "is required"),
        (1, "spec", "must be a map of fields, not 1"),
        ({}, "spec.watch", "name at least one target"),
        ({"watch": {}}, "spec.watch", "must be a list"),
        ({"watch": []}, "spec.watch", "must not be empty"),
        ({"watch": [{}] * 17}, "spec.watch", "at most 16 items (it has 17)"),
        ({"watch": [None]}, "spec.watch[0]", "must be a map of fields"),
        ({"watch": [{"kidn": "Pod"}]}, "spec.watch[0].kidn", "did you mean kind?"),
        ({"watch": [{"kind": 5}]}, "spec.watch[0].kind", "put it in quotes"),
        ({"watch": [{"apiVersion": "apps/"}]}, "spec.watch[0].apiVersion", "such as v1 or apps/v1"),
        ({"watch": [{}, {"names": ["a", "a"]}]}, "spec.watch[1].names[1]", "listed twice"),
        ({"watch": [{"names": ["a/b"]}]}, "spec.watch[0].names[0]", "glob"),
        ({"watch": [{"events": ["Renamed"]}]}, "spec.watch[0].events[0]", "one of Added, Modified, Deleted"),
        (
            {"watch": [{"namespaces": {}}]},
            "spec.watch[0].namespaces",
            "exactly one of names, selector and all",
        ),
        (
            {"watch": [{"namespaces": {"names": ["a"], "all": True}}]},
            "spec.watch[0].namespaces",
            "exactly one",
        ),
        ({"watch": [{"fieldSelector": "a = b"}]}, "spec.watch[0].fieldSelector", "a field selector such as"),
        (
            {"watch": [{"labelSelector": {"matchLabels": {"-": "a"}}}]},
            "spec.watch[0].labelSelector.matchLabels",
            "label key",
        ),
        (
            {"watch": [{"labelSelector": {"matchLabels": {"a": "-"}}}]},
            "spec.watch[0].labelSelector.matchLabels[a]",
            "label value",
        ),
        (
            {"watch": [{"labelSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]},
            "spec.watch[0].labelSelector.matchExpressions[0].values",
            "list the values",
        ),
        (
            {
                "watch": [
                    {
                        "labelSelector": {
                            "matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]
                        }
                    }
                ]
            },
            "spec.watch[0].labelSelector.matchExpressions[0].values",
            "leave it out",
        ),
        ({"watch": [{}], "suspend": "yes"}, "spec.suspend", "true or false, not 'yes'"),
        (
            {"watch": [{}], "event": {"broadcast": True, "namespace": "a"}},
            "spec.event",
            "either broadcast or",
        ),
        ({"watch": [{}], "event": {"discriminator": "a/b"}}, "spec.event.discriminator", "no / and no :"),
        ({"watch": [{}], "event": {"discriminator": ".."}}, "spec.event.discriminator", "choose a name"),
        ({"watch": [{}], "event": {"maxBytes": 1}}, "spec.event.maxBytes", "from 1024 to 4194304, not 1"),
        ({"watch": [{}], "event": {"maxBytes": 2000.5}}, "spec.event.maxBytes", "whole number"),
        ({"watch": [{}], "event": {"maxBytes": True}}, "spec.event.maxBytes", "whole number"),
        ({"watch": [{}], "server": {"url": "http://u:p@host"}}, "spec.server.url", "no user"),
        (
            {"watch": [{}], "server": {"auth": {"secretRef": {}}}},
            "spec.server.auth.secretRef.name",
            "required",
        ),
        (
            {"watch": [{}], "server": {"tls": {"insecureSkipVerify": True, "caRef": {"name": "a"}}}},
            "spec.server.tls",
            "insecureSkipVerify ignores caRef",
        ),
        (
            {"watch": [{}], "delivery": {"retry": {"backoffSeconds": 9, "maxBackoffSeconds": 1}}},
            "spec.delivery.retry.maxBackoffSeconds",
            "raise it",
        ),
        (
            {"watch": [{}], "delivery": {"maxPerSecond": float("nan")}},
            "spec.delivery.maxPerSecond",
            "a number",
        ),
        ({"watch": [{}], "bindings": {"resyncSeconds": 4}}, "spec.bindings.resyncSeconds", "from 5 to 86400"),
    ],
)
def test_an_error_names_field_and_remedy(spec: Any, field: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_event_source(event_source(spec))
    assert caught.value.field == field
    assert words in caught.value.message
    assert str(caught.value) == f"{field}: {caught.value.message}"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"apiVersion": "v1"}, "apiVersion"),
        ({"kind": "Pod"}, "kind"),
        ({"metadata": None}, "metadata"),
        ({"metadata": {}}, "metadata.name"),
        ({"metadata": {"name": "A"}}, "metadata.name"),
        ({"metadata": {"name": "a", "annotations": []}}, "metadata.annotations"),
        ({"specs": {}}, "specs"),
    ],
)
def test_what_is_no_event_source_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_event_source(event_source({"watch": [{}]}) | change)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "hostile",
    ["x" * 1_000_000, "\x1b[31mred\r\nX-Evil: 1", "\u202e", {"a": {"b": {"c": "d"}}}, [[[[]]]], "\ud800"],
    ids=["megabyte", "escape", "bidi", "deep map", "deep list", "surrogate"],
)
def test_messages_stay_short_and_printable(hostile: Any) -> None:
    specs_ = [{"watch": [{"kind": hostile}]}, {"watch": [{}], "suspend": hostile}, {"watch": hostile}]
    if isinstance(hostile, str):
        specs_ += [{"watch": [{hostile: 1}]}, {"watch": [{"labelSelector": {"matchLabels": {hostile: "a"}}}]}]
    for spec in specs_:
        with pytest.raises(SpecError) as caught:
            parse_spec(spec)
        assert len(str(caught.value)) < 500
        assert str(caught.value).isprintable()


@given(spec=specs())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_there_and_back(spec: Any) -> None:
    found = parse_spec(spec)
    assert parse_spec(spec_to_dict(found)) == found
    assert hash(parse_spec(spec_to_dict(found))) == hash(found)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name)
def test_the_samples_are_accepted(path: Any) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document["kind"] == "EventSource":
            parse_event_source(document)


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 5


def test_pauses_may_be_equal_but_not_zero() -> None:
    equal = {"backoffSeconds": 2, "maxBackoffSeconds": 2}
    assert parse_spec({"watch": [{}], "delivery": {"retry": equal}}).delivery.retry == Retry(None, 2, 2)
    with pytest.raises(SpecError, match=r"from 0\.01"):
        parse_spec({"watch": [{}], "delivery": {"retry": {"backoffSeconds": 0}}})


def test_delivery_is_filled_from_the_nearest_layer() -> None:
    source = DeliverySpec(max_concurrency=2, retry=Retry(limit=0))
    configured = DeliverySpec(max_concurrency=8, max_per_second=5, retry=Retry(limit=3, backoff_seconds=2))
    assert source.filled(configured).filled(BUILTIN_DELIVERY) == DeliverySpec(
        max_concurrency=2, max_per_second=5, retry=Retry(0, 2, 60)
    )


def test_the_longest_pause_is_never_below_the_first() -> None:
    filled = DeliverySpec(retry=Retry(backoff_seconds=120)).filled(BUILTIN_DELIVERY)
    assert filled.retry == Retry(10, 120, 120)


@pytest.mark.parametrize(
    ("event", "namespace"),
    [({}, "mine"), ({"namespace": "argo"}, "argo"), ({"broadcast": True}, "")],
)
def test_where_the_events_go(event: dict[str, Any], namespace: str) -> None:
    found = parse_event_source(event_source({"watch": [{}], "event": event}), namespace="mine")
    assert found.event_namespace == namespace
