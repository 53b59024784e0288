"""Cutting JSON that nests too deeply: what is kept is unchanged, and no text takes long."""

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.shallow import cut

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=5)
    | st.sampled_from(['"', "\\", '[{"', "}]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


def _expected(value: Any, levels: int) -> Any:
    if isinstance(value, list | dict) and levels == 0:
        return None
    if isinstance(value, list):
        return [_expected(each, levels - 1) for each in value]
    if isinstance(value, dict):
        return {name: _expected(each, levels - 1) for name, each in value.items()}
    return value


@given(VALUES, st.integers(0, 4))
def test_what_lies_deeper_becomes_null_and_nothing_else_changes(value: Any, levels: int) -> None:
    assert orjson.loads(cut(orjson.dumps(value), levels)) == _expected(value, levels)
    assert json.loads(cut(json.dumps(value, indent=1).encode(), levels)) == _expected(value, levels)


@pytest.mark.parametrize(
    "data", [b"[" * 1_500_000, b'["' * 750_000, b'"' + b'\\"' * 750_000, b"[]{}" * 400_000]
)
def test_the_longest_object_takes_no_quadratic_time(data: bytes) -> None:
    began = time.process_time()
    cut(data)
    assert time.process_time() - began < 10, "a backtracking expression would take hours"
