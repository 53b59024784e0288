"""Reads EventSources from YAML that nobody vouches for.

YAML can be small and mean something huge: aliases are counted as often as they are used, and what comes to too
much is refused before anything is built of it. Otherwise the reading follows kubectl's: keys are texts, a key
that comes twice is an error, and a date is a text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from eventsource_operator.api.eventsource import API_VERSION, KIND, EventSource, SpecError, parse_event_source
from eventsource_operator.core.text import clean

MAX_BYTES = 1024 * 1024
"""Bytes of a file: the API server takes no larger request for one object either (1.5 MiB with etcd's default)."""

MAX_NODES = 100_000
"""Values of a document, aliases counted as often as they are used."""

MAX_DEPTH = 100
"""Levels of a document."""

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class ManifestError(ValueError):
    """A file that cannot be read as manifests; one line with place and remedy."""


class Document(NamedTuple):
    """One object of a file: an EventSource, or what is wrong with it. ``where`` names it in messages."""

    where: str
    source: EventSource | None
    error: SpecError | None


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without dates, keys as they are written."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own declaration
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


def read_file(name: str) -> bytes:
    """The bytes of a file, or of standard input (``-``).

    Raises:
        ManifestError: it cannot be read, or has more than `MAX_BYTES`.
    """
    try:
        if name == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{clean(name)}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ManifestError(f"{clean(name)}: has more than {MAX_BYTES} bytes: give the EventSources alone")
    return content


def read_event_sources(content: bytes, name: str, namespace: str) -> tuple[list[Document], int]:
    """The EventSources among the documents, and how many other objects there are.

    Args:
        content: The file.
        name: How messages call it.
        namespace: What counts where a document names no namespace.

    Raises:
        ManifestError: it is no YAML, or not what an object can be.
    """
    found: list[Document] = []
    others = 0
    for number, value in enumerate(_objects(content, clean(name)), 1):
        if not isinstance(value, dict):
            found.append(
                Document(f"document {number}", None, SpecError("document", "must be a map, an object"))
            )
        elif _is_other(value):
            others += 1
        else:
            found.append(_document(value, number, namespace))
    return found, others


def _document(value: dict[str, Any], number: int, namespace: str) -> Document:
    meta = value.get("metadata")
    name = meta.get("name") if isinstance(meta, dict) else None
    where = (
        f"document {number} ({clean(name, 253)})" if isinstance(name, str) and name else f"document {number}"
    )
    try:
        return Document(where, parse_event_source(value, namespace=namespace), None)
    except SpecError as error:
        return Document(where, None, error)


def _is_other(value: dict[str, Any]) -> bool:
    """Whether it plainly is an object of another kind; what is half ours is judged, and refused by name."""
    version, kind = value.get("apiVersion"), value.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str):
        return False
    return kind == "EventSourceCheckpoint" or (kind != KIND and version != API_VERSION)


def _objects(content: bytes, name: str) -> Iterator[Any]:
    """The documents' values, those of a `kind: List` one by one; empty documents are passed over."""
    try:
        text = content.decode("utf-8-sig")
        for root in yaml.compose_all(text, Loader=_Loader):
            _check(root)
            loader = _Loader("")
            value = loader.construct_document(root)
            if (
                isinstance(value, dict)
                and value.get("kind") == "List"
                and isinstance(value.get("items"), list)
            ):
                yield from value["items"]
            elif value is not None:
                yield value
    except UnicodeDecodeError as error:
        raise ManifestError(f"{name}: is not UTF-8 text") from error
    except RecursionError as error:
        raise ManifestError(f"{name}: nests deeper than {MAX_DEPTH} levels") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}: line {mark.line + 1}, column {mark.column + 1}" if mark else name
        raise ManifestError(f"{place}: {clean(error.problem or 'is not YAML', 200)}") from error
    except (yaml.YAMLError, ValueError) as error:  # an unprintable character, an impossible number
        raise ManifestError(f"{name}: is not YAML: {clean(str(error).splitlines()[0], 200)}") from error


def _check(root: Any) -> None:
    """Counts before anything is built, and looks for keys that come twice.

    Raises:
        MarkedYAMLError: naming the place.
    """
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any, depth: int) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in open_nodes:
            raise _error("an alias holds itself", node)
        if depth > MAX_DEPTH:
            raise _error(f"nests deeper than {MAX_DEPTH} levels", node)
        open_nodes.add(id(node))
        total = 1
        for child in _children(node):
            total += size(child, depth + 1)
            if total > MAX_NODES:
                raise _error(f"comes to more than {MAX_NODES} values, aliases counted as often as used", node)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    size(root, 0)


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error("a key must be a text", key)
            if key.value in seen:
                raise _error(f"the key {clean(key.value, 100)!r} comes twice", key)
            seen.add(key.value)
            yield value


def _error(problem: str, node: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
