"""JSON from the API server that was made to break its readers and writers."""

import re
from typing import Any

import orjson
import pytest

from eventsource_operator.core.observed import Seen
from eventsource_operator.core.shallow import LEVELS
from eventsource_operator.kube import client
from eventsource_operator.streams.past import Past


@pytest.mark.parametrize("nested", [b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000])
def test_the_deepest_object_is_read_with_its_metadata(nested: bytes) -> None:
    found = client.parse(b'{"metadata":{"name":"a"},"spec":' + nested + b',"status":{"b":[1]}}')
    assert found["metadata"] == {"name": "a"}
    assert found["status"] == {"b": [1]}
    depth, inner = 0, found["spec"]
    while inner is not None:
        inner, depth = inner["a"] if isinstance(inner, dict) else (inner or [None])[0], depth + 1
    assert depth == LEVELS - 1
    with pytest.raises(TypeError):
        orjson.dumps(found)  # so it can only be sent as a reference, never as something that it is not


@pytest.mark.parametrize("data", [b"", b"[", b'{"a": "', b"[" * 5000, b"<html>", b"\xff\xfe", b'"' * 1001])
def test_what_is_no_json_stays_an_error(data: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        client.parse(data)


def test_the_state_of_an_object_too_deep_to_be_written_is_not_remembered() -> None:
    past = Past(10_000)
    head: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "X",
        "metadata": {"namespace": "ns", "name": "a", "uid": "u"},
    }
    head["metadata"]["resourceVersion"] = "1"
    first = Seen(head)
    past.remember("feed", first)
    assert past.recall("feed", first) == first.object
    past.remember("feed", Seen(head | {"spec": orjson.loads(b"[" * 300 + b"]" * 300)}))
    assert past.recall("feed", first) is None, "an older state would be taken for the last one"
    assert past.size == 0


def test_json_in_the_place_of_yaml_holds_nothing_that_yaml_does_not() -> None:
    """Server-side apply reads YAML, whose parser refuses what JSON lets stand in a text."""
    text = "".join(map(chr, (*range(0x20, 0x180), 0x2028, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x1F600)))
    written = client.as_yaml(orjson.dumps({"a": text}))
    assert orjson.loads(written) == {"a": text}
    assert not re.search("[\x7f-\x9f\ufffe\uffff]", written.decode())
