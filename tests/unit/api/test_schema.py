"""The CRD's YAML against the Python types: names, types, enumerations, defaults, patterns, descriptions."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from typing import Any

import jsonschema
import pytest
import yaml

from eventsource_operator.api import checkpoint, patterns, spec, status
from tests.support.eventsource_objects import CRDS, nodes, schema

SPEC = schema()["properties"]["spec"]
SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
SCHEMA_ONLY_DEFAULTS = {"spec.server.tls.caRef.kind": "ConfigMap"}
"""`CARef` takes its fields in the manifest's order, so its first one cannot have a default."""


def crd(plural: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
    return found


def without_none(hint: Any) -> tuple[Any, bool]:
    """The type without its None, and whether it had one."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(hint) if part is not types.NoneType]
        assert len(parts) == 1, hint
        return parts[0], True
    return hint, False


def check(hint: Any, rules: dict[str, Any], path: str) -> None:
    """Asserts that the schema `rules` describe what the type holds."""
    if typing.get_origin(hint) in (tuple, frozenset):
        assert rules["type"] == "array", path
        check(typing.get_args(hint)[0], rules["items"], f"{path}[]")
    elif hint in SCALARS:
        assert rules["type"] == SCALARS[hint], path
        assert "enum" not in rules, path
    elif issubclass(hint, StrEnum):
        assert rules["enum"] == [member.value for member in hint], path
    else:
        check_class(hint, rules, path)


def check_class(cls: Any, rules: dict[str, Any], path: str) -> None:
    assert rules["type"] == "object", path
    hints = typing.get_type_hints(cls)
    names = {spec.camel(field.name): field for field in dataclasses.fields(cls)}
    assert set(names) == set(rules["properties"]), path
    for name, field in names.items():
        child, where = rules["properties"][name], f"{path}.{name}"
        hint, optional = without_none(hints[field.name])
        if (cls, field.name) == (spec.LabelSelector, "match_labels"):
            assert child["additionalProperties"]["type"] == "string"
        elif (cls, field.name) == (spec.TLS, "client_cert_ref"):
            assert set(child["properties"]) == set(child["required"]) == {"name"}
        else:
            check(hint, child, where)
        check_default(field, child, where, required=name in rules.get("required", ()), optional=optional)


def check_default(
    field: dataclasses.Field[Any], child: dict[str, Any], path: str, *, required: bool, optional: bool
) -> None:
    if path in SCHEMA_ONLY_DEFAULTS:
        assert child["default"] == SCHEMA_ONLY_DEFAULTS[path]
        return
    assert required == (field.default is dataclasses.MISSING), path
    if required or optional or field.default == () or path == "spec.delivery.retry":
        assert "default" not in child, path
    elif dataclasses.is_dataclass(field.default):
        assert child["default"] == {}, path
    else:
        default = child["default"]
        ours = (
            {str(each) for each in field.default} if isinstance(field.default, frozenset) else field.default
        )
        assert (set(default) if isinstance(default, list) else default) == ours, path


def test_the_spec_is_the_dataclasses() -> None:
    check_class(spec.EventSourceSpec, SPEC, "spec")


def test_delivery_defaults_are_told_but_not_set() -> None:
    delivery = SPEC["properties"]["delivery"]["properties"]
    built_in = spec.BUILTIN_DELIVERY
    for rules, value in (
        (delivery["maxConcurrency"], built_in.max_concurrency),
        (delivery["maxPerSecond"], built_in.max_per_second),
        (delivery["retry"]["properties"]["limit"], built_in.retry.limit),
        (delivery["retry"]["properties"]["backoffSeconds"], built_in.retry.backoff_seconds),
        (delivery["retry"]["properties"]["maxBackoffSeconds"], built_in.retry.max_backoff_seconds),
    ):
        assert "default" not in rules
        assert f"(built in is {value})" in rules["description"]


@pytest.mark.parametrize("plural", ["eventsources", "eventsourcecheckpoints"])
def test_every_field_is_described_and_bounded(plural: str) -> None:
    for path, rules in nodes(schema(plural)):
        if path in ("metadata", "apiVersion", "kind"):
            continue  # the API server's own: metadata takes no description
        assert rules.get("description", "").endswith("."), f"{path} has no description"
        match rules["type"]:
            case "array":
                assert "maxItems" in rules, path
                assert rules["x-kubernetes-list-type"] in ("set", "map", "atomic"), path
            case "string":
                assert {"maxLength", "enum", "format"} & rules.keys(), f"{path} is unbounded"
            case "object" if "additionalProperties" in rules:
                assert "maxProperties" in rules, path
            case "integer":
                assert "minimum" in rules, path


def test_patterns_are_the_parsers() -> None:
    ours = {
        value
        for name, value in vars(patterns).items()
        if name.isupper() and not name.startswith("_") and not name.endswith("_HINT")
    }
    theirs = {rules["pattern"] for _, rules in nodes(SPEC) if "pattern" in rules}
    assert ours == theirs
    labels = SPEC["properties"]["watch"]["items"]["properties"]["labelSelector"]["properties"]["matchLabels"]
    assert patterns.LABEL_KEY in labels["x-kubernetes-validations"][0]["rule"]


def test_both_selectors_are_the_same() -> None:
    target = SPEC["properties"]["watch"]["items"]["properties"]
    objects, namespaces = target["labelSelector"], target["namespaces"]["properties"]["selector"]

    def bare(rules: Any) -> Any:
        if isinstance(rules, dict):
            return {key: bare(value) for key, value in rules.items() if key != "description"}
        return rules

    assert bare(objects) == bare(namespaces)


def test_the_names_of_the_kinds() -> None:
    for plural, kind, short in (
        (spec.PLURAL, spec.KIND, "evs"),
        (checkpoint.PLURAL, checkpoint.KIND, "evsc"),
    ):
        found = crd(plural)["spec"]
        assert found["group"] == spec.GROUP
        assert found["scope"] == "Namespaced"
        assert found["names"]["kind"] == kind
        assert found["names"]["plural"] == plural
        assert found["names"]["shortNames"] == [short]
        assert [version["name"] for version in found["versions"]] == [spec.VERSION]
    assert crd("eventsources")["spec"]["names"]["categories"] == ["workflow-events"]
    assert crd("eventsources")["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_printer_columns() -> None:
    columns = crd("eventsources")["spec"]["versions"][0]["additionalPrinterColumns"]
    usual = [column["name"] for column in columns if column.get("priority", 0) == 0]
    wide = [column["name"] for column in columns if column.get("priority", 0) == 1]
    assert usual == ["Ready", "Reason", "Watches", "Bindings", "Delivered", "Failed", "Last", "Age"]
    assert wide == ["Server", "Namespace"]


NOW = "2026-01-02T03:04:05Z"


def full_status() -> status.Status:
    condition = status.Condition("Ready", "True", "Delivering", "fine", 1, NOW)
    failure = status.Failure("ab", spec.ChangeType.ADDED, "ConfigMap a/b", NOW, "Rejected", "no")
    return status.Status(
        observed_generation=1,
        conditions=(condition,),
        server="http://localhost:2746",
        namespace="argo",
        watches=(status.WatchStatus("v1/ConfigMap", 1, 2, live=True, reason="Live", message="m"),),
        bindings=status.BindingsStatus(1, ("deploy",), NOW),
        deliveries=status.DeliveriesStatus(
            1,
            1,
            1,
            status.Delivery("ab", spec.ChangeType.ADDED, "ConfigMap a/b", NOW, 0.5),
            failure,
            (failure,),
        ),
        evaluation_errors=status.EvaluationErrors(
            1, status.EvaluationError(NOW, "ConfigMap a/b", "spec.event.payload", "no such key")
        ),
    )


def full_checkpoints() -> list[checkpoint.Head | checkpoint.Chunk]:
    source = checkpoint.SourceRef("a", "b")
    ledger = checkpoint.LedgerRef(1, "1", 1, 1, 1, "ab")
    target = checkpoint.TargetProgress("0", "v1/configmaps", "a", "1", NOW, "s", ("ab",), "QUJD", ledger)
    ref = checkpoint.ObjectRef("v1", "ConfigMap", "a", "b", "u")
    failure = checkpoint.FailedEvent("ab", spec.ChangeType.DELETED, ref, "1", NOW, "Rejected", "no")
    return [checkpoint.Head(source, (target,), (failure,)), checkpoint.Chunk(source, "0", 1, 0, "QUJD")]


def paths(value: Any, path: str = "") -> set[str]:
    """The paths of a JSON value, in the notation of `nodes`."""
    if isinstance(value, dict):
        inner = [paths(child, f"{path}.{name}" if path else name) for name, child in value.items()]
        return {path}.union(*inner)
    if isinstance(value, list):
        return {path}.union(*(paths(child, f"{path}[]") for child in value))
    return {path}


def test_a_full_status_has_exactly_the_fields_of_the_schema() -> None:
    rules = schema()["properties"]["status"]
    plain = full_status().to_dict()
    assert paths(plain) == {path for path, _ in nodes(rules)}
    jsonschema.validate(plain, rules)


def test_full_checkpoints_have_exactly_the_fields_of_the_schema() -> None:
    rules = schema("eventsourcecheckpoints")
    plain = [checkpoint.checkpoint_to_dict(value) for value in full_checkpoints()]
    found = set[str]().union(*map(paths, plain))
    assert found == {path for path, _ in nodes(rules)} - {"metadata"}
    for each in plain:
        jsonschema.validate(each, rules)


@pytest.mark.parametrize(
    ("path", "name", "bound"),
    [
        ("targets", "maxItems", checkpoint.MAX_TARGETS),
        ("targets[].done", "maxItems", checkpoint.MAX_DONE),
        ("targets[].delta", "maxLength", checkpoint.MAX_DATA),
        ("failures", "maxItems", checkpoint.MAX_FAILURES),
        ("failures[].message", "maxLength", checkpoint.MAX_MESSAGE),
        ("data", "maxLength", checkpoint.MAX_DATA),
    ],
)
def test_bounds_of_the_checkpoint(path: str, name: str, bound: int) -> None:
    assert dict(nodes(schema("eventsourcecheckpoints")))[path][name] == bound


@pytest.mark.parametrize(
    ("path", "name", "bound"),
    [
        ("watches", "maxItems", status.MAX_WATCHES),
        ("watches[].message", "maxLength", status.MAX_MESSAGE),
        ("bindings.names", "maxItems", status.MAX_NAMES),
        ("bindings.names[]", "maxLength", status.MAX_TEXT),
        ("deliveries.failures", "maxItems", status.MAX_FAILURES),
        ("deliveries.failures[].message", "maxLength", status.MAX_MESSAGE),
        ("deliveries.last.resource", "maxLength", status.MAX_TEXT),
    ],
)
def test_bounds_of_the_status(path: str, name: str, bound: int) -> None:
    assert dict(nodes(schema()["properties"]["status"]))[path][name] == bound
