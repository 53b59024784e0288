"""Hypothesis strategies for EventSources, drawn from the CRD itself: valid ones and broken ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

CRDS = Path(__file__).parents[2] / "crds"

_ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.0, 1.5, -0.0, 1e300, 2**53, 2**63 - 1, 2**63, -(2**64), 17, 1025),
    *(
        "",
        " ",
        ".",
        "..",
        "a",
        "a/b",
        "a:b",
        "-",
        "A",
        "a\n",
        "a\x00",
        "é",
        "\U0001f600",
        "*",
        "[",
        "v1",
        "x" * 64,
    ),
    *(
        "x" * 318,
        "y" * 9000,
        "null",
        "1",
        "true",
        "Added",
        "added",
        "http://",
        "http://h:65536",
        "http://h:65535/",
    ),
    *("https://u:p@h", "http://h?q", "http://h#f", "ftp://h", "http://[::1]:80", "http://h/..", "HTTP://h"),
    *("a=b", "a==b,c!=d", "a=\\,", "a=\\x", "=b", "a", ",", "a=b,", "a= b", "a=b=c", "In", "Exists"),
    *([], [None], [""], ["a"], ["a", "a"], ["a", "b"], [1], [{}], ["Added", "Added"], [["a"]], ["x"] * 65),
    *(
        {},
        {"a": None},
        {"a": "b"},
        {"": "b"},
        {"a/b/c": "d"},
        {"-": ""},
        {"x" * 64: ""},
        {"a": 1},
        {"a": "-"},
    ),
    *(
        {"name": "a"},
        {"names": ["a"]},
        {"all": True},
        {"matchLabels": {}},
        {"kind": "ConfigMap"},
        {"a" * 254 + "/b": ""},
    ),
]


@cache
def schema(plural: str = "eventsources") -> dict[str, Any]:
    """The OpenAPI schema of one of the kinds."""
    crd = yaml.safe_load((CRDS / f"{plural}.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(root: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below `root` with its path: `spec.watch[].names[]`, `…matchLabels{}`."""
    yield path, root
    for name, child in root.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}" if path else name)
    if "items" in root:
        yield from nodes(root["items"], f"{path}[]")
    if "additionalProperties" in root:
        yield from nodes(root["additionalProperties"], f"{path}{{}}")


def event_source(spec: Any, name: str = "drawn") -> dict[str, Any]:
    """An EventSource around a spec."""
    return {
        "apiVersion": "eventsource-operator.dev/v1alpha1",
        "kind": "EventSource",
        "metadata": {"name": name},
        "spec": spec,
    }


def specs() -> st.SearchStrategy[Any]:
    """Specs that every rule of a single field admits, and most of them those between fields."""
    return _values(schema()["properties"]["spec"]).map(_reconciled)


@st.composite
def broken_specs(draw: st.DrawFn) -> Any:
    """Specs with one or two fields replaced, removed or added; some are still valid."""
    spec = copy.deepcopy(draw(specs()))
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(spec, schema()["properties"]["spec"]))
        if not places:
            break
        holder, key, rules = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(["odd", "odd", "bound", "bound", "remove", "unknown"])):
            case "odd":
                holder[key] = copy.deepcopy(draw(st.sampled_from(_ODD)))
            case "bound":
                holder[key] = draw(st.sampled_from(_at_bounds(rules) or _ODD))
            case "remove":
                del holder[key]
            case _ if isinstance(holder, dict):
                holder["unknown"] = 1
            case _:
                holder.append(None)
    return spec


def _values(rules: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in rules:
        return st.sampled_from(rules["enum"])
    match rules["type"]:
        case "object":
            if "additionalProperties" in rules:
                return st.dictionaries(
                    st.from_regex(r"\A([a-z]{1,3}\.[a-z]{1,3}/)?[A-Za-z0-9]([-_.a-z]{0,3}[a-z])?\Z"),
                    _values(rules["additionalProperties"]),
                    max_size=3,
                )
            required = set(rules.get("required", ()))
            parts = {name: _values(child) for name, child in rules["properties"].items()}
            return st.fixed_dictionaries(
                {name: part for name, part in parts.items() if name in required},
                optional={name: part for name, part in parts.items() if name not in required},
            )
        case "array":
            unique = rules.get("x-kubernetes-list-type") == "set"
            return st.lists(
                _values(rules["items"]),
                min_size=rules.get("minItems", 0),
                max_size=min(rules["maxItems"], 3),
                unique=unique,
            )
        case "integer":
            return st.integers(rules["minimum"], rules["maximum"])
        case "number":
            least, most = rules["minimum"], rules["maximum"]
            return st.one_of(
                st.floats(least, most, allow_subnormal=False), st.integers(max(1, int(least)), most)
            )
        case "boolean":
            return st.booleans()
    return _strings(rules)


def _strings(rules: dict[str, Any]) -> st.SearchStrategy[str]:
    least, most = rules.get("minLength", 0), rules["maxLength"]
    if "pattern" not in rules:
        return st.text(st.characters(codec="utf-8"), min_size=least, max_size=20)
    found = st.from_regex(rules["pattern"].replace("^", r"\A", 1)[:-1] + r"\Z")
    return found.filter(lambda text: least <= len(text) <= most)


def _at_bounds(rules: dict[str, Any]) -> list[Any]:
    """Values at and just beyond the bounds of one field."""
    match rules["type"]:
        case "integer" | "number":
            bounds = [rules["minimum"], rules["maximum"]]
            return [each + step for each in bounds for step in (-1, -0.001, 0, 0.001, 1)]
        case "string" if "enum" not in rules:
            lengths = {rules.get("minLength", 0), rules["maxLength"], rules["maxLength"] + 1}
            begins = ("", "http://", "a=", "é", "A")
            return [begin + "a" * (length - len(begin)) for length in lengths for begin in begins]
        case "array":
            lengths = {rules.get("minItems", 0), rules["maxItems"], rules["maxItems"] + 1}
            return [[_least(rules["items"], i) for i in range(length)] for length in lengths]
        case "object" if "additionalProperties" in rules:
            most = rules["maxProperties"]
            return [{f"a{i}": "b" for i in range(length)} for length in (most, most + 1)]
    return []


def _least(rules: dict[str, Any], number: int = 0) -> Any:
    """The least valid value of a field; strings differ by number."""
    if "enum" in rules:
        return rules["enum"][0]
    match rules["type"]:
        case "object" if "all" in rules.get("properties", {}):
            return {"all": True}
        case "object":
            parts = {name: _least(rules["properties"][name]) for name in rules.get("required", ())}
            return parts | ({"values": ["a"]} if "values" in rules.get("properties", {}) else {})
        case "array":
            return [_least(rules["items"])]
    return f"a{number}"


def single_faults() -> Iterator[tuple[str, Any]]:
    """For every field of a spec: otherwise valid specs that hold, there, each odd value and each bound."""
    rules = schema()["properties"]["spec"]
    for build, path, field in _fields(lambda value: value, "spec", rules):
        for value in [*_at_bounds(field), *_ODD]:
            yield path, build(copy.deepcopy(value))


def _fields(
    build: Callable[[Any], Any], path: str, rules: dict[str, Any]
) -> Iterator[tuple[Callable[[Any], Any], str, dict[str, Any]]]:
    """Every field below with a function that builds a spec around its value."""
    yield build, path, rules
    for name, child in rules.get("properties", {}).items():
        yield from _fields(partial(_in_object, build, rules, name), f"{path}.{name}", child)
    for key in ("items", "additionalProperties"):
        if key in rules:
            wrap = _in_list if key == "items" else _in_map
            yield from _fields(partial(wrap, build), f"{path}[]", rules[key])


def _in_object(build: Callable[[Any], Any], rules: dict[str, Any], name: str, value: Any) -> Any:
    around = _least(rules)
    if "all" in around or name == "operator":  # what would contradict the field
        around = {key: each for key, each in around.items() if key in rules.get("required", ())}
    return build(around | {name: value})


def _in_list(build: Callable[[Any], Any], value: Any) -> Any:
    return build([value])


def _in_map(build: Callable[[Any], Any], value: Any) -> Any:
    return build({"a": value})


def _reconciled(spec: Any) -> Any:
    """The spec with most of the contradictions between fields taken out."""
    for target in spec["watch"]:
        found = target.get("namespaces")
        if found is not None:
            ways = [name for name in ("names", "selector") if name in found]
            keep = ways[0] if ways else "all"
            target["namespaces"] = {keep: found[keep] if ways else True}
            if keep == "selector":
                _reconcile_selector(found["selector"])
        _reconcile_selector(target.get("labelSelector", {}))
    event = spec.get("event", {})
    if event.get("broadcast"):
        event.pop("namespace", None)
    if event.get("discriminator") in (".", ".."):
        event["discriminator"] = "x"
    tls = spec.get("server", {}).get("tls", {})
    if tls.get("insecureSkipVerify"):
        tls.pop("caRef", None)
    retry = spec.get("delivery", {}).get("retry", {})
    if retry.get("maxBackoffSeconds", 1) < retry.get("backoffSeconds", 1):
        retry.pop("backoffSeconds", None)
    return spec


def _reconcile_selector(selector: Any) -> None:
    for requirement in selector.get("matchExpressions", []):
        if requirement["operator"] in ("In", "NotIn"):
            requirement["values"] = requirement.get("values") or ["a"]
        else:
            requirement.pop("values", None)


def _places(value: Any, rules: dict[str, Any]) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    if isinstance(value, dict):
        for key, child in value.items():
            inner = rules.get("properties", {}).get(key) or rules.get("additionalProperties")
            if inner is not None:
                yield value, key, inner
                yield from _places(child, inner)
    elif isinstance(value, list) and "items" in rules:
        for index, child in enumerate(value):
            yield value, index, rules["items"]
            yield from _places(child, rules["items"])
